"""A careful runner passes every case."""

import sys
from pathlib import Path

import pytest

from pytest_spidra.conformance import BatchRunnerConformance

sys.path.append(str(Path(__file__).parents[1] / "examples"))

import careful_httpx


class TestCareful(BatchRunnerConformance):
    @pytest.fixture
    def run_batch(self):
        return careful_httpx.run
