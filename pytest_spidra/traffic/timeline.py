"""The timeline: the exchange log for people, one line for each exchange."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from pytest_spidra.traffic import describe
from pytest_spidra.traffic.paragraphs import WIDTH

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from pytest_spidra.traffic.exchanges import Exchange

HEADING = "        #  seconds    wait by    request         the client saw"
INDENT = " " * 10


def render(exchanges: Iterable[Exchange], guilty: Collection[int] = (), most: int = 40) -> str:
    """Return the exchanges as a table.

    The wait is the one before the request, in seconds, and ``by`` says who asked for it: the client's own
    (``own``), or a ``Retry-After`` that it respected (``asked``).

    Args:
        exchanges: Those in a row that say the same are folded into one line, unless one of them is guilty
            and another is not.

        guilty: Numbers of exchanges to mark with ``>``.

        most: Of more entries than this, the first and the last are shown.
    """
    asked: dict[str, float] = {}
    parts = (part for run in describe.group_repeats(exchanges) for part in _parted(run, guilty))
    entries = [_entry(part, asked, guilty) for part in parts]
    if len(entries) > most:
        half = most // 2
        entries[half:-half] = [f"{'…':>9} {len(entries) - 2 * half} more lines"]
    return "\n".join([HEADING, *entries])


def _parted(run: list[Exchange], guilty: Collection[int]) -> list[list[Exchange]]:
    """Part a run where guilt begins or ends, and where the pace changes: a backoff is told wait by wait."""
    parts: list[list[Exchange]] = []
    for exchange in run:
        part = parts[-1] if parts else []
        if part and (part[-1].number in guilty) == (exchange.number in guilty) and _in_step(part, exchange):
            part.append(exchange)
        else:
            parts.append([exchange])
    return parts


def _in_step(part: list[Exchange], exchange: Exchange) -> bool:
    """Whether an exchange keeps the pace of those before; a first look without a wait has none yet."""
    last = part[-1]
    if len(part) == 1 and not last.waited and not last.failed:
        return True
    return f"{last.waited or 0:.2f}" == f"{exchange.waited or 0:.2f}"


def _entry(run: list[Exchange], asked: dict[str, float], guilty: Collection[int]) -> str:
    first, last = run[0], run[-1]
    mark = ">" if first.number in guilty else " "
    number = f"#{first.number}" if len(run) == 1 else f"#{first.number}-{last.number}"
    wait, by = "", ""
    paced = first if first.waited or len(run) == 1 else run[1]
    due = asked.pop(first.identity, None)
    if paced.waited:
        by = "asked" if due is not None and paced.sent_at >= due - 1e-6 else "own"
        wait = f"+{paced.waited:.2f}"
    for exchange in run:
        if exchange.asked_wait and exchange.seen_at is not None:
            asked[exchange.identity] = exchange.seen_at + min(exchange.asked_wait, 30.0)
    asks, result = describe.request(first), describe.result(first)
    lines = [f"{mark}{number:>8} {first.sent_at:>8.2f} {wait:>7} {by:<5} {asks:<15} {result}"]
    if server_side := describe.server_side(first):
        lines.append(
            textwrap.fill(
                server_side, WIDTH, initial_indent=INDENT, subsequent_indent=INDENT, break_on_hyphens=False
            )
        )
    return "\n".join(lines)
