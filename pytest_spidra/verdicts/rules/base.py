"""What every rule has: its words, and the accusations it collects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_spidra.traffic.exchanges import Exchange
    from pytest_spidra.verdicts.rules.knowledge import Knowledge


@dataclass
class Accusation:
    """One rule broken in one way: what the client did, and which exchanges show it."""

    rule: str
    claim: str
    numbers: list[int]


class Rule:
    """One rule. `why` and `fix` are what a reader of its accusation needs to know."""

    name: ClassVar[str]
    why: ClassVar[str]
    fix: ClassVar[str]
    exact_waits_only: ClassVar[bool] = False

    def __init__(self, knowledge: Knowledge, changes: Iterable[int]) -> None:
        self.knowledge = knowledge
        self.changes = tuple(changes)
        self._accusations: dict[object, Accusation] = {}

    def sent(self, exchange: Exchange) -> None:
        """The client sends a request."""

    def seen(self, exchange: Exchange) -> None:
        """The client sees what came of a request. `knowledge` does not have it yet."""

    def accuse(self, subject: object, claim: str, *guilty: Exchange) -> None:
        """Accuse the client; more of the same `subject` adds to the evidence."""
        accusation = self._accusations.setdefault(subject, Accusation(self.name, claim, []))
        accusation.numbers += [one.number for one in guilty if one.number not in accusation.numbers[-3:]]

    def withdraw(self, subject: object) -> None:
        """Take an accusation back: what came later shows the client innocent."""
        self._accusations.pop(subject, None)

    @property
    def accusations(self) -> list[Accusation]:
        """What this rule has found."""
        return list(self._accusations.values())
