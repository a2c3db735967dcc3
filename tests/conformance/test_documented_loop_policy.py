"""What copying the documentation's retry loop means: its policy table stands in README.md, and is true."""

import re
from pathlib import Path

import documented_loop
import pytest

from pytest_spidra.conformance.runs import open_session
from pytest_spidra.conformance.suite import policy_line, try_case
from pytest_spidra.conformance.work_cases import CASES
from pytest_spidra.verdicts.policy_table import render_markdown

README = Path(__file__).parents[2] / "README.md"
SHOWN = re.compile(r"^### Policy of the documented loop\n\n(?:\|.*\n)+", re.MULTILINE)


def line_of(place, case):
    with open_session(request_limit=300) as session:
        observed, found = try_case(case, documented_loop.run, session, case.rounds or 3)
        return policy_line("the documented loop", case, place, observed, found)


def table():
    """Return the table, without cases at endpoints that the loop does not use."""
    used = [
        (place, case)
        for place, case in enumerate(CASES)
        if case.operation not in ("batch.list", "batch.cancel")
    ]
    return render_markdown(line_of(place, case) for place, case in used)


@pytest.mark.slow
def test_the_table_in_the_readme_is_what_the_loop_does():
    """To write it anew: ``python tests/conformance/test_documented_loop_policy.py``."""
    assert SHOWN.findall(README.read_text(encoding="utf-8")) == [table()]


if __name__ == "__main__":
    README.write_text(SHOWN.sub(lambda _: table(), README.read_text(encoding="utf-8")), encoding="utf-8")
