"""Whether any thread of the test can run on. Only if none can, the clock may jump."""

from __future__ import annotations

import sys
import threading
from time import process_time_ns
from typing import TYPE_CHECKING, NamedTuple

from pytest_spidra.clock.functions import REAL
from pytest_spidra.clock.os_threads import os_thread, patience_for_proof
from pytest_spidra.clock.schedule import BLOCKED, CAN_JUMP, COMPUTES
from pytest_spidra.clock.thread_state import RUNS, SEEMS_TO_WAIT, state_of

if TYPE_CHECKING:
    from types import FrameType

    from pytest_spidra.clock.membership import Membership
    from pytest_spidra.clock.pools import OpenWork
    from pytest_spidra.clock.schedule import Schedule

_STEADY = 20_000
"""Real microseconds after which a thread found in the same place is taken to wait there, where the operating
system does not tell. Long, as a thread that may run does not always get to run soon."""

_SPINS = 60_000_000
"""Real microseconds of computing, without a wait, after which a thread is taken to compute for ever."""

_IDLE = 0.1
"""The part of the time in which a process may compute, and yet be blocked, where the system tells no more."""


class _Mark(NamedTuple):
    """Where and when a thread was first seen as it is.

    It holds the frame itself, because a frame that is gone may have its address used again.
    """

    frame: FrameType | None
    place: int
    real: int
    switches: int | None
    computed: int


class Activity:
    """Looks at the threads of the test.

    Args:
        schedule: Who waits for the clock.

        membership: Which threads are the test's.

        work: What executors and child processes have to do for it.
    """

    def __init__(self, schedule: Schedule, membership: Membership, work: OpenWork) -> None:
        self._schedule = schedule
        self._membership = membership
        self._work = work
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self._marks: dict[int, _Mark] = {}
        self._running_since: dict[int, int] = {}

    def __call__(self, real: int) -> int:
        """Return what the threads do. One may have woken another that was looked at before it: look twice."""
        found, others = self._look(real)
        if found == CAN_JUMP and others:
            found, _ = self._look(real)
        return found

    def _look(self, real: int) -> tuple[int, int]:
        """Return what the threads do, and how many there are beside this one."""
        schedule = self._schedule
        found, others = self._other_threads(real)
        if found == CAN_JUMP:
            found = self._work.activity()
        if found != CAN_JUMP:
            schedule.quiet_since = None
            return found, others
        if schedule.quiet_since is None:
            schedule.quiet_since = REAL.now()
        me = threading.get_ident()
        for ident, waiter in list(schedule.waiters.items()):
            if ident != me and schedule.is_over(waiter):
                return COMPUTES, others
            if waiter.woken_by_io:
                return BLOCKED, others
            # Also alone: a thread that has just ended may have left a message for this loop.
            if (others or ident != me or waiter.asks_alone) and not waiter.is_asleep(schedule.quiet_since):
                return COMPUTES, others
        return CAN_JUMP, others

    def _other_threads(self, real: int) -> tuple[int, int]:
        me = threading.get_ident()
        others, worst = 0, CAN_JUMP
        adopted = self._membership.adopted
        frames: dict[int, FrameType] | None = None
        for thread in threading.enumerate():
            helps = thread in adopted
            ident = thread.ident
            if ident == me or not (helps or self._membership.includes(thread)):
                continue
            if ident is None:  # it is just being started
                return COMPUTES, others + 1
            others += 1
            if ident in self._schedule.waiters:
                self._running_since.pop(ident, None)
                continue
            if frames is None:
                frames = sys._current_frames()
            frame = frames.get(ident)
            if frame is None:
                return COMPUTES, others
            found = self._state(thread, ident, frame, real)
            if found == CAN_JUMP and helps and frame.f_code.co_name == "_worker":
                # It has delivered what it did for us: what it does now is not our business.
                adopted.discard(thread)
            worst = min(worst, found)
        return worst, others

    def _state(self, thread: threading.Thread, ident: int, frame: FrameType, real: int) -> int:
        """Return what one thread does that is not among the clock's waiters."""
        state = state_of(frame)
        if state not in {RUNS, SEEMS_TO_WAIT}:
            self._marks.pop(ident, None)
            self._running_since.pop(ident, None)
            return CAN_JUMP
        system = os_thread(thread.native_id)
        switches = system.switches if system and system.sleeps else None
        mark = self._marks.get(ident)
        if (
            mark is None
            or mark.frame is not frame
            or mark.place != frame.f_lasti
            or mark.switches != switches
            or (state == SEEMS_TO_WAIT and mark.real < self._schedule.last_activity)
        ):
            computed = process_time_ns() // 1_000
            mark = self._marks[ident] = _Mark(frame, frame.f_lasti, real, switches, computed)
        if self._is_steady(mark, real, known=system is not None, waits=state == SEEMS_TO_WAIT):
            self._running_since.pop(ident, None)
            return CAN_JUMP if state == SEEMS_TO_WAIT else BLOCKED
        if state == SEEMS_TO_WAIT:
            return COMPUTES
        since = self._running_since.setdefault(ident, real)
        return BLOCKED if real - since > _SPINS else COMPUTES

    def _is_steady(self, mark: _Mark, real: int, *, known: bool, waits: bool) -> bool:
        """Tell whether a thread has done nothing since the mark, for long enough."""
        if known:
            # It has slept through more than one switch interval: neither woken, nor waiting for the interpreter.
            return mark.switches is not None and real - mark.real >= patience_for_proof()
        if real - mark.real < _STEADY:
            return False
        return waits or process_time_ns() // 1_000 - mark.computed < (real - mark.real) * _IDLE
