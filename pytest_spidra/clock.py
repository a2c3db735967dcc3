"""What the rest of the plugin knows about time: a wall clock and the seconds since the test began."""

from __future__ import annotations

import time
from typing import Protocol

MICROSECONDS = 1_000_000


class Clock(Protocol):
    """A clock that a test runs on."""

    @property
    def now(self) -> int:
        """Microseconds since the Unix epoch."""

    @property
    def elapsed(self) -> float:
        """Seconds since the test began, exact to the microsecond."""


class RealClock:
    """Real time: waits cost what they cost."""

    def __init__(self) -> None:
        self._epoch = time.time_ns() // 1_000
        self._begun = time.monotonic_ns()

    @property
    def now(self) -> int:
        """Microseconds since the Unix epoch; never goes back."""
        return self._epoch + self._microseconds

    @property
    def elapsed(self) -> float:
        """Seconds since the test began."""
        return self._microseconds / MICROSECONDS

    @property
    def _microseconds(self) -> int:
        return (time.monotonic_ns() - self._begun) // 1_000
