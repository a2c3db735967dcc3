"""Waits that never end: recognised by what happens, never by how long they are."""

from __future__ import annotations

import signal
import sys
import sysconfig
import textwrap
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_spidra.clock.os_threads import native_ids
from pytest_spidra.clock.thread_state import WAITS, state_of

if TYPE_CHECKING:
    from types import FrameType

    from pytest_spidra.clock.membership import Membership
    from pytest_spidra.clock.waiting import Waiter

SAME_WAITS = 100_000
"""Jumps in a row in which one and the same wait was all that happened, and that are legal."""

_IF_IT_READS = 10
"""How many times as many are legal for code that reads a clock in between: it may have a deadline."""

_STILL_FOR, _STILL_FOR_NATIVE = 1_000_000, 10_000_000
"""Real microseconds of stillness before a wait is said to be without end: with threads of Python only, and beside
threads that Python does not know, one of which might wake somebody."""

_HARMLESS = frozenset({"execnet", "xdist", "pytest_timeout"})
"""Packages whose threads wake nobody in a test."""


class EndlessWaitError(BaseException):
    """A wait that would never end. No `Exception`, so that retry code does not catch it."""


class Brakes:
    """Tells waits that go on for ever from patience.

    Args:
        membership: Which threads are the test's.
    """

    def __init__(self, membership: Membership) -> None:
        self._membership = membership
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self._same: tuple[int, ...] = ()
        self._times = 0
        self._reads = False
        self.read = False
        """Whether somebody of the test has read a clock since the last jump."""
        self.events = 0
        """Counts what happens beside waits: requests, and whoever asks how much time has passed."""

    def refuse_jump(self, waiter: Waiter, ticks: int, waiters: dict[int, Waiter]) -> str | None:
        """Note that a wait is about to end after so many microseconds; return why it is not to, or None."""
        self._reads, self.read = self._reads or self.read, False
        same = waiter.ident, ticks, self.events, len(threading._active), len(waiters)  # type: ignore[attr-defined]  # active_count() takes a lock
        if (
            same != self._same
            or not waiter.is_its_threads_only_wait()
            or (len(waiters) > 1 and _deadlines(waiters) > 1)
        ):
            self._same, self._times, self._reads = same, 0, False
            return None
        self._times += 1
        if self._times < SAME_WAITS * (_IF_IT_READS if self._reads else 1):
            return None
        return _wrapped(
            f"The test has waited {self._times:,} times in a row for {ticks / 1e6:g} s, and nothing else happened: no "
            "request, no other timer, no thread that began or ended.",
            "In production this loop would run for ever.",
            _places({waiter.ident: waiter}),
            "To fix it, end the loop when what it waits for has failed, or give it a deadline. If it does end by a "
            'clock that the test does not drive, mark the test @pytest.mark.spidra(clock="real").',
        )

    def refuse_stillness(self, still_for: int, waiters: dict[int, Waiter]) -> tuple[Waiter, str] | None:
        """Return whose wait is to be ended and why, if nothing can end it; all threads of the test wait without limit.

        Args:
            still_for: For how many real microseconds that has been so.

            waiters: Who waits.
        """
        if still_for < _STILL_FOR:
            return None
        owner = self._membership.owner
        waiter = waiters.get(owner.ident or 0) if owner else None
        if waiter is None or not waiter.can_be_refused or _somebody_may_come(self._membership):
            return None
        native = native_ids()
        if still_for < _STILL_FOR_NATIVE and (native is None or len(native) > threading.active_count()):
            return None
        return waiter, _wrapped(
            "This wait never ends: every thread of the test waits, and no timer, socket, executor or child process "
            "is left that could wake one of them.",
            "In production the program would hang here, without a sign.",
            _places(waiters),
            "To fix it, give the wait a timeout, or let whoever was to end it tell when it fails: look at the result "
            "of its task or thread.",
        )


def _deadlines(waiters: dict[int, Waiter]) -> int:
    return sum(waiter.deadline is not None for waiter in waiters.values())


def _somebody_may_come(membership: Membership) -> bool:
    """Tell whether a thread that is not the test's, or an alarm, might wake somebody."""
    if hasattr(signal, "getitimer") and signal.getitimer(signal.ITIMER_REAL)[0]:
        handler: Any = signal.getsignal(signal.SIGALRM)
        if not str(getattr(handler, "__module__", "")).startswith("pytest_timeout"):
            return True
    frames = sys._current_frames()
    return any(
        not membership.includes(thread) and not _is_harmless(frames.get(thread.ident or 0))
        for thread in threading.enumerate()
    )


def _is_harmless(frame: FrameType | None) -> bool:
    if frame is None:
        return False
    if frame.f_code.co_name in {"_worker", "_work"} and state_of(frame) == WAITS:
        return True  # an idle worker of a pool
    while frame is not None:
        function = frame.f_locals.get("self")
        packages = {
            str(frame.f_globals.get("__name__", "")).partition(".")[0],
            str(getattr(getattr(function, "function", None), "__module__", "")).partition(".")[0],
        }
        if packages & _HARMLESS:
            return True
        frame = frame.f_back
    return False


def _places(waiters: dict[int, Waiter]) -> str:
    """Return one line for each of some threads: where it waits in the user's own code."""
    frames = sys._current_frames()
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return "\n".join(f"    {names.get(ident, ident)}: {_place(frames.get(ident))}" for ident in waiters)


def _place(frame: FrameType | None) -> str:
    paths = sysconfig.get_paths()
    foreign = (
        str(Path(__file__).parents[1]),
        *(paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")),
    )
    while frame is not None:
        name = frame.f_code.co_filename
        if not name.startswith(("<", *foreign)):
            return f"{name}:{frame.f_lineno}, in {frame.f_code.co_name}"
        frame = frame.f_back
    return "in a library"


def _wrapped(*parts: str) -> str:
    return "\n\n".join(part if part.startswith("    ") else textwrap.fill(part, 72) for part in parts)
