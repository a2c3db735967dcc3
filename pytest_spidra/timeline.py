"""The timeline: one line for each exchange, for people."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_spidra.exchanges import Exchange


def render(exchanges: Iterable[Exchange], most: int = 40) -> str:
    """Return the exchanges as lines: number, seconds, request, what the client saw, why.

    Exchanges in a row that say the same are folded into one line; of more than `most` lines the first and
    the last are shown.
    """
    lines = [_line(list(run)) for _, run in groupby(exchanges, key=_what)]
    if len(lines) > most:
        half = most // 2
        lines = [*lines[:half], f"  … {len(lines) - 2 * half} lines more …", *lines[-half:]]
    return "\n".join(lines)


def _what(exchange: Exchange) -> tuple[object, ...]:
    return (
        exchange.endpoint,
        exchange.path,
        str(exchange.request_json),
        exchange.seen,
        exchange.answered,
        exchange.scripted,
        _state(exchange),
    )


def _line(run: list[Exchange]) -> str:
    first, last = run[0], run[-1]
    number = f"#{first.number}" if len(run) == 1 else f"#{first.number}-{last.number}"
    times = "" if len(run) == 1 else f" ({len(run)} times)"
    words = [f"{number:>9} {first.sent_at:9.3f}s  {first.method} {first.path}{times} -> {_seen(first)}"]
    if state := _state(first):
        words.append(state)
    if first.scripted:
        done = "the service did the work" if first.answered is not None else "the service never saw it"
        words.append(f"[scripted: {first.scripted}; {done}]")
    return " ".join(words)


def _seen(exchange: Exchange) -> str:
    return "no reply yet" if exchange.seen is None else str(exchange.seen)


def _state(exchange: Exchange) -> str:
    """Return the batch as the client saw it: ``running, 2 of 3 done, 1 failed``."""
    body = exchange.seen_json
    if not isinstance(body, dict):
        return ""
    if "failedCount" in body:
        return (
            f"{body.get('status')}, {body.get('completedCount')} of {body.get('totalUrls')} completed, "
            f"{body['failedCount']} failed"
        )
    if body.get("status") == "error":
        return str(body.get("code") or body.get("message"))
    return ""
