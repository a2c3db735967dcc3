"""The handle of a batch that tests hold."""

from __future__ import annotations

from typing import Any

from pytest_spidra.traffic.jobs import Handle


class Batch(Handle):
    """One batch: ``pending``, ``running``, ``completed``, ``failed`` or ``cancelled``."""

    @property
    def items(self) -> list[dict[str, Any]]:
        """The items in the order of submission, each a dict with the API's field names."""
        items: list[dict[str, Any]] = self._view()["items"]
        return items

    @property
    def failed_urls(self) -> list[str]:
        """URLs of the items that are ``failed`` at this moment, in the order of submission."""
        return [item["url"] for item in self.items if item["status"] == "failed"]

    def __repr__(self) -> str:
        return f"<Batch {self.id} {self.status}, {len(self.urls)} URLs, {len(self.failed_urls)} failed>"


def id_of(batch: Handle | str) -> str:
    """Return the id of a batch or job.

    Raises:
        TypeError: `batch` is neither a `Batch` nor a `Job` nor an id.
    """
    __tracebackhide__ = True
    if isinstance(batch, Handle):
        return batch.id
    if isinstance(batch, str):
        return batch
    msg = f"a batch is a Batch or its id, not {batch!r}"
    raise TypeError(msg)
