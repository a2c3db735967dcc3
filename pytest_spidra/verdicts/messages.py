"""Verdicts in words: claim, reason, marked timeline, and how to fix or allow it."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from pytest_spidra.traffic import timeline
from pytest_spidra.verdicts.rules.judge import RULES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from pytest_spidra.traffic.exchanges import Exchange
    from pytest_spidra.verdicts.rules.base import Accusation


def paragraph(text: str, indent: str = "") -> str:
    """Return text wrapped to the width of the timeline."""
    return textwrap.fill(
        text,
        timeline.WIDTH,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


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


def rules_report(accusations: Sequence[Accusation], exchanges: Iterable[Exchange]) -> str:
    """Return what the rules found, as one message: the claims of each rule, then why and how to fix it."""
    claims: dict[str, list[str]] = {}
    for accusation in accusations:
        claims.setdefault(accusation.rule, []).append(accusation.claim)
    parts = []
    for name, several in claims.items():
        rule = RULES[name]
        fix = f"To fix it, {rule.fix[0].lower()}{rule.fix[1:]}"
        parts += [paragraph(f"{name}: {claim}") for claim in several]
        parts.append(f"{paragraph(rule.why, '  ')}\n{paragraph(fix, '  ')}")
    guilty = {number for accusation in accusations for number in accusation.numbers}
    other = next((name for name in RULES if name not in claims), "")
    allow = (
        f'To allow it, mark the test @pytest.mark.spidra(rules="off"). To keep other rules, name them: '
        f'rules=["{other}", …].'
    )
    return "\n\n".join([*parts, timeline.render(exchanges, guilty), paragraph(allow)])


def rules_summary(accusations: Sequence[Accusation]) -> str:
    """Return the bare claims, a paragraph each: the legend of a marked timeline."""
    return "\n".join(paragraph(f"> {accusation.rule}: {accusation.claim}") for accusation in accusations)
