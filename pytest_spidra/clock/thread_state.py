"""Tell from outside whether a thread can run on, or waits for another thread.

Nothing in Python says so. What can be had is the innermost Python frame of every thread
(``sys._current_frames``); a thread that waits in C code stands in the Python function that called
it. For the waits of the standard library the frame's variables even tell whether the wait is over
and the thread merely has not been scheduled since: that makes the answer certain instead of a
matter of waiting long enough.
"""

from __future__ import annotations

import threading
from opcode import opmap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import FrameType

RUNS = 0
"""It runs, or could run on, or waits for something outside this process."""
WAITS = 1
"""It certainly waits for another thread."""
SEEMS_TO_WAIT = 2
"""It waits if it is still found in the same place a little later."""

# `with lock:` calls no Python function if the lock is one of C's, and only locks block there.
_BEFORE_WITH = opmap.get("BEFORE_WITH")

_SHORT_LOCKS = ("threading", "queue", "logging", "concurrent.futures.thread", "concurrent.futures._base")
"""Modules that hold their locks for an instant: who is found at one merely was not scheduled. All of this
package are of that kind, too."""

_SELECT = ("selectors", "select")
_POOL_WORKER = ("concurrent.futures.thread", "_worker")
_TRIO_WORKER = ("trio._core._thread_cache", "_work")


def state_of(frame: FrameType) -> tuple[int, float | None]:
    """Return what a thread whose innermost frame this is does, and the limit of its wait."""
    where = (frame.f_globals.get("__name__", ""), frame.f_code.co_name)
    if where[0] == "threading":
        if where[1] == "wait":
            return _in_condition_wait(frame.f_locals)
        if where[1] in {"join", "_wait_for_tstate_lock"}:
            return _in_join(frame.f_locals)
    if where == _POOL_WORKER:
        return _in_pool_worker(frame.f_locals), None
    if where == _TRIO_WORKER:
        return _in_trio_worker(frame.f_locals), None
    if where == _SELECT or (_is_entering_a_lock(frame) and not _holds_locks_briefly(where[0])):
        return SEEMS_TO_WAIT, None
    return RUNS, None


def _holds_locks_briefly(module: str) -> bool:
    return module in _SHORT_LOCKS or module.rpartition(".")[0] == __package__


def _is_entering_a_lock(frame: FrameType) -> bool:
    return _BEFORE_WITH is not None and frame.f_code.co_code[frame.f_lasti] == _BEFORE_WITH


def _in_condition_wait(variables: Any) -> tuple[int, float | None]:
    # Condition.wait, and through it Event, Queue, Future.result, Barrier and Semaphore. A
    # notified waiter has left the list, even if its thread has not been scheduled since.
    waiters = getattr(variables.get("self"), "_waiters", ())
    waiter = variables.get("waiter")
    if waiter is not None and any(other is waiter for other in list(waiters)):
        return WAITS, variables.get("timeout")
    return RUNS, None


def _in_join(variables: Any) -> tuple[int, float | None]:
    other = variables.get("self")
    # A thread that is on its last steps has already left the list of threads: nobody would count
    # it as running any more, so the one that joins it has to be counted.
    if isinstance(other, threading.Thread) and other.is_alive() and other in threading.enumerate():
        limit = variables.get("timeout")
        return WAITS, limit if isinstance(limit, (int, float)) and limit >= 0 else None
    return RUNS, None


def _in_pool_worker(variables: Any) -> int:
    # Idle, unless it has just been given something or told to end. A worker on its way out must
    # not look idle: asyncio gives the whole pool 300 seconds to end, which would be jumped over.
    get_executor = variables.get("executor_reference")
    executor = get_executor() if callable(get_executor) else None
    if executor is None or getattr(executor, "_shutdown", True):
        return RUNS
    queue = variables.get("work_queue")
    if variables.get("work_item") is None and queue is not None and queue.empty():
        return WAITS
    return RUNS


def _in_trio_worker(variables: Any) -> int:
    # Whoever is given a job is taken off the list of idle ones first.
    worker = variables.get("self")
    idle = getattr(getattr(worker, "_thread_cache", None), "_idle_workers", ())
    return WAITS if worker in idle else RUNS
