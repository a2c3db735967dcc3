"""Handles that tests hold: of a job that is no batch, and what they share with those of batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Handle:
    """One batch or other job, seen without asking the API for it.

    Reading it is no look: it neither moves the job on nor stands in the exchange log. Two handles are equal when
    their ids are, and wherever a job is asked for, its id does as well.

    Args:
        id: The job's id.

        urls: What it works at.

        view: Returns what a look would show at this moment.
    """

    def __init__(self, id: str, urls: Sequence[str], view: Callable[[], dict[str, Any]]) -> None:  # noqa: A002 - users write job.id, and handles of their own like this
        self.id = id
        self.urls = list(urls)
        self._view = view

    @property
    def status(self) -> str:
        """Its status at this moment, in the words of its kind: a scrape is ``waiting``, a batch ``pending``, and so on."""
        status: str = self._view()["status"]
        return status

    def __eq__(self, other: object) -> bool:
        return self.id == other.id if isinstance(other, type(self)) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.id)


class Job(Handle):
    """One job that is no batch: a scrape, say."""

    def __init__(
        self,
        kind: str,
        id: str,  # noqa: A002 - users write job.id
        parts: Sequence[str],
        view: Callable[[], dict[str, Any]],
    ) -> None:
        super().__init__(id, parts, view)
        self.kind = kind

    @property
    def result(self) -> Any:
        """The ``result`` that a look would show at this moment, None until there is one."""
        return self._view().get("result")

    @property
    def error(self) -> str | None:
        """The ``error`` that a look would show at this moment, None without one."""
        return self._view().get("error")

    def __repr__(self) -> str:
        return f"<Job {self.id} ({self.kind}) {self.status}>"
