"""Ids: UUIDs in which a reader finds what they are of."""

from __future__ import annotations

from hashlib import sha256

BATCH, JOB, LOG, DOCUMENT = "8", "9", "a", "b"
"""Variants of a UUID (RFC 9562), one for each kind of thing."""


class Uuids:
    """Makes ids.

    Args:
        seed: A text that makes them differ from another service's; the same text, the same ids.
    """

    def __init__(self, seed: str = "") -> None:
        self._mark = sha256(seed.encode()).hexdigest()[:10] if seed else "0" * 10

    def of(self, variant: str, number: int, part: int = 0) -> str:
        """Return an id.

        Args:
            variant: What it is of: `BATCH`, `JOB`, `LOG` or `DOCUMENT`.

            number: Its place in the order of creation, from 1.

            part: The place of an item in it, from 1; 0: the whole.
        """
        mark = self._mark
        return f"{number:08x}-{mark[:4]}-4{mark[4:7]}-{variant}{mark[7:10]}-{part:012x}"
