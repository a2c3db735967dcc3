"""What stands in the places of the real functions of ``time`` while a virtual clock runs.

One set for all clocks. A place that kept one (a closure, a patch undone late) has a function that
works like the real one whenever no clock runs.
"""

from __future__ import annotations

import os
import sys
from operator import index
from typing import TYPE_CHECKING, Any, Protocol

from pytest_spidra.clock.aliases import AliasSweep, lives_in_real_time
from pytest_spidra.clock.functions import REAL, TimeFunctions
from pytest_spidra.clock.units import MICROSECONDS, whole_ticks
from pytest_spidra.clock.waiting import Waiter

if TYPE_CHECKING:
    from types import FrameType

    from pytest_spidra.clock.membership import Membership
    from pytest_spidra.clock.schedule import Schedule

_LONGEST_SLEEP = 2**63 / 1e9
"""Seconds at which time.sleep raises OverflowError."""


class RunningClock(Protocol):
    """The clock that the stand-ins go by."""

    @property
    def schedule(self) -> Schedule:
        """Its time."""

    @property
    def membership(self) -> Membership:
        """Its threads."""

    @property
    def now(self) -> int:
        """Microseconds since the Unix epoch."""

    @property
    def monotonic(self) -> int:
        """Microseconds since some moment."""

    @property
    def replaced(self) -> dict[Any, Any]:
        """What else is to be replaced by what, wherever it is known."""


class Installed:
    """Which clock runs in this process, if any: there is one time module, so there is one at most."""

    clock: RunningClock | None = None
    _forks_noticed = False

    def install(self, clock: RunningClock) -> None:
        """Let the stand-ins go by this clock, and put them into all places.

        Raises:
            RuntimeError: Another clock runs.
        """
        self.refuse_second()
        if not self._forks_noticed and hasattr(os, "register_at_fork"):
            # A forked child has only one of the threads, and locks that others may hold.
            os.register_at_fork(after_in_child=self._forget)
            self._forks_noticed = True
        self.clock = clock

    def refuse_second(self) -> None:
        """Raise RuntimeError if a clock runs."""
        if self.clock is not None:
            message = "a virtual clock is already running in this process: stop it first."
            raise RuntimeError(message)

    def uninstall(self, clock: RunningClock) -> None:
        """Let the stand-ins do what the real functions do."""
        if self.clock is clock:
            self.clock = None

    def _forget(self) -> None:
        if self.clock is not None:
            self.clock.schedule.stopped = True
        self.clock = None

    def put(self) -> None:
        """Put the stand-ins where the real functions are."""
        others = self.clock.replaced if self.clock else {}
        _sweep.swap({**dict(zip(REAL.functions, STAND_INS, strict=True)), **others})

    @staticmethod
    def take_away(others: dict[Any, Any]) -> None:
        """Put the real functions where the stand-ins are, and the keys of `others` where their values are."""
        back = {other: real for real, other in others.items()}
        _sweep.swap({**dict(zip(STAND_INS, REAL.functions, strict=True)), **back}, restoring=True)


INSTALLED = Installed()
_sweep = AliasSweep(home=__name__)


def reads_clock(caller: FrameType) -> bool:
    """Tell whether the code in a frame of this thread goes by a virtual clock, and note that it reads it."""
    clock = _clock_of(caller)
    if clock is None:
        return False
    note_reader(clock, caller)
    return True


_WAITING_FOR_OTHERS = ("asyncio", "concurrent", "logging", "queue", "threading")


def note_reader(clock: RunningClock, caller: FrameType) -> None:
    """Note that the test reads a clock; the libraries through which it waits and logs are not the test."""
    clock.schedule.watch()
    if caller.f_globals.get("__name__", "").partition(".")[0] not in _WAITING_FOR_OTHERS:
        clock.schedule.brakes.read = True


def _clock_of(caller: FrameType) -> RunningClock | None:
    clock = INSTALLED.clock
    if clock is None or not clock.membership.covers_this_thread():
        return None
    return None if lives_in_real_time(caller.f_globals.get("__name__", "")) else clock


def _sleep(*args: Any, **kwargs: Any) -> None:
    clock = _clock_of(sys._getframe(1))
    if clock is None or len(args) != 1 or kwargs:
        return REAL.functions.sleep(*args, **kwargs)
    duration = args[0]
    if not isinstance(duration, float):
        try:
            duration = index(duration)
        except TypeError:
            return REAL.functions.sleep(duration)  # which says what is wrong with it
    if not 0 < duration < _LONGEST_SLEEP:
        return REAL.functions.sleep(duration)  # raises, or for 0 lets other threads run
    if not clock.schedule.is_rounding(duration):
        clock.schedule.wait(Waiter(whole_ticks(duration)))
    return None


def _monotonic() -> float:
    clock = _clock_of(sys._getframe(1))
    if clock is None:
        return REAL.functions.monotonic()
    note_reader(clock, sys._getframe(1))
    return (clock.monotonic + clock.schedule.rest + clock.schedule.trace) / MICROSECONDS


def _monotonic_ns() -> int:
    clock = _clock_of(sys._getframe(1))
    if clock is None:
        return REAL.functions.monotonic_ns()
    note_reader(clock, sys._getframe(1))
    return clock.monotonic * 1_000


STAND_INS = TimeFunctions(_sleep, _monotonic, _monotonic_ns)

for _name, _function in zip(TimeFunctions._fields, STAND_INS, strict=True):
    # As the originals are called: it is what tracebacks show, and what pickle goes by.
    _function.__name__ = _function.__qualname__ = _name
    _function.__module__ = "time"
del _name, _function
