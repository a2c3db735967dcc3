"""One batch and its items: the state machine. Every other job is one, too, in words of its own (`jobs`).

What moves a batch is time (`advance`), a look of the client (`look`), a retry and a cancel. Nothing else
does, so its state is a function of what the client did and of the clock.

How fast a real batch moves is documented nowhere. Here, an item waits in ``pending`` until the client looks
(then a worker takes it, in order, as many at a time as ``account.concurrency`` allows), shows ``running``
for as many looks as its outcome says, and ends. An outcome with ``after_seconds`` ends by itself when its
time is up. An outcome with ``after_polls=0`` ends when the item is queued.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_spidra.fake.item import Item, counts_polls, default_result, own_time, price_of
from pytest_spidra.traffic.statuses import TERMINAL, BatchStatus, ItemStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_spidra.fake.credits import CreditAccounting
    from pytest_spidra.fake.outcomes import BatchEnd, Outcome


@dataclass
class BatchState:
    """The whole truth about one batch.

    Args:
        id: The batch id, a UUID.

        owner: "me" or somebody else, to whom alone it exists.

        options: The accepted body of the submit.

        items: In the order of submission.

        created_at: Microseconds since the epoch.

        price: Credits to reserve for one item.

        book: Where credits are moved.

        outcome_of: Tells how an item's next attempt (`Item.attempt`) ends.

        concurrency: Most items in work at a time, None for all.

        ending: A scripted end of the whole batch.

        all_failed: What it becomes when every item has failed: a batch is ``completed`` (documentation of status).

        patience: Looks that still show the batch as it was queued, before a worker takes the first item.
    """

    id: str
    owner: str
    options: dict[str, Any]
    items: list[Item]
    created_at: int
    price: int
    accounting: CreditAccounting
    outcome_of: Callable[[BatchState, Item], Outcome]
    concurrency: Callable[[], int | None]
    ending: BatchEnd | None = None
    looks_before_start: int = 0
    all_failed: BatchStatus = "completed"
    status: BatchStatus = "pending"
    finished_at: int | None = None
    queued_at: int = field(init=False)
    begun: bool = field(init=False, default=False)
    ending_polls_left: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.queued_at = self.created_at
        if self.ending:
            self.ending_polls_left = self.ending.when.polls

    # -- what it tells ---------------------------------------------------------------------------------

    def count(self, status: ItemStatus) -> int:
        """How many items are in `status`."""
        return sum(item.status == status for item in self.items)

    @property
    def terminal(self) -> bool:
        """Whether the batch itself has ended; after a cancel, items may still be running."""
        return self.status in TERMINAL

    def expected_charge(self) -> int:
        """Return the credits that will be charged for what has not ended yet, as scripted, if nobody interferes."""
        return 0 if self.ending else sum(self.charge(item) for item in self.items if not item.terminal)

    # -- what moves it ---------------------------------------------------------------------------------

    def queue(self, items: list[Item], now: int) -> None:
        """Reserve credits for `items` and let them wait for a worker; those that end at once do."""
        self.queued_at = now
        self.begun = False
        self.finished_at = None
        for item in items:
            item.reset()
            item.held = self.price
            item.attempt += 1
            item.outcome = self.outcome_of(self, item)
            item.polls_left = item.outcome.when.polls
        self.accounting.reserve(self.price * len(items))
        for item in items:
            if item.outcome and item.outcome.ends_at_once:
                self.start(item, now)
        self._conclude(now)
        if self.ending and not (self.ending.when.polls or self.ending.when.microseconds):
            self._break(self.ending, now)

    def advance(self, now: int) -> None:
        """Let everything happen that time alone makes happen until `now`, in its order."""
        while (moment := self.next_due()) is not None and moment <= now:
            if self.ending and self._ending_due() == moment:
                self._break(self.ending, moment)
                continue
            if not self.begun:
                self.begin(self.queued_at)
                continue
            for item in self.items:
                if item.due == moment:
                    self.finish(item, moment)
            self._fill(moment)
            self._conclude(moment)

    def look(self, now: int) -> None:
        """The client looks at the batch: what a GET does to it before it is answered."""
        self.advance(now)
        if self.ending and self.ending.when.microseconds is None:
            if self.ending_polls_left == 0:
                self._break(self.ending, now)
                return
            self.ending_polls_left -= 1
        if self.looks_before_start:
            self.looks_before_start -= 1
            return
        for item in self.items:
            if counts_polls(item) and item.polls_left == 0:
                self.finish(item, now)
        self.begin(now)
        for item in self.items:
            if counts_polls(item):
                item.polls_left -= 1
        self._conclude(now)

    def retry(self, now: int) -> int:
        """Queue the failed items again; return how many. The batch runs at once (documentation of retry)."""
        failed = [item for item in self.items if item.status == "failed"]
        self.status = "running"
        self.queue(failed, now)
        return len(failed)

    def cancel(self, now: int) -> tuple[int, int]:
        """Stop the items that wait; return how many, and the credits given back.

        Items in work go on, end normally and are charged (documentation of cancel). That ``finishedAt`` is
        set at once follows from its rule: null until terminal.
        """
        waiting = [item for item in self.items if item.status == "pending"]
        refund = sum(item.held for item in waiting)
        for item in waiting:
            self._settle(item, 0)
            item.close("cancelled", now)
        self.status, self.finished_at, self.ending = "cancelled", now, None
        return len(waiting), refund

    # -- how it moves ----------------------------------------------------------------------------------

    def next_due(self) -> int | None:
        """Return the next moment at which time alone moves the batch, or None."""
        moments = [item.due for item in self.items if item.due is not None]
        if not self.begun:
            moments += [
                self.queued_at + wait for item in self._takeable() if (wait := own_time(item)) is not None
            ]
        if (ending := self._ending_due()) is not None:
            moments.append(ending)
        return min(moments, default=None)

    def _ending_due(self) -> int | None:
        if self.ending is None or self.ending.when.microseconds is None:
            return None
        return self.created_at + self.ending.when.microseconds

    def _takeable(self) -> list[Item]:
        """Return the waiting items that free workers would take now."""
        waiting = [item for item in self.items if item.status == "pending"]
        limit = self.concurrency()
        return waiting if limit is None else waiting[: max(limit - self.count("running"), 0)]

    def begin(self, now: int) -> None:
        """Let workers take what waits, as many items as may be in work at a time.

        The time of an item that ends by itself runs from the moment it was queued, whenever the client looks.
        """
        first, self.begun = not self.begun, True
        self.looks_before_start = 0
        for item in self._takeable():
            self.start(item, now if not first or own_time(item) is None else self.queued_at)

    def _fill(self, now: int) -> None:
        for item in self._takeable():
            self.start(item, now)

    def start(self, item: Item, now: int) -> None:
        """A worker takes the item."""
        item.status = "running"
        item.started_at = now
        item.job_id = f"job-{item.id}-{item.attempt}"
        if self.status == "pending":
            self.status = "running"
        if item.outcome and item.outcome.ends_at_once:
            self.finish(item, now)
        elif (wait := own_time(item)) is not None:
            item.due = now + wait

    def finish(self, item: Item, now: int) -> None:
        """End the item's attempt as its outcome says."""
        outcome = item.outcome
        if outcome and outcome.ending == "completed":
            item.result = self.default_result(item) if outcome.result is None else outcome.result
            used = item.credits_used = self.charge(item)
            self._settle(item, used)
            item.close("completed", now)
        else:
            item.error = outcome.error if outcome else None
            self._settle(item, 0)
            item.close("failed", now)

    def charge(self, item: Item) -> int:
        """Return the credits that an item's attempt costs when it ends as its outcome says."""
        return price_of(item)

    def default_result(self, item: Item) -> Any:
        """Return what an item's ``result`` holds when the script does not say."""
        return default_result(self.options, item.url)

    def _settle(self, item: Item, used: int) -> None:
        self.accounting.settle(item.held, used)
        item.held = 0

    def _conclude(self, now: int) -> None:
        if not self.terminal and all(item.terminal for item in self.items):
            failed = self.count("failed") == len(self.items)
            self.status, self.finished_at = (self.all_failed if failed else "completed"), now

    def _break(self, ending: BatchEnd, now: int) -> None:
        """End the batch as scripted, and with it what has not ended."""
        self.ending = None
        if self.terminal:
            return
        for item in self.items:
            if not item.terminal:
                self._settle(item, 0)
                item.close(ending.unfinished, now)
        self.status, self.finished_at = ending.status, now
