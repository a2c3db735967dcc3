"""Verdicts in words: claim, reason, marked timeline, and how to fix or allow it."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from pytest_spidra import timeline
from pytest_spidra.rules import RULES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from pytest_spidra.exchanges import Exchange
    from pytest_spidra.rules import Accusation


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


def verdict(
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


def accused(accusations: Sequence[Accusation], exchanges: Iterable[Exchange]) -> str:
    """Return what the rules found, as one message."""
    parts = []
    for accusation in accusations:
        rule = RULES[accusation.rule]
        parts += [
            paragraph(f"{accusation.rule}: {accusation.claim}"),
            f"{paragraph(rule.why, '  ')}\n{paragraph(f'To fix it: {rule.fix}', '  ')}",
        ]
    guilty = {number for accusation in accusations for number in accusation.numbers}
    names = ", ".join(dict.fromkeys(accusation.rule for accusation in accusations))
    allow = (
        f'To allow it, mark the test @pytest.mark.spidra(rules="off"), or name the rules that are to judge '
        f"it: rules=[…] without {names}."
    )
    return "\n\n".join([*parts, timeline.render(exchanges, guilty), paragraph(allow)])
