"""What stands in the place of waiting functions while a clock runs, beside those of `time`: each is made by its own module."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from pytest_spidra.clock.loops import (
    make_run,
    make_run_forever,
    make_run_until_complete,
    make_set_running_loop,
)
from pytest_spidra.clock.pools import make_popen, make_process_submit, make_run_in_executor, make_submit
from pytest_spidra.clock.thread_waits import ThreadWaits, make_condition_wait, make_join, make_simple_queue

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_spidra.clock.loops import Loops
    from pytest_spidra.clock.membership import Membership
    from pytest_spidra.clock.pools import OpenWork
    from pytest_spidra.clock.schedule import Schedule


class Patches:
    """The patches of one clock.

    Args:
        schedule: Who waits, and until when.

        membership: Whose time it is.

        work: What runs elsewhere and is waited for.

        loops: The event loops.

    Attributes:
        classes: Classes that are replaced as a whole, each with ours.
    """

    def __init__(self, schedule: Schedule, membership: Membership, work: OpenWork, loops: Loops) -> None:
        self.classes: dict[Any, Any] = {}
        self._schedule = schedule
        self._membership = membership
        self._work = work
        self._loops = loops
        self._patched: list[tuple[Any, str, Any, Any]] = []

    def put(self) -> None:
        """Put all of them in force."""
        import asyncio
        import concurrent.futures.thread
        import queue
        import subprocess
        import threading

        self._patched = []
        waits = ThreadWaits(self._schedule, self._membership)
        self._patch(threading.Condition, "wait", make_condition_wait, waits)
        self._patch(threading.Thread, "join", make_join, waits)
        self.classes = {queue.SimpleQueue: make_simple_queue(waits, queue.SimpleQueue)}
        self._patch(subprocess.Popen, "__init__", make_popen, self._work)
        loop = asyncio.BaseEventLoop
        self._patch(asyncio.events, "_set_running_loop", make_set_running_loop, self._loops)
        self._patch(loop, "run_forever", make_run_forever, self._loops)
        self._patch(asyncio.runners.Runner, "run", make_run, self._loops)
        self._patch(loop, "run_in_executor", make_run_in_executor, self._work)
        pool = concurrent.futures.thread.ThreadPoolExecutor
        self._patch(pool, "submit", make_submit, self._work)
        processes = sys.modules.get("concurrent.futures.process")
        if processes is not None:
            self._patch(processes.ProcessPoolExecutor, "submit", make_process_submit, self._work)
        loop_in_c = getattr(sys.modules.get("uvloop"), "Loop", None)
        if loop_in_c is not None:
            self._patch(loop_in_c, "run_until_complete", make_run_until_complete, self._loops)
        trio_runs = sys.modules.get("trio._core._run")
        if hasattr(trio_runs, "SystemClock"):
            from pytest_spidra.clock.trio_clock import make_default_clock

            self._patch(trio_runs, "SystemClock", make_default_clock, (self._schedule, self._membership))

    def _patch(self, owner: Any, name: str, make: Callable[[Any, Any], Any], part: object) -> None:
        original = vars(owner).get(name, _INHERITED)
        substitute = make(part, getattr(owner, name) if original is _INHERITED else original)
        substitute.__name__ = name
        substitute.__qualname__ = f"{owner.__qualname__}.{name}" if isinstance(owner, type) else name
        self._patched.append((owner, name, original, substitute))
        setattr(owner, name, substitute)

    def take_away(self) -> None:
        """Put back what stood there before."""
        for owner, name, original, substitute in reversed(self._patched):
            # If somebody patched on top and still is there, theirs stays; ours passes through.
            if vars(owner).get(name) is not substitute:
                continue
            if original is _INHERITED:
                delattr(owner, name)
            else:
                setattr(owner, name, original)


_INHERITED = object()
