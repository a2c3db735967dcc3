"""Other libraries that play with the time: which can share a test with the virtual clock, and which cannot."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from pytest_spidra.clock.functions import TimeFunctions, current_functions

if TYPE_CHECKING:
    from collections.abc import Callable


def refuse_other_fakes(stand_ins: TimeFunctions) -> None:
    """Raise RuntimeError if somebody else has replaced functions of ``time``, or drives the loop of this thread."""
    for name, found, stand_in in zip(TimeFunctions._fields, current_functions(), stand_ins, strict=True):
        if type(found) is not type(len) and found is not stand_in:
            message = (
                f"time.{name} is already replaced by {getattr(found, '__module__', '?')}."
                f"{getattr(found, '__qualname__', found)}, and the virtual clock cannot share it: "
                'take that out of the test, or use clock="real".'
            )
            raise RuntimeError(message)
    events = sys.modules.get("asyncio.events")
    if events is not None:
        refuse_looptime(events._get_running_loop())
        policy = getattr(events, "_event_loop_policy", None)
        # Not get_event_loop(): that would make a loop where there is none.
        refuse_looptime(getattr(getattr(policy, "_local", None), "_loop", None))


def refuse_looptime(loop: Any) -> None:
    """Raise RuntimeError if looptime drives this loop."""
    if getattr(loop, "looptime_on", False):
        message = (
            "the event loop of this test belongs to looptime, whose time the virtual clock cannot "
            'follow: take the looptime marker off, or use clock="real".'
        )
        raise RuntimeError(message)


def refuse_frozen_loop(loop: Any, monotonic: Callable[[], float]) -> None:
    """Raise RuntimeError if freezegun holds this loop still; `monotonic` is what ``time.monotonic`` is now."""
    frozen = getattr(monotonic, "__module__", "").startswith("freezegun")
    if frozen and abs(loop.time() - monotonic()) < 0.001:
        message = (
            "freezegun was started while the virtual clock runs, and asyncio timers never "
            'fire under it: use time-machine instead, or clock="real".'
        )
        raise RuntimeError(message)
