"""Who sends a request: which thread, and which task of it.

A sender is the thread, and the asyncio task unless that is the one that `asyncio.run`, or the test runner, runs: the
official SDK's sync client has a new one of those for each call. trio's tasks are told apart likewise.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_spidra.traffic.exchanges import Exchange

SEVERAL = 0
"""The number that stands for all senders of a single request."""

_RUNNERS = (
    "_run_until_complete_cb",
)  # the callback of who waits for a loop to end: asyncio.run, pytest-asyncio
_RUNNER_TASKS = (
    "TestRunner._run_tests_and_fixtures",
)  # anyio's pytest plugin runs its tests in one of its own


class Senders:
    """Numbers senders from 1 on, in the order in which they first send."""

    def __init__(self) -> None:
        self._numbers: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
        self._count = 0

    def current(self) -> int:
        """Return the number of the sender that runs just now."""
        who = _task() or threading.current_thread()
        number = self._numbers.get(who)
        if number is None:
            self._count += 1
            number = self._numbers[who] = self._count
        return number


def merged(exchanges: Iterable[Exchange]) -> dict[int, int]:
    """Return for each sender the number to judge it by: those of a single request count as one."""
    counts = Counter(exchange.sender for exchange in exchanges)
    return {sender: sender if count > 1 else SEVERAL for sender, count in counts.items()}


def _task() -> Any:
    """Return the task that runs just now, None when it is the thread's own or there is none."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None:
        try:
            task = asyncio.current_task()
        except RuntimeError:  # no loop runs in this thread
            task = None
        if task is not None:
            return None if _is_the_runners(task) else task
    trio = sys.modules.get("trio")
    if trio is None:
        return None
    try:
        task = trio.lowlevel.current_task()
    except RuntimeError:
        return None
    nursery = task.parent_nursery
    is_main = nursery is None or nursery.parent_task is trio.lowlevel.current_root_task()
    return None if is_main else task


def _is_the_runners(task: Any) -> bool:
    callbacks = getattr(task, "_callbacks", None) or ()
    if any(getattr(callback, "__name__", "") in _RUNNERS for callback, _ in callbacks):
        return True
    return getattr(task.get_coro(), "__qualname__", "") in _RUNNER_TASKS
