"""Careful runners, and the conformance kit that shows it: the models to copy."""

import importlib.util
from pathlib import Path

import pytest
import runner_concurrent
import runner_httpx
import runner_httpx_async
import runner_requests
import runner_sdk

from pytest_spidra.conformance import BatchRunnerConformance


class TestHttpx(BatchRunnerConformance):
    @pytest.fixture
    def run_batch(self):
        return runner_httpx.run


class TestAsyncHttpx(BatchRunnerConformance):
    @pytest.fixture
    def run_batch(self):
        return runner_httpx_async.run


class TestSdk(BatchRunnerConformance):
    @pytest.fixture
    def run_batch(self):
        return runner_sdk.run


class TestConcurrentBatches(BatchRunnerConformance):
    @pytest.fixture
    def run_batch(self):
        return runner_concurrent.run


@pytest.mark.skipif(
    not importlib.util.find_spec("pytest_spidra.clients.requests"),
    reason="requests is not answered in this process",
)
class TestRequests(BatchRunnerConformance):
    @pytest.fixture
    def run_batch(self):
        return runner_requests.run


@pytest.mark.parametrize(
    "model",
    [runner_concurrent, runner_httpx, runner_httpx_async, runner_requests, runner_sdk],
    ids=lambda one: one.__name__,
)
def test_a_model_has_fewer_than_60_lines(model):
    assert len(Path(model.__file__).read_text().splitlines()) < 60
