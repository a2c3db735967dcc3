"""Documents that were uploaded: they can be parsed by their id for a day."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_spidra.clock.units import MICROSECONDS
from pytest_spidra.fake.uuids import DOCUMENT, Uuids

LIFE = 24 * 3600  # seconds


@dataclass
class Document:
    """One document: its name, its bytes once they are there, and until when it is kept."""

    name: str
    content: bytes | None
    kept_until: int


class Documents:
    """The customer's documents, by id.

    Args:
        uuids: Makes their ids.
    """

    def __init__(self, uuids: Uuids) -> None:
        self._uuids = uuids
        self._documents: dict[str, Document] = {}
        self._count = 0

    def add(self, name: str, content: bytes | None, now: int) -> str:
        """Keep a document, or a place for one, and return its id."""
        self._count += 1
        file_id = self._uuids.of(DOCUMENT, self._count)
        self._documents[file_id] = Document(name, content, now + LIFE * MICROSECONDS)
        return file_id

    def find(self, file_id: str | None, now: int) -> Document | None:
        """Return a document, None when there is none or none any more."""
        found = self._documents.get(file_id or "")
        return found if found and now <= found.kept_until else None

    def delete(self, file_id: str) -> None:
        """Forget a document."""
        self._documents.pop(file_id, None)
