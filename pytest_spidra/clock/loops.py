"""How event loops of asyncio come to live on the clock."""

from __future__ import annotations

import sys
import time
import weakref
from typing import TYPE_CHECKING, Any, NoReturn

from pytest_spidra.clock.other_fakes import (
    refused_by_freezegun,
    refused_by_looptime,
    unknown_loop,
    unknown_selector,
)
from pytest_spidra.clock.units import MICROSECONDS, whole_ticks
from pytest_spidra.clock.waiting import PAUSE_FIRST, PAUSE_LAST, PAUSE_OF_OTHERS, Waiter

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_spidra.clock.membership import Membership
    from pytest_spidra.clock.schedule import Schedule

_RESOLUTION = 1e-7
"""Seconds by which an event loop may take a timer for due. asyncio's own nanosecond is less than
the rounding of ``time.monotonic() + delay`` on a machine that has been up for some months."""


class LoopWaiter(Waiter):
    """An asyncio loop waiting in its selector."""

    __slots__ = ("loop",)

    asks_alone = True

    def __init__(self, loop: Any, selector: Any, asked: int | None) -> None:
        super().__init__(asked)
        self.loop = loop
        try:
            registered = len(selector.get_map())
        except AttributeError:  # the proactor of Windows
            registered = len(selector._cache)
        self.woken_by_io = registered > 1  # one is the loop's own pipe

    def is_asleep(self, _quiet_since: int) -> bool:
        """Tell whether no other thread has called call_soon_threadsafe since it fell asleep."""
        pipe = getattr(self.loop, "_ssock", None)
        return pipe is None or not _is_readable(pipe)

    def is_its_threads_only_wait(self) -> bool:
        """Tell whether the loop has no other timers."""
        timers: int = len(self.loop._scheduled) - self.loop._timer_cancelled_count
        return timers <= 1

    def wake(self) -> None:
        """Interrupt the select as call_soon_threadsafe would."""
        self.loop._write_to_self()


class Loops:
    """The event loops that go by one clock.

    Args:
        schedule: The test's time.

        membership: Which threads are the test's.
    """

    def __init__(self, schedule: Schedule, membership: Membership) -> None:
        self.schedule = schedule
        self.membership = membership
        self.monotonic_base = 0
        """What ``time.monotonic`` says at the start, in microseconds."""
        self.forget()

    def forget(self) -> None:
        """Know none."""
        self._adopted: weakref.WeakKeyDictionary[Any, tuple[float, _LoopSelect]] = weakref.WeakKeyDictionary()
        self._refused: weakref.WeakSet[Any] = weakref.WeakSet()

    def adopt(self, loop: Any) -> None:
        """Let a loop wait on the clock, or refuse one that cannot: none waits for real unmentioned.

        Raises:
            RuntimeError: It cannot. Next time the loop is left alone, as it has to clear up.
        """
        if loop in self._adopted or loop in self._refused or not self.drives(loop):
            return
        selector = getattr(loop, "_selector", None)
        if selector is None or not hasattr(loop, "_scheduled"):
            self._refuse(loop, unknown_loop(loop))
        try:
            LoopWaiter(loop, selector, None)
            select = _LoopSelect(self, selector)
        except (AttributeError, TypeError):
            self._refuse(loop, unknown_selector(selector))
        resolution = loop._clock_resolution
        self._adopted[loop] = resolution, select
        # So that a timer is due although the sum of floats is a hair above our microsecond.
        loop._clock_resolution = max(resolution, _RESOLUTION)

    def check_running_loop(self) -> None:
        """Adopt or refuse the loop that runs in this thread, if any."""
        loop = running_loop()
        if (
            loop is not None
            and loop not in self._adopted
            and not self.schedule.stopped
            and self.membership.covers_this_thread()
        ):
            self.adopt(loop)

    def adopt_before(self, loop: Any, coroutine: Any) -> None:
        """Adopt or refuse a loop that is about to run a coroutine."""
        if not self.schedule.stopped and self.membership.covers_this_thread():
            try:
                self.adopt(loop)
            except BaseException:
                if hasattr(coroutine, "close"):
                    coroutine.close()  # nobody is going to await it
                raise

    def _refuse(self, loop: Any, message: str) -> NoReturn:
        self._refused.add(loop)
        raise RuntimeError(message)

    def hand_back(self, skew: float) -> None:
        """Let all loops wait for real again.

        Timers were set by the virtual clock. Shifted by how far it was off, in seconds, each keeps the time that
        remained to it; otherwise a task that outlives the test waits for what was jumped.
        """
        for loop, (resolution, select) in list(self._adopted.items()):
            loop._clock_resolution = resolution
            select.remove()
            for timer in list(loop._scheduled):
                timer._when -= skew

    def drives(self, loop: Any) -> bool:
        """Tell whether a loop goes by this clock."""
        if abs(loop.time() * MICROSECONDS - self.monotonic_base - self.schedule.elapsed) < 1_000:
            return True
        if loop in self._refused:
            return False
        message = refused_by_freezegun(loop, time.monotonic) or refused_by_looptime(loop)
        if message:
            self._refuse(loop, message)
        if not getattr(time.monotonic, "__module__", "").startswith("freezegun"):
            self._refuse(loop, unknown_loop(loop))
        return False

    def select(
        self,
        select: Callable[[float | None], list[Any]],
        selector: Any,
        loop: Any,
        timeout: float | None,
    ) -> list[Any]:
        """Wait until something happens or so many virtual seconds are over."""
        events = select(0)
        if events:
            return events
        schedule = self.schedule
        waiter = LoopWaiter(loop, selector, None if timeout is None else whole_ticks(timeout))
        with schedule.lock:
            outer = schedule.enter(waiter)
        try:
            pause, new = PAUSE_FIRST, True
            while True:
                with schedule.lock:
                    if waiter.refusal:
                        schedule.refuse(waiter.refusal)
                    if schedule.is_over(waiter):
                        return []
                    looks = schedule.looks(waiter)
                    # Who has just come looks in any case: often that was all that was missing.
                    first, new = new, False
                    if (looks or first) and schedule.step():
                        pause = PAUSE_FIRST
                        continue
                # In slices, for what ends this wait without writing to the loop's pipe.
                events = select(pause if looks else PAUSE_OF_OTHERS)
                if events and not waiter.refusal:
                    return events
                pause = min(2 * pause, PAUSE_LAST if waiter.deadline is not None else PAUSE_OF_OTHERS)
        finally:
            with schedule.lock:
                schedule.leave(outer)


class _LoopSelect:
    """Sits on a loop's selector as its ``select``, and waits virtually.

    On the one selector rather than on the classes of ``selectors``, because then it also reaches
    selectors of other kinds, and those whose ``select`` somebody else has replaced like this:
    looptime does so to every loop of pytest-asyncio, whether the test is marked for it or not.
    """

    __slots__ = ("_before", "_loops", "_selector")

    def __init__(self, loops: Loops, selector: Any) -> None:
        self._loops = loops
        # Weakly: a loop that is forgotten shall go at once, not with the garbage.
        self._selector = weakref.ref(selector)
        self._before = vars(selector).get("select")
        selector.select = self

    def __call__(self, timeout: float | None = None) -> Any:
        """Wait until something happens or the timeout is over."""
        loops = self._loops
        loop = running_loop()
        if (
            loops.schedule.stopped
            or (timeout is not None and timeout <= 0)
            or loop is None
            or loop._selector is not self._selector()
            or not loops.membership.covers_this_thread()
            or not loops.drives(loop)
        ):
            return self._really(timeout)
        return loops.select(self._really, loop._selector, loop, timeout)

    def _really(self, timeout: float | None) -> Any:
        """Do what select did before."""
        if self._before is not None:
            return self._before(timeout)
        selector: Any = self._selector()
        return type(selector).select(selector, timeout)

    def remove(self) -> None:
        """Take it off again."""
        selector: Any = self._selector()
        if selector is not None and vars(selector).get("select") is self:
            if self._before is None:
                del selector.select
            else:
                selector.select = self._before


def make_set_running_loop(loops: Loops, real_set_running_loop: Any) -> Any:
    """Let every event loop come to the clock's notice when it begins to run."""

    def _set_running_loop(loop: Any) -> None:
        if loop is not None and not loops.schedule.stopped and loops.membership.covers_this_thread():
            loops.adopt(loop)
        real_set_running_loop(loop)

    return _set_running_loop


def make_run_forever(loops: Loops, real_run: Any) -> Any:
    """Let every event loop show itself before it begins to run, as refusing it later leaves it half started."""

    def run_forever(self: Any) -> None:
        loops.adopt_before(self, None)
        real_run(self)

    return run_forever


def make_run_until_complete(loops: Loops, real_run: Any) -> Any:
    """Let a loop that runs in C show itself before it does."""

    def run_until_complete(self: Any, future: Any) -> Any:
        loops.adopt_before(self, future)
        return real_run(self, future)

    return run_until_complete


def make_run(loops: Loops, real_run: Any) -> Any:
    """Let a runner show its loop before it runs it."""

    def run(self: Any, coro: Any, **kwargs: Any) -> Any:
        if running_loop() is None:
            loops.adopt_before(self.get_loop(), coro)
        return real_run(self, coro, **kwargs)

    return run


def running_loop() -> Any:
    """Return the event loop that runs in this thread, without importing asyncio."""
    events = sys.modules.get("asyncio.events")
    return None if events is None else events._get_running_loop()


def _is_readable(pipe: Any) -> bool:
    import select

    if pipe.fileno() < 0:
        return False
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(pipe.fileno(), select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([pipe], [], [], 0)[0])
