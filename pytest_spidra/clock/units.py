"""The unit of time inside: whole microseconds."""

from __future__ import annotations

import math

MICROSECONDS = 1_000_000
"""In a second."""

_NOISE = 0.05
"""Microseconds taken for rounding of floats: 100.1 + 5 - 100.1 is a little more than 5."""


def whole_ticks(seconds: float) -> int:
    """Return whole microseconds, upwards, at least one: a wait must not end early or be nothing."""
    return max(1, math.ceil(seconds * MICROSECONDS - _NOISE))
