"""Real time that the clock cannot reach, and work that takes some."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# In tuples, so that the alias sweep does not find them.
REAL_SLEEP = (time.sleep,)
REAL_MONOTONIC = (time.monotonic,)


def work_for(seconds: float) -> str:
    """Be busy for real, as an extension module or a blocking socket would be."""
    REAL_SLEEP[0](seconds)
    return "done"


LOADED = 20  # times as long as alone may a test take on a machine that has much else to do


@contextmanager
def real_time_below(seconds: float) -> Iterator[None]:
    """End a block that waits for real, in a few seconds of a machine that is idle: a deadline, and no measurement.

    What waits exactly is told by `clock.elapsed`, which a real wait does not move.
    """
    started = time.perf_counter()
    yield
    taken = time.perf_counter() - started
    assert taken < LOADED * seconds, f"took {taken:.3f} real seconds"
