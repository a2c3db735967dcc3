"""Verdicts in words: claim, reason, marked timeline, and how to fix or allow it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_spidra.traffic import timeline
from pytest_spidra.traffic.paragraphs import paragraph
from pytest_spidra.traffic.senders import merged

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from pytest_spidra.traffic.exchanges import Exchange
    from pytest_spidra.verdicts.rules.base import Accusation


def assertion_message(
    claim: str, why: str, exchanges: Iterable[Exchange], guilty: Collection[int], *ways_out: str
) -> str:
    """Return the message of a failed assertion.

    Args:
        claim: What was claimed and what was found.

        why: Why it matters.

        exchanges: The evidence.

        guilty: Numbers of the exchanges that show it.

        ways_out: How to fix it, how to allow it.
    """
    parts = [paragraph(claim), paragraph(why), timeline.render(exchanges, guilty), *map(paragraph, ways_out)]
    return "\n\n".join(parts)


def rules_report(accusations: Sequence[Accusation], exchanges: Collection[Exchange]) -> str:
    """Return what the rules found, as one message: claims with their reason and remedy, the evidence, the way out."""
    parts: list[str] = []
    grouped: dict[tuple[str, str, str, tuple[str, ...]], list[str]] = {}
    senders = set(merged(exchanges).values())
    for accusation in accusations:
        several = accusation.sender is not None and len(senders) > 1
        claim = (
            f"{accusation.claim} (Sender {accusation.sender}.)"
            if several and accusation.sender
            else accusation.claim
        )
        words = accusation.rule, accusation.why, accusation.fix, tuple(accusation.also)
        grouped.setdefault(words, []).append(claim)
    for (rule, why, fix, also), claims in grouped.items():
        parts += [paragraph(f"{rule}: {claim}") for claim in claims]
        advice = [f"To fix it, {fix[0].lower()}{fix[1:]}", *also]
        parts.append(f"{paragraph(why, '  ')}\n{paragraph(' '.join(advice), '  ')}")
    if len(senders) > 1:
        parts.append(
            paragraph(
                f"{len(senders)} senders were seen, threads or tasks. Rules about pace and order judge each by "
                "itself, rules about money all of them together."
            )
        )
    guilty = {number for accusation in accusations for number in accusation.numbers}
    names = ", ".join(f'"{name}"' for name in dict.fromkeys(one.rule for one in accusations))
    allow = f"To allow it, mark the test @pytest.mark.spidra(allow=[{names}])."
    return "\n\n".join([*parts, timeline.render(exchanges, guilty), paragraph(allow)])


def rules_summary(accusations: Sequence[Accusation]) -> str:
    """Return the bare claims, a paragraph each: the legend of a marked timeline."""
    return "\n".join(paragraph(f"> {accusation.rule}: {accusation.claim}") for accusation in accusations)
