"""Clients that nobody wrote with the rules in mind, under scripts: what the rules say of them.

By default the careful ones run under those of `DAILY`, which show every fault of every client, and the careless ones
under those that show theirs; SPIDRA_FOREIGN=1 runs the whole table.
"""

from __future__ import annotations

import os

import pytest
from cell import run_cell
from expectations import CAREFUL, CARELESS, DAILY, expected, fits
from weather import SCRIPTS

pytestmark = pytest.mark.foreign

URLS = [f"https://shop.example/{n}" for n in range(1, 7)]


def chosen_for(name):
    """Return the scripts to run a client under."""
    if "SPIDRA_FOREIGN" in os.environ:
        return list(SCRIPTS)
    return [one for one in DAILY if name in CAREFUL or one == "healthy" or expected(name, one)]


@pytest.mark.parametrize("name", [*CAREFUL, *CARELESS])
def test_a_client_is_accused_of_what_its_log_shows_and_of_nothing_else(name):
    client = {**CAREFUL, **CARELESS}[name]
    wrong = []
    scripts = chosen_for(name)
    for script in scripts:
        cell = run_cell(client, SCRIPTS[script], URLS)
        wanted = expected(name, script)
        if not fits(cell.found, wanted):
            wrong.append(
                f"{name} under {script}: expected {shown(wanted)}, found {sorted(cell.found) or 'nothing'}\n"
                f"{cell.told or cell.log}"
            )
    assert not wrong, f"{len(wrong)} of {len(scripts)} scripts:\n\n" + "\n\n".join(wrong)


def test_the_scripts_of_every_day_show_each_fault_of_each_client():
    """Who is accused of something under any script, is accused of it under one of these."""

    def faults(scripts):
        return {
            (name, deed) for name in [*CAREFUL, *CARELESS] for one in scripts for deed in expected(name, one)
        }

    assert faults(DAILY) == faults(SCRIPTS)
    assert len(faults(DAILY)) > 80


def shown(wanted):
    """Return expectations in words."""
    return ["|".join(sorted(deed)) for deed in wanted] or "nothing"
