"""Careful runners, and the conformance kit that shows it: the models to copy."""

import importlib.util
from pathlib import Path

import careful_concurrent
import careful_httpx
import careful_httpx_async
import careful_requests
import careful_sdk
import pytest

from pytest_spidra.conformance import BatchRunnerConformance


class TestHttpx(BatchRunnerConformance):
    @pytest.fixture
    def run_batch(self):
        return careful_httpx.run


class TestAsyncHttpx(BatchRunnerConformance):
    @pytest.fixture
    def run_batch(self):
        return careful_httpx_async.run


class TestSdk(BatchRunnerConformance):
    @pytest.fixture
    def run_batch(self):
        return careful_sdk.run


class TestConcurrentBatches(BatchRunnerConformance):
    @pytest.fixture
    def run_batch(self):
        return careful_concurrent.run


@pytest.mark.skipif(
    not importlib.util.find_spec("pytest_spidra.clients.requests"),
    reason="requests is not answered in this process",
)
class TestRequests(BatchRunnerConformance):
    @pytest.fixture
    def run_batch(self):
        return careful_requests.run


@pytest.mark.parametrize(
    "model",
    [careful_concurrent, careful_httpx, careful_httpx_async, careful_requests, careful_sdk],
    ids=lambda one: one.__name__,
)
def test_a_model_has_fewer_than_60_lines(model):
    assert len(Path(model.__file__).read_text().splitlines()) < 60
