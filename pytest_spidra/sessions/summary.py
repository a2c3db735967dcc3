"""The summary of a run: what the rules found in it, and the policy tables of conformance suites."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def summarize(terminalreporter: pytest.TerminalReporter) -> None:
    """List the accusations of a run, grouped by rule, and show what conformance suites have seen."""
    found: dict[str, list[str]] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            for rule, claim in getattr(report, "spidra_accusations", ()):
                found.setdefault(rule, []).append(f"{report.nodeid}: {claim}")
    if found:
        _show_accusations(terminalreporter, found)
    _show_policies(terminalreporter)


def _show_accusations(terminalreporter: pytest.TerminalReporter, found: dict[str, list[str]]) -> None:
    width = terminalreporter.config.get_terminal_writer().fullwidth
    terminalreporter.section("spidra rules")
    for rule, lines in found.items():
        terminalreporter.write_line(f"{rule} ({len(lines)})", bold=True)
        for line in lines:
            terminalreporter.write_line(
                line if len(line) < width - 2 else f"{line[: width - 5]}…", yellow=True
            )


def _show_policies(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the policy table of each runner; write them all as Markdown where that is asked for."""
    reports = [report for several in terminalreporter.stats.values() for report in several]
    lines = [line for report in reports if (line := getattr(report, "spidra_policy", None))]
    file = terminalreporter.config.getoption("spidra_policy_table")
    step_summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if not lines:
        if file:
            terminalreporter.write_line(
                f"--spidra-policy-table={file}: no conformance suite ran, and no table was written",
                yellow=True,
            )
        return
    from pytest_spidra.verdicts.policy_table import by_runner, render_markdown, render_text

    markdown = render_markdown(lines)
    if file == "-":
        terminalreporter.section("spidra policy table")
        terminalreporter.write_line(markdown)
    elif terminalreporter.verbosity >= 0:
        for runner, mine in by_runner(lines).items():
            terminalreporter.section(f"spidra policy of {runner}")
            terminalreporter.write_line(render_text(mine))
    try:
        if file and file != "-":
            Path(file).write_text(markdown, encoding="utf-8")
        if step_summary:
            with Path(step_summary).open("a", encoding="utf-8") as summary:
                summary.write(markdown)
    except OSError as error:
        terminalreporter.write_line(f"the policy table cannot be written: {error}", red=True)
