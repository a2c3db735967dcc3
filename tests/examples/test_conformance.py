"""Careful runners, and the conformance kit that shows it: the models to copy."""

import careful_concurrent
import careful_httpx
import careful_httpx_async
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
