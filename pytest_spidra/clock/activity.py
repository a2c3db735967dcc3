"""Whether any thread of the test can run on. Only if none can, the clock may jump."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, NamedTuple

from pytest_spidra.clock.functions import REAL
from pytest_spidra.clock.thread_state import SEEMS_TO_WAIT, WAITS, state_of
from pytest_spidra.clock.units import MICROSECONDS

if TYPE_CHECKING:
    from types import FrameType

    from pytest_spidra.clock.membership import Membership
    from pytest_spidra.clock.pools import OpenWork
    from pytest_spidra.clock.schedule import Schedule

_STEADY = 20_000
"""Real microseconds after which a thread found in the same place is taken to wait there. Long, as
a thread that may run does not always get to run soon; few waits need it (see thread_state)."""


class _Mark(NamedTuple):
    """Where and when a thread was first seen waiting.

    It holds the frame itself, because a frame that is gone may have its address used again.
    """

    frame: FrameType
    place: int
    real: int
    elapsed: int


class Activity:
    """Looks at the threads of the test.

    Args:
        schedule: Who waits for the clock.

        membership: Which threads are the test's.

        work: What thread pools have to do for it.
    """

    def __init__(self, schedule: Schedule, membership: Membership, work: OpenWork) -> None:
        self._schedule = schedule
        self._membership = membership
        self._work = work
        self._marks: dict[int, _Mark] = {}

    def forget(self) -> None:
        """Begin anew."""
        self._marks.clear()

    def nobody_can_run(self, real: int) -> bool:
        """Tell whether all threads wait. One may have woken another that was looked at before it: look twice."""
        inspected = self._all_wait(real)
        return inspected == 0 or (inspected > 0 and self._all_wait(real) > 0)

    def _all_wait(self, real: int) -> int:
        """Return how many threads were looked at, all waiting; -1 if one may run."""
        schedule = self._schedule
        others = -1 if self._work.may_begin_or_run() else self._threads_wait(real)
        if others < 0:
            schedule.quiet_since = None
            return -1
        if schedule.quiet_since is None:
            schedule.quiet_since = REAL.now()
        me = threading.get_ident()
        for ident, waiter in list(schedule.waiters.items()):
            if waiter.woken_by_io or (ident != me and schedule.is_over(waiter)):
                return -1
            # Also alone: a thread that has just ended may have left a message for this loop.
            if (others or ident != me or waiter.asks_alone) and not waiter.is_asleep(schedule.quiet_since):
                return -1
        return others

    def _threads_wait(self, real: int) -> int:
        """Return how many other threads the test has, if those not on the clock wait; else -1."""
        me = threading.get_ident()
        others = 0
        adopted = self._membership.adopted
        frames: dict[int, FrameType] | None = None
        for thread in threading.enumerate():
            helps = thread in adopted
            ident = thread.ident
            if ident == me or not (helps or self._membership.includes(thread)):
                continue
            if ident is None:  # it is just being started
                return -1
            others += 1
            if ident in self._schedule.waiters:
                continue
            if frames is None:
                frames = sys._current_frames()
            frame = frames.get(ident)
            if frame is None or not self._waits(ident, frame, real):
                return -1
            if helps and frame.f_code.co_name == "_worker":
                # It has delivered what it did for us: what it does now is not our business.
                adopted.discard(thread)
        return others

    def _waits(self, ident: int, frame: FrameType, real: int) -> bool:
        state, limit = state_of(frame)
        if state == WAITS and limit is None:
            return True
        if state not in {WAITS, SEEMS_TO_WAIT}:
            self._marks.pop(ident, None)
            return False
        mark = self._marks.get(ident)
        if mark is None or mark.frame is not frame or mark.place != frame.f_lasti:
            mark = self._marks[ident] = _Mark(frame, frame.f_lasti, real, self._schedule.elapsed)
        if state == SEEMS_TO_WAIT:
            return real - max(mark.real, self._schedule.last_activity) >= _STEADY
        # A wait with a limit is real, so the clock could run any distance while it lasts. It gets
        # as far as the limit: then the waiting thread would have been running again.
        return limit is None or self._schedule.elapsed - mark.elapsed < limit * MICROSECONDS
