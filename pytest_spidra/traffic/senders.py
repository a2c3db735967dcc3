"""Who sends a request: which task, which piece of a pool's work, or which thread.

A sender is the asyncio task, unless that is the one that `asyncio.run`, or the test runner, runs: the official SDK's
sync client has a new one of those for each call. trio's tasks are told apart likewise. Where no task runs, it is the
thread, or in a thread of a pool the piece of work that was handed in: which of the pool's threads does it is chance, and
what one piece was told the next on the same thread does not know. Work that a task hands to a pool and waits for, as
with `asyncio.to_thread`, is the task's own.
"""

from __future__ import annotations

import asyncio
import functools
import sys
import threading
import weakref
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pytest_spidra.traffic.exchanges import Exchange

SEVERAL = 0
"""The number that stands for all senders of a single request."""

_RUNNERS = (
    "_run_until_complete_cb",
)  # the callback of who waits for a loop to end: asyncio.run, pytest-asyncio
_RUNNER_TASKS = (
    "TestRunner._run_tests_and_fixtures",
)  # anyio's pytest plugin runs its tests in one of its own

_POOLS = {
    ("concurrent.futures.thread", "_WorkItem"): "self",
    ("anyio._backends._asyncio", "WorkerThread"): "future",
}
"""The classes whose ``run`` does a piece of a pool's work, each with the local variable that is new for each piece."""


class Senders:
    """Numbers senders from 1 on, in the order in which they first send."""

    def __init__(self) -> None:
        self._numbers: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
        self._count = 0
        self._sent: Counter[int] = Counter()
        self._shared: dict[
            _Handed, list[int]
        ] = {}  # what pieces of work have sent in the name of their tasks

    def sends(self, exchange: int) -> dict[int, int]:
        """Note that whoever runs just now sends.

        Args:
            exchange: The number of what is sent.

        Returns:
            Its sender, and that of each earlier exchange that turns out not to have been the same one's.
        """
        handed = getattr(_here, "handed", None)
        if handed is None:
            who = _who()
            if beside := _handed_by(who):
                beside.apart = True  # who goes on while its work is under way, is another
        elif handed.apart:
            who = handed
        else:
            who = handed.task
            self._shared.setdefault(handed, []).append(exchange)
        found: dict[int, int] = {}
        for piece in [piece for piece in self._shared if piece.apart]:
            found |= self._part(piece, self._shared.pop(piece))
        number = self._number(who)
        self._sent[number] += 1
        return {**found, exchange: number}

    def _part(self, piece: _Handed, sent: list[int]) -> dict[int, int]:
        """Make a sender of its own of a piece of work; return what was another's up to now."""
        before = self._numbers[piece.task]
        if self._sent[before] == len(sent):  # its task has sent nothing else: the same number in every run
            self._numbers[piece] = self._numbers.pop(piece.task)
            return {}
        number = self._number(piece)
        self._sent[before] -= len(sent)
        self._sent[number] += len(sent)
        return dict.fromkeys(sent, number)

    def _number(self, who: Any) -> int:
        number = self._numbers.get(who)
        if number is None:
            self._count += 1
            number = self._numbers[who] = self._count
        return number


class _Handed:
    """A function that a task has handed to a pool.

    Args:
        function: The function.

        task: Who has.
    """

    def __init__(self, function: Callable[..., Any], task: Any) -> None:
        self._function = function
        self.task = task
        self.apart = False  # whether it is another sender than who has handed it in
        self.future: asyncio.Future[Any] | None = None

    def __call__(self, *args: Any) -> Any:
        _here.handed = self
        try:
            return self._function(*args)
        finally:
            _here.handed = None


_here = threading.local()
_last_handed: weakref.WeakKeyDictionary[Any, _Handed] = weakref.WeakKeyDictionary()


def _handed_by(who: Any) -> _Handed | None:
    """Return what `who` has handed to a pool and waits for, None when it is done."""
    handed = _last_handed.get(who)
    return handed if handed and handed.future and not handed.future.done() else None


@contextmanager
def work_of_tasks() -> Iterator[None]:
    """Let what a task hands to a pool and waits for be the task's own."""
    real = asyncio.BaseEventLoop.run_in_executor

    @functools.wraps(real)
    def run_in_executor(loop: Any, executor: Any, func: Any, *args: Any) -> Any:
        if executor is not None and not isinstance(executor, ThreadPoolExecutor):
            return real(loop, executor, func, *args)
        who = _who()
        handed = _Handed(func, who)
        if before := _handed_by(who):
            before.apart = handed.apart = True
        handed.future = real(loop, executor, handed, *args)
        _last_handed[who] = handed
        return handed.future

    # A loop's own method is the only place that knows both the task and the work. To mypy a method is no variable, and
    # this one takes fewer types apart than typeshed's; what stands there afterwards is put back.
    asyncio.BaseEventLoop.run_in_executor = run_in_executor  # type: ignore[assignment, method-assign] # see above
    try:
        yield
    finally:
        if asyncio.BaseEventLoop.run_in_executor is run_in_executor:
            asyncio.BaseEventLoop.run_in_executor = real  # type: ignore[method-assign] # see above


def merged(exchanges: Iterable[Exchange]) -> dict[int, int]:
    """Return for each sender the number to judge it by: those of a single request count as one."""
    counts = Counter(exchange.sender for exchange in exchanges)
    return {sender: sender if count > 1 else SEVERAL for sender, count in counts.items()}


def _who() -> Any:
    """Return who runs just now."""
    return _task() or _piece_of_work() or threading.current_thread()


def _piece_of_work() -> Any:
    """Return the piece of work that this thread of a pool does just now, None in any other thread."""
    if threading.current_thread() is threading.main_thread():
        return None
    runs = {
        getattr(sys.modules[module], name).run.__code__: local
        for (module, name), local in _POOLS.items()
        if hasattr(sys.modules.get(module), name)
    }
    frame = sys._getframe()  # noqa: SLF001 - pools tell nobody what they do
    while frame := frame.f_back:  # type: ignore[assignment]  # None ends it
        if local := runs.get(frame.f_code):
            return frame.f_locals.get(local)
    return None


def _task() -> Any:
    """Return the task that runs just now, None when it is the thread's own or there is none."""
    try:
        current = asyncio.current_task()
    except RuntimeError:  # no loop runs in this thread
        current = None
    if current is not None:
        return None if _is_the_runners(current) else current
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
