"""The policy table: what a runner does about each failure at each operation.

Its lines are plain values, so that they travel with reports from xdist's workers; it is the same whatever order the
tests ran in, and differs between two runs only where the runner did something else.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

COLUMNS = ("operation", "failure", "what it did", "requests", "seconds", "credits")

PolicyLine = dict[str, Any]
"""One case: ``runner``, ``place``, ``operation``, ``failure``, ``did``, ``wrong``, ``requests``, ``seconds``, ``credits``."""


def by_runner(lines: Iterable[PolicyLine]) -> dict[str, list[PolicyLine]]:
    """Return the lines of each runner, the runners by name, the lines in the order of the kit's cases.

    Of a case that ran more than once, as a rerun does, it is the last.
    """
    found: dict[str, dict[int, PolicyLine]] = defaultdict(dict)
    for line in lines:
        found[line["runner"]][line["place"]] = line
    return {runner: [found[runner][place] for place in sorted(found[runner])] for runner in sorted(found)}


def render_text(lines: Iterable[PolicyLine]) -> str:
    """Return one runner's table for a terminal."""
    rows = [COLUMNS, *(_cells(line, "!! {}") for line in lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column > 2 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def render_markdown(lines: Iterable[PolicyLine]) -> str:
    """Return the tables of all runners as Markdown: a heading and a table each."""
    parts = []
    for runner, mine in by_runner(lines).items():
        rows = [
            COLUMNS,
            ("---", "---", "---", "---:", "---:", "---:"),
            *(_cells(line, "**{}**") for line in mine),
        ]
        table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
        parts.append(f"### Policy of {runner}\n\n{table}\n")
    return "\n".join(parts)


def _cells(line: PolicyLine, marked: str) -> tuple[str, ...]:
    wrong = [marked.format(", ".join(line["wrong"]))] if line["wrong"] else []
    did = [] if line["did"] in line["wrong"] else [line["did"]]
    return (
        line["operation"],
        line["failure"],
        "; ".join([*did, *wrong]),
        *(("∞", "∞") if "hangs" in line["wrong"] else (str(line["requests"]), f"{line['seconds']:g}")),
        str(line["credits"]),
    )
