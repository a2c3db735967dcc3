"""The kit as users meet it: what a failure says, how a case is switched off, what is shown at the end."""

import inspect
import re
from pathlib import Path

import pytest

from pytest_spidra.conformance import BatchRunnerConformance, xfail
from pytest_spidra.conformance.work_cases import CASES

HEAD = f"""
import sys
sys.path[:0] = [{str(Path(__file__).parent)!r}, {str(Path(__file__).parents[1] / "examples")!r}]
import broken_runners, documented_loop, runners
import httpx, pytest, spidra
from pytest_spidra.conformance import BatchRunnerConformance, CassetteDrift, xfail
"""

SUITE = (
    HEAD
    + """
class TestRunner(BatchRunnerConformance):
    @pytest.fixture
    def run_batch(self):
        return {runner}
"""
)


@pytest.fixture
def suite(run_tests):
    """Run the kit on a runner, given as an expression, with further lines of the class."""

    def suite(runner, *args, more=""):
        return run_tests(SUITE.format(runner=runner) + more, *args)

    return suite


def failure(result, name):
    """Return what pytest says of a failed test."""
    reports = result.reprec.getreports("pytest_runtest_logreport")
    (report,) = [one for one in reports if one.failed and one.nodeid.endswith(f"::{name}")]
    return report.longreprtext


# -- what a failure says -----------------------------------------------------------------------------------------


def test_a_naive_runner_is_told_what_would_happen_in_production(suite):
    """The first sentence is about credits, pages or time; then comes the case, then the timeline."""
    result = suite("documented_loop.run", "-k", "get_connect_error or submit_forbidden or get_service_busy")

    result.assert_outcomes(failed=3)
    text = failure(result, "test_get_connect_error")
    assert text.splitlines()[:3] == [
        "The run would end with ConnectError (scripted: request_lost()) where a",
        "second try would have done: 3 pages are missing, though 3 credits are",
        "paid for them.",
    ]
    assert "A careful runner gets over this and returns every\npage in its last state." in text
    assert (
        text.index("A careful runner")
        < text.index("seconds    wait by    request")
        < text.index("xfail(reason=")
    )
    hangs = failure(result, "test_submit_forbidden")
    assert hangs.startswith("The run would hang for ever: after 1001 requests and 3000 s it still\n")
    assert "documented_loop.py:14, in run." in hangs
    assert "retry-after-ignored: get" in failure(result, "test_get_service_busy")


def test_credits_that_would_be_lost_are_counted(suite):
    result = suite("broken_runners.SendsALostSubmitAgain()", "-k", "test_submit_reply_lost")

    assert failure(result, "test_submit_reply_lost").startswith(
        "3 credits would be lost: https://shop.example/page/1 and 2 more are\nscraped and billed twice, in batches "
    )


def test_pages_that_would_be_missing_are_counted(suite):
    result = suite("broken_runners.ReturnsOnlyWhatCompleted()", "-k", "never_heals")

    assert failure(result, "test_never_heals").startswith(
        "1 of 3 pages would be missing from the result, and nobody is told:\nhttps://shop.example/page/2."
    )


def test_a_hang_is_told_once_and_no_section_repeats_it(suite):
    result = suite("broken_runners.HasNoDeadline()", "-k", "page_hangs")

    assert "The client sent more than" not in str(result.stdout)


def test_a_request_that_nobody_knows_speaks_for_itself(suite):
    runner = "lambda urls, base_url, api_key, max_attempts: httpx.get(f'{base_url}/nonsense')"
    result = suite(runner, "-k", "test_healthy")

    assert "/nonsense" in failure(result, "test_healthy")


def test_a_runner_that_is_interrupted_interrupts_the_run(suite):
    runner = "lambda urls, base_url, api_key, max_attempts: pytest.exit('enough')"
    assert "enough" in str(suite(runner, "-k", "test_healthy").stdout)


def test_a_runner_that_submits_nothing_fails(suite):
    runner = "lambda urls, base_url, api_key, max_attempts: 1 / 0"
    result = suite(runner, "-k", "test_submit_unavailable")

    assert "The run never sent a submit" in failure(result, "test_submit_unavailable")
    assert "No request was sent at all." in failure(result, "test_submit_unavailable")


# -- what is run -------------------------------------------------------------------------------------------------


def test_there_is_one_test_for_each_case_and_its_docstring_says_what_happens():
    tests = {
        name: test for name, test in inspect.getmembers(BatchRunnerConformance) if name.startswith("test_")
    }
    for case in CASES:
        assert tests[f"test_{case.name}"].__doc__ == case.story
        assert case.story.endswith(".")
    assert len(CASES) == len({case.name for case in CASES}) >= 100
    assert len({(case.operation, case.failure) for case in CASES}) == len(CASES)


def test_what_a_runner_does_not_use_is_skipped_and_says_so(suite):
    result = suite(
        "runners.Careful()",
        "-rs",
        "-k",
        "cancel_unavailable or retry_unavailable",
        more="    max_attempts = 1\n",
    )

    result.assert_outcomes(skipped=2)
    assert "a runner with one round sends no retry" in str(result.stdout)
    assert "this runner never sends a batch.cancel" in str(result.stdout)


def test_a_runner_may_be_async_and_return_objects_or_a_generator(suite):
    more = """
    @pytest.fixture
    def run_batch(self):
        import runner_httpx_async, types
        async def run(urls, **given):
            items = await runner_httpx_async.run(urls, **given)
            return (types.SimpleNamespace(**item) for item in items)
        return run
"""
    suite("None", "-k", "healthy or never_heals or two_runs", more=more).assert_outcomes(passed=4)


def test_a_class_without_a_runner_is_told_what_to_define(run_tests):
    result = run_tests(HEAD + "class TestNothing(BatchRunnerConformance): pass", "-k", "test_healthy")

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*TestNothing gives no runner: define the fixture run_batch*"])


def test_rules_that_a_user_allows_accuse_nobody(run_tests):
    mark = "\n@pytest.mark.spidra(allow=['retry-after-ignored'])\nclass TestRunner("
    source = SUITE.format(runner="documented_loop.run").replace("\nclass TestRunner(", mark)

    run_tests(source, "-k", "test_get_service_busy").assert_outcomes(passed=1)


# -- cases that are switched off ---------------------------------------------------------------------------------


GUARD = "test_no_case_is_switched_off_without_a_reason"


def test_a_case_is_switched_off_by_xfail_with_a_reason_and_runs_all_the_same(suite):
    more = """
    test_get_connect_error = xfail(reason="the loop knows no transport errors")
    test_healthy = xfail(reason="it is not healthy")
"""
    result = suite("documented_loop.run", "-k", f"get_connect_error or test_healthy or {GUARD}", more=more)

    result.assert_outcomes(xfailed=1, failed=1, passed=1)
    assert "[XPASS(strict)] it is not healthy" in str(result.stdout)


def test_pytests_own_mark_does_as_well(suite):
    more = """
    @pytest.mark.xfail(reason="the loop knows no transport errors")
    def test_get_connect_error(self, run_batch, spidra_mock, request):
        super().test_get_connect_error(run_batch, spidra_mock, request)
"""
    suite("documented_loop.run", "-k", f"get_connect_error or {GUARD}", more=more).assert_outcomes(
        xfailed=1, passed=1
    )


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("    def test_healthy(self): pass", "test_healthy is overridden without a reason"),
        ("    test_healthy = None", "test_healthy is overridden without a reason"),
        ("    @pytest.mark.xfail\n    def test_healthy(self): pass", "test_healthy is overridden without a reason"),
        ("    @pytest.mark.skip(reason='no')\n    def test_healthy(self): pass", "test_healthy is overridden without"),
        (
            "    @pytest.mark.skip\n    @pytest.mark.xfail(reason='no')\n    def test_healthy(self): pass",
            "test_healthy is marked skip",
        ),
        (
            "    @pytest.mark.xfail(reason='no', run=False)\n    def test_healthy(self): pass",
            "test_healthy does not run, or only sometimes",
        ),
        ("    test_random_scripts = None", "test_random_scripts is overridden without a reason"),
    ],
)  # fmt: skip
def test_the_guard_finds_every_other_way_to_switch_a_case_off(suite, more, told):
    result = suite("documented_loop.run", "-k", GUARD, more=more)

    result.assert_outcomes(failed=1)
    assert told in failure(result, GUARD)


def test_the_guard_itself_cannot_be_overridden():
    with pytest.raises(TypeError, match="overrides test_no_case_is_switched_off"):
        type("TestRunner", (BatchRunnerConformance,), {GUARD: None})


def test_xfail_wants_a_reason_and_a_case():
    with pytest.raises(ValueError, match="takes the reason"):
        xfail(reason=" ")
    with pytest.raises((TypeError, RuntimeError)) as raised:
        type("TestRunner", (BatchRunnerConformance,), {"test_helthy": xfail(reason="a typo")})
    assert "there is no case 'test_helthy'" in str(raised.value.__cause__ or raised.value)


def test_there_is_at_least_one_round():
    with pytest.raises(TypeError, match="counts rounds from 1 on, not 0"):
        type("TestRunner", (BatchRunnerConformance,), {"max_attempts": 0})


# -- the policy table --------------------------------------------------------------------------------------------

FEW = (
    "-k",
    "test_healthy or get_connect_error or page_hangs or retry_unavailable or (two_runs and not lose)",
)

TABLE = """\
### Policy of {module}::TestRunner

| operation | failure | what it did | requests | seconds | credits |
| --- | --- | --- | ---: | ---: | ---: |
| work | nothing | ok | 4 | 3 | 3 |
| work | a page never ends | **hangs** | ∞ | ∞ | 2 |
| work | nothing, 2 runs at once | ok | 11 | 6 | 6 |
| get | ConnectError | gave up: ConnectError; **gives up early** | 2 | 0 | 3 |
| retry | 503 | ok | 9 | 6 | 3 |
"""

BACKWARDS = """
import pytest
@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    items.reverse()
"""


def test_the_table_is_the_same_whatever_the_order(suite, pytester, monkeypatch):
    """In a file, as it was asked for, and where GitHub shows it."""
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(pytester.path / "step.md"))
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    suite("documented_loop.run", *FEW, "--spidra-policy-table=policy.md")
    pytester.makeconftest(BACKWARDS)
    suite("documented_loop.run", *FEW, "--spidra-policy-table=backwards.md")

    table = (pytester.path / "policy.md").read_text()
    (module,) = [file.name for file in pytester.path.glob("test_*.py")]
    assert table == TABLE.format(module=module)
    assert (pytester.path / "backwards.md").read_text() == table
    assert (pytester.path / "step.md").read_text() == table * 2


@pytest.mark.slow
def test_the_table_is_the_same_under_xdist(xdist, pytester, monkeypatch):
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    file = pytester.makepyfile(SUITE.format(runner="documented_loop.run"))
    pytester.runpytest_subprocess(
        *FEW, "-n", "2", "--spidra-policy-table=policy.md", "-p", "no:hypothesispytest"
    )

    assert (pytester.path / "policy.md").read_text() == TABLE.format(module=file.name)


def test_a_dash_shows_markdown_and_nothing_shows_a_table(suite):
    shown = suite("documented_loop.run", *FEW, "--spidra-policy-table=-")
    plain = suite("documented_loop.run", *FEW)
    quiet = suite("documented_loop.run", *FEW, "-q")

    shown.stdout.fnmatch_lines(
        ["| get | ConnectError | gave up: ConnectError; ?*gives up early?* | 2 | 0 | 3 |"]
    )
    plain.stdout.fnmatch_lines(
        [
            "*spidra policy of *::TestRunner*",
            "operation  failure * what it did *  requests  seconds  credits",
            "get        ConnectError * gave up: ConnectError; !! gives up early * 2        0        3",
        ]
    )
    assert "spidra policy" not in str(quiet.stdout)


def test_a_table_that_cannot_be_written_is_told(suite, run_tests, pytester):
    unwritable = suite(
        "documented_loop.run", "-k", "test_healthy", "--spidra-policy-table=no/such/folder/policy.md"
    )
    empty = run_tests("def test_nothing(): pass", "--spidra-policy-table=policy.md")

    assert "the policy table cannot be written" in str(unwritable.stdout)
    assert "no conformance suite ran, and no table was written" in str(empty.stdout)
    assert not (pytester.path / "policy.md").exists()
    assert "no conformance suite" not in str(run_tests("def test_nothing(): pass").stdout)


def test_the_line_of_a_failed_case_says_what_is_wrong_and_the_others_what_they_did(suite):
    result = suite("lambda urls, **given: None", "-k", "test_healthy or test_one_page")

    result.stdout.fnmatch_lines(
        ["work       nothing          returned nothing; !! silent         0        0        0"]
    )


def test_waits_with_jitter_are_the_same_in_every_run(suite, pytester):
    """A runner that draws its waits draws the same ones each time."""
    runner = "type('Jitter', (runners.Careful,), {'backoff': lambda self, n: __import__('random').uniform(1, 9)})()"
    tables = []
    for name in ("one.md", "two.md"):
        suite(runner, "-k", "get_unavailable", f"--spidra-policy-table={name}")
        tables.append((pytester.path / name).read_text())
    assert tables[0] == tables[1]


# -- cassettes ---------------------------------------------------------------------------------------------------


def test_each_cassette_is_a_test_and_none_is_a_failure(run_tests, pytester):
    source = HEAD + "class TestCassettes(CassetteDrift): pass"
    none = run_tests(source)
    none.assert_outcomes(failed=1)
    assert "a test of nothing shows nothing" in str(none.stdout)

    folder = pytester.path / "cassettes"
    folder.mkdir()
    own = Path(__file__).parents[2] / "cassettes"
    good = next(own.rglob("*lost_submit*.yaml"))
    (folder / "good.yaml").write_text(good.read_text())
    (folder / "changed.yaml").write_text(good.read_text().replace('"totalPages": 1', '"totalPages": 2'))
    (folder / "cut.yaml").write_text(good.read_text()[:500])
    result = run_tests(source)

    result.assert_outcomes(passed=1, failed=2)
    changed = failure(result, "test_the_fake_answers_as_recorded[changed.yaml]")
    assert "interaction 2, $.pagination.totalPages: 2 was recorded, and the fake has 1" in changed
    assert "cut" in failure(result, "test_the_fake_answers_as_recorded[cut.yaml]")


def test_a_subclass_of_a_subclass_keeps_its_guard_and_its_runner(suite):
    more = "\nclass TestMore(TestRunner):\n    max_attempts = 2\n"
    suite("runners.Careful()", "-k", f"TestMore and (test_page_heals or {GUARD})", more=more).assert_outcomes(
        passed=2
    )


def test_the_class_in_the_readme_works(run_tests, pytester):
    root = Path(__file__).parents[2]
    (block,) = re.findall(r"^```py\n(.*?)^```$", (root / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    pytester.makepyfile(my_runner=(root / "tests" / "examples" / "runner_httpx.py").read_text())

    run_tests(block, "-k", "healthy or page_heals").assert_outcomes(passed=2)
