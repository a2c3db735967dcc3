"""A thread that waits for a virtual moment."""

from __future__ import annotations

from typing import ClassVar

from pytest_spidra.clock.functions import REAL
from pytest_spidra.clock.units import MICROSECONDS

PAUSE_FIRST, PAUSE_LAST = 0.0005, 0.005
"""Real seconds between two looks at whether the clock may jump: from the first to the last."""


class Waiter:
    """A thread waiting for a virtual moment."""

    __slots__ = ("deadline", "gives_up_at", "woken_by_io")

    asks_alone: ClassVar[bool] = False
    """Whether `is_asleep` has to be asked of a waiter in the only thread, too."""

    def __init__(self, deadline: int | None = None, gives_up_at: int | None = None) -> None:
        """Wait until this virtual moment, at most until that real one; both in microseconds."""
        self.deadline = deadline
        self.gives_up_at = gives_up_at
        self.woken_by_io = False
        """Whether something outside this process may end the wait."""

    def is_asleep(self, _quiet_since: int) -> bool:
        """Tell whether nothing but the clock can wake it; False also if that is not known yet."""
        return True

    def wake(self) -> None:
        """Make it look at the clock again."""

    def bounded(self, pause: float) -> float:
        """Return the real seconds it may block before it has to look again."""
        if self.gives_up_at is None:
            return pause
        left = (self.gives_up_at - REAL.now()) / MICROSECONDS
        return min(pause, max(left, PAUSE_FIRST))
