"""Settings of a test: options, ini options and the marker."""

from __future__ import annotations

import pytest


class RuleWarning(pytest.PytestWarning):
    """A rule accuses the client of something unsafe, expensive or impolite."""

    __module__ = "pytest_spidra"
