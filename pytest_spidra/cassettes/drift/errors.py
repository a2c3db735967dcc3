"""Recorded errors beside those that the fake knows."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from pytest_spidra.cassettes.drift.shapes import Difference, differences
from pytest_spidra.fake import validation
from pytest_spidra.fake.account import Account
from pytest_spidra.traffic import error_replies as replies

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_spidra.cassettes.recording import Interaction
    from pytest_spidra.fake.batch import BatchState
    from pytest_spidra.traffic.reply import Reply

GATEWAY = (502, 503, 504)
"""What a gateway answers by itself: with a page, or with nothing."""

POSTS = ("submit", "retry")
ANY = ("submit", "look", "list", "cancel", "retry")

_BUSY = replies.error_reply(
    503, replies.SERVICE_BUSY, "SERVICE_BUSY", headers={"retry-after": "60"}, retry_after=60
)
_QUEUE = replies.error_reply(503, replies.QUEUE_DOWN, "QUEUE_UNAVAILABLE")

# Status and code of an error, the kinds of requests that it answers, and the fake's reply.
KNOWN: dict[tuple[int, str | None], tuple[tuple[str, ...], Reply | None]] = {
    (400, None): (POSTS, replies.error_reply(400, replies.NO_JSON)),
    (400, "NO_FAILED_ITEMS"): (("retry",), replies.no_failed_items()),
    (401, None): (ANY, replies.error_reply(401)),
    (402, "PAYMENT_OVERDUE"): (POSTS, replies.payment_overdue()),
    (403, None): (ANY, replies.error_reply(403)),
    (404, None): (("look", "cancel", "retry"), replies.error_reply(404)),
    (409, "ALREADY_TERMINAL"): (("cancel",), replies.already_terminal("completed")),
    (409, None): (("retry",), replies.error_reply(409)),
    (422, None): (("submit",), replies.invalid(["one problem"])),
    (429, None): (ANY, replies.too_many_requests({})),
    (429, "TOO_MANY_PENDING_JOBS"): (POSTS, replies.too_many_pending()),
    (500, None): (ANY, replies.error_reply(500)),
    (503, "SERVICE_BUSY"): (ANY, _BUSY),
    (503, "QUEUE_UNAVAILABLE"): (ANY, _QUEUE),
    **{(status, None): (ANY, replies.error_reply(status)) for status in GATEWAY},
}


def of_error(one: Interaction, state: BatchState | None, *, looked: bool) -> Iterator[Difference]:
    """Yield where a recorded error differs from the one that the fake answers.

    Args:
        one: The interaction.

        state: What is known of its batch, or None.

        looked: Whether the client has seen the batch at its end, so that nothing moves it but the client.
    """
    status, body, kind = one.reply.status, one.reply.json, one.exchange.kind
    code = body.get("code") if isinstance(body, dict) else None
    if not isinstance(body, dict):
        if status not in GATEWAY:
            yield Difference(one.number, "$", f"a {status} without a JSON object, and the fake answers one")
        return
    statuses = {known for known, _ in KNOWN}
    if status not in statuses:
        yield Difference(one.number, "status", f"{status} was recorded, and the fake never answers so")
        return
    found = KNOWN.get((status, code))
    if found is None:
        codes = [repr(known) if known else "none" for other, known in KNOWN if other == status]
        told = "no code" if code is None else f"the code {code!r}"
        yield Difference(
            one.number, "$.code", f"{told} with {status} was recorded, and the fake has {' or '.join(codes)}"
        )
        return
    kinds, reply = found
    if kind not in kinds:
        yield Difference(one.number, "status", f"{status} answers a {kind}, and the fake never does so")
    if reply:
        exact = ("status",)
        for path, what in differences(body, reply.json, free=("retry_after",), exact=exact):
            yield Difference(one.number, path, what)
    yield from _by_state(one, code, state, looked=looked)


def _by_state(one: Interaction, code: Any, state: BatchState | None, *, looked: bool) -> Iterator[Difference]:
    """Compare a refusal with what is known of the batch, or of the request."""
    if code == "NO_FAILED_ITEMS" and state and looked and (count := state.count("failed")):
        yield Difference(
            one.number, "$.code", f"refused, though {count} items had failed: the fake would retry them"
        )
    if (
        code == "ALREADY_TERMINAL"
        and state
        and state.count("pending") == len(state.items)
        and not state.terminal
    ):
        return  # it may have ended since
    if one.reply.status == 422 and not validation.problems(one.request.json, Account()):
        yield Difference(
            one.number, "status", "the API has refused this submit with 422, and the fake takes it"
        )


def of_headers(one: Interaction) -> Iterator[Difference]:
    """Yield what is odd about the headers that clients act upon."""
    headers = one.reply.headers
    kind = headers.get("content-type", "")
    if one.reply.json is not None and not kind.startswith("application/json"):
        yield Difference(
            one.number, "content-type", f"{kind!r} was recorded with JSON, and the fake has application/json"
        )
    wait = headers.get("retry-after")
    if wait is not None and not re.fullmatch(r"\d+", wait):
        try:
            parsedate_to_datetime(wait)
        except ValueError:
            yield Difference(
                one.number, "retry-after", f"{wait!r} is neither a number of seconds nor an HTTP date"
            )
    for name in ("ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"):
        if name in headers and not re.fullmatch(r"\d+", headers[name]):
            yield Difference(
                one.number, name, f"{headers[name]!r} was recorded, and the fake has a whole number"
            )
