"""What a wrong name was probably meant to be."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Return a sentence that names the known word most like `name`, a space before it; empty when none is like it."""
    meant = difflib.get_close_matches(str(name), list(known), 1, 0.5)
    return f" Did you mean {meant[0]!r}?" if meant else ""
