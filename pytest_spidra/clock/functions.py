"""The real functions of the time module, for those who must not be fooled."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable


class TimeFunctions(NamedTuple):
    """The functions of the time module that the clock stands in for. Those that tell dates: see dates."""

    sleep: Callable[..., None]
    monotonic: Callable[[], float]
    monotonic_ns: Callable[[], int]


def current_functions() -> TimeFunctions:
    """Return what the time module offers at this moment."""
    return TimeFunctions(*(getattr(time, name) for name in TimeFunctions._fields))


_WALL = (time.time_ns,)


class RealTime:
    """Keeps the real functions, in a tuple: names of a module the alias sweep would replace."""

    def __init__(self) -> None:
        """Take the ones of this moment; a clock that starts takes them again, once checked."""
        self.functions = current_functions()

    def wall(self) -> int:
        """Return the real date, or what a trip of time-machine says that it is, in microseconds since the epoch."""
        return _WALL[0]() // 1_000

    def now(self) -> int:
        """Return the real monotonic time in microseconds."""
        return self.functions.monotonic_ns() // 1_000


REAL = RealTime()
