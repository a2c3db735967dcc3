"""The outcomes that a test has scripted, and which of them an attempt has come to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_spidra.fake.outcomes import Outcome


@dataclass
class ScriptedOutcomes:
    """How the attempts at a URL end, and how many of these an attempt has come to."""

    several: Sequence[Outcome]
    reached: int = 0

    def of(self, attempt: int) -> Outcome:
        """Return the outcome of an attempt, 1 for the first; the last one repeats."""
        number = min(attempt, len(self.several))
        self.reached = max(self.reached, number)
        return self.several[number - 1]


@dataclass(frozen=True)
class UnusedOutcomes:
    """Outcomes of a URL that no attempt came to.

    Args:
        url: The URL.

        reached: How many of them an attempt did come to.

        count: How many there are.

        batches: Ids of the batches that had the URL.
    """

    url: str
    reached: int
    count: int
    batches: list[str]
