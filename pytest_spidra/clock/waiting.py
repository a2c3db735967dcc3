"""A thread that waits for a virtual moment."""

from __future__ import annotations

from _thread import LockType, allocate_lock
from typing import ClassVar

PAUSE_FIRST, PAUSE_LAST = 0.0005, 0.005
"""Real seconds between two looks at whether the clock may jump: from the first to the last."""

PAUSE_OF_OTHERS = 0.25
"""Real seconds after which a thread that lets another one look makes sure that there is one."""


class Waiter:
    """A thread waiting for a virtual moment, or for another thread, or for whichever comes first."""

    __slots__ = ("_baton", "asked", "deadline", "gives_up_at", "ident", "notified", "refusal", "woken_by_io")

    asks_alone: ClassVar[bool] = False
    """Whether `is_asleep` has to be asked of a waiter in the only thread, too."""

    can_look: ClassVar[bool] = True
    """Whether it can be the one that looks whether time may jump, while the others sleep on."""

    can_be_refused: ClassVar[bool] = True
    """Whether an error may come out of the wait."""

    def __init__(self, asked: int | None = None) -> None:
        """Wait for so many microseconds, or without a limit."""
        self.asked = asked
        self.deadline: int | None = None
        """The virtual moment at which the wait is over, in microseconds."""
        self.gives_up_at: int | None = None
        """How far the clock of doubts (see Schedule) may get before the wait is over all the same."""
        self.ident = 0
        """Of the thread that waits."""
        self.notified = False
        """Whether another thread has ended the wait."""
        self.refusal: str | None = None
        """Why the wait is not to go on."""
        self.woken_by_io = False
        """Whether something outside this process may end the wait."""
        self._baton: LockType | None = None

    def is_asleep(self, _quiet_since: int) -> bool:
        """Tell whether nothing but the clock can wake it; False also if that is not known yet."""
        return True

    def is_its_threads_only_wait(self) -> bool:
        """Tell whether nothing else in its thread waits for a later moment."""
        return True

    def wake(self) -> None:
        """Make it look at the clock again; only under the schedule's lock."""
        if self._baton is not None and self._baton.locked():
            self._baton.release()

    def blocker(self) -> LockType:
        """Return what blocks until it is woken; only under the schedule's lock, so that no call is missed."""
        if self._baton is None:
            self._baton = allocate_lock()
            self._baton.acquire()
        return self._baton
