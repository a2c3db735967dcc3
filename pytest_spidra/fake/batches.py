"""The customer's batches: what their five endpoints do, and how their items are scripted to end.

Submit, cancel and retry take effect before they are answered, as the documented retry loop needs it.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from pytest_spidra.fake import serializers, validation
from pytest_spidra.fake.batch import BatchState
from pytest_spidra.fake.item import Item
from pytest_spidra.fake.job import ME
from pytest_spidra.fake.outcome_scripts import OutcomeScripts, UnusedOutcomes
from pytest_spidra.fake.outcomes import BatchEnd, Outcome, completed, failed
from pytest_spidra.fake.urls import NO_SUCH_HOST, cannot_resolve
from pytest_spidra.fake.uuids import BATCH, Uuids
from pytest_spidra.traffic import error_replies
from pytest_spidra.traffic.reply import Reply
from pytest_spidra.traffic.strict_json import parse_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pytest_spidra.fake.account import Account
    from pytest_spidra.fake.credits import CreditAccounting
    from pytest_spidra.traffic.request import Request

LIST_LIMIT = 20
LIST_LIMIT_MOST = 50


class Batches:
    """The batches of one customer, and of strangers, in the order of creation.

    Args:
        account: The customer's settings.

        accounting: Where credits are moved.

        uuids: Makes ids.

        owner: Whose batches the customer sees.

        beside: Those of another customer, which stand in the same place, and are scripted alike.
    """

    def __init__(
        self,
        account: Account,
        accounting: CreditAccounting,
        uuids: Uuids,
        owner: str = ME,
        beside: Batches | None = None,
    ) -> None:
        self.owner = owner
        self.account = account
        self.accounting = accounting
        self.batches: dict[str, BatchState] = beside.batches if beside else {}
        self.ends: deque[BatchEnd] = beside.ends if beside else deque()  # of the next batches to be submitted
        self.outcomes: OutcomeScripts = beside.outcomes if beside else OutcomeScripts()
        self.uuids = uuids
        self._endpoints: dict[str, Callable[[Request, str | None, int], Reply]] = {
            "batch.submit": self._submit,
            "batch.get": self._get,
            "batch.list": self._list,
            "batch.cancel": self._cancel,
            "batch.retry": self._retry,
        }

    # -- requests --------------------------------------------------------------------------------------

    def _submit(self, request: Request, _: str | None, now: int) -> Reply:
        try:
            body = parse_json(request.content)
        except ValueError:
            return error_replies.error_reply(400, error_replies.NO_JSON)
        if errors := validation.problems(body, self.account):
            return error_replies.invalid(errors)
        urls: list[str] = body["urls"]
        if refused := self._cannot_queue(len(urls), self.account.price_per_url, now):
            return refused
        ending = self.ends.popleft() if self.ends else None
        state = self.create(urls, validation.accepted(body), now, ending=ending)
        state.queue(state.items, now)
        answer: dict[str, Any] = {"status": "queued", "batchId": state.id, "total": len(urls)}
        if warnings := validation.schema_warnings(body, self.account):
            answer["schema_warnings"] = warnings
        return Reply.of(202, answer, {"location": f"/api/batch/scrape/{state.id}"})

    def _get(self, _: Request, batch_id: str | None, now: int) -> Reply:
        state = self._mine(batch_id)
        if state is None:
            return error_replies.error_reply(404)
        state.look(now)
        return Reply.of(200, serializers.batch(state, self.account.timestamps))

    def _list(self, request: Request, _: str | None, now: int) -> Reply:
        """Answer the list, newest first. Numbers out of bounds are moved into them; no source says."""
        number = validation.page_number(request.parameters.get("page"), 1, None)
        limit = validation.page_number(request.parameters.get("limit"), LIST_LIMIT, LIST_LIMIT_MOST)
        mine = [state for state in reversed(self.batches.values()) if state.owner == self.owner]
        mine.sort(key=lambda state: state.created_at, reverse=True)
        shown = mine[(number - 1) * limit : number * limit]
        for state in shown:
            state.look(now)  # a look at the list is a look at each batch on the page
        return Reply.of(200, serializers.page(shown, len(mine), number, limit, self.account.timestamps))

    def _cancel(self, _: Request, batch_id: str | None, now: int) -> Reply:
        state = self._mine(batch_id)
        if state is None:
            return error_replies.error_reply(404)
        state.advance(now)
        if state.terminal:
            return error_replies.already_terminal(state.status)
        stopped, refund = state.cancel(now)
        return Reply.of(200, {"status": "cancelled", "cancelledItems": stopped, "creditsRefunded": refund})

    def _retry(self, request: Request, batch_id: str | None, now: int) -> Reply:
        state = self._mine(batch_id)
        if state is None:
            return error_replies.error_reply(404)
        # Cookies may come again, since none are kept; clients send no body, an empty one, or a JSON object.
        if request.content and not isinstance(request.json, dict):
            return error_replies.error_reply(400, error_replies.NO_JSON)
        state.advance(now)
        if refused := self._cannot_retry(state):
            return refused
        count = state.count("failed")
        if count == 0:
            return error_replies.no_failed_items()
        if refused := self._cannot_queue(count, state.price, now):
            return refused
        return Reply.of(202, {"status": "queued", "retriedCount": state.retry(now)})

    # -- conditions ------------------------------------------------------------------------------------

    def _mine(self, batch_id: str | None) -> BatchState | None:
        state = self.batches.get(batch_id or "")
        return state if state and state.owner == self.owner else None

    def _cannot_queue(self, count: int, price: int, now: int) -> Reply | None:
        """Return why `count` more items at `price` credits each cannot be queued, or None."""
        account = self.account
        if account.payment_overdue:
            return error_replies.payment_overdue()
        if account.pending_cap is not None:
            mine = [state for state in self.batches.values() if state.owner == self.owner]
            for state in mine:
                state.advance(now)
            if sum(state.count("pending") for state in mine) + count > account.pending_cap:
                return error_replies.too_many_pending()
        if count * price > account.credits:
            return error_replies.error_reply(403, error_replies.CREDIT_LIMIT)
        return None

    def _cannot_retry(self, state: BatchState) -> Reply | None:
        """Return what the account's settings answer to a retry of a batch in this state, None to accept it."""
        answer = {
            "pending": self.account.retry_of_running,
            "running": self.account.retry_of_running,
            "failed": self.account.retry_of_failed,
            "cancelled": self.account.retry_of_cancelled,
        }.get(state.status, "accept")
        if isinstance(answer, int):
            return error_replies.error_reply(answer, f"Cannot retry a batch that is {state.status}.")
        return answer if isinstance(answer, Reply) else None

    # -- scripts ---------------------------------------------------------------------------------------

    def script_outcomes(self, outcomes: Mapping[str, Sequence[Outcome]], batch_id: str | None = None) -> None:
        """Set how the attempts at URLs end, in one batch or in all that are not told otherwise."""
        self.outcomes.script(outcomes, batch_id)

    def keep_outcomes(self, now: int) -> None:
        """Let batches go on as they were told to, also when what is scripted for all is forgotten."""
        for state in self.batches.values():
            state.advance(now)
            self.outcomes.keep_for(state.id, [item.url for item in state.items])
            if state.terminal:
                state.ending = None

    def script_end(self, ending: BatchEnd) -> None:
        """Set how the next batch to be submitted ends."""
        self.ends.append(ending)

    def unused_outcomes(self) -> list[UnusedOutcomes]:
        """Return what was scripted of items and no attempt came to, the factory's outcomes aside."""
        batches: dict[str, list[str]] = {}
        for state in self.batches.values():
            for item in state.items:
                batches.setdefault(item.url, []).append(state.id)
        return self.outcomes.unused(batches)

    def unused_ends(self) -> list[tuple[BatchEnd, str | None]]:
        """Return the scripted ends that never came, each with the batch that had ended before, None without one."""
        late = [
            (state.ending, state.id) for state in self.batches.values() if state.ending and state.terminal
        ]
        return [*((ending, None) for ending in self.ends), *late]

    def outcome_of(self, state: BatchState, item: Item) -> Outcome:
        """Return how an item's next attempt ends: the last outcome repeats, without any it completes.

        Without any, and if the account says so, an item fails whose host cannot resolve. No source shows the
        text; this one is Chromium's.
        """
        if scripted := self.outcomes.find(state.id, item.url):
            return scripted.of(item.attempt)
        if self.account.invalid_hosts_fail and cannot_resolve(item.url):
            return failed(NO_SUCH_HOST)
        return completed()

    # -- batches ---------------------------------------------------------------------------------------

    def create(
        self,
        urls: Sequence[str],
        options: dict[str, Any],
        now: int,
        *,
        owner: str | None = None,
        ending: BatchEnd | None = None,
        looks_before_start: int = 0,
    ) -> BatchState:
        """Put a batch there, whose items are not queued yet; see `BatchState` for what is given."""
        number = len(self.batches) + 1
        state = BatchState(
            id=self.uuids.of(BATCH, number),
            owner=owner or self.owner,
            options=options,
            items=[Item(self.uuids.of(BATCH, number, place), url) for place, url in enumerate(urls, 1)],
            created_at=now,
            price=self.account.price_per_url,
            accounting=self.accounting,
            outcome_of=self.outcome_of,
            concurrency=lambda: self.account.concurrency,
            ending=ending,
            looks_before_start=looks_before_start,
        )
        self.batches[state.id] = state
        return state
