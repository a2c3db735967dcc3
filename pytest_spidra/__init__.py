"""pytest-spidra: test code that runs on Spidra's batch scraping API.

This is the table of contents; a name is imported from its module when it is first used, so that pytest starts
without them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_spidra.fake.account import Account, Ledger, RateLimit
    from pytest_spidra.fake.outcomes import Outcome, completed, failed, stuck
    from pytest_spidra.fixtures.api import SpidraApi
    from pytest_spidra.fixtures.factory import BatchFactory
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
    from pytest_spidra.scripting.steps import Step, http_error, ok, reply_lost, request_lost
    from pytest_spidra.settings import RuleWarning
    from pytest_spidra.traffic.batches import Batch
    from pytest_spidra.traffic.exchanges import Call, Exchange
    from pytest_spidra.traffic.log import ExchangeLog
    from pytest_spidra.traffic.reply import Reply

__version__ = "0.1.0"

_NAMES = {
    "fake.account": "Account Ledger RateLimit",
    "fake.outcomes": "Outcome completed failed stuck",
    "fixtures.api": "SpidraApi",
    "fixtures.factory": "BatchFactory",
    "fixtures.mock": "SpidraMock SpidraServer",
    "fixtures.recorded_factory": "RecordedFactory",
    "scripting.known_errors": "gateway_error payment_overdue queue_unavailable rate_limited service_busy too_many_pending",
    "scripting.steps": "Step http_error ok reply_lost request_lost",
    "settings": "RuleWarning",
    "traffic.batches": "Batch",
    "traffic.exchanges": "Call Exchange",
    "traffic.log": "ExchangeLog",
    "traffic.reply": "Reply",
}
_HOMES = {name: home for home, names in _NAMES.items() for name in names.split()}

__all__ = sorted(_HOMES)  # noqa: PLE0605 - one list of names, above; type checkers read the imports


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
