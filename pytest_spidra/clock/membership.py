"""Whose time the virtual clock is: the threads of the test."""

from __future__ import annotations

import itertools
import threading
import weakref

_generations = itertools.count(1)


class _Answer(threading.local):
    """Whether the current thread lives on the clock; asked on every call, so remembered.

    Kept with the thread, because thread idents are reused and Thread objects are slow to look up.
    """

    generation = 0
    """The start of a clock for which the answer was found."""
    member = False
    at_work = 0
    """The start of a clock whose work a thread that is no member is doing just now."""


_answer = _Answer()


class Membership:
    """The threads that live on one clock: the one that started it, those started since, and workers for them."""

    def __init__(self) -> None:
        self.generation = 0
        """Which start of a clock this is, of all in this process; 0 before the first."""
        self.forget()

    def forget(self) -> None:
        """Belong to nobody any more."""
        self._owner: weakref.ref[threading.Thread] | None = None
        self._foreign: weakref.WeakSet[threading.Thread] = weakref.WeakSet()
        self.adopted: weakref.WeakSet[threading.Thread] = weakref.WeakSet()
        """Threads of others that have worked for the test and may have to tell it so."""

    @property
    def owner(self) -> threading.Thread | None:
        """The thread that started the clock."""
        return self._owner() if self._owner else None

    def begin(self) -> None:
        """Belong to this thread and to those that are started from now on."""
        self.generation = next(_generations)
        this_thread = threading.current_thread()
        self._owner = weakref.ref(this_thread)
        self._foreign.update(t for t in threading.enumerate() if t is not this_thread)

    def covers_this_thread(self) -> bool:
        """Tell whether the calling thread lives on the clock, if only for a piece of work."""
        mine = _answer
        if mine.at_work == self.generation:
            return True
        if mine.generation != self.generation:
            # Not current_thread(): that leaves a dummy behind for a thread made without threading.
            thread = threading._active.get(threading.get_ident())  # type: ignore[attr-defined]  # no public way
            mine.member = thread is not None and self.includes(thread)
            mine.generation = self.generation
        return mine.member

    def includes(self, thread: threading.Thread) -> bool:
        """Tell whether a thread is one of the test's own."""
        if self._owner is not None and thread is self._owner():
            return True
        # Threads made without threading cannot be dated, so they count as somebody else's.
        return thread not in self._foreign and not isinstance(thread, threading._DummyThread)

    def begin_work(self, generation: int, *, running: bool) -> None:
        """Let this thread live on the clock for as long as it works for the test."""
        if running and self.generation == generation:
            self.adopted.add(threading.current_thread())
        _answer.at_work = generation

    def end_work(self) -> None:
        """Let this thread live where it did before."""
        _answer.at_work = 0
