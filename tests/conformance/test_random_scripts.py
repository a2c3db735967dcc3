"""Random scripts: they find what money is lost by, shrink it to what one can paste, and accuse no careful runner."""

import os
import sys
from pathlib import Path

import broken_runners
import pytest
import runners
from test_kit import HEAD, SUITE, failure

from pytest_spidra.conformance.random_scripts import ENDPOINTS, Script, search, try_script

sys.path.append(str(Path(__file__).parents[1] / "examples"))

import runner_concurrent
import runner_httpx
import runner_httpx_async
import runner_sdk

EXAMPLES = int(os.environ.get("SPIDRA_RANDOM_SCRIPTS", "100"))  # 5000 were tried before a release

DOUBLE_CHARGES = (
    broken_runners.SendsALostSubmitAgain,
    broken_runners.TakesABadGatewayForARefusal,
    broken_runners.SendsASubmitAgainWhoseReplyCannotBeRead,
    broken_runners.SubmitsEverythingAnewForOneFailedPage,
)


@pytest.mark.slow
@pytest.mark.parametrize("bug", DOUBLE_CHARGES, ids=lambda bug: bug.__name__)
def test_a_double_charge_is_found_and_shrunk_to_two_steps_at_most(bug):
    """The simplest script that shows it has nothing in it that is not needed."""
    script, text = search(bug(), 3, examples=300)

    assert "would be lost: https://shop.example/1/" in text
    assert sum(map(len, script.steps.values())) + sum(map(len, script.outcomes.values())) <= 2
    assert (script.outage, script.ends, script.credits) == (None, None, None)
    assert len(script.pages) == 1


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize(
    "runner",
    [runner_httpx.run, runner_httpx_async.run, runner_sdk.run, runner_concurrent.run, runners.Careful()],
    ids=["httpx", "async httpx", "SDK", "concurrent batches", "in parts"],
)
def test_no_careful_runner_is_accused(runner):
    assert search(runner, 3, examples=EXAMPLES) is None


def test_what_was_found_can_be_pasted_into_a_test(run_tests):
    """It fails there for the same reason: here a rule says so."""
    script = Script(
        pages=(2,),
        steps={"submit": ["reply_lost()"], "get": ["503"]},
        outcomes={1: ["failed()", "completed()"]},
    )
    fixture = "\n@pytest.fixture\ndef run_batch():\n    return broken_runners.SendsALostSubmitAgain()\n\n"
    result = run_tests(HEAD + fixture + script.as_test(3), "--spidra-rules=error")

    result.assert_outcomes(failed=1)
    assert "double-submission: The service accepted the same 2 URLs twice" in failure(
        result, "test_what_was_found"
    )


def test_a_script_reads_like_a_test_of_ones_own():
    script = Script(
        pages=(1,),
        outcomes={1: ['failed("Blocked", after_polls=0)', "completed()"], 2: ["completed()"]},
        steps={"submit": ["reply_lost()"], "get": [], "list": ["503"]},
        outage=("get", "gateway_error(502)"),
        ends=("failed", 2),
        credits=3,
    )

    assert (
        script.as_test(3)
        == """\
from pytest_spidra import completed, failed, gateway_error, reply_lost


@pytest.mark.spidra(allow_unused_steps=True)
def test_what_was_found(spidra_mock, run_batch):
    spidra_mock.batch.submit.script(reply_lost())
    spidra_mock.batch.list.script(503)
    spidra_mock.batch.get.always(gateway_error(502))
    spidra_mock.batch.outcomes({"https://shop.example/1/1": [failed("Blocked", after_polls=0), completed()]})
    spidra_mock.batch.ends("failed", after_polls=2)
    spidra_mock.account.credits = 3
    urls = ["https://shop.example/1/1"]
    run_batch(urls, base_url=spidra_mock.base_url, api_key=spidra_mock.api_key, max_attempts=3)"""
    )


def test_several_runs_are_pasted_as_threads_and_an_async_runner_is_awaited():
    text = Script(pages=(1, 2)).as_test(3, awaited=True)

    compile(text, "pasted", "exec")
    assert text.startswith(
        "import asyncio\nfrom concurrent.futures import ThreadPoolExecutor\n\n\n@pytest.mark"
    )
    assert (
        "with ThreadPoolExecutor() as pool:\n        list(pool.map(lambda urls: asyncio.run(run_batch(urls, "
        in text
    )
    assert (
        '[["https://shop.example/1/1"], ["https://shop.example/2/1", "https://shop.example/2/2"]]))' in text
    )


@pytest.mark.parametrize("name", ENDPOINTS)
def test_a_script_is_played_as_it_is_read(name):
    script = Script(pages=(1,), steps={name: ["403"]}, outcomes={1: ["failed()", "completed()"]})
    if name == "list":
        script.steps["submit"] = ["reply_lost()"]

    observed, found, text = try_script(script, runner_httpx.run, 3)

    assert [one.seen for one in observed.session.wiring.log if one.endpoint == f"batch.{name}"] == [403]
    assert (found, text) == ([], "")


def test_a_run_without_end_is_left_to_the_cases():
    """Here it is ended after some requests, which shows nothing."""
    script = Script(pages=(1,), outage=("get", "503"))
    assert try_script(script, broken_runners.NeverGivesUp(), 3)[1] == []


def test_the_suite_tells_what_was_found_and_the_test_to_paste(run_tests):
    source = SUITE.format(runner="broken_runners.SendsALostSubmitAgain()")
    result = run_tests(source, "-k", "random_scripts")

    result.assert_outcomes(failed=1)
    text = failure(result, "test_random_scripts")
    assert text.startswith("1 credit would be lost: https://shop.example/1/1 is scraped and billed\ntwice")
    assert text.index("this test shows the same") < text.index(
        "spidra_mock.batch.submit.script(reply_lost())"
    )


def test_without_hypothesis_that_test_is_skipped(run_tests):
    source = (
        HEAD
        + """
class TestRunner(BatchRunnerConformance):
    @pytest.fixture
    def run_batch(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "hypothesis", None)
        return runners.Careful()
"""
    )
    result = run_tests(source, "-rs", "-k", "random_scripts")

    result.assert_outcomes(skipped=1)
    assert "hypothesis" in str(result.stdout)
