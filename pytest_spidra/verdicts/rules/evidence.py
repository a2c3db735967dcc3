"""What an exchange shows: the questions that rules and assertions ask of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pytest_spidra.traffic import describe

if TYPE_CHECKING:
    from pytest_spidra.traffic.exchanges import Exchange

# The request was on its way, or may have been: the service may have done the work.
FATE_UNKNOWN = frozenset(
    {
        504,
        "ReadTimeout",
        "ReadError",
        "WriteTimeout",
        "WriteError",
        "CloseError",
        "RemoteProtocolError",
        "cancelled",
    }
)


PERMANENT = frozenset({400, 401, 402, 403, 404, 409, 422})
LONGEST_WAIT = 30.0  # seconds of Retry-After that count; the official SDK waits no longer either
NO_RESULT: tuple[Any, ...] = (None, "", [], {})
ROUNDING = 1e-6  # seconds


def wait_after(first: Exchange, later: Exchange) -> float:
    """Return the seconds from what the client saw to its later request: virtual ones, or real if those are more."""
    virtual = later.sent_at - (first.sent_at if first.seen_at is None else first.seen_at)
    return max(virtual, later.sent_real - first.seen_real)


def looked(exchange: Exchange) -> bool:
    """Whether a reply told the client anything: no error, and a body that it could read."""
    return not exchange.failed and isinstance(exchange.seen_json, dict)


def field_of(exchange: Exchange, name: str) -> Any:
    """Return a field of the body that the client saw, None when there is none."""
    return exchange.seen_json.get(name) if isinstance(exchange.seen_json, dict) else None


def dicts_in(value: Any) -> list[dict[str, Any]]:
    """Return the objects in a list; a reply of a user's own route may hold anything."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def options_of(exchange: Exchange) -> str:
    """Return a submit's body without its URLs, as text that can be compared."""
    body = exchange.request_json
    rest = {name: value for name, value in body.items() if name != "urls"} if isinstance(body, dict) else body
    return json.dumps(rest, sort_keys=True)


def accepted(exchange: Exchange) -> bool:
    return exchange.answered is not None and exchange.answered < 300


def url_count(exchange: Exchange) -> str:
    count = len(describe.urls_of(exchange))
    return "URL" if count == 1 else f"{count} URLs"


def permanent(exchange: Exchange) -> bool:
    """Whether the client saw an error that will not go away by itself: one that asks for time may."""
    queue_down = field_of(exchange, "code") == "QUEUE_UNAVAILABLE"
    return exchange.seen in PERMANENT and not queue_down and exchange.asked_wait is None


def keys_of(exchange: Exchange) -> frozenset[str]:
    """Return which keys a request carries, each under the name that the log gives it."""
    return frozenset(value for value in exchange.headers.values() if value.startswith("[key "))
