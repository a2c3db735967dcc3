"""README.md says what is true: its code runs, its commands are those that CI runs, its tables are complete."""

import re
import shutil
from pathlib import Path

import pytest

from pytest_spidra.settings import MARKER_SETTINGS
from pytest_spidra.verdicts.rules.judge import RULES

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
COMMANDS = re.findall(r"^```console\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: re.findall(r"def (test_\w+)", block)[0])
def test_every_code_block_is_a_test_that_passes(pytester, block):
    """A reader can copy any of them into a test file."""
    module = pytester.makepyfile(block)
    # What it replays was recorded for the example of the same name.
    shutil.copytree(ROOT / "cassettes" / "test_record_and_replay", pytester.path / "cassettes" / module.stem)
    pytester.makeini("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n")

    result = pytester.runpytest_subprocess("-W", "error", "--spidra-rules=error")

    modes = 2 if '("mock", "replay")' in block else 1
    result.assert_outcomes(passed=modes * len(re.findall(r"def test_", block)))


def test_the_two_commands_stand_near_the_top():
    """One runs the examples, one runs everything; each is one line."""
    examples, everything, *_ = COMMANDS

    assert examples.strip().endswith("-m pytest tests/examples")
    assert everything.strip().endswith("-m pytest")
    assert README.index(everything) < 1500


def test_ci_runs_the_second_command():
    """What README says is what CI does."""
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()

    assert COMMANDS[1].strip() in lines


def test_every_rule_stands_in_the_table():
    """The table of rules is complete and in order."""
    assert re.findall(r"^\| `([a-z-]+)` \| .* \|$", README, re.MULTILINE)[: len(RULES)] == list(RULES)


@pytest.mark.parametrize("setting", MARKER_SETTINGS)
def test_every_setting_of_the_marker_stands_in_the_table(setting):
    """The table of settings is complete."""
    assert f"| `{setting}` |" in README
