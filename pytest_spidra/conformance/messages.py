"""What a failing conformance test says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_spidra.traffic import timeline
from pytest_spidra.traffic.paragraphs import paragraph

if TYPE_CHECKING:
    from pytest_spidra.conformance.judging import Complaint
    from pytest_spidra.conformance.runs import Observed


def message(head: str, observed: Observed, found: list[Complaint], *tail: str) -> str:
    """Return what is wrong, what the case was, and the timeline."""
    log = observed.session.wiring.log
    guilty = {number for one in found for number in one.numbers}
    shown = timeline.render(log, guilty) if log else "No request was sent at all."
    return "\n\n".join([*(paragraph(one.sentence) for one in found), paragraph(head), shown, *tail])
