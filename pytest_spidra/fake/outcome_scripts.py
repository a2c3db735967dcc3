"""The outcomes that a test has scripted, and which of them an attempt has come to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

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


class OutcomeScripts:
    """What is scripted of items: for all batches, and for single ones, which comes first."""

    def __init__(self) -> None:
        self._all: dict[str, ScriptedOutcomes] = {}
        self._of: dict[str, dict[str, ScriptedOutcomes]] = {}

    def script(self, outcomes: Mapping[str, Sequence[Outcome]], batch_id: str | None) -> None:
        """Set how the attempts at URLs end, in one batch or in all that are not told otherwise."""
        scripted = self._all if batch_id is None else self._of.setdefault(batch_id, {})
        scripted.update({url: ScriptedOutcomes(several) for url, several in outcomes.items()})

    def find(self, batch_id: str, url: str) -> ScriptedOutcomes | None:
        """Return what is scripted of a URL in a batch."""
        return self._of.get(batch_id, {}).get(url) or self._all.get(url)

    def keep_for(self, batch_id: str, urls: Iterable[str]) -> None:
        """Let what is scripted for all hold for a batch also when it is forgotten for others."""
        found = {url: scripted for url in urls if (scripted := self.find(batch_id, url))}
        self._of.setdefault(batch_id, {}).update(found)

    @property
    def for_all(self) -> dict[str, ScriptedOutcomes]:
        """What is scripted for all batches."""
        return self._all

    def unused(self, batches: Mapping[str, list[str]]) -> list[UnusedOutcomes]:
        """Return what is scripted for all batches and no attempt came to.

        Args:
            batches: For each URL the ids of the batches that had it.
        """
        return [
            UnusedOutcomes(url, scripted.reached, len(scripted.several), batches.get(url, []))
            for url, scripted in self._all.items()
            if scripted.reached < len(scripted.several)
        ]
