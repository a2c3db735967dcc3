"""`BatchRunnerConformance`: one test for each case."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import pytest

from pytest_spidra.conformance.judging import LONGEST_RUN, Complaint, Expected, complaints
from pytest_spidra.conformance.messages import message
from pytest_spidra.conformance.overriding import switched_off
from pytest_spidra.conformance.runs import Observed, field_of, observe
from pytest_spidra.conformance.work_cases import CASES
from pytest_spidra.settings import END_OF_TEST, POLICY
from pytest_spidra.traffic.paragraphs import paragraph

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_spidra import SpidraMock
    from pytest_spidra.conformance.cases import Case
    from pytest_spidra.sessions.fake_sessions import FakeSession
    from pytest_spidra.verdicts.policy_table import PolicyLine

OPTIONAL = frozenset({"batch.list", "batch.cancel"})
"""What a runner need not use."""

GUARD = "test_no_case_is_switched_off_without_a_reason"


# A look every other second is legal, for as long as a run may last.
@pytest.mark.spidra(rules="off", allow_unused_steps=True, request_limit=1000)
class BatchRunnerConformance:
    """A suite for a runner of batches: inherit it and give the fixture `run_batch`.

    Each case is one test: a failure at an operation, pages that fail over several rounds, batches that break, credits
    that run out, several runs at once. Judged are what the runner returns, the bill, the rounds, the waits and the
    rules. A case is switched off only by ``test_… = xfail(reason="…")``.

    Attributes:
        max_attempts: Rounds that the runner is given, the first included.

        longest_run: Seconds on the virtual clock after which it is to have given up.

        random_scripts: How many random scripts are tried, where hypothesis is installed.
    """

    max_attempts: ClassVar[int] = 3
    longest_run: ClassVar[float] = LONGEST_RUN
    random_scripts: ClassVar[int] = 30

    @pytest.fixture
    def run_batch(self) -> Callable[..., Any]:
        """Override this: return ``run(urls, *, base_url, api_key, max_attempts) -> items``, sync or async.

        The items are dicts with the API's field names, or objects with the SDK's attribute names, in any order.
        """
        pytest.fail(
            f"{type(self).__name__} gives no runner: define the fixture run_batch in it, and return "
            "run(urls, *, base_url, api_key, max_attempts) from it.",
            pytrace=False,
        )

    def test_random_scripts(self, run_batch: Callable[..., Any]) -> None:
        """Random scripts of failures, outcomes, ends and credits find nothing: needs the extra ``hypothesis``."""
        pytest.importorskip("hypothesis")
        from pytest_spidra.conformance.random_scripts import search

        found = search(run_batch, self.max_attempts, examples=self.random_scripts, longest=self.longest_run)
        if found:
            script, text = found
            pasted = script.as_test(self.max_attempts, awaited=inspect.iscoroutinefunction(run_batch))
            pytest.fail(f"{text}\n\n{pasted}", pytrace=False)

    def __init_subclass__(cls, **more: Any) -> None:
        """Keep the guard in every subclass.

        Raises:
            TypeError: It is overridden, or there can be no round.
        """
        super().__init_subclass__(**more)
        if GUARD in vars(cls):
            msg = f"{cls.__name__} overrides {GUARD}, which sees to it that cases are switched off with a reason only"
            raise TypeError(msg)
        if type(cls.max_attempts) is not int or cls.max_attempts < 1:
            msg = f"{cls.__name__}.max_attempts counts rounds from 1 on, not {cls.max_attempts!r}"
            raise TypeError(msg)


def _test_of(case: Case, place: int) -> Callable[..., None]:
    """Return the test of a case."""

    def test(
        self: BatchRunnerConformance,
        run_batch: Callable[..., Any],
        spidra_mock: SpidraMock,
        request: pytest.FixtureRequest,
    ) -> None:
        del spidra_mock  # it is there, and answers
        rounds = case.rounds or self.max_attempts
        if case.operation == "batch.retry" and rounds == 1:
            # No choice of the runner's: its suite says that it has one round, and this case is about a second one.
            pytest.skip("a runner with one round sends no retry")
        session, runner = request.node.stash[END_OF_TEST].session, request.node.nodeid.rpartition("::")[0]
        observed, found = try_case(case, run_batch, session, rounds, self.longest_run)
        if _not_used(observed, case):  # what is wrong all the same, another case tells
            request.node.stash[POLICY] = policy_line(runner, case, place, observed, [], "not used")
            # It does its work without this endpoint, and a table that said "ok" would say more than was seen.
            pytest.skip(f"this runner never sends a {case.operation}")
        request.node.stash[POLICY] = policy_line(runner, case, place, observed, found)
        if found:
            session.failures.clear()  # how a run was ended that would not end is among what was found
            _fail(case, observed, found)

    test.__name__, test.__doc__ = f"test_{case.name}", case.story
    test.__qualname__ = f"BatchRunnerConformance.{test.__name__}"
    return test


def try_case(
    case: Case, runner: Callable[..., Any], session: FakeSession, rounds: int, longest: float = LONGEST_RUN
) -> tuple[Observed, list[Complaint]]:
    """Let a runner meet a case, and return what was seen and what is wrong with it.

    Args:
        case: The case.

        runner: The runner under test.

        session: A fake that is open and has not been used.

        rounds: ``max_attempts``.

        longest: Seconds that a run may take.
    """
    case.script(session)
    observed = observe(runner, session, case.parts, rounds)
    found = complaints(observed, _expected(case, rounds), longest, case.healing)
    if not found and case.operation and not _reached(observed, case) and not _not_used(observed, case):
        found = [_never_reached(observed, case)]
    return observed, found


def _reached(observed: Observed, case: Case) -> bool:
    return any(one.endpoint == case.operation for one in observed.session.wiring.log)


def _not_used(observed: Observed, case: Case) -> bool:
    """Whether a runner does without an operation: a second round may be a batch of its own."""
    if not case.operation or _reached(observed, case):
        return False
    again = sum(one.is_submit for one in observed.session.wiring.log) > len(observed.runs)
    return case.operation in OPTIONAL or (case.operation == "batch.retry" and again)


def _expected(case: Case, rounds: int) -> Expected:
    """Return what is expected with so many rounds: a refused retry may count as one of them."""
    refused = case.operation == "batch.retry" and rounds == 2
    return Expected.HONEST if refused and case.expected is Expected.FINISH_OR_RAISE else case.expected


def _never_reached(observed: Observed, case: Case) -> Complaint:
    error = next((run.error for run in observed.runs if run.error is not None), None)
    why = f"it raised {error!r} before" if error else "it returned before"
    what = case.operation.rpartition(".")[2]
    return Complaint(
        "never gets there", f"The run never sent a {what}, which is what the case is about: {why}."
    )


def _did(observed: Observed) -> str:
    """Return what the runs did, in a few words."""
    words = []
    for run in observed.runs:
        good = sum(field_of(item, "status") == "completed" for item in run.items or [])
        if run.endless:
            words.append("hangs")
        elif run.error is not None:
            words.append(f"gave up: {type(run.error).__name__}")
        elif run.items is None:
            words.append(f"returned {'nothing' if run.returned is None else type(run.returned).__name__}")
        else:
            words.append(
                "ok"
                if good == len(set(run.urls)) == len(run.items)
                else f"returned, {good} of {len(run.urls)} completed"
            )
    return "; ".join(dict.fromkeys(words))


def policy_line(
    runner: str, case: Case, place: int, observed: Observed, found: list[Complaint], did: str = ""
) -> PolicyLine:
    """Return a case's line of the policy table.

    Args:
        runner: Whose policy it is.

        case: The case.

        place: Its place in the table.

        observed: What was seen.

        found: What is wrong.

        did: What the runner did; empty: what was seen of it.
    """
    return {
        "runner": runner,
        "place": place,
        "operation": case.operation.rpartition(".")[2] or "work",
        "failure": case.failure,
        "did": did or _did(observed),
        "wrong": list(dict.fromkeys(one.word for one in found)),
        "requests": len(observed.session.wiring.log),
        "seconds": round(observed.elapsed, 1),
        "credits": observed.session.mock.credits.charged,
    }


def _fail(case: Case, observed: Observed, found: list[Complaint]) -> NoReturn:
    careful = {
        Expected.FINISH: "A careful runner gets over this and returns every page in its last state.",
        Expected.FINISH_OR_RAISE: "A careful runner gets over this, or raises.",
        Expected.HONEST: "A careful runner raises here, or returns every page with a state that is true.",
    }[case.expected]
    way_out = paragraph(
        f'If this is meant to be so, say why: test_{case.name} = xfail(reason="…") in the class.'
    )
    pytest.fail(message(f"{case.story} {careful}", observed, found, way_out), pytrace=False)


def _guard(self: BatchRunnerConformance) -> None:
    """A case is switched off only by ``xfail(reason=…)``."""
    names = [*(f"test_{case.name}" for case in CASES), "test_random_scripts"]
    if off := switched_off(type(self), names, BatchRunnerConformance):
        told = "\n".join(f"    {one}" for one in off)
        pytest.fail(
            f"{type(self).__name__} switches cases off without saying why:\n{told}\n\n"
            + paragraph(
                'A suite with holes that nobody sees shows less than it seems to. Say why: test_… = xfail(reason="…").'
            ),
            pytrace=False,
        )


for _place, _case in enumerate(CASES):
    setattr(BatchRunnerConformance, f"test_{_case.name}", _test_of(_case, _place))
setattr(BatchRunnerConformance, GUARD, _guard)
