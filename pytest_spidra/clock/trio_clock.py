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
from pytest_spidra.clock.waiting import MICROSECONDS, Waiter, whole_ticks

if TYPE_CHECKING:
    from pytest_spidra.clock.virtual import VirtualClock

_LOOK = 1e-9
"""Seconds that ask trio to look for I/O, about a real millisecond. Not zero: for zero trio does not
wake those in wait_all_tasks_blocked, and they come before a jump."""

_ALONE, _WITH_OTHERS = 0.02, 0.001
"""Real seconds to wait for I/O when nothing can be done here, without and with other threads."""


class _TrioWaiter(Waiter):
    """A trio run loop with nothing to do."""

    __slots__ = ("asked", "looked")

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.looked = 0
        """When the last look for I/O began that found nothing."""

    def is_asleep(self, quiet_since: int) -> bool:
        """Tell whether trio has looked for I/O since all threads wait: no message is pending."""
        return self.looked >= quiet_since


class _Observer(trio.abc.Instrument):
    def __init__(self, clock: _FollowingClock) -> None:
        self.clock = clock

    def before_task_step(self, task: trio.lowlevel.Task) -> None:  # noqa: ARG002
        self.clock.wake_up()

    def after_run(self) -> None:
        self.clock.wake_up()


class _FollowingClock(trio.abc.Clock):
    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.waiter: _TrioWaiter | None = None
        self.reached = 0.0
        self.stopped_at: int | None = None

    def start_clock(self) -> None:
        trio.lowlevel.add_instrument(_Observer(self))

    def current_time(self) -> float:
        # The deadline just reached, rather than our microseconds, which may be a hair less.
        return max(self._elapsed(), self.reached)

    def deadline_to_sleep_time(self, deadline: float) -> float:
        clock = self.clock
        left = deadline - self.current_time()
        if clock._stopped or not clock._covers_thread():
            return left
        if left <= 0:
            return 0
        with clock._changed:
            try:
                return self._wait(deadline, left)
            finally:
                if self.waiter is not None:
                    self.waiter.asked = REAL.now()

    def _wait(self, deadline: float, left: float) -> float:
        clock, waiter = self.clock, self.waiter
        if waiter is None:
            waiter = self.waiter = _TrioWaiter()
            clock._enter(waiter)
        else:
            waiter.looked = waiter.asked
        if not math.isinf(left):
            ticks = whole_ticks(left)
            waiter.deadline = clock._elapsed + ticks
            if waiter.patience is None:
                waiter.patience = REAL.now() + ticks
        if not waiter.looked:
            return _LOOK
        if waiter.deadline is not None:
            clock._step(waiter)
            if clock._elapsed == waiter.deadline:
                self.reached = deadline
            if clock._is_over(waiter):
                return 0
        return waiter.bounded(_WITH_OTHERS if threading.active_count() > 1 else _ALONE)

    def wake_up(self) -> None:
        waiter, self.waiter = self.waiter, None
        if waiter is not None:
            with self.clock._changed:
                if self.clock._waiters.get(threading.get_ident()) is waiter:
                    self.clock._leave(None)

    def _elapsed(self) -> float:
        if not self.clock._stopped:
            self.stopped_at = None
            return self.clock.elapsed
        # A run that outlives the clock goes on in real time.
        now = REAL.now()
        if self.stopped_at is None:
            self.stopped_at = now
        return self.clock.elapsed + (now - self.stopped_at) / MICROSECONDS


def make_trio_clock(clock: VirtualClock) -> Any:
    """Return a trio clock that follows this one."""
    return _FollowingClock(clock)
