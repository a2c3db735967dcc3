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


@pytest.mark.slow
def test_every_code_block_is_a_test_that_passes(pytester):
    """A reader can copy any of them into a test file; here each is a file, and all are one run."""
    tests = []
    for block in BLOCKS:
        names = re.findall(r"def (test_\w+)", block)
        methods = set(re.findall(r"    def (test_\w+)\(self", block))
        modes = [f"[{mode}]" for mode in re.findall(r'"(mock|replay)"[,)]', block)] or [""]
        tests += [
            f"{names[0]}.py::{'CaseOfUnittest::' if name in methods else ''}{name}{mode}"
            for name in names
            for mode in modes
        ]
        pytester.makepyfile(**{names[0]: block})
        # What it replays was recorded for the example of the same name.
        shutil.copytree(
            ROOT / "cassettes" / "tests" / "examples" / "test_record_and_replay",
            pytester.path / "cassettes" / names[0],
        )
    pytester.makeini("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n")

    result = pytester.runpytest_subprocess("-rA", "-W", "error", "--spidra-rules=error", timeout=100)

    passed = [line.removeprefix("PASSED ") for line in result.outlines if line.startswith("PASSED ")]
    assert sorted(passed) == sorted(tests)
    result.assert_outcomes(passed=len(tests))


def test_the_two_commands_stand_near_the_top():
    """One runs the examples, one runs everything; each is one line."""
    examples, everything, *_ = COMMANDS

    assert examples.strip().endswith("-m pytest tests/examples")
    assert everything.strip().endswith("-m pytest -n auto")
    assert README.index(everything) < 1500


def test_ci_runs_the_second_command_once_and_nothing_else_of_pytest():
    """What README says is what CI does."""
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()

    assert [line for line in lines if "-m pytest" in line] == [COMMANDS[1].strip()]


def test_every_rule_stands_in_the_table():
    """The table of rules is complete and in order."""
    assert re.findall(r"^\| `([a-z-]+)` \| .* \|$", README, re.MULTILINE)[: len(RULES)] == list(RULES)


@pytest.mark.parametrize("setting", MARKER_SETTINGS)
def test_every_setting_of_the_marker_stands_in_the_table(setting):
    """The table of settings is complete."""
    assert f"| `{setting}` |" in README
