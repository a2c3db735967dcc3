"""How event loops and thread pools come to live on the clock."""

from __future__ import annotations

import sys
import weakref
from typing import TYPE_CHECKING, Any

from pytest_spidra.clock.waiting import Waiter

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_spidra.clock.virtual import VirtualClock


class LoopWaiter(Waiter):
    """An asyncio loop waiting in its selector."""

    __slots__ = ("loop",)

    asks_alone = True

    def __init__(self, loop: Any, selector: Any) -> None:
        super().__init__()
        self.loop = loop
        try:
            registered = len(selector.get_map())
        except AttributeError:  # the proactor of Windows
            registered = len(selector._cache)
        self.live = registered > 1  # one is the loop's own pipe

    def is_asleep(self, _quiet_since: int) -> bool:
        """Tell whether no other thread has called call_soon_threadsafe since it fell asleep."""
        pipe = getattr(self.loop, "_ssock", None)
        return pipe is None or not _is_readable(pipe)

    def wake(self) -> None:
        """Interrupt the select as call_soon_threadsafe would."""
        self.loop._write_to_self()


class Pool:
    """How much work a thread pool has from us."""

    def __init__(self, workers: int | None) -> None:
        self.workers = workers
        self.queued = 0
        self.running = 0

    def has_work_to_begin(self) -> bool:
        """Tell whether a worker is free for what is queued: it will begin at any moment."""
        return self.queued > 0 and (self.workers is None or self.running < self.workers)


class Work:
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
                pool = Pool(getattr(executor, "_max_workers", None))
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
            clock._begin_work(self.generation)
        try:
            return self.function(*args, **kwargs)
        finally:
            with clock._lock:
                clock._end_work()
                self.pool.running -= 1

    def cancel(self, _future: Any = None) -> None:
        """Forget it if it never began; called when its future is done, for whatever reason."""
        with self.clock._lock:
            if not self.begun and not self.over:
                self.pool.queued -= 1
            self.over = True


class LoopSelect:
    """Sits on a loop's selector as its ``select``, and waits virtually.

    On the one selector rather than on the classes of ``selectors``, because then it also reaches
    selectors of other kinds, and those whose ``select`` somebody else has replaced like this:
    looptime does so to every loop of pytest-asyncio, whether the test is marked for it or not.
    """

    __slots__ = ("before", "clock", "selector")

    def __init__(self, clock: VirtualClock, selector: Any) -> None:
        self.clock = clock
        # Weakly: a loop that is forgotten shall go at once, not with the garbage.
        self.selector = weakref.ref(selector)
        self.before = vars(selector).get("select")
        selector.select = self

    def __call__(self, timeout: float | None = None) -> Any:
        """Wait until something happens or the timeout is over."""
        clock = self.clock
        loop = running_loop()
        if (
            clock._stopped
            or (timeout is not None and timeout <= 0)
            or loop is None
            or loop._selector is not self.selector()
            or not clock._covers_thread()
            or not clock._drives(loop)
        ):
            return self.really(timeout)
        return clock._select(self.really, loop._selector, loop, timeout)

    def really(self, timeout: float | None) -> Any:
        """Do what select did before."""
        if self.before is not None:
            return self.before(timeout)
        selector: Any = self.selector()
        return type(selector).select(selector, timeout)

    def remove(self) -> None:
        """Take it off again."""
        selector: Any = self.selector()
        if selector is not None and vars(selector).get("select") is self:
            if self.before is None:
                del selector.select
            else:
                selector.select = self.before


def make_run_once(clock: VirtualClock, real_run_once: Any) -> Any:
    """Let every event loop come to the clock's notice before it waits."""

    def _run_once(self: Any) -> None:
        if not clock._stopped and clock._covers_thread():
            clock._adopt_loop(self)
        real_run_once(self)

    return _run_once


def make_submit(clock: VirtualClock, real_submit: Any) -> Any:
    """Let thread pools tell the clock of the test's work, from the moment it is handed in."""

    def submit(self: Any, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        if clock._stopped or isinstance(fn, Work) or not clock._covers_thread():
            return real_submit(self, fn, *args, **kwargs)
        work = Work(clock, self, fn)
        try:
            future = real_submit(self, work, *args, **kwargs)
        except BaseException:
            work.cancel()
            raise
        future.add_done_callback(work.cancel)
        return future

    return submit


def make_run_in_executor(clock: VirtualClock, real_run_in_executor: Any) -> Any:
    """Count work in executors that are no thread pools, such as processes, until it is done."""
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - loaded by now

    def run_in_executor(self: Any, executor: Any, func: Any, *args: Any) -> Any:
        future = real_run_in_executor(self, executor, func, *args)
        in_threads = executor is None or isinstance(executor, ThreadPoolExecutor)
        if clock._stopped or in_threads or not clock._covers_thread():
            return future
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


def running_loop() -> Any:
    """Return the event loop that runs in this thread, without importing asyncio."""
    events = sys.modules.get("asyncio.events")
    return None if events is None else events._get_running_loop()


def _is_readable(pipe: Any) -> bool:
    import select  # noqa: PLC0415 - loaded with asyncio by now

    if pipe.fileno() < 0:
        return False
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(pipe.fileno(), select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([pipe], [], [], 0)[0])
