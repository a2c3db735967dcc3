"""What waits for a virtual moment, and when to give up waiting for it."""

from __future__ import annotations

import math
from typing import ClassVar

from pytest_spidra.clock.functions import REAL

MICROSECONDS = 1_000_000

PAUSE_FIRST, PAUSE_LAST = 0.0005, 0.005
"""Real seconds between two looks at whether the clock may jump: from the first to the last."""

_NOISE = 0.05
"""Microseconds taken for rounding of floats: 100.1 + 5 - 100.1 is a little more than 5."""


def whole_ticks(seconds: float) -> int:
    """Return whole microseconds, upwards, at least one: a wait must not end early or be nothing."""
    return max(1, math.ceil(seconds * MICROSECONDS - _NOISE))


class Waiter:
    """A thread waiting for a virtual moment."""

    __slots__ = ("deadline", "live", "patience")

    asks_alone: ClassVar[bool] = False
    """Whether `is_asleep` has to be asked of a waiter in the only thread, too."""

    def __init__(self, deadline: int | None = None, patience: int | None = None) -> None:
        """Wait until this virtual moment, at most until that real one; both in microseconds."""
        self.deadline = deadline
        self.patience = patience
        self.live = False
        """Whether something outside this process may end the wait."""

    def is_asleep(self, _quiet_since: int) -> bool:
        """Tell whether nothing but the clock can wake it; False also if that is not known yet."""
        return True

    def wake(self) -> None:
        """Make it look at the clock again."""

    def bounded(self, pause: float) -> float:
        """Return the real seconds it may block before it has to look again."""
        if self.patience is None:
            return pause
        left = (self.patience - REAL.now()) / MICROSECONDS
        return min(pause, max(left, PAUSE_FIRST))


class Standstill:
    """Notices code that watches a clock which does not move, and says how far it should.

    Such code reads the clock again and again: in quick succession for seconds on end, or with real
    waits in between. A single long gap is no sign of it; that is how a slow import looks.
    """

    QUICK = 100_000
    """Microseconds between two reads up to which they count as quick succession."""
    PATIENCE = 2_000_000
    """Microseconds of quick reads that go for nothing."""
    GAPS = 2
    """Longer gaps that go for nothing."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew: the clock moved."""
        self.last: int | None = None
        self.quick = 0
        self.gaps = 0

    def pause(self) -> None:
        """Leave out the time up to the next read: it was not spent watching."""
        self.last = None

    def read(self, real: int) -> int:
        """Note a read at this real time; return the microseconds the clock owes."""
        last, self.last = self.last, real
        if last is None:
            return 0
        gap = real - last
        if gap > self.QUICK:
            self.gaps += 1
            return gap if self.gaps > self.GAPS else 0
        self.quick += gap
        return gap if self.quick > self.PATIENCE else 0
