"""The table of cases: what goes wrong in each, and what a careful runner does about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_spidra import (
    Outcome,
    Step,
    completed,
    failed,
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
from pytest_spidra.conformance.judging import Expected

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_spidra.sessions.fake_sessions import FakeSession

FINISH, FINISH_OR_RAISE, HONEST = Expected.FINISH, Expected.FINISH_OR_RAISE, Expected.HONEST

URLS = [f"https://shop.example/page/{number}" for number in range(1, 4)]


@dataclass(frozen=True)
class Case:
    """One case.

    Args:
        name: What its test is called, without ``test_``.

        operation: The endpoint that fails, ``"batch.get"`` say; empty where the work itself is what it is about.

        failure: What fails, as the policy table says it.

        expected: What a careful runner does.

        story: What happens, in a sentence.

        prepare: Further settings of the fake, made before the run.

        steps: What happens to the first requests to `operation`.

        forever: What happens to all further ones.

        outcomes: How attempts at pages end; pages that are not named complete at once.

        parts: The pages of each run; several runs run at once.

        rounds: ``max_attempts``, where it is not the class's.
    """

    name: str
    operation: str
    failure: str
    expected: Expected
    story: str
    prepare: Callable[[FakeSession], object] = field(default=lambda _: None)
    steps: tuple[Step, ...] = ()
    forever: Step | None = None
    outcomes: dict[str, list[Outcome]] = field(default_factory=dict)
    parts: tuple[list[str], ...] = (URLS,)
    rounds: int | None = None

    def script(self, session: FakeSession) -> None:
        """Let the fake do what the case is about."""
        mock = session.mock
        if self.operation:
            endpoint = getattr(mock.batch, self.operation.rpartition(".")[2])
            endpoint.script(*self.steps)
            if self.forever:
                endpoint.always(self.forever)
        if self.outcomes:
            mock.batch.outcomes(self.outcomes)
        self.prepare(session)

    @property
    def healing(self) -> dict[str, int]:
        """For each page with outcomes, the number of the attempt that completes; 0: none does."""
        return {
            url: next((number for number, one in enumerate(several, 1) if one.ending == "completed"), 0)
            for url, several in self.outcomes.items()
        }


# What a failing request is: the name, what the policy table says, the step, and a sentence.
Row = tuple[str, str, Step, str]

REFUSED: tuple[Row, ...] = (
    ("connect_error", "ConnectError", request_lost(), "no connection could be made, and the service never saw it"),
    ("connect_timeout", "ConnectTimeout", request_lost("ConnectTimeout"), "the connection took too long, and the service never saw it"),
    ("bad_gateway", "502", http_error(502), "the gateway answered 502 and did not pass it on"),
    ("gateway_page", "502, HTML page", gateway_error(502), "the gateway answered 502 with an HTML page"),
    ("unavailable", "503", http_error(503), "the service answered 503 and did nothing"),
    ("service_busy", "503 SERVICE_BUSY, Retry-After 20", service_busy(retry_after=20), "the service is at capacity and asks for 20 seconds"),
    ("queue_unavailable", "503 QUEUE_UNAVAILABLE", queue_unavailable(), "nothing could be queued"),
    ("rate_limited", "429, Retry-After 20", rate_limited(retry_after=20), "the quota of requests is used up for 20 seconds"),
    ("gateway_timeout", "504", http_error(504), "the gateway gave up, and the service never saw it"),
    ("server_error", "500", http_error(500), "the service failed unexpectedly and did nothing"),
)  # fmt: skip

TOO_MANY: Row = (
    "too_many_pending",
    "429 TOO_MANY_PENDING_JOBS",
    too_many_pending(),
    "too many jobs wait already",
)

DONE: tuple[Row, ...] = (
    ("reply_lost", "ReadTimeout, done", reply_lost(), "the service did it, and the reply never came"),
    ("connection_reset", "ReadError, done", reply_lost("ReadError"), "the service did it, and the connection broke"),
    ("server_disconnected", "RemoteProtocolError, done", reply_lost("RemoteProtocolError"), "the service did it, and hung up"),
    ("bad_gateway_done", "502, done", gateway_error(502, processed=True), "the service did it, and the gateway answered 502"),
    ("gateway_timeout_done", "504, done", gateway_error(504, processed=True), "the service did it, and the gateway had given up"),
    ("server_error_done", "500, done", http_error(500, processed=True), "the service did it, and failed afterwards"),
    ("body_truncated", "body cut off, done", ok(body="truncated"), "the service did it, and half of its reply came"),
    ("body_empty", "empty body, done", ok(body="empty"), "the service did it, and nothing of its reply came"),
    ("slow_reply", "reply after 20 s", ok(after=20.0), "the service did it, and took 20 seconds to say so"),
)  # fmt: skip

LOOKS_LOST: tuple[Row, ...] = tuple(
    (name, failure.removesuffix(", done"), step, story.replace("the service did it, and ", ""))
    for name, failure, step, story in DONE
    if not name.endswith("_done")
)

UNAUTHORIZED: Row = ("unauthorized", "401", http_error(401), "the key is refused")
OVERDUE: Row = ("payment_overdue", "402 PAYMENT_OVERDUE", payment_overdue(), "a payment is overdue")
FORBIDDEN: Row = (
    "forbidden",
    "403",
    http_error(403),
    "it is forbidden: no credits are left, or the key may not",
)
NOT_FOUND: Row = ("not_found", "404", http_error(404), "the batch is said not to be there")
INVALID: Row = (
    "invalid",
    "422",
    http_error(422, errors=["urls[0] is not a valid URL."]),
    "the request is said to be invalid",
)
OUTAGE: Row = ("outage", "503, always", http_error(503), "the service answers 503 and does not come back")
DEAD: Row = ("dead_connection", "ConnectError, always", request_lost(), "no connection can be made any more")

# A page that fails once and heals, so that there is a retry that can fail.
ONE_FAILS = {URLS[1]: [failed("Timeout"), completed()]}


def _rows(
    operation: str,
    rows: tuple[Row, ...],
    expected: Expected,
    *,
    always: bool = False,
    outcomes: dict[str, list[Outcome]] | None = None,
    open_to: tuple[str, ...] = (),
) -> list[Case]:
    word = operation.rpartition(".")[2]
    verb = {"get": "look at the batch", "list": "look at the list"}.get(word, word)
    return [
        Case(
            f"{word}_{name}",
            operation,
            failure,
            FINISH_OR_RAISE if name in open_to else expected,
            f"{'Every' if always else 'The first'} {verb} fails: {story}.",
            steps=() if always else (step,),
            forever=step if always else None,
            outcomes=outcomes or {},
        )
        for name, failure, step, story in rows
    ]


SUBMIT = [
    *_rows("batch.submit", (*REFUSED, TOO_MANY, *DONE), FINISH_OR_RAISE),
    *_rows("batch.submit", (UNAUTHORIZED, OVERDUE, FORBIDDEN, INVALID, OUTAGE, DEAD), HONEST, always=True),
]
GET = [
    # A look costs nothing: whoever has a batch at work gets over one that fails. 500 may be taken for the end.
    *_rows("batch.get", (*REFUSED, *LOOKS_LOST), FINISH, open_to=("server_error",)),
    *_rows("batch.get", (UNAUTHORIZED, FORBIDDEN, NOT_FOUND, OUTAGE, DEAD), HONEST, always=True),
]
RETRY = [
    *_rows("batch.retry", (*REFUSED, TOO_MANY, *DONE), FINISH_OR_RAISE, outcomes=ONE_FAILS),
    *_rows(
        "batch.retry",
        (UNAUTHORIZED, OVERDUE, FORBIDDEN, NOT_FOUND, OUTAGE, DEAD),
        HONEST,
        always=True,
        outcomes=ONE_FAILS,
    ),
]
