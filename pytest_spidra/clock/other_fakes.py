"""What cannot share a test with the virtual clock: other libraries that play with the time, unknown event loops."""

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
        policy = getattr(events, "_event_loop_policy", None)
        # Not get_event_loop(): that would make a loop where there is none.
        of_policy = getattr(getattr(policy, "_local", None), "_loop", None)
        for loop in (events._get_running_loop(), of_policy):
            if refusal := refused_by_looptime(loop):
                raise RuntimeError(refusal)


def refused_by_looptime(loop: Any) -> str | None:
    """Return what is to be said if looptime drives this loop."""
    if not getattr(loop, "looptime_on", False):
        return None
    return (
        "the event loop of this test belongs to looptime, whose time the virtual clock cannot "
        'follow: take the looptime marker off, or use clock="real".'
    )


def refused_by_freezegun(loop: Any, monotonic: Callable[[], float]) -> str | None:
    """Return what is to be said if freezegun holds a loop still; `monotonic` is what ``time.monotonic`` is now."""
    frozen = getattr(monotonic, "__module__", "").startswith("freezegun")
    if not frozen or abs(loop.time() - monotonic()) >= 0.001:
        return None
    return (
        "freezegun was started while the virtual clock runs, and asyncio timers never "
        'fire under it: use time-machine instead, or clock="real".'
    )


def unknown_loop(loop: Any) -> str:
    """Return why an event loop cannot follow the clock."""
    kind = type(loop)
    return (
        f"the virtual clock cannot drive the event loop {kind.__module__}.{kind.__qualname__}: its timers would wait "
        "for real while the test's time stands still. Run the test on asyncio's own loop, for instance with "
        "asyncio.run(main(), loop_factory=asyncio.new_event_loop) or another loop policy, or mark it "
        '@pytest.mark.spidra(clock="real").'
    )


def unknown_selector(selector: Any) -> str:
    """Return why a loop with such a selector cannot follow the clock."""
    kind = type(selector)
    return (
        f"the virtual clock cannot sit on the selector {kind.__module__}.{kind.__qualname__} of this event loop, whose "
        "timers would wait for real while the test's time stands still: use one of the module selectors, or mark "
        'the test @pytest.mark.spidra(clock="real").'
    )


UNKNOWN_TRIO = (
    "trio began to run on a clock of its own, which stands still beside the virtual one: pass "
    "trio.run(main, clock=spidra_mock.clock.trio_clock()), or "
    'anyio.run(main, backend="trio", backend_options={"clock": spidra_mock.clock.trio_clock()}), '
    'or mark the test @pytest.mark.spidra(clock="real").'
)
