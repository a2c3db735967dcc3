"""One job that is no batch: the same state machine, in the words, price and times of its kind.

A job has parts (the pages of a scrape), each of which ends as its outcome says, as the items of a batch do. What
differs between kinds is a `JobKind`; each is in a module of its own (`scrapes`, `searches`).
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pytest_spidra.clock.units import MICROSECONDS
from pytest_spidra.fake.account import Account
from pytest_spidra.fake.batch import BatchState
from pytest_spidra.fake.credits import CreditAccounting
from pytest_spidra.fake.item import Item, counts_polls, price_of
from pytest_spidra.traffic import error_replies
from pytest_spidra.traffic.strict_json import parse_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_spidra.fake.documents import Documents
    from pytest_spidra.fake.files import Files
    from pytest_spidra.fake.outcomes import Outcome
    from pytest_spidra.traffic.reply import Reply
    from pytest_spidra.traffic.request import Request
    from pytest_spidra.traffic.statuses import BatchStatus

ME = "me"

Answer = Callable[["Request", str | None, int], "Reply"]
"""What answers an endpoint: takes the request, the id in its path and the time."""

PagesOf = Callable[[str], list[str] | None]
"""What a crawl finds on a site, as far as a test says so."""


class Customer(Protocol):
    """What a kind needs to know of the customer: its settings, its documents, and how its next job will end."""

    account: Account
    documents: Documents

    def coming_outcome(self, kind: str, url: str) -> Outcome | None:
        """Return how the next attempt at a URL will end, without making it."""

    def find(self, kind: JobKind, job_id: str | None, now: int) -> JobState | None:
        """Return the customer's job of that id, brought up to `now`; None when there is none, or none any more."""


class JobKind(ABC):
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

    all_failed: ClassVar[BatchStatus] = "failed"
    """What it becomes when every part of it has failed."""

    state: ClassVar[type[JobState]]
    """What it is kept as."""

    scripted_as: ClassVar[str] = ""
    """The name under which its outcomes are scripted, where it is not its own."""

    submit_name: ClassVar[str] = ""
    """The endpoint that submits it, where it is not the family's ``submit``."""

    get_name: ClassVar[str] = ""
    """The endpoint that looks at it, where it is not the family's ``get``."""

    def body_of(self, request: Request, _: Customer, __: int) -> Any:
        """Return what a submit says.

        Raises:
            ValueError: It cannot be read.
        """
        return parse_json(request.content)

    def inline(self, _: dict[str, Any], __: Customer, ___: int) -> Reply | None:
        """Return the answer to a submit that queues nothing, None for all others."""
        return None

    def named(self, body: dict[str, Any], _: Customer, __: int) -> dict[str, Any]:
        """Return a body with what its parts are called."""
        return body

    def answer(self, state: JobState) -> dict[str, Any]:
        """Return the answer to a submit."""
        return {"status": "queued", "jobId": state.id, **self.queued(state)}

    def look(self, state: JobState, _: Request, now: int) -> dict[str, Any]:
        """Return the body of the status endpoint, for its query."""
        return self.shown(state, now)

    def others(self, _: Customer) -> dict[str, Answer]:
        """Return what answers its endpoints beside submit and get."""
        return {}

    @abstractmethod
    def problems(self, body: dict[str, Any], account: Account) -> list[str]:
        """Return one sentence for each thing wrong with a submit's body."""

    def refusal(self, problems: list[str]) -> Reply:
        """Return the answer to a submit with such problems."""
        return error_replies.invalid(problems)

    @abstractmethod
    def accepted(self, body: dict[str, Any], account: Account) -> dict[str, Any]:
        """Return what is kept of an acceptable body."""

    @abstractmethod
    def parts(self, body: dict[str, Any], pages_of: PagesOf) -> list[str]:
        """Return what a job works at, URLs mostly."""

    @abstractmethod
    def price(self, account: Account, parts: Sequence[str], body: dict[str, Any]) -> int:
        """Return the credits to reserve for each part."""

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

    @abstractmethod
    def shown(self, state: JobState, now: int) -> dict[str, Any]:
        """Return the body of the status endpoint."""

    @abstractmethod
    def result(self, state: JobState, item: Item) -> Any:
        """Return what a part comes to when the script does not say."""

    @abstractmethod
    def ordered(self, parts: list[str], given: dict[str, Any]) -> dict[str, Any]:
        """Return the body of a submit for such parts, as a factory orders it."""

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
    files: Files = field(kw_only=True)
    shows: str = "text"
    counts_pages: bool = False

    @property
    def family(self) -> str:
        """The name under which its outcomes are scripted."""
        return self.kind.scripted_as or self.kind.name

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

    def hold_rest(self, amount: int) -> None:
        """Reserve what is to be held beyond the prices of the parts; here nothing is."""

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


JobKind.state = JobState
