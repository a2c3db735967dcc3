"""The exchange log as a Mermaid sequence diagram."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_spidra.traffic import describe

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_spidra.traffic.exchanges import Exchange


def render(exchanges: Iterable[Exchange]) -> str:
    """Return the diagram: client and Spidra, requests and what came back, waits as notes.

    A request that never arrived, and a reply that never did, end in a cross.
    """
    lines = ["sequenceDiagram", "    participant C as Client", "    participant S as Spidra"]
    for run in describe.group_repeats(exchanges):
        first = run[0]
        if first.waited:
            lines.append(f"    Note over C: waits {round(first.waited, 2):g} s")
        times = "" if len(run) == 1 else f" ({len(run)} times)"
        asks = f"{first.number}. {_clean(describe.request(first))}{times}"  # Mermaid takes "#" for a comment
        lines.append(f"    C-{'x' if first.answered is None else '>>'}S: {asks}")
        if first.scripted:
            lines.append(f"    Note over S: {_clean(describe.server_side(first))}")
        lost = isinstance(first.seen, str)
        if not (lost and first.answered is None):
            lines.append(f"    S--{'x' if lost else '>>'}C: {_clean(describe.result(first))}")
    return "\n".join(lines) + "\n"


def _clean(text: str) -> str:
    """Replace what Mermaid would read as the end of a statement or a comment."""
    return text.replace("#", "no. ").replace(";", ",").replace("%%", "%")
