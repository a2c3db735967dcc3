"""The batch factory of a recording and of its replay: it really submits, and later plays what came of it."""

from __future__ import annotations

import json
import uuid
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any, NoReturn

from pytest_spidra.batches import Batch
from pytest_spidra.factory import FINISHED, Order
from pytest_spidra.fake.account import Account
from pytest_spidra.messages import Request, UnanswerableError
from pytest_spidra.verdicts import paragraph

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytest_spidra.fake.batch import BatchStatus
    from pytest_spidra.log import ExchangeLog
    from pytest_spidra.messages import Reply

PAUSES = (0.2, 0.5, 1.0)  # seconds between looks, the first ones; then it is LAST_PAUSE
LAST_PAUSE = 2.0
LONGEST = 300  # looks at one batch

FOREIGN = uuid.UUID("5b1d7a52-0000-4000-8000-000000000000")


class RecordedFactory:
    """Makes batches by asking the API, real or recorded.

    Args:
        ask: Sends a request past the exchange log and returns the reply.

        api_key: The key to send.

        pause: Waits for a number of seconds, in real time while recording, not at all in a replay.

        fail: Fails the test.

        exchanges: The log, for what the code under test saw of a batch since.
    """

    def __init__(
        self,
        *,
        ask: Callable[[Request], Reply],
        api_key: str,
        pause: Callable[[float], object],
        fail: Callable[[str], NoReturn],
        exchanges: ExchangeLog,
    ) -> None:
        self._ask = ask
        self._api_key = api_key
        self._pause = pause
        self._fail = fail
        self._exchanges = exchanges
        self._made = 0

    def __call__(
        self,
        urls: int | Iterable[str] = 3,
        *,
        failed: int = 0,
        status: BatchStatus = "completed",
        owner: str = "me",
        **submit_options: Any,
    ) -> Batch:
        """Return a batch that was submitted before the code under test goes on.

        Args:
            urls: How many URLs, or the URLs. How items end cannot be said here: the API decides.

            failed: How many of the last items fail, on every attempt: their URLs are made ones that cannot be
                resolved.

            status: ``completed`` and ``cancelled`` are waited for; ``pending`` and ``running`` mean that
                nobody has waited. ``failed`` cannot be ordered.

            owner: ``"me"``, or anybody else: then the id is one that the API does not know.

            submit_options: Fields of the submit.

        Raises:
            ValueError: What the API would refuse, or what cannot be had of it.
        """
        __tracebackhide__ = True
        order = Order.of(urls, failed, status, owner, submit_options, Account())
        if order.outcomes or status == "failed":
            what = "outcomes" if order.outcomes else 'status="failed"'
            msg = f"{what} cannot be ordered of the real API; failed=… can, and so can modes=('mock',)"
            raise ValueError(msg)
        self._made += 1
        listed = order.urls(unresolvable=True)
        if owner != "me":
            return self._handle(str(uuid.uuid5(FOREIGN, f"{owner} {self._made}")), listed, {})
        answer = self._told(
            "POST", "/batch/scrape", json.dumps({"urls": listed, **order.given}).encode(), good=202
        )
        batch_id = str(answer.get("batchId"))
        body: dict[str, Any] = {}
        if status == "cancelled":
            self._told("DELETE", f"/batch/scrape/{batch_id}")
            body = self._told("GET", f"/batch/scrape/{batch_id}")
        elif status == "completed":
            body = self._finished(batch_id)
            if (body.get("status"), body.get("failedCount")) != (status, failed):
                self._complain(
                    f"a {status} batch with {failed} failed items was ordered, and it is {body.get('status')} with "
                    f"{body.get('failedCount')}"
                )
        return self._handle(batch_id, listed, body)

    def _finished(self, batch_id: str) -> dict[str, Any]:
        for pause in chain(PAUSES, repeat(LAST_PAUSE, LONGEST)):
            body = self._told("GET", f"/batch/scrape/{batch_id}")
            if body.get("status") in FINISHED:
                break
            self._pause(pause)
        return body

    def _told(self, method: str, path: str, content: bytes = b"", good: int = 200) -> dict[str, Any]:
        headers = {"x-api-key": self._api_key}
        if content:
            headers["content-type"] = "application/json"
        try:
            reply = self._ask(Request(method, path, headers=headers, content=content))
        except UnanswerableError as refusal:
            self._fail(str(refusal))
        if reply.status >= 300:
            gist = reply.json.get("message") if isinstance(reply.json, dict) else ""
            self._complain(f"{method} {path} was answered with {reply.status} in place of {good}. {gist}")
        if not isinstance(reply.json, dict):
            self._complain(
                f"{method} {path} was answered with {reply.status}, and a body that is no JSON object"
            )
        return dict(reply.json)

    def _complain(self, what: str) -> NoReturn:
        __tracebackhide__ = True
        self._fail(
            "\n\n".join(
                [
                    paragraph(f"spidra_batch_factory could not make its batch: {what.rstrip('. ')}."),
                    paragraph(
                        "The batch is made by the real API while recording, so it can only be what that allows."
                    ),
                ]
            )
        )

    def _handle(self, batch_id: str, urls: list[str], body: dict[str, Any]) -> Batch:
        queued = {
            "status": "pending",
            "items": [{"url": url, "status": "pending", "result": None, "error": None} for url in urls],
        }

        def view() -> dict[str, Any]:
            """Return the last state of the batch that anybody saw: reading a handle is no request."""
            for exchange in reversed(self._exchanges):
                told = exchange.answered_json
                if exchange.batch_id == batch_id and isinstance(told, dict) and "items" in told:
                    return dict(told)
            return body or queued

        return Batch(batch_id, urls, view)
