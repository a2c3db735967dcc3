"""The summary of a run: what the rules found in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def summarize(terminalreporter: pytest.TerminalReporter) -> None:
    """List the accusations of a run, grouped by rule."""
    found: dict[str, list[str]] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            for rule, claim in getattr(report, "spidra_accusations", ()):
                found.setdefault(rule, []).append(f"{report.nodeid}: {claim}")
    if not found:
        return
    width = terminalreporter.config.get_terminal_writer().fullwidth
    terminalreporter.section("spidra rules")
    for rule, lines in found.items():
        terminalreporter.write_line(f"{rule} ({len(lines)})", bold=True)
        for line in lines:
            terminalreporter.write_line(
                line if len(line) < width - 2 else f"{line[: width - 5]}…", yellow=True
            )
