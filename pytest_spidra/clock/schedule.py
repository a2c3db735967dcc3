"""How far virtual time has got, who waits for which moment of it, and how it moves there."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, NoReturn

from pytest_spidra.clock.brakes import EndlessWaitError
from pytest_spidra.clock.busy_reads import BusyReadDetector
from pytest_spidra.clock.functions import REAL
from pytest_spidra.clock.units import MICROSECONDS, ROUNDING
from pytest_spidra.clock.waiting import PAUSE_FIRST, PAUSE_LAST, PAUSE_OF_OTHERS, Waiter

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_spidra.clock.brakes import Brakes

CAN_JUMP, BLOCKED, COMPUTES = 1, 0, -1
"""What the test's threads do: all wait; one is blocked by something that the clock does not know; one computes."""

_LONGEST_DOUBT = 50_000
"""Real microseconds between two looks that count at most: whoever looks does not always get to run."""


_TRACE = 0.02
"""Microseconds up to which rounding is that of a clock that starts at zero, and not that of a date."""


class Schedule:
    """Virtual time: a number of microseconds, and the threads that wait for it to grow.

    One of the threads that wait looks whether time may jump; the others sleep until they are woken. When nobody
    can say whether a thread is going to run on, the clock of doubts goes: a wait that it has seen through is over.
    `lock` guards all of it.

    Args:
        brakes: Ends what never ends by itself.

        paced: Whether a wait lasts as long in real time as in virtual time.
    """

    activity: Callable[[int], int]
    """Tells at a real moment what the test's threads do."""
    on_endless: Callable[[str], NoReturn] | None = None
    """Is told why a wait would never end, in the thread that waits, and raises; None: EndlessWaitError is raised."""
    ended: str | None = None
    """Why no wait is to begin any more."""

    def __init__(self, brakes: Brakes, *, paced: bool) -> None:
        self.brakes = brakes
        self.paced = paced
        self.lock = threading.RLock()
        self.stopped = True
        self.elapsed: int = 0
        """Virtual microseconds since the start."""
        self.rest = 0.0
        """The part of a microsecond that has passed beyond, as somebody waited for what rounding left of a date."""
        self.trace = 0.0
        """The same for clocks that start at zero. It only grows: whoever read the clock before sees it later."""
        self.moved: Callable[[int], None] | None = None
        """Is told of each move, in microseconds."""
        self.forget()

    def forget(self) -> None:
        """Have nobody waiting."""
        self.ended = None
        self.waiters: dict[int, Waiter] = {}
        self.busy_reads = BusyReadDetector()
        self.last_activity = 0
        """The real moment at which a wait last began or ended."""
        self.quiet_since: int | None = None
        """The real moment since which all threads were found waiting."""
        self.jumps = 0
        """How often time has jumped."""
        self.followed = 0
        """The microseconds that have passed in real time, too: what could not be jumped."""
        self._looker: int | None = None
        self._flows_since: int | None = None
        self._doubts = 0
        self._looked_at = 0
        self.trace = 0.0
        self._looked_in_at = -1
        # What a clock that tells the seconds of this machine as a float can show.
        self._least_trace = 2 * math.ulp(REAL.now() / MICROSECONDS) * MICROSECONDS

    # -- following real time ---------------------------------------------------------------------

    def catch_up(self) -> None:
        """Follow real time where the clock has to; called whenever it is read."""
        if self._flows_since is not None and not self.stopped:
            with self.lock:
                self._flow(REAL.now())

    def watch(self) -> None:
        """Follow real time also for code that does nothing but watch the clock, as somebody reads it just now."""
        if self.stopped:
            return
        self.catch_up()
        if owed := self.busy_reads.read(REAL.now()):
            with self.lock:
                self.move(owed)

    def _flow(self, real: int) -> None:
        if self._flows_since is not None:
            self.move(real - self._flows_since)
            self._flows_since = real

    def move(self, ticks: int) -> None:
        """Move by so many microseconds, but not past a deadline: whoever waits for it sees exactly that time."""
        upcoming = self._next_deadline()
        target = self.elapsed + ticks
        target = target if upcoming is None else min(target, upcoming)
        self.followed += target - self.elapsed
        self._arrive(target)

    def advance(self, ticks: int) -> None:
        """Move by so many microseconds, from deadline to deadline, without waiting for those whose time comes."""
        with self.lock:
            target = self.elapsed + ticks
            while (upcoming := self._next_deadline()) is not None and upcoming <= target:
                self._arrive(upcoming)
            self._arrive(target)
            self.busy_reads.forget()

    def _arrive(self, moment: int) -> None:
        ticks, self.elapsed, self.rest = moment - self.elapsed, moment, 0.0
        if ticks and self.moved:
            self.moved(ticks)
        me = threading.get_ident()
        for ident, waiter in self.waiters.items():
            if ident != me and self.is_over(waiter):
                waiter.wake()

    # -- jumping ---------------------------------------------------------------------------------

    def _jump(self, waiter: Waiter, to: int) -> None:
        waiter.refusal = self.brakes.refuse_jump(waiter, to - self.elapsed, self.waiters)
        if waiter.refusal:
            waiter.wake()
            return
        self.jumps += 1
        self.last_activity = REAL.now()
        self.quiet_since = None
        self._arrive(to)

    def _next_deadline(self) -> int | None:
        first = self._first()
        return None if first is None else first.deadline

    def _first(self) -> Waiter | None:
        """Return whose deadline comes next."""
        first, moment = None, None
        for waiter in self.waiters.values():
            deadline = waiter.deadline
            if deadline is not None and deadline > self.elapsed and (moment is None or deadline < moment):
                first, moment = waiter, deadline
        return first

    def wake_everybody(self) -> None:
        """End all waits that have a limit; the others look, and wait on."""
        with self.lock:
            for waiter in list(self.waiters.values()):
                if waiter.deadline is not None:
                    waiter.deadline = -1  # over, even if the same clock is started again meanwhile
                waiter.wake()

    # -- waiting ---------------------------------------------------------------------------------

    def is_rounding(self, seconds: float) -> bool:
        """Tell whether somebody waits for what rounding left of a wait; if so, it has passed."""
        ticks = seconds * MICROSECONDS
        if ticks > ROUNDING or self.rest > ROUNDING or self.trace > ROUNDING:
            return False
        if ticks > _TRACE:
            self.rest += ROUNDING
        else:
            self.trace += max(ticks, self._least_trace)
        return True

    def look_in(self) -> None:
        """Let a trace of time pass, as somebody waited no time at all, and may do so until a moment has passed."""
        if self._looked_in_at != self.elapsed and self.trace <= ROUNDING:
            self._looked_in_at = self.elapsed
            self.trace += self._least_trace

    def is_over(self, waiter: Waiter) -> bool:
        """Tell whether somebody's moment has come, whatever brought it."""
        if waiter.notified or waiter.refusal:
            return True
        deadline = waiter.deadline
        return deadline is not None and (self.stopped or self.elapsed >= deadline)

    def looks(self, waiter: Waiter) -> bool:
        """Tell whether this thread is the one that looks whether time may jump."""
        looking = self.waiters.get(self._looker) if self._looker is not None else None
        if looking is None or (looking.deadline is None and waiter.deadline is not None):
            self._looker = threading.get_ident()
            return True
        return looking is waiter

    def step(self) -> bool:
        """Move if that is right; tell whether it was."""
        real = REAL.now()
        self._flow(real)
        since, self._looked_at = real - self._looked_at, real
        if self.paced:
            activity, self._doubts = BLOCKED, real
        else:
            activity = self.activity(real)
            if activity == BLOCKED:
                self._doubts += min(since, _LONGEST_DOUBT)
        first = self._first()
        if first is None or first.deadline is None or first.gives_up_at is None:
            if activity == CAN_JUMP:
                refused = self.brakes.refuse_stillness(real - self.last_activity, self.waiters)
                if refused:
                    refused[0].refusal = refused[1]
                    refused[0].wake()
            return False
        if activity == CAN_JUMP:
            self._jump(first, first.deadline)
            return True
        if self._doubts >= first.gives_up_at:
            # One deadline at a time, with a pause: others' waits may end before the next one.
            self.followed += first.deadline - self.elapsed
            self._jump(first, first.deadline)
        return False

    def refuse(self, message: str) -> NoReturn:
        """End a wait of this thread.

        Raises:
            EndlessWaitError: Always, or what `on_endless` raises.
        """
        __tracebackhide__ = True
        if self.on_endless:
            self.on_endless(message)
        raise EndlessWaitError(message)

    def set_deadline(self, waiter: Waiter, ticks: int) -> None:
        """Let somebody wait for so many microseconds from now on."""
        waiter.deadline = self.elapsed + ticks
        if waiter.gives_up_at is None:
            waiter.gives_up_at = ticks + (REAL.now() if self.paced else self._doubts)

    def enter(self, waiter: Waiter) -> Waiter | None:
        """Let this thread wait; return what it was waiting for already."""
        if self.ended and not self.stopped:
            self.refuse(self.ended)
        if waiter.asked is not None:
            self.set_deadline(waiter, waiter.asked)
        ident = threading.get_ident()
        outer = self.waiters.get(ident)
        self.waiters[ident] = waiter
        waiter.ident = ident
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
        self.busy_reads.forget()
        if self._looker == ident:
            self._looker = None
            if self.waiters:
                self._let_another_look()

    def _let_another_look(self) -> None:
        able = [waiter for waiter in self.waiters.values() if waiter.can_look and not self.is_over(waiter)]
        for waiter in sorted(able, key=lambda waiter: waiter.deadline is None)[:1]:
            waiter.wake()

    def wait(self, waiter: Waiter) -> bool:
        """Wait until it is over; return whether another thread ended it."""
        with self.lock:
            outer = self.enter(waiter)
        try:
            pause, new = PAUSE_FIRST, True
            while True:
                with self.lock:
                    if waiter.refusal:
                        self.refuse(waiter.refusal)
                    if self.is_over(waiter):
                        return waiter.notified
                    looks = self.looks(waiter)
                    # Who has just come looks in any case: often that was all that was missing.
                    first, new = new, False
                    if (looks or first) and self.step():
                        pause = PAUSE_FIRST
                        continue
                    blocker = waiter.blocker()
                blocker.acquire(timeout=pause if looks else PAUSE_OF_OTHERS)
                pause = min(2 * pause, PAUSE_LAST if waiter.deadline is not None else PAUSE_OF_OTHERS)
        finally:
            with self.lock:
                self.leave(outer)

    def poll(self, waiter: Waiter, is_done: Callable[[float], bool]) -> bool:
        """Wait for what only asking tells, `is_done(real seconds to wait for it at most)`; return whether it came."""
        with self.lock:
            outer = self.enter(waiter)
        try:
            pause = 0.0
            while not is_done(pause):
                with self.lock:
                    if waiter.refusal:
                        self.refuse(waiter.refusal)
                    if self.is_over(waiter):
                        return False
                    pause = PAUSE_FIRST if self.step() else min(2 * pause + PAUSE_FIRST, PAUSE_LAST)
        finally:
            with self.lock:
                self.leave(outer)
        return True
