"""Each broken runner fails the cases that show its bug, and for that reason; a careful one fails none."""

import pytest
from broken_runners import BUGS
from runners import Careful

from pytest_spidra.conformance.runs import open_session
from pytest_spidra.conformance.suite import try_case
from pytest_spidra.conformance.work_cases import CASES

BY_NAME = {case.name: case for case in CASES}
PAIRS = [(bug, case, word) for bug, cases in BUGS.items() for case, word in cases.items()]


def found(runner, case, rounds=3):
    with open_session(request_limit=400) as session:
        return try_case(case, runner, session, case.rounds or rounds)[1]


def test_there_are_at_least_35_bugs_and_each_is_shown_by_a_case():
    assert len(BUGS) >= 35
    assert all(BUGS.values())


@pytest.mark.parametrize(
    ("bug", "name", "word"), PAIRS, ids=[f"{bug.__name__}-{name}" for bug, name, _ in PAIRS]
)
def test_the_case_shows_the_bug(bug, name, word):
    """It is that very complaint, and none of these cases has anything against the careful runner."""
    assert word in [one.word for one in found(bug(), BY_NAME[name])]


@pytest.mark.parametrize("rounds", [1, 2, 3, 5])
def test_the_careful_runner_fails_no_case_with_any_number_of_rounds(rounds):
    cases = [case for case in CASES if case.operation != "batch.retry" or rounds > 1]
    assert {case.name: wrong for case in cases if (wrong := found(Careful(), case, rounds))} == {}
