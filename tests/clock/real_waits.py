"""Real time that the clock cannot reach, and work that takes some."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_spidra.clock.virtual import VirtualClock

# In tuples, so that the alias sweep does not find them.
REAL_SLEEP = (time.sleep,)
REAL_MONOTONIC = (time.monotonic,)


def work_for(seconds: float) -> str:
    """Be busy for real, as an extension module or a blocking socket would be."""
    REAL_SLEEP[0](seconds)
    return "done"


@contextmanager
def jumps_only(clock: VirtualClock) -> Iterator[None]:
    """Check that the clock has jumped over all the time of a block: none of it has passed in real time, too.

    A wait that does not know the clock is told by `clock.elapsed`, which it does not move.
    """
    before = clock.schedule.followed
    yield
    assert clock.schedule.followed - before == 0
