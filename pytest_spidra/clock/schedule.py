"""How far virtual time has got, who waits for which moment of it, and how it moves there."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from pytest_spidra.clock.busy_reads import BusyReadDetector
from pytest_spidra.clock.functions import REAL
from pytest_spidra.clock.waiting import PAUSE_FIRST, PAUSE_LAST, Waiter

if TYPE_CHECKING:
    from collections.abc import Callable


class Schedule:
    """Virtual time: a number of microseconds, and the threads that wait for it to grow.

    `changed` guards all of it.

    Args:
        paced: Whether a wait lasts as long in real time as in virtual time.
    """

    nobody_can_run: Callable[[int], bool]
    """Tells at a real moment whether no thread of the test can run on, so that time may jump."""

    def __init__(self, *, paced: bool) -> None:
        self._paced = paced
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.stopped = True
        self.elapsed = 0
        """Virtual microseconds since the start."""
        self.forget()

    def forget(self) -> None:
        """Have nobody waiting."""
        self.waiters: dict[int, Waiter] = {}
        self.busy_reads = BusyReadDetector()
        self.last_activity = 0
        """The real moment at which a wait last began or ended."""
        self.quiet_since: int | None = None
        """The real moment since which all threads were found waiting."""
        self._flows_since: int | None = None

    # -- following real time ---------------------------------------------------------------------

    def catch_up(self) -> None:
        """Follow real time where the clock has to; called whenever it is read."""
        if self.stopped:
            return
        real = REAL.now()
        if self._flows_since is not None:
            with self.changed:
                self._flow(real)
        elif owed := self.busy_reads.read(real):
            with self.changed:
                self.move(owed)

    def _flow(self, real: int) -> None:
        if self._flows_since is not None:
            self.move(real - self._flows_since)
            self._flows_since = real

    def move(self, ticks: int) -> None:
        """Move by so many microseconds, but not past a deadline: whoever waits for it sees exactly that time."""
        upcoming = self._next_deadline()
        target = self.elapsed + ticks
        self.elapsed = target if upcoming is None else min(target, upcoming)
        self._wake_due()

    # -- jumping ---------------------------------------------------------------------------------

    def _jump(self) -> None:
        upcoming = self._next_deadline()
        if upcoming is not None:
            self.elapsed = upcoming
            self.busy_reads.forget()
            self.last_activity = REAL.now()
            self.quiet_since = None
            self._wake_due()

    def _next_deadline(self) -> int | None:
        return min(
            (
                waiter.deadline
                for waiter in self.waiters.values()
                if waiter.deadline is not None and waiter.deadline > self.elapsed
            ),
            default=None,
        )

    def _wake_due(self) -> None:
        self.changed.notify_all()
        me = threading.get_ident()
        for ident, waiter in self.waiters.items():
            if ident != me and self.is_over(waiter):
                waiter.wake()

    def wake_everybody(self) -> None:
        """End all waits."""
        with self.changed:
            self.changed.notify_all()
            for waiter in list(self.waiters.values()):
                waiter.deadline = -1  # over, even if the same clock is started again meanwhile
                waiter.wake()

    # -- waiting ---------------------------------------------------------------------------------

    def is_over(self, waiter: Waiter) -> bool:
        """Tell whether somebody's moment has come."""
        deadline = waiter.deadline
        return self.stopped or (deadline is not None and self.elapsed >= deadline)

    def step(self, waiter: Waiter) -> bool:
        """Jump if that is right; tell whether it is worth looking again at once."""
        real = REAL.now()
        self._flow(real)
        if self.is_over(waiter):
            return True
        if not self._paced and self.nobody_can_run(real):
            self._jump()
            return True
        if waiter.gives_up_at is not None and real >= waiter.gives_up_at:
            # One deadline at a time, with a pause: others' waits may end before this one.
            self._jump()
        return False

    def enter(self, waiter: Waiter) -> Waiter | None:
        """Let this thread wait; return what it was waiting for already."""
        ident = threading.get_ident()
        outer = self.waiters.get(ident)
        self.waiters[ident] = waiter
        real = self.last_activity = REAL.now()
        self.quiet_since = None
        self._flow(real)
        if waiter.woken_by_io and self._flows_since is None:
            self._flows_since = real
        return outer

    def leave(self, outer: Waiter | None) -> None:
        """Let this thread go on, or back to what it was waiting for before."""
        ident = threading.get_ident()
        left = self.waiters.pop(ident, None)
        if outer is not None:  # this was a sleep in a signal handler, inside another one
            self.waiters[ident] = outer
        real = self.last_activity = REAL.now()
        self.quiet_since = None
        if left is not None and left.woken_by_io:
            if self.is_over(left):  # it ends at its deadline, not when its thread got to run
                self._flows_since = real
            self._flow(real)
            if not any(waiter.woken_by_io for waiter in self.waiters.values()):
                self._flows_since = None
        self.busy_reads.pause()

    def sleep(self, ticks: int) -> None:
        """Wait until so many microseconds have passed."""
        with self.changed:
            waiter = Waiter(self.elapsed + ticks, REAL.now() + ticks)
            outer = self.enter(waiter)
            try:
                pause = PAUSE_FIRST
                while not self.is_over(waiter):
                    if not self.step(waiter):
                        self.changed.wait(waiter.bounded(pause))
                        pause = min(2 * pause, PAUSE_LAST)
            finally:
                self.leave(outer)
