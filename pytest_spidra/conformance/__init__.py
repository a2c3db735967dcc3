"""The conformance kit: a whole suite for a runner of batches, by inheriting one class.

    from pytest_spidra.conformance import BatchRunnerConformance

    class TestMyRunner(BatchRunnerConformance):
        max_attempts = 3  # rounds, the first included

        @pytest.fixture
        def run_batch(self):
            return my_runner.run  # run(urls, *, base_url, api_key, max_attempts) -> items; sync or async

A name is imported from its module when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_spidra.conformance.cassettes import CassetteDrift
    from pytest_spidra.conformance.overriding import xfail
    from pytest_spidra.conformance.suite import BatchRunnerConformance

_HOMES = {"BatchRunnerConformance": "suite", "CassetteDrift": "cassettes", "xfail": "overriding"}

__all__ = ["BatchRunnerConformance", "CassetteDrift", "xfail"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
