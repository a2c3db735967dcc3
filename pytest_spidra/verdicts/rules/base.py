"""What every rule has: its words, and the accusations it collects."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pytest_spidra.traffic.exchanges import Exchange
    from pytest_spidra.verdicts.rules.knowledge import Knowledge


@dataclass
class Accusation:
    """One rule broken in one way.

    Args:
        rule: The rule's name.

        claim: What the client did.

        why: Why it matters, in this case.

        fix: What to do instead.

        numbers: The exchanges that show it.

        deeds: Those of them that were the offence: each is charged once, by the gravest rule.

        sender: Whose they were, where the rule judges each sender by itself.

        also: What other rules, which keep silent about the same deeds, would have advised.
    """

    rule: str
    claim: str
    why: str
    fix: str
    numbers: list[int] = field(default_factory=list)
    deeds: set[int] = field(default_factory=set)
    sender: int | None = None
    also: list[str] = field(default_factory=list)


class Rule:
    """One rule. `why` and `fix` are what a reader of its accusation needs to know."""

    name: ClassVar[str]
    why: ClassVar[str]
    fix: ClassVar[str]
    exact_waits_only: ClassVar[bool] = False

    covers: ClassVar[frozenset[str]] = frozenset()
    """Other rules whose remedy its own names already."""

    merges_senders: ClassVar[bool] = True
    """Whether senders of a single request count as one. Not where one request after another's error is evidence enough:
    a pool of threads that each send once looks the same, and none of them knows what another was told."""

    shares_deeds: ClassVar[bool] = True
    """Whether a graver rule's accusation of the same deed is enough; False for what is wrong in a request itself."""

    def __init__(self, knowledge: Knowledge, changes: Iterable[int], senders: Mapping[int, int]) -> None:
        self.knowledge = knowledge
        self.changes = tuple(changes)
        self._senders = senders
        self._accusations: dict[object, Accusation] = {}

    def sender(self, exchange: Exchange) -> int:
        """Return the sender by which an exchange is judged."""
        merged = self._senders.get(exchange.sender, exchange.sender)
        return merged if self.merges_senders else exchange.sender

    def sent(self, exchange: Exchange) -> None:
        """The client sends a request."""

    def seen(self, exchange: Exchange) -> None:
        """The client sees what came of a request. `knowledge` does not have it yet."""

    def accuse(
        self,
        subject: object,
        claim: str,
        evidence: Iterable[Exchange],
        *deeds: Exchange,
        why: str | None = None,
        fix: str | None = None,
        sender: int | None = None,
    ) -> None:
        """Accuse the client; more of the same `subject` adds to the evidence.

        Args:
            subject: What it is about, one accusation each.

            claim: What the client did.

            evidence: The exchanges that show it, before the deeds.

            deeds: The offence itself.

            why: Why it matters here; None: what the rule says.

            fix: What to do instead; None: what the rule says.

            sender: Whose deeds these are, for rules that judge each sender by itself.
        """
        if subject not in self._accusations:
            self._accusations[subject] = Accusation(
                self.name, claim, why or self.why, fix or self.fix, sender=sender
            )
        accusation = self._accusations[subject]
        known = set(accusation.numbers[-8:])
        accusation.numbers += [one.number for one in (*evidence, *deeds) if one.number not in known]
        accusation.deeds |= {deed.number for deed in deeds}

    def withdraw(self, subject: object) -> None:
        """Take an accusation back: what came later shows the client innocent."""
        self._accusations.pop(subject, None)

    @property
    def accusations(self) -> list[Accusation]:
        """What this rule has found."""
        return list(self._accusations.values())
