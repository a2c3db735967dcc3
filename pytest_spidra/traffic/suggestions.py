"""What a wrong name was probably meant to be."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def did_you_mean(name: object, known: Iterable[str], likeness: float = 0.5) -> str:
    """Return a sentence that names the known word most like `name`, a space before it; empty when none is like it.

    Args:
        name: What was written.

        known: What there is.

        likeness: From 0 to 1, how alike two must be. URLs all begin alike: of them, only near misses are.
    """
    meant = difflib.get_close_matches(str(name), list(known), 1, likeness)
    return f" Did you mean {meant[0]!r}?" if meant else ""
