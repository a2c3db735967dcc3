"""Clients that nobody wrote with the rules in mind, under every script: what the rules say of them."""

from __future__ import annotations

import os

import pytest
from cell import run_cell
from expectations import CAREFUL, CARELESS, expected, fits
from weather import SCRIPTS

pytestmark = [
    pytest.mark.foreign,
    # Until the rules are what the table says they are.
    pytest.mark.skipif(
        "SPIDRA_FOREIGN" not in os.environ, reason="SPIDRA_FOREIGN=1 runs the table of foreign clients"
    ),
]

URLS = [f"https://shop.example/{n}" for n in range(1, 7)]


@pytest.mark.parametrize("name", [*CAREFUL, *CARELESS])
def test_a_client_is_accused_of_what_its_log_shows_and_of_nothing_else(name):
    client = {**CAREFUL, **CARELESS}[name]
    wrong = []
    for script in SCRIPTS:
        cell = run_cell(client, SCRIPTS[script], URLS)
        wanted = expected(name, script)
        if not fits(cell.found, wanted):
            wrong.append(
                f"{name} under {script}: expected {shown(wanted)}, found {sorted(cell.found) or 'nothing'}\n"
                f"{cell.told or cell.log}"
            )
    assert not wrong, f"{len(wrong)} of {len(SCRIPTS)} scripts:\n\n" + "\n\n".join(wrong)


def shown(wanted):
    """Return expectations in words."""
    return ["|".join(sorted(deed)) for deed in wanted] or "nothing"
