"""How thread pools and other executors come to live on the clock: their work for the test is counted."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_spidra.clock.membership import Membership
    from pytest_spidra.clock.schedule import Schedule


class _Pool:
    """How much work a thread pool has from the test."""

    def __init__(self, workers: int | None) -> None:
        self.workers = workers
        self.queued = 0
        self.running = 0

    def has_work_to_begin(self) -> bool:
        """Tell whether a worker is free for what is queued: it will begin at any moment."""
        return self.queued > 0 and (self.workers is None or self.running < self.workers)


class OpenWork:
    """What executors have to do for the test.

    Args:
        schedule: The test's time.

        membership: Which threads are the test's.
    """

    def __init__(self, schedule: Schedule, membership: Membership) -> None:
        self.schedule = schedule
        self.membership = membership
        self.forget()

    def forget(self) -> None:
        """Have none."""
        self._pools: weakref.WeakKeyDictionary[Any, _Pool] = weakref.WeakKeyDictionary()
        self._elsewhere = 0

    def may_begin_or_run(self) -> bool:
        """Tell whether something is done, or about to be begun, where no thread of the test shows it."""
        return self._elsewhere > 0 or any(pool.has_work_to_begin() for pool in self._pools.values())

    def is_handed_in_here(self) -> bool:
        """Tell whether what this thread hands in is the test's."""
        return not self.schedule.stopped and self.membership.covers_this_thread()

    def pool(self, executor: Any) -> _Pool:
        """Return the count for an executor."""
        pool = self._pools.get(executor)
        if pool is None:
            pool = self._pools[executor] = _Pool(getattr(executor, "_max_workers", None))
        return pool

    def count_until_done(self, future: Any) -> None:
        """Count work whose beginning and end only its future tells."""
        generation = self.membership.generation
        with self.schedule.lock:
            self._elsewhere += 1

        def done(_future: Any) -> None:
            with self.schedule.lock:
                if self.membership.generation == generation and self._elsewhere:
                    self._elsewhere -= 1

        future.add_done_callback(done)


class Work:
    """A function handed to a thread pool; its thread is one of the test's while it runs."""

    __slots__ = ("_begun", "_function", "_generation", "_over", "_pool", "_work")

    def __init__(self, work: OpenWork, executor: Any, function: Callable[..., Any]) -> None:
        self._work = work
        self._generation = work.membership.generation
        self._function = function
        self._begun = self._over = False
        with work.schedule.lock:
            self._pool = work.pool(executor)
            self._pool.queued += 1

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Do it."""
        schedule, membership = self._work.schedule, self._work.membership
        with schedule.lock:
            self._begun = True
            self._pool.queued -= 1
            self._pool.running += 1
            membership.begin_work(self._generation, running=not schedule.stopped)
        try:
            return self._function(*args, **kwargs)
        finally:
            with schedule.lock:
                membership.end_work()
                schedule.busy_reads.pause()  # real work is not somebody watching the clock
                self._pool.running -= 1

    def cancel(self, _future: Any = None) -> None:
        """Forget it if it never began; called when its future is done, for whatever reason."""
        with self._work.schedule.lock:
            if not self._begun and not self._over:
                self._pool.queued -= 1
            self._over = True


def make_submit(open_work: OpenWork, real_submit: Any) -> Any:
    """Let thread pools tell the clock of the test's work, from the moment it is handed in."""

    def submit(self: Any, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        if isinstance(fn, Work) or not open_work.is_handed_in_here():
            return real_submit(self, fn, *args, **kwargs)
        work = Work(open_work, self, fn)
        try:
            future = real_submit(self, work, *args, **kwargs)
        except BaseException:
            work.cancel()
            raise
        future.add_done_callback(work.cancel)
        return future

    return submit


def make_run_in_executor(open_work: OpenWork, real_run_in_executor: Any) -> Any:
    """Count work in executors that are no thread pools, such as processes, until it is done."""
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - loaded by now

    def run_in_executor(self: Any, executor: Any, func: Any, *args: Any) -> Any:
        future = real_run_in_executor(self, executor, func, *args)
        in_threads = executor is None or isinstance(executor, ThreadPoolExecutor)
        if not in_threads and open_work.is_handed_in_here():
            open_work.count_until_done(future)
        return future

    return run_in_executor
