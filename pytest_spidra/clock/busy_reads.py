"""Code that reads a clock in circles, waiting for it to move."""

from __future__ import annotations


class BusyReadDetector:
    """Notices code that watches a clock which does not move, and says how far it should.

    Such code reads the clock again and again: in quick succession for seconds on end, or with real
    waits in between. A single long gap is no sign of it; that is how a slow import looks.
    """

    QUICK = 100_000
    """Microseconds between two reads up to which they count as quick succession."""
    TOLERATED = 2_000_000
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
        return gap if self.quick > self.TOLERATED else 0
