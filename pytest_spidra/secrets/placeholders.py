"""Placeholders: what stands in a cassette where a secret stood, each value with a number of its own."""

from __future__ import annotations

import re

PLACEHOLDER = re.compile(r"\[secret (\d+)\]|%5Bsecret%20(\d+)%5D")
"""A placeholder as it stands in text, or as it stands in a URL; its number is in one of the groups."""


def placeholder(number: int, *, in_url: bool = False) -> str:
    """Return what stands for the secret with this number; brackets in a host are no URL."""
    return f"%5Bsecret%20{number}%5D" if in_url else f"[secret {number}]"


class Numbers:
    """Numbers the secrets of one cassette, in the order in which they are found."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._first = 1

    def reserve(self, text: str | bytes | None) -> None:
        """Keep clear of placeholders that stand in a text already: they are part of what was said there."""
        text = text if isinstance(text, str) else (text or b"").decode("latin-1")
        for found in PLACEHOLDER.finditer(text):
            self._first = max(self._first, int(found[1] or found[2]) + 1)

    def of(self, secret: str) -> int:
        """Return the number of a secret."""
        return self._numbers.setdefault(secret, self._first + len(self._numbers))
