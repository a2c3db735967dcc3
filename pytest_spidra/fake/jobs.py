"""Jobs that are no batches: the same state machine, in the words, prices and times of their kind.

A job has parts (the pages of a scrape), each of which ends as its outcome says, as the items of a batch do. What
differs between kinds is a `JobKind`; how a kind is submitted and shown is in a module of its own (`scrapes`).
"""

from __future__ import annotations

import copy
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_spidra.clock.units import MICROSECONDS
from pytest_spidra.fake.account import Account
from pytest_spidra.fake.batch import BatchState
from pytest_spidra.fake.credits import CreditAccounting
from pytest_spidra.fake.item import Item, counts_polls, price_of
from pytest_spidra.fake.outcome_scripts import ScriptedOutcomes, UnusedOutcomes
from pytest_spidra.fake.outcomes import Outcome, completed, failed
from pytest_spidra.fake.urls import cannot_resolve
from pytest_spidra.traffic import error_replies
from pytest_spidra.traffic.reply import Reply
from pytest_spidra.traffic.strict_json import parse_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pytest_spidra.traffic.request import Request
    from pytest_spidra.traffic.statuses import BatchStatus

ME = "me"
NO_SUCH_HOST = "net::ERR_NAME_NOT_RESOLVED"


class JobKind:
    """What is particular to one kind of job: words, serializer, price."""

    name: ClassVar[str]
    """The family of its endpoints."""

    words: ClassVar[Mapping[str, str]]
    """Its own word for each state of the machine that is called otherwise."""

    delayed: ClassVar[str]
    """Its word for a job that waits for a retry of the service's own."""

    not_found: ClassVar[str]
    """The message of a 404."""

    kept: ClassVar[int | None] = None
    """Seconds after a good end in which it can still be looked at, None without an end."""

    kept_failed: ClassVar[int | None] = None
    """The same after a bad end."""

    cap: ClassVar[str] = ""
    """The account's setting that bounds how many may be queued; empty without one."""

    def problems(self, body: dict[str, Any], account: Account) -> list[str]:
        """Return one sentence for each thing wrong with a submit's body."""
        raise NotImplementedError

    def refusal(self, problems: list[str]) -> Reply:
        """Return the answer to a submit with such problems."""
        return error_replies.invalid(problems)

    def accepted(self, body: dict[str, Any], account: Account) -> dict[str, Any]:
        """Return what is kept of an acceptable body."""
        raise NotImplementedError

    def parts(self, body: dict[str, Any], jobs: Jobs) -> list[str]:
        """Return what a job works at, URLs mostly."""
        raise NotImplementedError

    def price(self, account: Account, parts: Sequence[str], body: dict[str, Any]) -> int:
        """Return the credits to reserve for each part."""
        raise NotImplementedError

    def needed(self, account: Account, parts: Sequence[str], body: dict[str, Any]) -> int:
        """Return the credits without which it is refused."""
        return self.price(account, parts, body) * len(parts)

    def charge(self, _: JobState, item: Item) -> int:
        """Return the credits that a part costs when it completes."""
        return price_of(item)

    def waits(self, _: dict[str, Any], __: Account) -> float | None:
        """Return for how many seconds the submit is held for the result; None: it is answered at once."""
        return None

    def queued(self, _: JobState) -> dict[str, Any]:
        """Return what the answer to a submit says beside status and id."""
        return {}

    def shown(self, state: JobState) -> dict[str, Any]:
        """Return the body of the status endpoint."""
        raise NotImplementedError

    def result(self, state: JobState, item: Item) -> Any:
        """Return what a part comes to when the script does not say."""
        raise NotImplementedError

    def ordered(self, parts: list[str], given: dict[str, Any]) -> dict[str, Any]:
        """Return the body of a submit for such parts, as a factory orders it."""
        raise NotImplementedError

    @property
    def own_words(self) -> dict[str, BatchStatus]:
        """The words in which a job can be found, each with the machine's."""
        states: tuple[BatchStatus, ...] = ("pending", "running", "completed", "failed")
        return {self.words.get(word, word): word for word in states}


@dataclass
class JobState(BatchState):
    """The whole truth about one job."""

    kind: JobKind = field(kw_only=True)
    log_id: str = field(kw_only=True)
    price_of_page: int = field(kw_only=True)

    @property
    def word(self) -> str:
        """The state, in the words of its kind."""
        if self.status == "running" and any(
            one.status == "running" and one.outcome and "delayed" in one.outcome.flags for one in self.items
        ):
            return self.kind.delayed
        return self.kind.words.get(self.status, self.status)

    @property
    def error(self) -> str | None:
        """Why it failed: what went wrong first."""
        wrong = [item.error for item in self.items if item.status == "failed"]
        return wrong[0] if self.status == "failed" and wrong else None

    def charge(self, item: Item) -> int:
        """Return the credits that a part costs when it ends as its outcome says."""
        outcome = item.outcome
        told = outcome is None or outcome.ending != "completed" or outcome.credits is not None
        return price_of(item) if told else self.kind.charge(self, item)

    def default_result(self, item: Item) -> Any:
        """Return what a part comes to when the script does not say."""
        return self.kind.result(self, item)

    def awaited(self, now: int, window: float) -> tuple[float, JobState | None]:
        """Return what a request sees that is held until the job ends, for so many seconds at most.

        To wait is to look until the job has ended, where one look is enough to see it running.

        Returns:
            The seconds that it takes, and the job as it is then, None when it has not ended.
        """
        self.begin(now)
        if all(item.terminal or (counts_polls(item) and item.polls_left <= 1) for item in self.items):
            for item in self.items:
                item.polls_left = 0
            self.look(now)
        if self.terminal:
            return 0.0, self
        ahead = copy.copy(self)
        ahead.items = [copy.copy(item) for item in self.items]
        ahead.accounting = CreditAccounting(Account())
        ahead.advance(now + round(window * MICROSECONDS))
        if not ahead.terminal or ahead.finished_at is None:
            return window, None
        return (ahead.finished_at - now) / MICROSECONDS, ahead

    def is_kept(self, now: int) -> bool:
        """Whether it can still be looked at."""
        kept = self.kind.kept_failed if self.status == "failed" else self.kind.kept
        if not self.terminal or self.finished_at is None or kept is None:
            return True
        return now - self.finished_at <= kept * MICROSECONDS


class Jobs:
    """Every job of one customer that is no batch, in the order of creation.

    Args:
        account: The customer's settings.

        accounting: Where credits are moved.

        mark: What makes ids differ from another service's.
    """

    def __init__(self, account: Account, accounting: CreditAccounting, mark: str) -> None:
        self.account = account
        self.accounting = accounting
        self.states: dict[str, JobState] = {}
        self._mark = mark
        self._outcomes: dict[tuple[str, str], ScriptedOutcomes] = {}
        self._attempts: Counter[tuple[str, str]] = Counter()

    def create(
        self,
        kind: JobKind,
        parts: Sequence[str],
        options: dict[str, Any],
        now: int,
        *,
        price: int,
        owner: str = ME,
        looks_before_start: int = 0,
    ) -> JobState:
        """Put a job there, whose parts are not queued yet.

        Args:
            kind: What it is.

            parts: What it works at, URLs mostly.

            options: The accepted body of the submit.

            now: Microseconds since the epoch.

            price: Credits to reserve for each part.

            owner: `ME`, or anybody to whom alone it exists.

            looks_before_start: Looks that still show it as it was queued.
        """
        number = len(self.states) + 1
        state = JobState(
            id=self._uuid(number, 0),
            owner=owner,
            options=options,
            items=[Item(self._uuid(number, place), part) for place, part in enumerate(parts, 1)],
            created_at=now,
            price=price,
            accounting=self.accounting,
            outcome_of=partial(self._outcome_of, kind.name),
            concurrency=lambda: None,
            looks_before_start=looks_before_start,
            all_failed="failed",
            kind=kind,
            log_id=self._uuid(number, 0, "a"),
            price_of_page=self.account.price_per_url,
        )
        self.states[state.id] = state
        return state

    def find(self, kind: JobKind, job_id: str | None, now: int) -> JobState | None:
        """Return the customer's job of that id, brought up to `now`; None when there is none, or none any more."""
        state = self.states.get(job_id or "")
        if state is None or state.owner != ME or state.kind is not kind:
            return None
        state.advance(now)
        return state if state.is_kept(now) else None

    def of(self, kind: JobKind) -> list[JobState]:
        """Return the customer's jobs of a kind, in the order of creation."""
        return [state for state in self.states.values() if state.kind is kind and state.owner == ME]

    def endpoints(self, kind: JobKind) -> dict[str, Callable[[Request, str | None, int], Reply]]:
        """Return what answers a kind's two common endpoints."""
        return {
            f"{kind.name}.submit": partial(self._submit, kind),
            f"{kind.name}.get": partial(self._get, kind),
        }

    def _submit(self, kind: JobKind, request: Request, _: str | None, now: int) -> Reply:
        try:
            body = parse_json(request.content)
        except ValueError:
            return error_replies.error_reply(400, error_replies.NO_JSON)
        if not isinstance(body, dict):
            return kind.refusal(["The request body must be a JSON object."])
        if problems := kind.problems(body, self.account):
            return kind.refusal(problems)
        parts = kind.parts(body, self)
        price = kind.price(self.account, parts, body)
        if refusal := self.cannot_queue(kind, kind.needed(self.account, parts, body), now):
            return refusal
        state = self.create(kind, parts, kind.accepted(body, self.account), now, price=price)
        state.queue(state.items, now)
        took = 0.0
        if (window := kind.waits(body, self.account)) is not None:
            took, end = state.awaited(now, window)
            if end:
                return replace(Reply.of(200, {"jobId": state.id, **kind.shown(end)}), took=took)
        return self._queued(kind, state, took)

    @staticmethod
    def _queued(kind: JobKind, state: JobState, took: float) -> Reply:
        reply = Reply.of(202, {"status": "queued", "jobId": state.id, **kind.queued(state)})
        return replace(reply, took=took)

    def _get(self, kind: JobKind, _: Request, job_id: str | None, now: int) -> Reply:
        state = self.find(kind, job_id, now)
        if state is None:
            return error_replies.error_reply(404, kind.not_found)
        state.look(now)
        return Reply.of(200, kind.shown(state))

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
        self._outcomes.update({(kind, url): ScriptedOutcomes(several) for url, several in outcomes.items()})

    def unused_outcomes(self) -> list[tuple[str, UnusedOutcomes]]:
        """Return what was scripted of a kind's URLs and no job came to, with the kind's name."""
        return [
            (kind, UnusedOutcomes(url, scripted.reached, len(scripted.several), []))
            for (kind, url), scripted in self._outcomes.items()
            if scripted.reached < len(scripted.several)
        ]

    def _outcome_of(self, kind: str, _: BatchState, item: Item) -> Outcome:
        """Return how a job's part ends: the last outcome repeats, without any it completes."""
        if scripted := self._outcomes.get((kind, item.url)):
            self._attempts[kind, item.url] += 1
            return scripted.of(self._attempts[kind, item.url])
        if self.account.invalid_hosts_fail and cannot_resolve(item.url):
            return failed(NO_SUCH_HOST)
        return completed()

    def _uuid(self, job: int, part: int, variant: str = "9") -> str:
        """Return a UUID in which a reader finds the job's number; the variant tells it from a batch's."""
        mark = self._mark
        return f"{job:08x}-{mark[:4]}-4{mark[4:7]}-{variant}{mark[7:10]}-{part:012x}"
