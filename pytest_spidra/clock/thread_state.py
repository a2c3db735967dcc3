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
# From Python 3.14 on: the one that fetches __enter__, two units before the call.
_LOAD_SPECIAL, _CALL = opmap.get("LOAD_SPECIAL"), opmap.get("CALL")

_SHORT_LOCKS = ("threading", "queue", "logging", "concurrent.futures.thread", "concurrent.futures._base")
"""Modules that hold their locks for an instant: who is found at one merely was not scheduled. All of this
package are of that kind, too."""

_SELECT = ("selectors", "select")
_POOL_WORKER = ("concurrent.futures.thread", "_worker")
_TRIO_WORKER = ("trio._core._thread_cache", "_work")
_RELOCKING = (f"{__package__}.thread_waits", "_lock_again")


def state_of(frame: FrameType) -> int:
    """Return what a thread whose innermost frame this is does."""
    where = (frame.f_globals.get("__name__", ""), frame.f_code.co_name)
    if where[0] == "threading":
        if where[1] == "wait":
            return _in_condition_wait(frame.f_locals)
        if where[1] in {"join", "_wait_for_tstate_lock"}:
            return _in_join(frame.f_locals)
    if where == _POOL_WORKER:
        return _in_pool_worker(frame.f_locals)
    if where == _TRIO_WORKER:
        return _in_trio_worker(frame.f_locals)
    if where in {_SELECT, _RELOCKING} or (is_entering_a_lock(frame) and not _holds_locks_briefly(where[0])):
        return SEEMS_TO_WAIT
    return RUNS


def _holds_locks_briefly(module: str) -> bool:
    return module in _SHORT_LOCKS or module.rpartition(".")[0] == __package__


def is_entering_a_lock(frame: FrameType) -> bool:
    """Tell whether a frame stands where ``with`` calls what C code does on entering."""
    code, here = frame.f_code.co_code, frame.f_lasti
    if _BEFORE_WITH is not None:
        return code[here] == _BEFORE_WITH
    return here >= 2 and code[here] == _CALL and code[here - 2] == _LOAD_SPECIAL


def _in_condition_wait(variables: Any) -> int:
    # Condition.wait, and through it Event, Queue, Future.result, Barrier and Semaphore. A
    # notified waiter has left the list, even if its thread has not been scheduled since.
    waiters = getattr(variables.get("self"), "_waiters", ())
    waiter = variables.get("waiter")
    return WAITS if waiter is not None and any(other is waiter for other in list(waiters)) else RUNS


def _in_join(variables: Any) -> int:
    other = variables.get("self")
    # A thread that is on its last steps has already left the list of threads: nobody would count
    # it as running any more, so the one that joins it has to be counted.
    known = isinstance(other, threading.Thread) and other.is_alive() and other in threading.enumerate()
    return WAITS if known else RUNS


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
