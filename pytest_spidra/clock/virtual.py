"""A virtual clock: code that waits, waits exactly as long as it says, and costs no real time.

Why this exists. A test of code that polls every few seconds must neither wait for real nor replace
the sleeps by nothing, because then deadlines never pass and a fake service never gets further. No
library does this for plain code: time-machine and freezegun change what the clocks say but skip no
sleep, looptime reaches only the loops pytest-asyncio makes, trio's MockClock only trio.

How it works, and why so:

* **Frozen, and jumping.** Time stands still while code runs, and moves to the earliest deadline
  when every thread of the test waits. Elapsed time is then a sum of what was asked for, in integer
  microseconds, the same on every machine. Time that flowed while code runs would be different.
* **Only the test's threads**: the one that starts the clock and those started after it. A daemon
  thread of some library that polls once a second would otherwise poll a thousand times a second,
  and drag the clock along.
* **A jump needs proof that nobody can run.** Other threads are looked at from outside (see
  thread_state). Work in thread pools is counted from the moment it is handed in, real sockets in
  an event loop count as work.
* **Patience instead of hanging.** A wait whose jump cannot be proven right is over when it has
  lasted as long in real time; the clock then moves to its deadline. So no wait is longer than a
  real one, and a wrong "it runs" costs seconds, never a result.
* **Reading the clock in circles helps.** Code that watches the clock and waits in ways the clock
  does not know (``Event.wait``, a busy loop) would watch for ever. When that is what seems to
  happen, time follows real time (see Standstill).
"""

from __future__ import annotations

import itertools
import os
import sys
import threading
import time
import weakref
from operator import index
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_spidra.clock.aliases import AliasSweep, lives_in_real_time
from pytest_spidra.clock.functions import REAL, TimeFunctions, current_functions
from pytest_spidra.clock.loops_and_pools import (
    LoopSelect,
    LoopWaiter,
    Pool,
    make_run_in_executor,
    make_run_once,
    make_submit,
    running_loop,
)
from pytest_spidra.clock.thread_state import SEEMS_TO_WAIT, WAITS, state_of
from pytest_spidra.clock.waiting import (
    MICROSECONDS,
    PAUSE_FIRST,
    PAUSE_LAST,
    Standstill,
    Waiter,
    whole_ticks,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, TracebackType

_STEADY = 20_000
"""Real microseconds after which a thread found in the same place is taken to wait there. Long, as
a thread that may run does not always get to run soon; few waits need it (see thread_state)."""

_LOOP_RESOLUTION = 1e-7
"""Seconds by which an event loop may take a timer for due. asyncio's own nanosecond is less than
the rounding of ``time.monotonic() + delay`` on a machine that has been up for some months."""

_LONGEST_SLEEP = 2**63 / 1e9
"""Seconds at which time.sleep raises OverflowError."""

_active: VirtualClock | None = None
_generations = itertools.count(1)
_sweep = AliasSweep(home=__name__)


class _Membership(threading.local):
    """Whether the current thread lives on the clock; asked on every call, so remembered.

    Kept with the thread, because thread idents are reused and Thread objects are slow to look up.
    """

    generation = 0
    """The start of a clock for which the answer was found."""
    member = False
    at_work = 0
    """The start of a clock whose work a thread that is no member is doing just now."""


_membership = _Membership()


class VirtualClock:
    """The time of one test: it stands still while code runs and jumps over waits.

    While it runs, in the thread that started it and in threads started after it:

    * ``time.sleep``, ``time.time``, ``time.time_ns``, ``time.monotonic`` and ``time.monotonic_ns``
      are virtual, also where a module did ``from time import sleep``;
    * so is everything in asyncio that goes by ``loop.time()``: ``asyncio.sleep``, ``timeout``,
      ``wait_for``, ``call_later``; under pytest-asyncio, in ``asyncio.run``, in a thread with its
      own loop, in a loop that existed before; and with it anyio on asyncio, and the sleeps of
      tenacity, stamina, urllib3 and httpx-retries;
    * threads that sleep at the same time sleep at the same time: three of three seconds take three;
    * work in thread pools (``asyncio.to_thread``, ``run_in_executor``, ``ThreadPoolExecutor``) is
      waited for in real time and costs no virtual time, whereas ``time.sleep`` inside it is
      virtual; also in pools that existed before;
    * while an event loop waits with real sockets open, time runs at its real pace;
    * trio follows through ``trio.run(..., clock=clock.trio_clock())``.

    Not covered: ``time.perf_counter``, ``datetime.now``, ``threading.Event.wait`` and other waits
    with a timeout on locks, conditions and queues (they wait for real), functions that took
    ``time.sleep`` as a default argument (so does ``sched``), uvloop, trio without the above, child
    processes, the proactor loop of Windows (never tried), gevent. A thread blocked in
    ``lock.acquire()`` looks like one that runs, so others' sleeps then take their real time;
    ``with lock:`` is recognised.

    ``time.time()`` continues from what it said at the start, so under time-machine from there.
    Under freezegun, and in the event loop of looptime, ``start`` raises RuntimeError.

    Args:
        paced: Whether a wait lasts as long in real time as in virtual time. Somebody outside works in real
            time then; waits are as exact as ever, for they end at their deadlines, however late that is noticed.

        began_at: What the wall clock says at the start, in microseconds since the Unix epoch; None: what it
            says by itself.
    """

    def __init__(self, *, paced: bool = False, began_at: int | None = None) -> None:
        """Make a clock that does not run yet."""
        self._paced = paced
        self._began_at = began_at
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._generation = 0
        self._stopped = True
        self._elapsed = 0
        self._trip: object = None
        self._first_trip: object = None
        self._wall_base = self._first_wall = self._monotonic_base = 0
        self._reset()

    def _reset(self) -> None:
        self._owner: weakref.ref[threading.Thread] | None = None
        self._foreign: weakref.WeakSet[threading.Thread] = weakref.WeakSet()
        self._adopted: weakref.WeakSet[threading.Thread] = weakref.WeakSet()
        self._waiters: dict[int, Waiter] = {}
        self._marks: dict[int, _Mark] = {}
        self._pools: weakref.WeakKeyDictionary[Any, Pool] = weakref.WeakKeyDictionary()
        self._other_work = 0
        self._loops: weakref.WeakKeyDictionary[Any, tuple[float, LoopSelect]] = weakref.WeakKeyDictionary()
        self._flows_since: int | None = None
        self._standstill = Standstill()
        self._last_activity = 0
        self._quiet_since: int | None = None
        self._patched: list[tuple[type, str, Any, Any]] = []

    def __repr__(self) -> str:
        """Say whether it runs and how far it got."""
        state = "stopped" if self._stopped else "running"
        return f"<VirtualClock {state}, {self._elapsed / MICROSECONDS:.6f} s>"

    def __enter__(self) -> VirtualClock:  # noqa: PYI034 - typing.Self would be an import
        """Start the clock."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop the clock."""
        self.stop()

    # -- what it says ----------------------------------------------------------------------------

    @property
    def now(self) -> int:
        """The virtual wall clock: integer microseconds since the Unix epoch."""
        if self._generation == 0:
            return REAL.functions.time_ns() // 1_000
        self._catch_up()
        return self._wall()

    @property
    def elapsed(self) -> float:
        """Virtual seconds since the start, exact to the microsecond."""
        self._catch_up()
        return self._elapsed / MICROSECONDS

    def outside(self) -> Callable[[], float]:
        """Begin to wait for somebody outside; call what it returns when they have come: the seconds it took.

        A thread that waits for a socket is none of the clock's waiters, so that what it waited is made up for at
        the end. In an event loop time runs while it waits with real sockets open, and its timers forbid more.
        """
        begun, real = self.elapsed, REAL.now()

        def over() -> float:
            if running_loop() is None:
                with self._changed:
                    if not self._stopped:
                        owed = REAL.now() - real - (self._elapsed - round(begun * MICROSECONDS))
                        self._move(max(owed, 0))
                        self._standstill.forget()
            return self.elapsed - begun

        return over

    def trio_clock(self) -> Any:
        """Return a clock for ``trio.run(..., clock=...)`` that follows and moves this one."""
        from pytest_spidra.clock.trio_clock import make_trio_clock  # noqa: PLC0415 - trio only for those who use it

        return make_trio_clock(self)

    def _wall(self) -> int:
        trip = _time_machine_trip()
        if trip != self._trip and not self._stopped:
            # A time-machine trip began, moved or ended after we did: time.time() is to show it.
            self._trip = trip
            back_home = trip == self._first_trip
            there = REAL.functions.time_ns() // 1_000 - self._elapsed
            self._wall_base = self._first_wall if back_home else there
        return self._wall_base + self._elapsed

    def _monotonic(self) -> int:
        return self._monotonic_base + self._elapsed

    # -- start and stop --------------------------------------------------------------------------

    def start(self) -> None:
        """Put the clock in force for this thread and for threads started from now on.

        Raises RuntimeError if something else already plays with the time, or another clock runs.
        """
        global _active  # noqa: PLW0603 - one clock per process, as there is one time module
        if _active is not None:
            message = "a virtual clock is already running in this process: stop it first."
            raise RuntimeError(message)
        _refuse_other_fakes()
        found = current_functions()
        if all(one is not other for one, other in zip(found, _STAND_INS, strict=True)):
            REAL.functions = found
        _forget_clocks_in_child_processes()

        self._reset()
        self._elapsed = 0
        self._generation = next(_generations)
        this_thread = threading.current_thread()
        self._owner = weakref.ref(this_thread)
        self._foreign.update(t for t in threading.enumerate() if t is not this_thread)
        self._trip = self._first_trip = _time_machine_trip()
        told = REAL.functions.time_ns() // 1_000
        if self._began_at is not None and self._trip is None:  # who travels in time has said where to
            told = self._began_at
        self._wall_base = self._first_wall = told
        # Upwards: monotonic time must not step back, not even by part of a microsecond.
        self._monotonic_base = -(-REAL.functions.monotonic_ns() // 1_000)
        self._stopped = False
        _active = self
        try:
            self._patch_classes()
            _sweep.swap(dict(zip(REAL.functions, _STAND_INS, strict=True)))
            loop = running_loop()
            if loop is not None:
                self._adopt_loop(loop)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Put everything back; harmless if the clock does not run."""
        global _active  # noqa: PLW0603 - one clock per process, as there is one time module
        with self._lock:
            if self._stopped:
                return
            self._catch_up()
            skew = self._monotonic() - REAL.functions.monotonic_ns() // 1_000
            self._stopped = True
            if _active is self:
                _active = None
        parts: list[Callable[[], object]] = [
            lambda: _sweep.swap(dict(zip(_STAND_INS, REAL.functions, strict=True)), restoring=True),
            self._unpatch_classes,
            lambda: self._hand_loops_back(skew / MICROSECONDS),
            self._wake_everybody,
        ]
        errors: list[BaseException] = []
        for part in parts:
            try:
                part()
            except BaseException as error:  # noqa: BLE001 - the other parts must run too
                errors.append(error)
        waiters = self._waiters
        self._reset()
        self._waiters = waiters  # whoever was just woken still has to take itself out
        if errors:
            raise errors[0]

    def _patch_classes(self) -> None:
        import asyncio.base_events  # noqa: PLC0415 - costs 50 ms; only when a clock starts
        import concurrent.futures.thread  # noqa: PLC0415 - not at pytest's start either

        loop = asyncio.base_events.BaseEventLoop
        self._patch_class(loop, "_run_once", make_run_once)
        self._patch_class(loop, "run_in_executor", make_run_in_executor)
        pool = concurrent.futures.thread.ThreadPoolExecutor
        self._patch_class(pool, "submit", make_submit)

    def _patch_class(self, kind: type, name: str, make: Callable[[VirtualClock, Any], Any]) -> None:
        original = vars(kind)[name]
        substitute = make(self, original)
        substitute.__name__ = name
        substitute.__qualname__ = f"{kind.__qualname__}.{name}"
        self._patched.append((kind, name, original, substitute))
        setattr(kind, name, substitute)

    def _unpatch_classes(self) -> None:
        for kind, name, original, substitute in reversed(self._patched):
            # If somebody patched on top and still is there, theirs stays; ours passes through.
            if vars(kind).get(name) is substitute:
                setattr(kind, name, original)

    def _hand_loops_back(self, skew: float) -> None:
        # Timers were set by the virtual clock. Shifted by how far it was off, each keeps the time
        # that remained to it; otherwise a task that outlives the test waits for what was jumped.
        for loop, (resolution, select) in list(self._loops.items()):
            loop._clock_resolution = resolution
            select.remove()
            for timer in list(loop._scheduled):
                timer._when -= skew

    def _wake_everybody(self) -> None:
        with self._changed:
            self._changed.notify_all()
            for waiter in list(self._waiters.values()):
                waiter.deadline = -1  # over, even if the same clock is started again meanwhile
                waiter.wake()

    # -- whose time it is ------------------------------------------------------------------------

    def _covers_thread(self) -> bool:
        mine = _membership
        if mine.at_work == self._generation:
            return True
        if mine.generation != self._generation:
            # Not current_thread(): that leaves a dummy behind for a thread made without threading.
            thread = threading._active.get(threading.get_ident())  # type: ignore[attr-defined]  # no public way
            mine.member = thread is not None and self._is_member(thread)
            mine.generation = self._generation
        return mine.member

    def _is_member(self, thread: threading.Thread) -> bool:
        if self._owner is not None and thread is self._owner():
            return True
        # Threads made without threading cannot be dated, so they count as somebody else's.
        return thread not in self._foreign and not isinstance(thread, threading._DummyThread)

    def _begin_work(self, generation: int) -> None:
        """Let this thread live on the clock for as long as it works for the test."""
        if self._generation == generation and not self._stopped:
            self._adopted.add(threading.current_thread())
        _membership.at_work = generation

    def _end_work(self) -> None:
        _membership.at_work = 0
        self._standstill.pause()  # real work is not somebody watching the clock

    # -- how it moves ----------------------------------------------------------------------------

    def _catch_up(self) -> None:
        """Follow real time where the clock has to; called whenever it is read."""
        if self._stopped:
            return
        real = REAL.now()
        if self._flows_since is not None:
            with self._changed:
                self._flow(real)
        elif owed := self._standstill.read(real):
            with self._changed:
                self._move(owed)

    def _flow(self, real: int) -> None:
        if self._flows_since is not None:
            self._move(real - self._flows_since)
            self._flows_since = real

    def _move(self, ticks: int) -> None:
        # Not past a deadline: whoever waits for it is to see exactly that time.
        upcoming = self._next_deadline()
        target = self._elapsed + ticks
        self._elapsed = target if upcoming is None else min(target, upcoming)
        self._wake_due()

    def _jump(self) -> None:
        upcoming = self._next_deadline()
        if upcoming is not None:
            self._elapsed = upcoming
            self._standstill.forget()
            self._last_activity = REAL.now()
            self._quiet_since = None
            self._wake_due()

    def _next_deadline(self) -> int | None:
        return min(
            (
                waiter.deadline
                for waiter in self._waiters.values()
                if waiter.deadline is not None and waiter.deadline > self._elapsed
            ),
            default=None,
        )

    def _wake_due(self) -> None:
        self._changed.notify_all()
        me = threading.get_ident()
        for ident, waiter in self._waiters.items():
            if ident != me and self._is_over(waiter):
                waiter.wake()

    def _is_over(self, waiter: Waiter) -> bool:
        deadline = waiter.deadline
        return self._stopped or (deadline is not None and self._elapsed >= deadline)

    def _step(self, waiter: Waiter) -> bool:
        """Jump if that is right; tell whether it is worth looking again at once."""
        real = REAL.now()
        self._flow(real)
        if self._is_over(waiter):
            return True
        if not self._paced and self._nobody_can_run(real):
            self._jump()
            return True
        if waiter.patience is not None and real >= waiter.patience:
            # One deadline at a time, with a pause: others' waits may end before this one.
            self._jump()
        return False

    def _enter(self, waiter: Waiter) -> Waiter | None:
        ident = threading.get_ident()
        outer = self._waiters.get(ident)
        self._waiters[ident] = waiter
        real = self._last_activity = REAL.now()
        self._quiet_since = None
        self._flow(real)
        if waiter.live and self._flows_since is None:
            self._flows_since = real
        return outer

    def _leave(self, outer: Waiter | None) -> None:
        ident = threading.get_ident()
        left = self._waiters.pop(ident, None)
        if outer is not None:  # this was a sleep in a signal handler, inside another one
            self._waiters[ident] = outer
        real = self._last_activity = REAL.now()
        self._quiet_since = None
        if left is not None and left.live:
            if self._is_over(left):  # it ends at its deadline, not when its thread got to run
                self._flows_since = real
            self._flow(real)
            if not any(waiter.live for waiter in self._waiters.values()):
                self._flows_since = None
        self._standstill.pause()

    def _sleep(self, ticks: int) -> None:
        with self._changed:
            waiter = Waiter(self._elapsed + ticks, REAL.now() + ticks)
            outer = self._enter(waiter)
            try:
                pause = PAUSE_FIRST
                while not self._is_over(waiter):
                    if not self._step(waiter):
                        self._changed.wait(waiter.bounded(pause))
                        pause = min(2 * pause, PAUSE_LAST)
            finally:
                self._leave(outer)

    def _select(
        self,
        select: Callable[[float | None], list[Any]],
        selector: Any,
        loop: Any,
        timeout: float | None,
    ) -> list[Any]:
        events = select(0)
        if events:
            return events
        with self._changed:
            waiter = LoopWaiter(loop, selector)
            if timeout is not None:
                ticks = whole_ticks(timeout)
                waiter.deadline = self._elapsed + ticks
                waiter.patience = REAL.now() + ticks
            outer = self._enter(waiter)
        try:
            pause = PAUSE_FIRST
            while True:
                with self._changed:
                    if self._is_over(waiter):
                        return []
                    again = waiter.deadline is not None and self._step(waiter)
                if again:
                    continue
                # In slices, for what ends this wait without writing to the loop's pipe. Without a
                # deadline nothing does: whoever has one does the looking.
                events = select(waiter.bounded(pause) if waiter.deadline else None)
                if events:
                    return events
                pause = min(2 * pause, PAUSE_LAST)
        finally:
            with self._changed:
                self._leave(outer)

    # -- may it jump? ----------------------------------------------------------------------------

    def _nobody_can_run(self, real: int) -> bool:
        inspected = self._all_wait(real)
        # One thread may have woken another that was looked at before it: look twice.
        return inspected == 0 or (inspected > 0 and self._all_wait(real) > 0)

    def _all_wait(self, real: int) -> int:
        """Return how many threads were looked at, all waiting; -1 if one may run."""
        if self._other_work or any(pool.has_work_to_begin() for pool in self._pools.values()):
            others = -1
        else:
            others = self._threads_wait(real)
        if others < 0:
            self._quiet_since = None
            return -1
        if self._quiet_since is None:
            self._quiet_since = REAL.now()
        me = threading.get_ident()
        for ident, waiter in list(self._waiters.items()):
            if waiter.live or (ident != me and self._is_over(waiter)):
                return -1
            # Also alone: a thread that has just ended may have left a message for this loop.
            if (others or ident != me or waiter.asks_alone) and not waiter.is_asleep(self._quiet_since):
                return -1
        return others

    def _threads_wait(self, real: int) -> int:
        """Return how many other threads the test has, if those not on the clock wait; else -1."""
        me = threading.get_ident()
        others = 0
        frames: dict[int, FrameType] | None = None
        for thread in threading.enumerate():
            adopted = thread in self._adopted
            ident = thread.ident
            if ident == me or not (adopted or self._is_member(thread)):
                continue
            if ident is None:  # it is just being started
                return -1
            others += 1
            if ident in self._waiters:
                continue
            if frames is None:
                frames = sys._current_frames()
            frame = frames.get(ident)
            if frame is None or not self._waits(ident, frame, real):
                return -1
            if adopted and frame.f_code.co_name == "_worker":
                # It has delivered what it did for us: what it does now is not our business.
                self._adopted.discard(thread)
        return others

    def _waits(self, ident: int, frame: FrameType, real: int) -> bool:
        state, limit = state_of(frame)
        if state == WAITS and limit is None:
            return True
        if state not in {WAITS, SEEMS_TO_WAIT}:
            self._marks.pop(ident, None)
            return False
        mark = self._marks.get(ident)
        if mark is None or mark.frame is not frame or mark.place != frame.f_lasti:
            mark = self._marks[ident] = _Mark(frame, frame.f_lasti, real, self._elapsed)
        if state == SEEMS_TO_WAIT:
            return real - max(mark.real, self._last_activity) >= _STEADY
        # A wait with a limit is real, so the clock could run any distance while it lasts. It gets
        # as far as the limit: then the waiting thread would have been running again.
        return limit is None or self._elapsed - mark.elapsed < limit * MICROSECONDS

    # -- event loops -----------------------------------------------------------------------------

    def _adopt_loop(self, loop: Any) -> None:
        if loop not in self._loops and hasattr(loop, "_selector"):
            resolution = loop._clock_resolution
            self._loops[loop] = resolution, LoopSelect(self, loop._selector)
            # So that a timer is due although the sum of floats is a hair above our microsecond.
            loop._clock_resolution = max(resolution, _LOOP_RESOLUTION)

    def _drives(self, loop: Any) -> bool:
        """Tell whether this loop goes by this clock."""
        if abs(loop.time() * MICROSECONDS - self._monotonic()) < 1_000:
            return True
        frozen = getattr(time.monotonic, "__module__", "").startswith("freezegun")
        if frozen and abs(loop.time() - time.monotonic()) < 0.001:
            message = (
                "freezegun was started while the virtual clock runs, and asyncio timers never "
                'fire under it: use time-machine instead, or clock="real".'
            )
            raise RuntimeError(message)
        _refuse_looptime(loop)
        return False


class _Mark(NamedTuple):
    """Where and when a thread was first seen waiting.

    It holds the frame itself, because a frame that is gone may have its address used again.
    """

    frame: FrameType
    place: int
    real: int
    elapsed: int


# -- what stands in the places of the real functions ----------------------------------------------
#
# One set for all clocks. A place that kept one (a closure, a patch undone late) has a function that
# works like the real one whenever no clock runs.


def _clock_of(caller: FrameType, *, sleeping: bool = False) -> VirtualClock | None:
    clock = _active
    if clock is None or not clock._covers_thread():
        return None
    module_name = caller.f_globals.get("__name__", "")
    return None if lives_in_real_time(module_name, sleeping=sleeping) else clock


def _sleep(*args: Any, **kwargs: Any) -> None:
    clock = _clock_of(sys._getframe(1), sleeping=True)
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
    clock._sleep(whole_ticks(duration))
    return None


def _time() -> float:
    clock = _clock_of(sys._getframe(1))
    return REAL.functions.time() if clock is None else clock.now / MICROSECONDS


def _time_ns() -> int:
    clock = _clock_of(sys._getframe(1))
    return REAL.functions.time_ns() if clock is None else clock.now * 1_000


def _monotonic() -> float:
    clock = _clock_of(sys._getframe(1))
    if clock is None:
        return REAL.functions.monotonic()
    clock._catch_up()
    return clock._monotonic() / MICROSECONDS


def _monotonic_ns() -> int:
    clock = _clock_of(sys._getframe(1))
    if clock is None:
        return REAL.functions.monotonic_ns()
    clock._catch_up()
    return clock._monotonic() * 1_000


_STAND_INS = TimeFunctions(_sleep, _time, _time_ns, _monotonic, _monotonic_ns)

for _name, _function in zip(TimeFunctions._fields, _STAND_INS, strict=True):
    # As the originals are called: it is what tracebacks show, and what pickle goes by.
    _function.__name__ = _function.__qualname__ = _name
    _function.__module__ = "time"
del _name, _function


# -- small things ---------------------------------------------------------------------------------


def _time_machine_trip() -> object:
    """Return something that differs between two trips of time-machine; None outside of any."""
    stack = getattr(sys.modules.get("time_machine"), "traveller_stack", None)
    if not stack:
        return None
    return id(stack[-1]), getattr(stack[-1], "_destination_timestamp_ns", None)


def _refuse_other_fakes() -> None:
    for name, found, stand_in in zip(TimeFunctions._fields, current_functions(), _STAND_INS, strict=True):
        if type(found) is not type(len) and found is not stand_in:
            message = (
                f"time.{name} is already replaced by {getattr(found, '__module__', '?')}."
                f"{getattr(found, '__qualname__', found)}, and the virtual clock cannot share it: "
                'take that out of the test, or use clock="real".'
            )
            raise RuntimeError(message)
    events = sys.modules.get("asyncio.events")
    if events is not None:
        _refuse_looptime(running_loop())
        policy = getattr(events, "_event_loop_policy", None)
        # Not get_event_loop(): that would make a loop where there is none.
        _refuse_looptime(getattr(getattr(policy, "_local", None), "_loop", None))


def _refuse_looptime(loop: Any) -> None:
    if getattr(loop, "looptime_on", False):
        message = (
            "the event loop of this test belongs to looptime, whose time the virtual clock cannot "
            'follow: take the looptime marker off, or use clock="real".'
        )
        raise RuntimeError(message)


def _forget_clock() -> None:
    global _active  # noqa: PLW0603 - one clock per process, and this is a new one
    if _active is not None:
        _active._stopped = True
    _active = None


_fork_hook_registered = False


def _forget_clocks_in_child_processes() -> None:
    # A forked child has only one of the threads, and locks that others may hold.
    global _fork_hook_registered  # noqa: PLW0603
    if not _fork_hook_registered and hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_forget_clock)
        _fork_hook_registered = True
