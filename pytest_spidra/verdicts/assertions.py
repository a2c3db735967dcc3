"""Assertions about what the client did, for what a plain ``assert`` on the exchange log cannot say well.

They read the log and nothing else, so each holds on a mock, on a replay and on a loopback server. An assertion
about something that never happened fails: a test that cannot fail shows nothing.
"""

from __future__ import annotations

from pytest_spidra.verdicts.batch_assertions import BatchAssertions
from pytest_spidra.verdicts.call_assertions import CallAssertions


class Assertions(CallAssertions, BatchAssertions):
    """The assertion methods of `SpidraApi`."""
