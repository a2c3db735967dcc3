"""One cell of the table: one client under one script, in this process, and what the rules say of it."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest

import pytest_spidra

REQUEST_LIMIT = 250  # a client that goes round in circles ends soon

RULES = (
    "double-submission",
    "blind-resend",
    "paid-again",
    "resubmitted-unfinished",
    "retry-before-terminal",
    "nothing-to-retry",
    "retry-of-cancelled",
    "retry-after-ignored",
    "permanent-error-resent",
    "poll-after-terminal",
    "busy-polling",
    "no-backoff",
    "missing-key",
    "key-in-url",
    "duplicate-urls",
)

HEADED = re.compile(rf"^(?:E +)?({'|'.join(RULES)}): ", re.MULTILINE)


@dataclass(frozen=True)
class Cell:
    """What came of one cell.

    Args:
        found: The names of the rules that accuse the client.

        told: What they say, with the timeline.

        log: One word for each exchange, for a review.

        ended: How the client ended: ``"returned"`` or the name of what it raised.
    """

    found: frozenset[str]
    told: str
    log: str
    ended: str


def spidra_mock(request_limit=REQUEST_LIMIT):
    """Return a fake of its own, judged only when asked."""
    return pytest_spidra.mock_spidra(rules="off", allow_unused_steps=True, request_limit=request_limit)


def run_cell(client, script, urls, *, judge=True) -> Cell:
    """Let a client run under a script; without `judge` only the log is of interest."""
    try:
        with spidra_mock() as mock:
            script(mock, urls)
            ended = "returned"
            try:
                client(mock.base_url, mock.api_key, list(urls))
            except (Exception, pytest.fail.Exception, BaseExceptionGroup) as error:  # noqa: BLE001 - how a client gives up is its own affair
                ended = type(error).__name__
            told = _told(mock) if judge else ""
            found = frozenset(HEADED.findall(told))
            return Cell(found, told, "  ".join(_words(mock.exchanges)), ended)
    except (AssertionError, pytest.fail.Exception) as failure:
        if "endless" in str(failure) or "without any progress" in str(failure):
            return Cell(found, told, "  ".join(_words(mock.exchanges)), "endless")
        raise


def _told(mock) -> str:
    try:
        mock.assert_rules()
    except AssertionError as accusation:
        return str(accusation)
    return ""


def _words(exchanges):
    """Yield a word for each exchange; what repeats itself in step is folded."""
    before, count = None, 0
    last = 0.0
    for one in exchanges:
        seen = one.seen
        body = one.seen_json if isinstance(one.seen_json, dict) else {}
        state = f"{body.get('status', '')[:4]}" if one.endpoint == "batch.get" and seen == 200 else ""
        if state and body.get("failedCount"):
            state += f"!{body['failedCount']}"
        urls = (
            f"[{len(one.request_json['urls'])}]"
            if isinstance(one.request_json, dict) and "urls" in one.request_json
            else ""
        )
        where = f"~{one.batch_id.lstrip('0')[:1]}" if one.batch_id else ""
        word = f"+{one.sent_at - last:.1f} {one.endpoint.removeprefix('batch.')}{where}{urls}={seen}{state}"
        last = one.sent_at
        if word == before:
            count += 1
            continue
        if before is not None:
            yield before if count == 1 else f"{before} x{count}"
        before, count = word, 1
    if before is not None:
        yield before if count == 1 else f"{before} x{count}"
