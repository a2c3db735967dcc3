"""Code that reads a clock in circles, waiting for it to move."""

from __future__ import annotations

from time import process_time_ns


class BusyReadDetector:
    """Notices code that watches a clock which does not move, and says how far it should.

    Such code reads the clock and does nothing else: a hundred thousand times in a row, or again and again after
    waits that the clock does not know, in which the whole process was idle. Computing between two reads is no sign
    of it, however long it takes.
    """

    READS = 100_000
    """Reads in a row that go for nothing."""
    LONG = 100_000
    """Microseconds between two reads from which on they are looked at."""
    IDLE = 0.01
    """The part of them in which an idle process may compute."""
    GAPS = 3
    """Idle gaps in a row that go for nothing."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew: the clock moved, or something else happened."""
        self.last: int | None = None
        self.reads = 0
        self.gaps = 0
        self._gap_ended = 0
        self._computed = 0

    def read(self, real: int) -> int:
        """Note a read at this real time; return the microseconds the clock owes."""
        last, self.last = self.last, real
        if last is None:
            return 0
        gap = real - last
        if gap < self.LONG:
            self.reads += 1
            return gap if self.reads > self.READS else 0
        computed = process_time_ns() // 1_000
        between, self._gap_ended = real - self._gap_ended, real
        computed, self._computed = computed - self._computed, computed
        if computed > between * self.IDLE:
            self.gaps = 0
            return 0
        self.gaps += 1
        return gap if self.gaps > self.GAPS else 0
