"""A virtual clock: code that waits, waits exactly as long as it says, and costs no real time.

Why this exists. A test of code that polls every few seconds must neither wait for real nor replace
the sleeps by nothing, because then deadlines never pass and a fake service never gets further. No
library does this for plain code: time-machine and freezegun change what the clocks say but skip no
sleep, looptime reaches only the loops pytest-asyncio makes, trio's MockClock only trio.

How it works, and why so:

* **Frozen, and jumping.** Time stands still while code runs, and moves to the earliest deadline
  when every thread of the test waits (schedule). Elapsed time is then a sum of what was asked for, in
  integer microseconds, the same on every machine. Time that flowed while code runs would be different.
* **Only the test's threads**: the one that starts the clock and those started after it (membership). A
  daemon thread of some library that polls once a second would otherwise poll a thousand times a second,
  and drag the clock along.
* **A jump needs proof that nobody can run.** Other threads are looked at from outside (activity,
  thread_state). Work in thread pools is counted from the moment it is handed in (pools), real sockets in
  an event loop count as work (loops).
* **Giving up instead of hanging.** A wait whose jump cannot be proven right is over when it has
  lasted as long in real time; the clock then moves to its deadline. So no wait is longer than a
  real one, and a wrong "it runs" costs seconds, never a result.
* **Reading the clock in circles helps.** Code that watches the clock and waits in ways the clock
  does not know (a busy loop, a socket) would watch for ever. When that is what seems to
  happen, time follows real time (busy_reads).
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NoReturn

from pytest_spidra.clock.activity import Activity
from pytest_spidra.clock.brakes import Brakes
from pytest_spidra.clock.dates import Dates
from pytest_spidra.clock.functions import REAL, current_functions
from pytest_spidra.clock.loops import Loops, running_loop
from pytest_spidra.clock.membership import Membership
from pytest_spidra.clock.other_fakes import UNKNOWN_TRIO, refuse_other_fakes
from pytest_spidra.clock.patches import Patches
from pytest_spidra.clock.pools import OpenWork
from pytest_spidra.clock.real import REAL_SILENCE, VIRTUAL_SILENCE
from pytest_spidra.clock.schedule import Schedule
from pytest_spidra.clock.stand_ins import INSTALLED, STAND_INS, reads_clock
from pytest_spidra.clock.units import MICROSECONDS, exact_from, ticks_to_advance
from pytest_spidra.clock.waiting import Waiter

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType


class VirtualClock:
    """The time of one test: it stands still while code runs and jumps over waits.

    While it runs, in the thread that started it and in threads started after it:

    * ``time.sleep``, ``time.monotonic`` and ``time.monotonic_ns`` are virtual, also where a module did
      ``from time import sleep``, or took it as a default argument, an attribute or an entry of a dict;
    * so are dates: ``time.time``, ``time.localtime``, ``datetime.now``, ``date.today`` and their kin;
    * so is everything in asyncio that goes by ``loop.time()``; under pytest-asyncio, in ``asyncio.run``, in a thread
      with its own loop, in a loop that existed before; with it anyio, and trio;
    * so are waits with a timeout on other threads: ``Event``, ``Condition``, ``Semaphore``, ``Barrier``, ``Queue``,
      ``Future.result``, ``as_completed``, ``Thread.join``;
    * threads that sleep at the same time sleep at the same time: three of three seconds take three;
    * work in executors is waited for in real time and costs no virtual time, whereas ``time.sleep`` inside a thread
      pool is virtual; while a child process lives, or an event loop waits with real sockets open, time runs at its
      real pace.

    Not covered: ``time.perf_counter``, ``lock.acquire(timeout=...)``, functions kept in tuples or slots, child
    processes themselves, the proactor loop of Windows (never tried), gevent. A thread blocked in ``lock.acquire()``
    looks like one that waits for something outside, so others' sleeps then take their real time; ``with lock:`` is
    recognised. Refused with RuntimeError: loops that cannot be driven (uvloop), looptime, freezegun.

    ``time.time()`` continues from what it said at the start, so under time-machine from there.

    Args:
        paced: Whether a wait lasts as long in real time as in virtual time. Somebody outside works in real
            time then; waits are as exact as ever, for they end at their deadlines, however late that is noticed.

        began_at: What the wall clock says at the start, in microseconds since the Unix epoch; None: what it
            says by itself.
    """

    def __init__(self, *, paced: bool = False, began_at: int | None = None) -> None:
        """Make a clock that does not run yet."""
        self._began_at = began_at
        self.membership = Membership()
        self._brakes = Brakes(self.membership)
        self.schedule = Schedule(self._brakes, paced=paced)
        self._work = OpenWork(self.schedule, self.membership)
        self._loops = Loops(self.schedule, self.membership)
        self._dates = Dates(self.schedule, reads_clock)
        self._activity = Activity(self.schedule, self.membership, self._work)
        self.schedule.activity = self._activity
        self._patches = Patches(self.schedule, self.membership, self._work, self._loops)

    @property
    def replaced(self) -> dict[Any, Any]:
        """The classes that are replaced as a whole, wherever a module holds them, each with ours."""
        return self._patches.classes

    def _forget(self) -> None:
        for part in (self.schedule, self._brakes, self.membership, self._work, self._loops, self._activity):
            part.forget()

    def __repr__(self) -> str:
        """Say whether it runs and how far it got."""
        state = "stopped" if self.schedule.stopped else "running"
        return f"<VirtualClock {state}, {self.schedule.elapsed / MICROSECONDS:.6f} s>"

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
        if self.membership.generation == 0:
            return REAL.wall()
        self._check_company()
        self.schedule.catch_up()
        return self._dates.now

    @property
    def elapsed(self) -> float:
        """Virtual seconds since the start, exact to the microsecond."""
        self._check_company()
        self.schedule.catch_up()
        return self.schedule.elapsed / MICROSECONDS

    @property
    def longest_silence(self) -> float:
        """Seconds for which somebody who waits without a limit, for what never comes, may do so."""
        return REAL_SILENCE if self.schedule.paced else VIRTUAL_SILENCE

    @property
    def monotonic(self) -> int:
        """The virtual monotonic clock, in microseconds."""
        self.schedule.catch_up()
        return self._loops.monotonic_base + self.schedule.elapsed

    def _check_company(self) -> None:
        """Look what this thread runs on, in case it came by a way that the clock does not know."""
        if self.schedule.stopped:
            return
        self._brakes.events += 1
        self._loops.check_running_loop()
        if "trio" in sys.modules and running_loop() is None and self.membership.covers_this_thread():
            from pytest_spidra.clock.trio_clock import follows_nothing

            if follows_nothing():
                raise RuntimeError(UNKNOWN_TRIO)

    @property
    def on_endless(self) -> Callable[[str], NoReturn] | None:
        """Is told why a wait would never end, in the thread that waits, and raises; None: EndlessWaitError is raised."""
        return self.schedule.on_endless

    @on_endless.setter
    def on_endless(self, tell: Callable[[str], NoReturn] | None) -> None:
        self.schedule.on_endless = tell

    @property
    def jumps(self) -> int:
        """How often time has jumped: the same on every machine."""
        return self.schedule.jumps

    def end_waits(self, message: str) -> None:
        """Let no wait begin or go on in the test's threads, for whoever swallowed why the test has failed.

        Args:
            message: Why; `on_endless` is told.
        """
        with self.schedule.lock:
            self.schedule.ended = message
            for waiter in self.schedule.waiters.values():
                if waiter.can_be_refused:
                    waiter.refusal = message
                    waiter.wake()

    def advance(self, seconds: float) -> None:
        """Let time pass at once, as if this thread slept: other threads wake at their deadlines meanwhile.

        Args:
            seconds: How many, exact to the microsecond.

        Raises:
            ValueError: A negative number, or none.
        """
        ticks = ticks_to_advance(seconds)
        if ticks and not self.schedule.stopped and self.membership.covers_this_thread():
            self.schedule.wait(Waiter(ticks))
        elif ticks:
            self.schedule.advance(ticks)

    def measure_external_wait(self) -> Callable[[], float]:
        """Begin to wait for somebody outside; call what it returns when they have come: the seconds it took.

        A thread that waits for a socket is none of the clock's waiters, so that what it waited is made up for at
        the end. In an event loop time runs while it waits with real sockets open, and its timers forbid more.
        """
        begun, real = self.elapsed, REAL.now()
        schedule = self.schedule

        def over() -> float:
            if running_loop() is None:
                with schedule.lock:
                    if not schedule.stopped:
                        owed = REAL.now() - real - (schedule.elapsed - round(begun * MICROSECONDS))
                        schedule.move(max(owed, 0))
                        schedule.busy_reads.forget()
            return self.elapsed - begun

        return over

    def trio_clock(self) -> Any:
        """Return a clock for ``trio.run(..., clock=...)`` that follows and moves this one."""
        from pytest_spidra.clock.trio_clock import FollowingClock

        return FollowingClock(self.schedule, self.membership)

    # -- start and stop --------------------------------------------------------------------------

    def start(self) -> None:
        """Put the clock in force for this thread and for threads started from now on.

        Raises RuntimeError if something else already plays with the time, or another clock runs.
        """
        INSTALLED.refuse_second()
        refuse_other_fakes(STAND_INS)
        found = current_functions()
        if all(one is not other for one, other in zip(found, STAND_INS, strict=True)):
            REAL.functions = found

        self._forget()
        self.schedule.elapsed = 0
        self.membership.begin()
        self._work.begin()
        # Upwards: monotonic time must not step back, not even by part of a microsecond.
        self._loops.monotonic_base = exact_from(-(-REAL.functions.monotonic_ns() // 1_000))
        self.schedule.stopped = False
        INSTALLED.install(self)
        try:
            self._dates.start(self._began_at)
            self._patches.put()
            INSTALLED.put()
            loop = running_loop()
            if loop is not None:
                self._loops.adopt(loop)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Put everything back; harmless if the clock does not run."""
        schedule = self.schedule
        with schedule.lock:
            if schedule.stopped:
                return
            skew = self.monotonic - REAL.functions.monotonic_ns() // 1_000
            schedule.stopped = True
            INSTALLED.uninstall(self)
        parts: list[Callable[[], object]] = [
            lambda: INSTALLED.take_away(self._patches.classes),
            self._dates.stop,
            self._patches.take_away,
            lambda: self._loops.hand_back(skew / MICROSECONDS),
            schedule.wake_everybody,
        ]
        errors: list[BaseException] = []
        for part in parts:
            try:
                part()
            except BaseException as error:  # noqa: BLE001 - the other parts must run too
                errors.append(error)
        waiters = schedule.waiters
        self._forget()
        schedule.waiters = waiters  # whoever was just woken still has to take itself out
        if errors:
            raise errors[0]
