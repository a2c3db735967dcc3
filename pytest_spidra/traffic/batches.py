"""The handle of a batch that tests hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_spidra.traffic.jobs import Job

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Batch:
    """One batch, seen without asking the API for it.

    Reading it is no look: it neither moves the batch on nor stands in the exchange log. Two handles are equal
    when their ids are, and wherever a batch is asked for, its id does as well.
    """

    def __init__(self, id: str, urls: Sequence[str], view: Callable[[], dict[str, Any]]) -> None:  # noqa: A002 - users write batch.id, and handles of their own like this
        self.id = id
        self.urls = list(urls)
        self._view = view

    @property
    def status(self) -> str:
        """``pending``, ``running``, ``completed``, ``failed`` or ``cancelled``, at this moment."""
        status: str = self._view()["status"]
        return status

    @property
    def items(self) -> list[dict[str, Any]]:
        """The items in the order of submission, each a dict with the API's field names."""
        items: list[dict[str, Any]] = self._view()["items"]
        return items

    @property
    def failed_urls(self) -> list[str]:
        """URLs of the items that are ``failed`` at this moment, in the order of submission."""
        return [item["url"] for item in self.items if item["status"] == "failed"]

    def __eq__(self, other: object) -> bool:
        return self.id == other.id if isinstance(other, Batch) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<Batch {self.id} {self.status}, {len(self.urls)} URLs, {len(self.failed_urls)} failed>"


def id_of(batch: Batch | Job | str) -> str:
    """Return the id of a batch or job.

    Raises:
        TypeError: `batch` is neither a `Batch` nor a `Job` nor an id.
    """
    __tracebackhide__ = True
    if isinstance(batch, Batch | Job):
        return batch.id
    if isinstance(batch, str):
        return batch
    msg = f"a batch is a Batch or its id, not {batch!r}"
    raise TypeError(msg)
