"""Keeps the secrets of a run that records out of what pytest shows of it: reports, warnings, live logs.

The code under test may raise, log or hold in a local variable what it sends, and so may the libraries that it uses.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

import pytest

from pytest_spidra.secrets.shown_text import ShownText
from pytest_spidra.settings import KEY_VARIABLE, SHOWN_SECRETS
from pytest_spidra.traffic.secret_patterns import SHORTEST_KEY

if TYPE_CHECKING:
    import warnings
    from collections.abc import Callable

NAME = "spidra-report-redaction"
# What identifies a test: pytest and its plugins look it up by these.
_OF_THE_TEST = frozenset({"nodeid", "location", "keywords", "when", "outcome"})


class ReportRedaction:
    """A plugin of pytest that cleans reports before any other sees them, and says in them what was recorded."""

    def __init__(self, config: pytest.Config) -> None:
        key = os.environ.get(KEY_VARIABLE, "").strip()
        self._text = ShownText([key] if len(key) >= SHORTEST_KEY else [])
        self._config = config
        config.stash[SHOWN_SECRETS] = self._text.known
        config.pluginmanager.register(self, NAME)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Clean what is logged live and into a file: pytest's handlers are there now."""
        plugin: Any = self._config.pluginmanager.get_plugin("logging-plugin")
        for name in ("log_cli_handler", "log_file_handler"):
            if handler := getattr(plugin, name, None):
                handler.setFormatter(RedactingFormatter(handler.formatter, self._text.clean))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Clean the report of a test."""
        self._text.clean_attributes(report, but=_OF_THE_TEST)

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """Say of a test that it was recorded: its id is the one that it has when it is replayed."""
        return (
            ("passed", ".", "RECORDED")
            if getattr(report, "spidra_recorded", False) and report.passed
            else None
        )

    @pytest.hookimpl(tryfirst=True)
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Clean the report of a module that could not be imported."""
        if report.failed:
            self._text.clean_attributes(report, but={*_OF_THE_TEST, "result"})

    @pytest.hookimpl(tryfirst=True)
    def pytest_internalerror(self, excrepr: Any) -> None:
        """Clean what is shown of an error in a plugin."""
        self._text.clean_attributes(excrepr)

    @pytest.hookimpl(tryfirst=True)
    def pytest_warning_recorded(self, warning_message: warnings.WarningMessage) -> None:
        """Clean a warning."""
        text = str(warning_message.message)
        if (clean := self._text.clean(text)) != text:
            warning_message.message = Warning(clean)


class RedactingFormatter(logging.Formatter):
    """Formats as another one does, and cleans what comes of it."""

    def __init__(self, inner: logging.Formatter | None, clean: Callable[[str], str]) -> None:
        super().__init__()
        self._inner = inner or logging.Formatter()
        self._clean = clean

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as a line."""
        return self._clean(self._inner.format(record))
