"""Dates that follow the virtual clock: ``datetime.now``, ``date.today``, ``time.localtime`` and their kin.

time-machine reaches them where no name can be replaced, inside C code. It asks the traveller on top of its stack
what the time is; while a clock runs there is one of ours, and each traveller tells the test's threads virtual time
and everybody else what they would see without it. A trip of the test's own lies above ours and keeps its say: the
clock moves it by what it moves itself.
"""

from __future__ import annotations

import datetime as dt
import sys
from typing import TYPE_CHECKING, Any

from pytest_spidra.clock.functions import REAL
from pytest_spidra.clock.units import exact_from

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from pytest_spidra.clock.schedule import Schedule


class Dates:
    """The wall clock of one virtual clock.

    Args:
        schedule: The test's time.

        reads_it: Tells whether the code in a frame goes by the clock just now, and notes that it does.
    """

    def __init__(self, schedule: Schedule, reads_it: Callable[[FrameType], bool]) -> None:
        self._schedule = schedule
        self._reads_it = reads_it
        self._base = 0
        self._trip: Any = None
        self._traveller: Any = None
        self._stack: list[Any] = []
        self._tell: Any = None
        self._told: Any = None

    def start(self, began_at: int | None) -> None:
        """Begin at this moment, in microseconds since the Unix epoch; None: now, or where a trip has led to."""
        import time_machine

        if time_machine.traveller_stack:  # who travels in time has said where to
            self._base = REAL.wall()
        else:
            self._base = exact_from(REAL.wall()) if began_at is None else began_at
        self._tell = time_machine.Traveller.time_ns
        self._stack = time_machine.traveller_stack
        self._told = self._make_time_ns(self._tell, self._stack)
        time_machine.Traveller.time_ns = self._told  # type: ignore[method-assign]  # time-machine has no hook for this
        self._trip = time_machine.travel(dt.datetime.fromtimestamp(0, dt.UTC), tick=False)
        self._traveller = self._trip.start()
        self._schedule.moved = self._move_others

    def stop(self) -> None:
        """Leave time as it was."""
        if self._trip is None:
            return
        import time_machine

        trip, self._trip = self._trip, None
        self._schedule.moved = None
        stack = time_machine.traveller_stack
        if self._traveller in stack:  # else a trip below ours has ended, and taken ours along in its place
            stack.remove(self._traveller)
            stack.append(self._traveller)
        if stack:
            trip.stop()
        if time_machine.Traveller.time_ns is self._told:
            time_machine.Traveller.time_ns = self._tell  # type: ignore[method-assign]  # puts back what stood there

    @property
    def now(self) -> int:
        """Microseconds since the Unix epoch."""
        above = self._above()
        if above is not None:
            told: int = above._destination_timestamp_ns
            return told // 1_000
        return self._base + self._schedule.elapsed

    def _above(self) -> Any:
        """Return the traveller of the test's own trip, or None."""
        stack = self._stack
        if self._trip is None or not stack or stack[-1] is self._traveller or self._traveller not in stack:
            return None
        return stack[-1]

    def _move_others(self, ticks: int) -> None:
        above = self._above()
        if above is not None:
            above.shift(dt.timedelta(microseconds=ticks))

    def _make_time_ns(self, real_time_ns: Any, stack: list[Any]) -> Any:
        def time_ns(traveller: Any) -> int:
            if self._trip is not None and self._reads_it(sys._getframe(1)):
                return self.now * 1_000 + round(self._schedule.rest * 1_000)
            while traveller is self._traveller and traveller in stack:
                below = stack.index(traveller) - 1
                if below < 0:
                    return _real_time_ns()
                traveller = stack[below]
            told: int = real_time_ns(traveller)
            return told

        return time_ns


def _real_time_ns() -> int:
    import time_machine

    return time_machine.escape_hatch.time.time_ns()
