"""Every job of one customer that is no batch: how they are submitted, found, and scripted to end."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from pytest_spidra.fake.documents import Documents
from pytest_spidra.fake.files import Files
from pytest_spidra.fake.item import Item
from pytest_spidra.fake.outcome_scripts import ScriptedOutcomes, UnusedOutcomes
from pytest_spidra.fake.outcomes import BatchEnd, Outcome, completed, failed
from pytest_spidra.fake.urls import NO_SUCH_HOST, cannot_resolve
from pytest_spidra.fake.uuids import JOB, LOG
from pytest_spidra.traffic import error_replies
from pytest_spidra.traffic.reply import Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pytest_spidra.fake.batch import BatchState
    from pytest_spidra.fake.batches import Batches
    from pytest_spidra.fake.job import JobKind, JobState
    from pytest_spidra.traffic.request import Request


class Jobs:
    """Every job of one customer that is no batch, in the order of creation.

    Args:
        batches: The same customer's, who pays for both from one account.

        beside: Those of another customer, which stand in the same place, and are scripted alike.
    """

    def __init__(self, batches: Batches, beside: Jobs | None = None) -> None:
        self.account = batches.account
        self.accounting = batches.accounting
        self.owner = batches.owner
        self._uuids = batches.uuids
        self.states: dict[str, JobState] = beside.states if beside else {}
        self.pages: dict[str | None, list[str]] = beside.pages if beside else {}
        self.skipped: dict[str | None, dict[str, str]] = beside.skipped if beside else {}
        self.ends: deque[tuple[str, BatchEnd]] = beside.ends if beside else deque()
        self.outcomes: dict[tuple[str, str], ScriptedOutcomes] = beside.outcomes if beside else {}
        self.attempts: Counter[tuple[str, str]] = beside.attempts if beside else Counter()
        self.files: Files = beside.files if beside else Files(self._file)
        self.documents: Documents = beside.documents if beside else Documents(self._uuids)
        self.files.documents = self.documents

    def create(
        self,
        kind: JobKind,
        parts: Sequence[str],
        options: dict[str, Any],
        now: int,
        *,
        price: int,
        owner: str | None = None,
        looks_before_start: int = 0,
    ) -> JobState:
        """Put a job there, whose parts are not queued yet.

        Args:
            kind: What it is.

            parts: What it works at, URLs mostly.

            options: The accepted body of the submit.

            now: Microseconds since the epoch.

            price: Credits to reserve for each part.

            owner: Anybody to whom alone it exists; None: the customer.

            looks_before_start: Looks that still show it as it was queued.
        """
        number = len(self.states) + 1
        state = kind.state(
            id=self._uuids.of(JOB, number),
            owner=owner or self.owner,
            options=options,
            items=[Item(self._uuids.of(JOB, number, place), part) for place, part in enumerate(parts, 1)],
            created_at=now,
            price=price,
            accounting=self.accounting,
            outcome_of=partial(self._outcome_of, kind.scripted_as or kind.name),
            concurrency=lambda: None,
            looks_before_start=looks_before_start,
            all_failed=kind.all_failed,
            kind=kind,
            log_id=self._uuids.of(LOG, number),
            price_of_page=self.account.price_per_url,
            files=self.files,
            shows=self.account.crawl_data,
            counts_pages=self.account.crawl_progress == "pages",
        )
        self.states[state.id] = state
        return state

    def pages_of(self, site: str) -> list[str] | None:
        """Return what a crawl of a site finds, as a test says so; None when none does."""
        return self.pages.get(site, self.pages.get(None))

    def find(self, kind: JobKind, job_id: str | None, now: int) -> JobState | None:
        """Return the customer's job of that id, brought up to `now`; None when there is none, or none any more."""
        state = self.states.get(job_id or "")
        if state is None or state.owner != self.owner or state.kind is not kind:
            return None
        state.advance(now)
        return state if state.is_kept(now) else None

    def of(self, kind: JobKind) -> list[JobState]:
        """Return the customer's jobs of a kind, in the order of creation."""
        return [state for state in self.states.values() if state.kind is kind and state.owner == self.owner]

    def endpoints(self, kind: JobKind) -> dict[str, Callable[[Request, str | None, int], Reply]]:
        """Return what answers a kind's endpoints."""
        return {
            kind.submit_name or f"{kind.name}.submit": partial(self._submit, kind),
            kind.get_name or f"{kind.name}.get": partial(self._get, kind),
            **kind.others(self),
        }

    def _submit(self, kind: JobKind, request: Request, _: str | None, now: int) -> Reply:
        try:
            body = kind.body_of(request, self, now)
        except ValueError:
            return error_replies.error_reply(400, error_replies.NO_JSON)
        if not isinstance(body, dict):
            return kind.refusal(["The request body must be a JSON object."])
        if problems := kind.problems(body, self.account):
            return kind.refusal(problems)
        return kind.inline(body, self, now) or self._accept(kind, body, now)

    def _accept(self, kind: JobKind, body: dict[str, Any], now: int) -> Reply:
        """Queue what a body asks for, if the customer can pay for it, and wait for it where it says so."""
        parts = kind.parts(kind.named(body, self, now), self.pages_of)
        price = kind.price(self.account, parts, body)
        needed = kind.needed(self.account, parts, body)
        if refusal := self.cannot_queue(kind, needed, now):
            return refusal
        state = self.create(kind, parts, kind.accepted(body, self.account), now, price=price)
        if self.ends and self.ends[0][0] == kind.name:
            state.ending = self.ends.popleft()[1]
            state.ending_polls_left = state.ending.when.polls
        state.hold_rest(needed - price * len(parts))
        state.queue(state.items, now)
        window = kind.waits(body, self.account)
        if window is None:
            return Reply.of(202, kind.answer(state))
        took, end = state.awaited(now, window)
        answer = {"jobId": state.id, **kind.shown(end, now)} if end else kind.answer(state)
        return replace(Reply.of(200 if end else 202, answer), took=took)

    def _get(self, kind: JobKind, request: Request, job_id: str | None, now: int) -> Reply:
        state = self.find(kind, job_id, now)
        if state is None:
            return error_replies.error_reply(404, kind.not_found)
        state.look(now)
        return Reply.of(200, kind.look(state, request, now))

    def cannot_queue(self, kind: JobKind, credits_needed: int, now: int) -> Reply | None:
        """Return why one more job of a kind cannot be queued, or None."""
        if self.account.payment_overdue:
            return error_replies.payment_overdue()
        most: int | None = getattr(self.account, kind.cap) if kind.cap else None
        if most is not None:
            mine = self.of(kind)
            for state in mine:
                state.advance(now)
            if sum(state.status == "pending" for state in mine) + 1 > most:
                return error_replies.too_many_pending()
        if credits_needed > self.account.credits:
            return error_replies.error_reply(403, error_replies.CREDIT_LIMIT)
        return None

    # -- scripts ---------------------------------------------------------------------------------------

    def script_outcomes(self, kind: str, outcomes: Mapping[str, Sequence[Outcome]]) -> None:
        """Set how the n-th job of a kind with a URL fares at it."""
        self.outcomes.update({(kind, url): ScriptedOutcomes(several) for url, several in outcomes.items()})

    def begin_attempts(self, now: int) -> None:
        """Let every attempt begin whose time has come: it ends as it is told to by now."""
        for state in self.states.values():
            state.advance(now)
            if state.terminal:
                state.ending = None

    def unused_outcomes(self) -> list[tuple[str, UnusedOutcomes]]:
        """Return what was scripted of a kind's URLs and no job came to, with the kind's name."""
        return [
            (kind, UnusedOutcomes(url, scripted.reached, len(scripted.several), []))
            for (kind, url), scripted in self.outcomes.items()
            if scripted.reached < len(scripted.several)
        ]

    def _outcome_of(self, kind: str, _: BatchState, item: Item) -> Outcome:
        """Return how a job's part ends: the last outcome repeats, without any it completes."""
        if outcome := self.next_outcome(kind, item.url):
            return outcome
        if self.account.invalid_hosts_fail and cannot_resolve(item.url):
            return failed(NO_SUCH_HOST)
        return completed()

    def next_outcome(self, kind: str, url: str) -> Outcome | None:
        """Return how the next attempt at a URL ends, None when no test says so."""
        if scripted := self.outcomes.get((kind, url)):
            self.attempts[kind, url] += 1
            return scripted.of(self.attempts[kind, url])
        return None

    def coming_outcome(self, kind: str, url: str) -> Outcome | None:
        """Return how the next attempt at a URL will end, without making it."""
        scripted = self.outcomes.get((kind, url))
        if scripted is None:
            return None
        return scripted.several[min(self.attempts[kind, url], len(scripted.several) - 1)]

    def _file(self, name: str) -> bytes | None:
        """Return a page or a screenshot by its name, the id of a part with a suffix."""
        part, _, suffix = name.partition(".")
        for state in self.states.values():
            for item in state.items:
                if item.id == part and item.status == "completed":
                    return _CONTENTS[suffix](item.url) if suffix in _CONTENTS else None
        return None


_CONTENTS: dict[str, Callable[[str], bytes]] = {
    "html": lambda url: (
        f"<html><head><title>Scraped {url}</title></head><body><h1>{url}</h1></body></html>".encode()
    ),
    "md": lambda url: f"# {url}\n\nScraped.".encode(),
    "png": lambda _: b"\x89PNG\r\n\x1a\n",
}
