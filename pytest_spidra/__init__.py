"""pytest-spidra: test code that runs on Spidra's batch scraping API.

This is the table of contents; a name is imported from its module when it is first used, so that pytest starts
without them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_spidra.fake.account import Account
    from pytest_spidra.fake.credits import Ledger
    from pytest_spidra.fake.outcomes import Outcome, completed, failed, stuck
    from pytest_spidra.fake.quota import RateLimit
    from pytest_spidra.fixtures.api import SpidraApi
    from pytest_spidra.fixtures.factory import BatchFactory
    from pytest_spidra.fixtures.job_factory import JobFactory
    from pytest_spidra.fixtures.mock import SpidraMock, SpidraServer
    from pytest_spidra.fixtures.recorded_factory import RecordedFactory
    from pytest_spidra.scripting.known_errors import (
        gateway_error,
        payment_overdue,
        queue_unavailable,
        rate_limited,
        service_busy,
        too_many_pending,
    )
    from pytest_spidra.scripting.lost import reply_lost, request_lost
    from pytest_spidra.scripting.steps import Step, http_error, ok
    from pytest_spidra.sessions.without_fixture import mock_spidra, serve_spidra
    from pytest_spidra.settings import OldCassetteWarning, RuleWarning
    from pytest_spidra.traffic.batches import Batch
    from pytest_spidra.traffic.exchanges import Call, Exchange
    from pytest_spidra.traffic.jobs import Job
    from pytest_spidra.traffic.log import ExchangeLog
    from pytest_spidra.traffic.reply import Reply

__version__ = "0.1.0"

# Where a name is looked for, cheap modules first.
_MODULES = (
    "settings",
    "fake.outcomes",
    "scripting.steps",
    "scripting.lost",
    "scripting.known_errors",
    "fake.account",
    "fake.credits",
    "traffic.batches",
    "traffic.jobs",
    "traffic.log",
    "fixtures.api",
    "fixtures.mock",
    "fixtures.factory",
    "fixtures.job_factory",
    "fixtures.recorded_factory",
    "sessions.without_fixture",
)

__all__ = [
    "Account",
    "Batch",
    "BatchFactory",
    "Call",
    "Exchange",
    "ExchangeLog",
    "Job",
    "JobFactory",
    "Ledger",
    "OldCassetteWarning",
    "Outcome",
    "RateLimit",
    "RecordedFactory",
    "Reply",
    "RuleWarning",
    "SpidraApi",
    "SpidraMock",
    "SpidraServer",
    "Step",
    "completed",
    "failed",
    "gateway_error",
    "http_error",
    "mock_spidra",
    "ok",
    "payment_overdue",
    "queue_unavailable",
    "rate_limited",
    "reply_lost",
    "request_lost",
    "serve_spidra",
    "service_busy",
    "stuck",
    "too_many_pending",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        for module in _MODULES:
            found = vars(import_module(f"{__name__}.{module}")).get(name)
            if found is not None:
                return found
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
