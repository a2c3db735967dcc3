"""pytest-spidra: test code that runs on Spidra's batch scraping API.

This is the table of contents; a name is imported from its module when it is first used, so that pytest starts
without them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_spidra.batches import Batch
    from pytest_spidra.exchanges import Call, Exchange
    from pytest_spidra.factory import BatchFactory
    from pytest_spidra.fake.account import Account, Ledger, RateLimit
    from pytest_spidra.fake.outcomes import Outcome, completed, failed, stuck
    from pytest_spidra.log import ExchangeLog
    from pytest_spidra.messages import Reply
    from pytest_spidra.mock import SpidraApi, SpidraMock
    from pytest_spidra.plugin import RuleWarning
    from pytest_spidra.recorded_factory import RecordedFactory
    from pytest_spidra.scripts import (
        Step,
        gateway_error,
        http_error,
        ok,
        payment_overdue,
        queue_unavailable,
        rate_limited,
        reply_lost,
        request_lost,
        service_busy,
        too_many_pending,
    )
    from pytest_spidra.server import SpidraServer

__version__ = "0.1.0"

_HOMES = {
    "Account": "fake.account",
    "Batch": "batches",
    "BatchFactory": "factory",
    "Call": "exchanges",
    "Exchange": "exchanges",
    "ExchangeLog": "log",
    "Ledger": "fake.account",
    "Outcome": "fake.outcomes",
    "RateLimit": "fake.account",
    "RecordedFactory": "recorded_factory",
    "Reply": "messages",
    "RuleWarning": "plugin",
    "SpidraApi": "mock",
    "SpidraMock": "mock",
    "SpidraServer": "server",
    "Step": "scripts",
    "completed": "fake.outcomes",
    "failed": "fake.outcomes",
    "gateway_error": "scripts",
    "http_error": "scripts",
    "ok": "scripts",
    "payment_overdue": "scripts",
    "queue_unavailable": "scripts",
    "rate_limited": "scripts",
    "reply_lost": "scripts",
    "request_lost": "scripts",
    "service_busy": "scripts",
    "stuck": "fake.outcomes",
    "too_many_pending": "scripts",
}

__all__ = [
    "Account",
    "Batch",
    "BatchFactory",
    "Call",
    "Exchange",
    "ExchangeLog",
    "Ledger",
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
    "ok",
    "payment_overdue",
    "queue_unavailable",
    "rate_limited",
    "reply_lost",
    "request_lost",
    "service_busy",
    "stuck",
    "too_many_pending",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
