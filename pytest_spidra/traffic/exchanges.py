"""Exchanges and calls: what the client did and what it saw, as frozen plain values."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pytest_spidra.traffic.endpoints import BY_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Exchange:
    """One request and what came of it.

    Args:
        number: 1 for the first exchange of the test.

        sent_at: Seconds since the test began, on the test's clock, when the request was sent.

        endpoint: The endpoint's name, ``batch.submit`` for instance.

        method: HTTP method.

        path: Path and query below the base URL.

        batch_id: The id of the batch or job in the path; after an accepted submit that of the new one; else None.

        request_json: The request's body as JSON, secrets replaced; None when there was none.

        headers: The request's headers, lower-case, secrets replaced.

        seen: What the client saw: a status code, the name of a transport error such as ``"ReadTimeout"``,
            ``"cancelled"`` when the client stopped waiting, or None while it still waits.

        seen_at: Seconds since the test began when the client saw it, or None.

        seen_json: The body that the client saw, as JSON; None when there was none.

        seen_headers: The headers that the client saw, lower-case.

        answered: The status code that upstream replied, or None when the request never reached it.

        answered_json: The body that upstream replied, as JSON.

        scripted: The scripted step as it was written, or None.

        waited: Seconds from what the client saw last, of the same batch or of submit and list, to this
            request; None for the first.

        asked_wait: Seconds that the reply asked the client to wait: its ``Retry-After``, a number or a date,
            else ``retry_after`` of its body; 0 when it may come back at once, None when it asked for nothing.

        sender: Who sent it, numbered from 1 on in the order in which they first send: the thread, in a pool the
            piece of work, and the asyncio task unless that is the one that ``asyncio.run`` or the test runner runs.
            What a task hands to a pool and awaits is its own. On a port, the connection.

        known: How many exchanges had been sent when the client saw what it saw. A later exchange was sent in
            the knowledge of this one when its number is greater.
    """

    number: int
    sent_at: float
    endpoint: str
    method: str
    path: str
    batch_id: str | None = None
    request_json: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    seen: int | str | None = None
    seen_at: float | None = None
    seen_json: Any = None
    seen_headers: Mapping[str, str] = field(default_factory=dict)
    answered: int | None = None
    answered_json: Any = None
    scripted: str | None = None
    waited: float | None = None
    asked_wait: float | None = None
    known: int | None = None
    sender: int = 1

    @cached_property
    def kind(self) -> str:
        """What the request is about: ``submit``, ``look``, ``list``, ``cancel``, ``retry``; empty for anything else."""
        endpoint = BY_NAME.get(self.endpoint)
        return endpoint.kind if endpoint else ""

    @cached_property
    def family(self) -> str:
        """What the endpoint belongs to: ``batch``, ``scrape``; empty for anything else."""
        return self.endpoint.partition(".")[0]

    @property
    def lists(self) -> str:
        """The family whose submits can be found in it, if it is a list."""
        endpoint = BY_NAME.get(self.endpoint)
        return endpoint.lists if endpoint else ""

    @property
    def job_id(self) -> str | None:
        """The same as `batch_id`, by the name that everything but a batch has for it."""
        return self.batch_id

    @property
    def is_submit(self) -> bool:
        """Whether it submits work."""
        return self.kind == "submit"

    @property
    def is_paid(self) -> bool:
        """Whether it orders work that is billed, a job or something that is done at once; a retry of a batch aside."""
        body = self.request_json if isinstance(self.request_json, dict) else {}
        options = body.get("options")
        dry = (options if isinstance(options, dict) else body).get("dryRun") is True
        return self.kind in {"submit", "instant"} and not dry

    @property
    def is_look(self) -> bool:
        """Whether it looks at one batch or job."""
        return self.kind == "look"

    @property
    def is_list(self) -> bool:
        """Whether it looks at the list."""
        return self.kind == "list"

    @property
    def is_cancel(self) -> bool:
        """Whether it cancels a batch."""
        return self.kind == "cancel"

    @property
    def is_retry(self) -> bool:
        """Whether it retries what has failed in a batch."""
        return self.kind == "retry"

    @cached_property
    def identity(self) -> str:
        """What makes two requests the same: method, path, query and body."""
        return f"{self.method} {self.path} {json.dumps(self.request_json, sort_keys=True)}"

    @property
    def failed(self) -> bool:
        """Whether the client saw an error: a broken connection or a status from 400 on."""
        return isinstance(self.seen, str) or (self.seen is not None and self.seen >= 400)


@dataclass(frozen=True)
class Call:
    """One thing the client wanted: consecutive identical requests, all but the last of which failed."""

    exchanges: tuple[Exchange, ...]

    @property
    def endpoint(self) -> str:
        """The endpoint's name."""
        return self.exchanges[0].endpoint

    @property
    def attempts(self) -> int:
        """How many requests it took."""
        return len(self.exchanges)

    @property
    def outcomes(self) -> list[int | str | None]:
        """What the client saw each time: ``[503, "ReadTimeout", 202]``."""
        return [exchange.seen for exchange in self.exchanges]

    @property
    def waits(self) -> list[float]:
        """Seconds between what the client saw and its next request, one fewer than attempts."""
        pairs = zip(self.exchanges, self.exchanges[1:], strict=False)
        return [
            round(later.sent_at - (first.sent_at if first.seen_at is None else first.seen_at), 6)
            for first, later in pairs
        ]
