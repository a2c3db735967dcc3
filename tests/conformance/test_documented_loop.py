"""What copying the documentation's retry loop means: its policy table stands in README.md, and is true."""

import re
from pathlib import Path

import documented_loop
import pytest

from pytest_spidra.conformance.runs import open_session
from pytest_spidra.conformance.suite import policy_line, try_case
from pytest_spidra.conformance.work_cases import CASES
from pytest_spidra.verdicts.policy_table import render_markdown

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def line_of(place, case):
    with open_session(request_limit=300) as session:
        observed, found = try_case(case, documented_loop.run, session, case.rounds or 3)
        return policy_line("the documented loop", case, place, observed, found)


@pytest.mark.slow
def test_the_table_in_the_readme_is_what_the_loop_does():
    """Of the cases at endpoints that it does not use there is no line."""
    used = [
        (place, case)
        for place, case in enumerate(CASES)
        if case.operation not in ("batch.list", "batch.cancel")
    ]
    table = render_markdown(line_of(place, case) for place, case in used)
    (shown,) = re.findall(r"^### Policy of the documented loop\n\n(?:\|.*\n)+", README, re.MULTILINE)

    assert shown == table
