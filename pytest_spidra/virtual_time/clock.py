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
  happen, time follows real time (see _Standstill).
"""

from __future__ import annotations

import itertools
import math
import os
import sys
import threading
import time
import weakref
from operator import index
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_spidra.virtual_time.aliases import AliasSweep, lives_in_real_time
from pytest_spidra.virtual_time.thread_state import SEEMS_TO_WAIT, WAITS, state_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, TracebackType

MICROSECONDS = 1_000_000

_PAUSE_FIRST, _PAUSE_LAST = 0.0005, 0.005
"""Real seconds between two looks at whether the clock may jump: from the first to the last."""

_STEADY = 1_000
"""Real microseconds after which a thread found in the same place is taken to wait there."""

_NOISE = 0.05
"""Microseconds taken for rounding of floats: 100.1 + 5 - 100.1 is a little more than 5."""

_LOOP_RESOLUTION = 1e-7
"""Seconds by which an event loop may take a timer for due. asyncio's own nanosecond is less than
the rounding of ``time.monotonic() + delay`` on a machine that has been up for some months."""

_LONGEST_SLEEP = 2**63 / 1e9
"""Seconds at which time.sleep raises OverflowError."""


class _Functions(NamedTuple):
    """The functions of the time module that the clock stands in for."""

    sleep: Callable[..., None]
    time: Callable[[], float]
    time_ns: Callable[[], int]
    monotonic: Callable[[], float]
    monotonic_ns: Callable[[], int]


def _current_functions() -> _Functions:
    return _Functions(*(getattr(time, name) for name in _Functions._fields))


# In a tuple, not in names of this module: the alias sweep would replace those.
_real = _current_functions()
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
    """

    def __init__(self) -> None:
        """Make a clock that does not run yet."""
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._generation = 0
        self._stopped = True
        self._elapsed = 0
        self._reset()

    def _reset(self) -> None:
        self._owner: weakref.ref[threading.Thread] | None = None
        self._foreign: weakref.WeakSet[threading.Thread] = weakref.WeakSet()
        self._adopted: weakref.WeakSet[threading.Thread] = weakref.WeakSet()
        self._waiters: dict[int, _Waiter] = {}
        self._marks: dict[int, _Mark] = {}
        self._pools: weakref.WeakKeyDictionary[Any, _Pool] = weakref.WeakKeyDictionary()
        self._other_work = 0
        self._loops: weakref.WeakKeyDictionary[Any, tuple[float, _Select]] = weakref.WeakKeyDictionary()
        self._flows_since: int | None = None
        self._standstill = _Standstill()
        self._last_activity = 0
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
            return _real.time_ns() // 1_000
        self._catch_up()
        return self._wall()

    @property
    def elapsed(self) -> float:
        """Virtual seconds since the start, exact to the microsecond."""
        self._catch_up()
        return self._elapsed / MICROSECONDS

    def trio_clock(self) -> Any:
        """Return a clock for ``trio.run(..., clock=...)`` that follows and moves this one."""
        from pytest_spidra.virtual_time.trio_time import make_trio_clock  # noqa: PLC0415 - trio only for those who use it

        return make_trio_clock(self)

    def _wall(self) -> int:
        trip = _time_machine_trip()
        if trip != self._trip:
            # A time-machine trip began, moved or ended after we did: time.time() is to show it.
            self._trip = trip
            back_home = trip == self._first_trip
            base = self._first_wall if back_home else _real.time_ns() // 1_000 - self._elapsed
            self._wall_base = base
        return self._wall_base + self._elapsed

    def _monotonic(self) -> int:
        return self._monotonic_base + self._elapsed

    # -- start and stop --------------------------------------------------------------------------

    def start(self) -> None:
        """Put the clock in force for this thread and for threads started from now on.

        Raises RuntimeError if something else already plays with the time, or another clock runs.
        """
        global _active, _real  # noqa: PLW0603 - one clock per process, as there is one time module
        if _active is not None:
            message = "a virtual clock is already running in this process: stop it first."
            raise RuntimeError(message)
        _refuse_other_fakes()
        found = _current_functions()
        if all(one is not other for one, other in zip(found, _STAND_INS, strict=True)):
            _real = found
        _forget_clocks_in_child_processes()

        self._reset()
        self._elapsed = 0
        self._generation = next(_generations)
        this_thread = threading.current_thread()
        self._owner = weakref.ref(this_thread)
        self._foreign.update(t for t in threading.enumerate() if t is not this_thread)
        self._trip = self._first_trip = _time_machine_trip()
        self._wall_base = self._first_wall = _real.time_ns() // 1_000
        # Upwards: monotonic time must not step back, not even by part of a microsecond.
        self._monotonic_base = -(-_real.monotonic_ns() // 1_000)
        self._stopped = False
        _active = self
        try:
            self._patch_classes()
            _sweep.swap(dict(zip(_real, _STAND_INS, strict=True)))
            loop = _running_loop()
            if loop is not None:
                self._adopt_loop(loop)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Put everything back; harmless if the clock does not run."""
        global _active  # noqa: PLW0603
        with self._lock:
            if self._stopped:
                return
            self._catch_up()
            skew = self._monotonic() - _real.monotonic_ns() // 1_000
            self._stopped = True
            if _active is self:
                _active = None
        parts: list[Callable[[], object]] = [
            lambda: _sweep.swap(dict(zip(_STAND_INS, _real, strict=True)), restoring=True),
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
        import concurrent.futures.thread  # noqa: PLC0415

        loop = asyncio.base_events.BaseEventLoop
        self._patch_class(loop, "_run_once", _make_run_once)
        self._patch_class(loop, "run_in_executor", _make_run_in_executor)
        pool = concurrent.futures.thread.ThreadPoolExecutor
        self._patch_class(pool, "submit", _make_submit)

    def _patch_class(self, kind: type, name: str, make: Callable[[Any], Any]) -> None:
        original = vars(kind)[name]
        substitute = make(original)
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
            loop._clock_resolution = resolution  # noqa: SLF001 - see _adopt_loop
            select.remove()
            for timer in list(loop._scheduled):  # noqa: SLF001 - the same shift keeps the heap
                timer._when -= skew  # noqa: SLF001

    def _wake_everybody(self) -> None:
        with self._changed:
            self._changed.notify_all()
            for waiter in list(self._waiters.values()):
                waiter.wake()

    # -- whose time it is ------------------------------------------------------------------------

    def _covers_thread(self) -> bool:
        mine = _membership
        if mine.at_work == self._generation:
            return True
        if mine.generation != self._generation:
            # Not current_thread(): that leaves a dummy behind for a thread made without threading.
            thread = threading._active.get(threading.get_ident())  # type: ignore[attr-defined]  # noqa: SLF001
            mine.member = thread is not None and self._is_member(thread)
            mine.generation = self._generation
        return mine.member

    def _is_member(self, thread: threading.Thread) -> bool:
        if self._owner is not None and thread is self._owner():
            return True
        # Threads made without threading cannot be dated, so they count as somebody else's.
        return thread not in self._foreign and not isinstance(thread, threading._DummyThread)  # noqa: SLF001

    # -- how it moves ----------------------------------------------------------------------------

    def _catch_up(self) -> None:
        """Follow real time where the clock has to; called whenever it is read."""
        if self._stopped:
            return
        real = _real_now()
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
            self._last_activity = _real_now()
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

    def _is_over(self, waiter: _Waiter) -> bool:
        deadline = waiter.deadline
        return self._stopped or (deadline is not None and self._elapsed >= deadline)

    def _step(self, waiter: _Waiter) -> bool:
        """Jump if that is right; tell whether it is worth looking again at once."""
        real = _real_now()
        self._flow(real)
        if self._is_over(waiter):
            return True
        if self._nobody_can_run(real):
            self._jump()
            return True
        if waiter.patience is not None and real >= waiter.patience:
            # One deadline at a time, with a pause: others' waits may end before this one.
            self._jump()
        return False

    def _enter(self, waiter: _Waiter) -> _Waiter | None:
        ident = threading.get_ident()
        outer = self._waiters.get(ident)
        self._waiters[ident] = waiter
        real = self._last_activity = _real_now()
        self._flow(real)
        if waiter.live and self._flows_since is None:
            self._flows_since = real
        return outer

    def _leave(self, outer: _Waiter | None) -> None:
        ident = threading.get_ident()
        left = self._waiters.pop(ident, None)
        if outer is not None:  # this was a sleep in a signal handler, inside another one
            self._waiters[ident] = outer
        real = self._last_activity = _real_now()
        if left is not None and left.live:
            if self._is_over(left):  # it ends at its deadline, not when its thread got to run
                self._flows_since = real
            self._flow(real)
            if not any(waiter.live for waiter in self._waiters.values()):
                self._flows_since = None
        self._standstill.pause()

    def _sleep(self, ticks: int) -> None:
        with self._changed:
            waiter = _Waiter(self._elapsed + ticks, _real_now() + ticks)
            outer = self._enter(waiter)
            try:
                pause = _PAUSE_FIRST
                while not self._is_over(waiter):
                    if not self._step(waiter):
                        self._changed.wait(waiter.bounded(pause))
                        pause = min(2 * pause, _PAUSE_LAST)
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
            waiter = _LoopWaiter(loop, selector)
            if timeout is not None:
                ticks = _ticks(timeout)
                waiter.deadline = self._elapsed + ticks
                waiter.patience = _real_now() + ticks
            outer = self._enter(waiter)
        try:
            pause = _PAUSE_FIRST
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
                pause = min(2 * pause, _PAUSE_LAST)
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
            return -1
        me = threading.get_ident()
        inspected = 0
        frames: dict[int, FrameType] | None = None
        for thread in threading.enumerate():
            if thread in self._adopted:
                adopted = True
            elif self._is_member(thread):
                adopted = False
            else:
                continue
            ident = thread.ident
            if ident is None:  # just being started
                return -1
            if ident == me:
                continue
            inspected += 1
            if ident in self._waiters:
                continue  # asked below
            if frames is None:
                frames = sys._current_frames()  # noqa: SLF001 - the documented way to the frames
            frame = frames.get(ident)
            if frame is None or not self._waits(ident, frame, real):
                return -1
            if adopted and frame.f_code.co_name == "_worker":
                # It has delivered what it did for us: what it does now is not our business.
                self._adopted.discard(thread)
        for ident, waiter in list(self._waiters.items()):
            if waiter.live:
                return -1
            if ident == me:
                if inspected and not waiter.is_asleep(self._last_activity):
                    return -1
            elif self._is_over(waiter) or not waiter.is_asleep(self._last_activity):
                return -1
        return inspected

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
            resolution = loop._clock_resolution  # noqa: SLF001
            self._loops[loop] = resolution, _Select(loop._selector)  # noqa: SLF001
            # So that a timer is due although the sum of floats is a hair above our microsecond.
            loop._clock_resolution = max(resolution, _LOOP_RESOLUTION)  # noqa: SLF001

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


class _Waiter:
    """A thread waiting for a virtual moment."""

    __slots__ = ("deadline", "live", "patience")

    def __init__(self, deadline: int | None = None, patience: int | None = None) -> None:
        """Wait until this virtual moment, at most until that real one; both in microseconds."""
        self.deadline = deadline
        self.patience = patience
        self.live = False
        """Whether something outside this process may end the wait."""

    def is_asleep(self, _last_activity: int) -> bool:
        """Tell whether nothing but the clock can wake it; False also if that is not known yet."""
        return True

    def wake(self) -> None:
        """Make it look at the clock again."""

    def bounded(self, pause: float) -> float:
        """Return the real seconds it may block before it has to look again."""
        if self.patience is None:
            return pause
        left = (self.patience - _real_now()) / MICROSECONDS
        return min(pause, max(left, _PAUSE_FIRST))


class _LoopWaiter(_Waiter):
    """An asyncio loop waiting in its selector."""

    __slots__ = ("loop",)

    def __init__(self, loop: Any, selector: Any) -> None:
        super().__init__()
        self.loop = loop
        try:
            registered = len(selector.get_map())
        except AttributeError:  # the proactor of Windows
            registered = len(selector._cache)  # noqa: SLF001
        self.live = registered > 1  # one is the loop's own pipe

    def is_asleep(self, _last_activity: int) -> bool:
        """Tell whether no other thread has called call_soon_threadsafe since it fell asleep."""
        pipe = getattr(self.loop, "_ssock", None)
        return pipe is None or not _is_readable(pipe)

    def wake(self) -> None:
        """Interrupt the select as call_soon_threadsafe would."""
        self.loop._write_to_self()  # noqa: SLF001 - the thread-safe way, without a callback


class _Mark(NamedTuple):
    """Where and when a thread was first seen waiting.

    It holds the frame itself, because a frame that is gone may have its address used again.
    """

    frame: FrameType
    place: int
    real: int
    elapsed: int


class _Pool:
    """How much work a thread pool has from us."""

    def __init__(self, workers: int | None) -> None:
        self.workers = workers
        self.queued = 0
        self.running = 0

    def has_work_to_begin(self) -> bool:
        """Tell whether a worker is free for what is queued: it will begin at any moment."""
        return self.queued > 0 and (self.workers is None or self.running < self.workers)


class _Work:
    """A function handed to a thread pool; its thread is one of the test's while it runs."""

    __slots__ = ("begun", "clock", "function", "generation", "over", "pool")

    def __init__(self, clock: VirtualClock, executor: Any, function: Callable[..., Any]) -> None:
        self.clock = clock
        self.generation = clock._generation
        self.function = function
        self.begun = self.over = False
        with clock._lock:
            pool = clock._pools.get(executor)
            if pool is None:
                pool = _Pool(getattr(executor, "_max_workers", None))
                clock._pools[executor] = pool
            self.pool = pool
            pool.queued += 1

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Do it."""
        clock = self.clock
        with clock._lock:
            self.begun = True
            self.pool.queued -= 1
            self.pool.running += 1
            if clock._generation == self.generation and not clock._stopped:
                clock._adopted.add(threading.current_thread())
        _membership.at_work = self.generation
        try:
            return self.function(*args, **kwargs)
        finally:
            _membership.at_work = 0
            with clock._lock:
                self.pool.running -= 1
                # Real work is not somebody watching the clock.
                clock._standstill.pause()

    def cancel(self, _future: Any = None) -> None:
        """Forget it if it never began; called when its future is done, for whatever reason."""
        with self.clock._lock:
            if not self.begun and not self.over:
                self.pool.queued -= 1
            self.over = True


class _Standstill:
    """Notices code that watches a clock which does not move, and says how far it should.

    Such code reads the clock again and again: in quick succession for seconds on end, or with real
    waits in between. A single long gap is no sign of it; that is how a slow import looks.
    """

    QUICK = 100_000
    """Microseconds between two reads up to which they count as quick succession."""
    PATIENCE = 2_000_000
    """Microseconds of quick reads that go for nothing."""
    GAPS = 2
    """Longer gaps that go for nothing."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew: the clock moved."""
        self.last: int | None = None
        self.quick = 0
        self.gaps = 0

    def pause(self) -> None:
        """Leave out the time up to the next read: it was not spent watching."""
        self.last = None

    def read(self, real: int) -> int:
        """Note a read at this real time; return the microseconds the clock owes."""
        last, self.last = self.last, real
        if last is None:
            return 0
        gap = real - last
        if gap > self.QUICK:
            self.gaps += 1
            return gap if self.gaps > self.GAPS else 0
        self.quick += gap
        return gap if self.quick > self.PATIENCE else 0


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
        return _real.sleep(*args, **kwargs)
    duration = args[0]
    if not isinstance(duration, float):
        try:
            duration = index(duration)
        except TypeError:
            return _real.sleep(duration)  # which says what is wrong with it
    if not 0 < duration < _LONGEST_SLEEP:
        return _real.sleep(duration)  # raises, or for 0 lets other threads run
    clock._sleep(_ticks(duration))
    return None


def _time() -> float:
    clock = _clock_of(sys._getframe(1))
    return _real.time() if clock is None else clock.now / MICROSECONDS


def _time_ns() -> int:
    clock = _clock_of(sys._getframe(1))
    return _real.time_ns() if clock is None else clock.now * 1_000


def _monotonic() -> float:
    clock = _clock_of(sys._getframe(1))
    if clock is None:
        return _real.monotonic()
    clock._catch_up()
    return clock._monotonic() / MICROSECONDS


def _monotonic_ns() -> int:
    clock = _clock_of(sys._getframe(1))
    if clock is None:
        return _real.monotonic_ns()
    clock._catch_up()
    return clock._monotonic() * 1_000


_STAND_INS = _Functions(_sleep, _time, _time_ns, _monotonic, _monotonic_ns)

for _name, _function in zip(_Functions._fields, _STAND_INS, strict=True):
    # As the originals are called: it is what tracebacks show, and what pickle goes by.
    _function.__name__ = _function.__qualname__ = _name
    _function.__module__ = "time"
del _name, _function


class _Select:
    """Sits on a loop's selector as its ``select``, and waits virtually.

    On the one selector rather than on the classes of ``selectors``, because then it also reaches
    selectors of other kinds, and those whose ``select`` somebody else has replaced like this:
    looptime does so to every loop of pytest-asyncio, whether the test is marked for it or not.
    """

    __slots__ = ("before", "selector")

    def __init__(self, selector: Any) -> None:
        # Weakly: a loop that is forgotten shall go at once, not with the garbage.
        self.selector = weakref.ref(selector)
        self.before = vars(selector).get("select")
        selector.select = self

    def __call__(self, timeout: float | None = None) -> Any:
        """Wait until something happens or the timeout is over."""
        clock = _active
        loop = _running_loop()
        if (
            clock is None
            or (timeout is not None and timeout <= 0)
            or loop is None
            or loop._selector is not self.selector()  # noqa: SLF001
            or not clock._covers_thread()
            or not clock._drives(loop)
        ):
            return self.really(timeout)
        return clock._select(self.really, loop._selector, loop, timeout)  # noqa: SLF001

    def really(self, timeout: float | None) -> Any:
        """Do what select did before."""
        if self.before is not None:
            return self.before(timeout)
        selector = self.selector()
        return type(selector).select(selector, timeout)

    def remove(self) -> None:
        """Take it off again."""
        selector = self.selector()
        if selector is not None and vars(selector).get("select") is self:
            if self.before is None:
                del selector.select
            else:
                selector.select = self.before


def _make_run_once(real_run_once: Any) -> Any:
    def _run_once(self: Any) -> None:
        clock = _active
        if clock is not None and clock._covers_thread():
            clock._adopt_loop(self)
        real_run_once(self)

    return _run_once


def _make_submit(real_submit: Any) -> Any:
    def submit(self: Any, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        clock = _active
        if clock is None or isinstance(fn, _Work) or not clock._covers_thread():
            return real_submit(self, fn, *args, **kwargs)
        work = _Work(clock, self, fn)
        try:
            future = real_submit(self, work, *args, **kwargs)
        except BaseException:
            work.cancel()
            raise
        future.add_done_callback(work.cancel)
        return future

    return submit


def _make_run_in_executor(real_run_in_executor: Any) -> Any:
    def run_in_executor(self: Any, executor: Any, func: Any, *args: Any) -> Any:
        future = real_run_in_executor(self, executor, func, *args)
        clock = _active
        if clock is None or executor is None or not clock._covers_thread():
            return future
        from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - loaded by now

        if not isinstance(executor, ThreadPoolExecutor):
            # Processes, or whatever it is: it works until its future is done.
            generation = clock._generation
            with clock._lock:
                clock._other_work += 1

            def done(_future: Any) -> None:
                with clock._lock:
                    if clock._generation == generation and clock._other_work:
                        clock._other_work -= 1

            future.add_done_callback(done)
        return future

    return run_in_executor


# -- small things ---------------------------------------------------------------------------------


def _real_now() -> int:
    return _real.monotonic_ns() // 1_000


def _ticks(seconds: float) -> int:
    """Return whole microseconds, upwards, at least one: a wait must not end early or be nothing."""
    return max(1, math.ceil(seconds * MICROSECONDS - _NOISE))


def _running_loop() -> Any:
    events = sys.modules.get("asyncio.events")
    return None if events is None else events._get_running_loop()


def _is_readable(pipe: Any) -> bool:
    import select  # noqa: PLC0415 - loaded with selectors by now

    if pipe.fileno() < 0:
        return False
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(pipe.fileno(), select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([pipe], [], [], 0)[0])


def _time_machine_trip() -> object:
    """Return something that differs between two trips of time-machine; None outside of any."""
    stack = getattr(sys.modules.get("time_machine"), "traveller_stack", None)
    if not stack:
        return None
    return id(stack[-1]), getattr(stack[-1], "_destination_timestamp_ns", None)


def _refuse_other_fakes() -> None:
    for name, found, stand_in in zip(_Functions._fields, _current_functions(), _STAND_INS, strict=True):
        if type(found) is not type(len) and found is not stand_in:
            message = (
                f"time.{name} is already replaced by {getattr(found, '__module__', '?')}."
                f"{getattr(found, '__qualname__', found)}, and the virtual clock cannot share it: "
                'take that out of the test, or use clock="real".'
            )
            raise RuntimeError(message)
    events = sys.modules.get("asyncio.events")
    if events is not None:
        _refuse_looptime(_running_loop())
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
    global _active  # noqa: PLW0603
    _active = None


_fork_hook_registered = False


def _forget_clocks_in_child_processes() -> None:
    # A forked child has only one of the threads, and locks that others may hold.
    global _fork_hook_registered  # noqa: PLW0603
    if not _fork_hook_registered and hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_forget_clock)
        _fork_hook_registered = True
