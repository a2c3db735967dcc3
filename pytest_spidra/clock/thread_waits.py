"""Waits on other threads: conditions, and what the standard library makes of them, joins and simple queues.

``Event``, ``Semaphore``, ``Barrier``, ``Queue`` and ``Future`` wait in ``Condition.wait``. In the test's threads
that one waits on the clock, so its timeouts are virtual, and the clock knows at once who has been woken.
"""

from __future__ import annotations

import queue
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pytest_spidra.clock.units import whole_ticks
from pytest_spidra.clock.waiting import Waiter

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_spidra.clock.membership import Membership
    from pytest_spidra.clock.schedule import Schedule


class Notification(Waiter):
    """A thread waiting to be notified; stands in a condition's list of waiters, where a lock would stand."""

    __slots__ = ("_lock",)

    def __init__(self, schedule: Schedule, asked: int | None) -> None:
        super().__init__(asked)
        self._lock = schedule.lock

    def release(self) -> None:
        """Notify."""
        with self._lock:
            self.notified = True
            self.wake()


class _Ended(Waiter):
    """A thread waiting for what only asking tells."""

    __slots__ = ("_may_come",)

    can_look = False  # it looks by itself, whenever it asks

    def __init__(self, asked: int | None, may_come: Callable[[], bool]) -> None:
        """Wait for so many microseconds at most; `may_come` tells whether what it waits for is not there yet."""
        super().__init__(asked)
        self._may_come = may_come

    def is_asleep(self, _quiet_since: int) -> bool:
        """Tell whether it would have to wait on, if it asked."""
        return self._may_come()


class ThreadWaits:
    """Whose waits on other threads go by a clock.

    Args:
        schedule: The test's time.

        membership: Which threads are the test's.
    """

    def __init__(self, schedule: Schedule, membership: Membership) -> None:
        self.schedule = schedule
        self.membership = membership

    def covers(self, timeout: float | None) -> bool:
        """Tell whether a wait of this thread goes by the clock."""
        return (
            not self.schedule.stopped
            and (timeout is None or timeout > 0)
            and self.membership.covers_this_thread()
        )


def _ticks(timeout: float | None) -> int | None:
    return None if timeout is None else whole_ticks(timeout)


def make_condition_wait(waits: ThreadWaits, real_wait: Any) -> Any:
    """Let conditions wait on the clock."""

    def wait(self: Any, timeout: float | None = None) -> bool:
        if not waits.covers(timeout) or not self._is_owned() or _too_long(timeout):
            if timeout == 0 and waits.covers(None):
                waits.schedule.look_in()
            return bool(real_wait(self, timeout))
        if timeout is not None and waits.schedule.is_rounding(timeout):
            return bool(real_wait(self, 0))
        waiter = Notification(waits.schedule, _ticks(timeout))
        self._waiters.append(waiter)
        lock = self._release_save()
        try:
            return waits.schedule.wait(waiter)
        finally:
            _lock_again(self, lock)
            if not waiter.notified:
                with suppress(ValueError):
                    self._waiters.remove(waiter)

    return wait


def _too_long(timeout: float | None) -> bool:
    return timeout is not None and timeout > threading.TIMEOUT_MAX  # OverflowError, as in real life


def _lock_again(condition: Any, lock: Any) -> None:
    """Take a condition's lock back. A function of its own, so that it can be told where a thread stands."""
    condition._acquire_restore(lock)


def make_join(waits: ThreadWaits, real_join: Any) -> Any:
    """Let joins of the test's threads wait on the clock."""

    def join(self: threading.Thread, timeout: float | None = None) -> None:
        if not waits.covers(timeout) or _too_long(timeout) or not waits.membership.includes(self):
            real_join(self, timeout)
            return

        def is_done(pause: float) -> bool:
            real_join(self, pause)
            return not self.is_alive()

        def may_come() -> bool:
            # A thread on its last steps is on no list any more, so nobody else counts it as running.
            return self.is_alive() and self in threading.enumerate()

        waits.schedule.poll(_Ended(_ticks(timeout), may_come), is_done)
        if timeout is None and self.is_alive():
            real_join(self)  # the clock has stopped meanwhile

    return join


def make_simple_queue(waits: ThreadWaits, real_queue: Any) -> Any:
    """Return a class of simple queues whose waits go by the clock; those that exist already wait for real."""

    class SimpleQueue(real_queue):  # type: ignore[misc]  # it is Any
        def __new__(cls) -> Any:
            # Workers of thread pools wait in theirs without a limit, and are recognised by where they stand.
            caller = sys._getframe(1).f_globals.get("__name__", "")
            return real_queue() if caller.startswith("concurrent.") else super().__new__(cls)

        open = 0
        """How many items were put in and not taken yet, or are on their way, which the queue itself does not show."""

        def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:  # noqa: FBT001, FBT002 - the signature is the original's
            _count(waits, self, 1)
            super().put(item, block, timeout)

        def put_nowait(self, item: Any) -> None:
            self.put(item)

        def get_nowait(self) -> Any:
            return self.get(block=False)

        def get(self, block: bool = True, timeout: float | None = None) -> Any:  # noqa: FBT001, FBT002 - the signature is the original's
            if block and timeout is not None and waits.covers(timeout):
                return _get(waits, self, super().get, timeout)
            item = super().get(block, timeout)
            _count(waits, self, -1)
            return item

    return SimpleQueue


def _count(waits: ThreadWaits, items: Any, change: int) -> None:
    with waits.schedule.lock:
        items.open += change


def _get(waits: ThreadWaits, items: Any, get: Callable[[bool, float | None], Any], timeout: float) -> Any:
    """Get an item within so many virtual seconds.

    Raises:
        queue.Empty: None came.
    """
    got: list[Any] = []

    def is_done(pause: float) -> bool:
        with suppress(queue.Empty):
            got.append(get(bool(pause), pause or None))
            _count(waits, items, -1)
        return bool(got)

    if not waits.schedule.poll(_Ended(_ticks(timeout), lambda: not items.open and not got), is_done):
        raise queue.Empty
    return got[0]
