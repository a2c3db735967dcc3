"""How executors and child processes come to live on the clock: their work for the test is counted."""

from __future__ import annotations

import functools
import os
import sys
import weakref
from typing import TYPE_CHECKING, Any

from pytest_spidra.clock.schedule import BLOCKED, CAN_JUMP, COMPUTES

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
    """What executors and child processes have to do for the test.

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
        self._commands: weakref.WeakSet[Any] = weakref.WeakSet()
        self._foreign_processes: weakref.WeakSet[Any] = weakref.WeakSet()
        self.process_pools: weakref.WeakSet[Any] = weakref.WeakSet()

    def begin(self) -> None:
        """Leave out the processes of ``multiprocessing`` that are there already."""
        self._foreign_processes.update(_processes())

    def activity(self) -> int:
        """Return what is done, or about to be begun, where no thread of the test shows it."""
        if self._pools and any(pool.has_work_to_begin() for pool in self._pools.values()):
            return COMPUTES
        if self._elsewhere:
            return BLOCKED
        started = self._commands or "multiprocessing.process" in sys.modules
        return BLOCKED if started and self._has_living_child() else CAN_JUMP

    def _has_living_child(self) -> bool:
        commands = self._commands and any(
            command.returncode is None and _lives(getattr(command, "pid", None))
            for command in list(self._commands)
        )
        return bool(commands) or any(
            _lives(getattr(process, "_popen", None) and process._popen.pid)
            for process in _processes()
            if process not in self._foreign_processes and not self._serves_a_pool(process)
        )

    def _serves_a_pool(self, process: Any) -> bool:
        # Its work is counted when it is handed in; between two pieces it lives and has nothing to do.
        return any(
            process in (getattr(pool, "_processes", None) or {}).values() for pool in self.process_pools
        )

    def note_command(self, command: Any) -> None:
        """Count a child process of ``subprocess`` for as long as it lives."""
        self._commands.add(command)

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
                schedule.busy_reads.forget()  # real work is not somebody watching the clock
                self._pool.running -= 1

    def cancel(self, _future: Any = None) -> None:
        """Forget it if it never began; called when its future is done, for whatever reason."""
        with self._work.schedule.lock:
            if not self._begun and not self._over:
                self._pool.queued -= 1
            self._over = True


def _processes() -> list[Any]:
    module = sys.modules.get("multiprocessing.process")
    return [] if module is None else list(module._children)


def _lives(pid: int | None) -> bool:
    """Tell whether a child runs, without taking the news of its end from whoever waits for it."""
    if not pid or not hasattr(os, "waitid"):
        return pid is not None
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
    except ChildProcessError:
        return False


def make_popen(open_work: OpenWork, real_init: Any) -> Any:
    """Let commands that the test starts count as its work."""

    @functools.wraps(real_init)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - it is one
        real_init(self, *args, **kwargs)
        if open_work.is_handed_in_here():
            open_work.note_command(self)

    return __init__


def make_process_submit(open_work: OpenWork, real_submit: Any) -> Any:
    """Count work in pools of processes until it is done."""

    def submit(self: Any, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        future = real_submit(self, fn, *args, **kwargs)
        if open_work.is_handed_in_here():
            open_work.process_pools.add(self)
            open_work.count_until_done(future)
        return future

    return submit


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
    from concurrent.futures import ThreadPoolExecutor

    def run_in_executor(self: Any, executor: Any, func: Any, *args: Any) -> Any:
        future = real_run_in_executor(self, executor, func, *args)
        in_threads = executor is None or isinstance(executor, ThreadPoolExecutor)
        if not in_threads and open_work.is_handed_in_here():
            open_work.count_until_done(future)
        return future

    return run_in_executor
