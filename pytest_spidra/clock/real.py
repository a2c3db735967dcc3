"""What the rest of the plugin knows about time: a wall clock and the seconds since the test began.

The clock of a test is a `RealClock`, or the `VirtualClock` of `pytest_spidra.clock.virtual`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pytest_spidra.clock.units import MICROSECONDS, ticks_to_advance

if TYPE_CHECKING:
    from collections.abc import Callable


REAL_SILENCE, VIRTUAL_SILENCE = 60.0, 3600.0
"""Seconds that a wait which nothing ends lasts, where it costs as much and where it costs nothing."""


class RealClock:
    """Real time: waits cost what they cost."""

    longest_silence = REAL_SILENCE

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Count from this moment."""
        self._epoch = time.time_ns() // 1_000
        self._begun = time.monotonic_ns()
        self._advanced = 0

    def stop(self) -> None:
        """Do nothing: real time goes on."""

    def end_waits(self, message: str) -> None:
        """Do nothing: nobody waits here."""

    @property
    def now(self) -> int:
        """Microseconds since the Unix epoch; never goes back."""
        return self._epoch + self._microseconds

    @property
    def elapsed(self) -> float:
        """Seconds since the test began."""
        return self._microseconds / MICROSECONDS

    def advance(self, seconds: float) -> None:
        """Go on from so many seconds later, for whoever reads this clock: the real one cannot be moved.

        Raises:
            ValueError: A negative number, or no finite one.
        """
        self._advanced += ticks_to_advance(seconds)

    def measure_external_wait(self) -> Callable[[], float]:
        """Begin to wait for somebody outside."""
        begun = self.elapsed
        return lambda: self.elapsed - begun

    @property
    def _microseconds(self) -> int:
        return (time.monotonic_ns() - self._begun) // 1_000 + self._advanced
