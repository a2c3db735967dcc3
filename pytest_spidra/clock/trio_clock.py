"""A trio clock that follows a VirtualClock and moves it. Imported only by those who use trio.

trio lets only its own MockClock jump when all tasks are blocked. But its run loop asks every clock
how long to wait for I/O, and it asks only when no task can run; that is the moment to jump, once a
look for I/O came back empty. An instrument tells when a task ran again. All of this is public API.
"""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Any

import trio

from pytest_spidra.clock.functions import REAL
from pytest_spidra.clock.units import MICROSECONDS, whole_ticks
from pytest_spidra.clock.waiting import Waiter

if TYPE_CHECKING:
    from pytest_spidra.clock.membership import Membership
    from pytest_spidra.clock.schedule import Schedule

_LOOK = 1e-9
"""Seconds that ask trio to look for I/O, about a real millisecond. Not zero: for zero trio does not
wake those in wait_all_tasks_blocked, and they come before a jump."""

_ALONE, _WITH_OTHERS = 0.02, 0.001
"""Real seconds to wait for I/O when nothing can be done here, without and with other threads."""


class _TrioWaiter(Waiter):
    """A trio run loop with nothing to do."""

    __slots__ = ("looked", "looks_since")

    can_look = False  # it does so by itself, whenever trio asks
    can_be_refused = False  # trio takes any error of a clock for one of its own

    def __init__(self) -> None:
        super().__init__()
        self.looks_since = 0
        self.looked = 0
        """When the last look for I/O began that found nothing."""

    def is_asleep(self, quiet_since: int) -> bool:
        """Tell whether trio has looked for I/O since all threads wait: no message is pending."""
        return self.looked >= quiet_since


class _Observer(trio.abc.Instrument):
    def __init__(self, clock: FollowingClock) -> None:
        self.clock = clock

    def before_task_step(self, task: trio.lowlevel.Task) -> None:  # noqa: ARG002 - the signature is trio's
        self.clock.wake_up()

    def after_run(self) -> None:
        self.clock.wake_up()


class FollowingClock(trio.abc.Clock):
    """A clock for one ``trio.run``.

    Args:
        schedule: The test's time.

        membership: Which threads are the test's.
    """

    def __init__(self, schedule: Schedule, membership: Membership) -> None:
        self.schedule = schedule
        self.membership = membership
        self.waiter: _TrioWaiter | None = None
        self.reached = 0.0
        self.stopped_at: int | None = None

    def start_clock(self) -> None:
        """Begin to watch the run."""
        trio.lowlevel.add_instrument(_Observer(self))

    def current_time(self) -> float:
        """Return the deadline just reached, rather than our microseconds, which may be a hair less."""
        return max(self._elapsed(), self.reached)

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Return the real seconds for which trio may wait for I/O; jump first, if that is right."""
        schedule = self.schedule
        left = deadline - self.current_time()
        if schedule.stopped or not self.membership.covers_this_thread():
            return left
        if left <= 0:
            return 0
        with schedule.lock:
            try:
                return self._wait(deadline, left)
            finally:
                if self.waiter is not None:
                    self.waiter.looks_since = REAL.now()

    def _wait(self, deadline: float, left: float) -> float:
        schedule, waiter = self.schedule, self.waiter
        if waiter is None:
            waiter = self.waiter = _TrioWaiter()
            schedule.enter(waiter)
        else:
            waiter.looked = waiter.looks_since
        if not math.isinf(left):
            schedule.set_deadline(waiter, whole_ticks(left))
        if not waiter.looked:
            return _LOOK
        if waiter.deadline is not None:
            schedule.step()
            if schedule.elapsed == waiter.deadline:
                self.reached = deadline
            if schedule.is_over(waiter):
                return 0
        return _WITH_OTHERS if threading.active_count() > 1 else _ALONE

    def wake_up(self) -> None:
        """Note that a task runs."""
        waiter, self.waiter = self.waiter, None
        if waiter is not None:
            with self.schedule.lock:
                if self.schedule.waiters.get(threading.get_ident()) is waiter:
                    self.schedule.leave(None)

    def _elapsed(self) -> float:
        schedule = self.schedule
        schedule.catch_up()
        elapsed = schedule.elapsed / MICROSECONDS
        if not schedule.stopped:
            self.stopped_at = None
            return elapsed
        # A run that outlives the clock goes on in real time.
        now = REAL.now()
        if self.stopped_at is None:
            self.stopped_at = now
        return elapsed + (now - self.stopped_at) / MICROSECONDS


def make_default_clock(parts: tuple[Schedule, Membership], real_clock: type[trio.abc.Clock]) -> Any:
    """Let trio follow the test's time when it is given no clock."""

    def default_clock() -> trio.abc.Clock:
        schedule, membership = parts
        if schedule.stopped or not membership.covers_this_thread():
            return real_clock()
        return FollowingClock(schedule, membership)

    return default_clock


def follows_nothing() -> bool:
    """Tell whether trio runs in this thread by the real time."""
    return trio.lowlevel.in_trio_run() and not isinstance(trio.lowlevel.current_clock(), FollowingClock)
