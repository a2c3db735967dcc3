"""The unit of time inside: whole microseconds."""

from __future__ import annotations

import math

MICROSECONDS = 1_000_000
"""In a second."""

ROUNDING = 0.3
"""Microseconds taken for rounding of floats: 100.1 + 5 - 100.1 is a little more than 5. A date in seconds
since 1970 is rounded by up to a quarter of a microsecond."""


_STEP = 15_625
"""The microseconds of 1/64 s, which a float of seconds tells exactly."""


def exact_from(ticks: int) -> int:
    """Return the next moment that a float of seconds tells exactly: deadlines reckoned from it are met exactly."""
    return -(-ticks // _STEP) * _STEP


def whole_ticks(seconds: float) -> int:
    """Return whole microseconds, upwards, at least one: a wait must not end early or be nothing."""
    return max(1, math.ceil(seconds * MICROSECONDS - ROUNDING))


def ticks_to_advance(seconds: float) -> int:
    """Return whole microseconds.

    Raises:
        ValueError: A negative number, or no finite one.
    """
    if not 0 <= seconds < math.inf:
        message = f"time goes forward only: advance() takes seconds from 0 on, not {seconds!r}"
        raise ValueError(message)
    return round(seconds * MICROSECONDS)
