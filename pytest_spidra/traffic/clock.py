"""What everybody may ask of a test's clock, whatever time it keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class Clock(Protocol):
    """A clock that a test runs on."""

    @property
    def now(self) -> int:
        """Microseconds since the Unix epoch."""

    @property
    def elapsed(self) -> float:
        """Seconds since the test began, exact to the microsecond."""

    @property
    def longest_silence(self) -> float:
        """Seconds for which somebody who waits without a limit, for what never comes, may do so."""

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass at once.

        Raises:
            ValueError: A negative number, or no finite one.
        """

    def measure_external_wait(self) -> Callable[[], float]:
        """Begin to wait for somebody outside; call what it returns when they have come: the seconds it took."""

    def start(self) -> None:
        """The test begins."""

    def stop(self) -> None:
        """The test is over."""

    def end_waits(self, message: str) -> None:
        """Let every wait end, as `message` says why: the test goes round in circles."""
