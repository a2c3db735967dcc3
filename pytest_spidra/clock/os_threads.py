"""What the operating system knows of a thread. Only Linux tells; elsewhere nothing is known."""

from __future__ import annotations

import os
import sys
from typing import NamedTuple

# The functions themselves: a test may have replaced the file system.
_OPEN, _READ, _CLOSE, _LIST = os.open, os.read, os.close, os.listdir

HOME = "/proc/self/task"


class OsThread(NamedTuple):
    """A thread at one moment."""

    sleeps: bool
    """Whether it sleeps in the kernel: whoever has been woken does not, even if it did not get to run yet."""
    switches: int
    """How often it has been taken off a processor."""


def os_thread(native_id: int | None) -> OsThread | None:
    """Return what is known of a thread, or None."""
    if native_id is None or sys.platform != "linux":
        return None
    try:
        file = _OPEN(f"{HOME}/{native_id}/status", os.O_RDONLY)
        try:
            text = _READ(file, 4_096)
        finally:
            _CLOSE(file)
        state = text.split(b"\nState:\t", 1)[1][:1]
        switches = text.split(b"ctxt_switches:\t")
        return OsThread(state == b"S", sum(int(part.split(b"\n", 1)[0]) for part in switches[1:]))
    except (OSError, IndexError, ValueError):
        return None


def patience_for_proof() -> int:
    """Return the real microseconds a thread must sleep through to wait for something else than the interpreter.

    Whoever waits for the interpreter wakes once in every switch interval.
    """
    return round(sys.getswitchinterval() * 1_200_000)


def native_ids() -> list[int] | None:
    """Return the ids of all threads of this process, also those that Python does not know; None if unknown."""
    try:
        return [int(name) for name in _LIST(HOME)]
    except (OSError, ValueError):
        return None
