"""`mock_spidra` and `serve_spidra`: the fake without a fixture, and chapters of one test."""

from __future__ import annotations

import asyncio
import inspect
import os
import subprocess
import sys
import textwrap
import threading
import time
import unittest
from contextlib import suppress

import httpx
import pytest
import spidra
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pytest_spidra
from pytest_spidra import RuleWarning, completed, failed, mock_spidra, reply_lost, serve_spidra

URLS = ["https://shop.example/1", "https://shop.example/2"]


def submit(api, *urls):
    return httpx.post(
        f"{api.base_url}/batch/scrape",
        json={"urls": list(urls) or URLS},
        headers={"x-api-key": api.api_key},
    )


def pay_twice(api):
    api.batch.submit.script(reply_lost())
    with pytest.raises(httpx.ReadTimeout):
        submit(api)
    submit(api)


# -- as a context manager ---------------------------------------------------------------------------


def test_a_block_answers_the_official_sdk_on_a_clock_of_its_own():
    with mock_spidra() as mock:
        mock.batch.submit.script(503)
        batch = spidra.Spidra(api_key=mock.api_key).batch_scrape(URLS)
        assert [item.status for item in batch.items] == ["completed", "completed"]
        assert mock.clock.elapsed >= 1
        mock.assert_credits(charged=2)


def test_what_the_rules_find_is_warned_of_where_the_block_begins():
    line = inspect.currentframe().f_lineno + 1
    with pytest.warns(RuleWarning, match="double-submission: The service accepted the same 2 URLs") as told:
        with mock_spidra() as mock:
            pay_twice(mock)
    (one,) = told
    assert (one.filename, one.lineno) == (__file__, line + 1)
    assert 'To allow it, write mock_spidra(allow=["double-submission"]).' in " ".join(
        str(one.message).split()
    )


def test_what_the_rules_find_is_raised_where_they_are_errors():
    with pytest.raises(AssertionError, match=r"^double-submission: "):
        with mock_spidra(rules="error") as mock:
            pay_twice(mock)


@pytest.mark.filterwarnings("error")
def test_a_warning_that_is_an_error_is_raised_as_one_of_ours():
    with pytest.raises(AssertionError, match=r"^double-submission: "):
        with mock_spidra() as mock:
            pay_twice(mock)


@pytest.mark.parametrize(
    "how",
    [{"rules": "off"}, {"allow": ["double-submission", "blind-resend"]}, {"rules": ["busy-polling"]}],
    ids=str,
)
def test_rules_that_are_not_asked_for_say_nothing(how):
    with mock_spidra(**{"rules": "error", **how}) as mock:
        pay_twice(mock)


def test_a_step_that_never_came_is_raised():
    with pytest.raises(AssertionError, match=r"^A scripted step was never reached:") as told:
        with mock_spidra() as mock:
            mock.batch.get.script(503)
    assert "mock_spidra(allow_unused_steps=True)" in " ".join(str(told.value).split())


def test_a_step_that_never_came_may_be_allowed():
    with mock_spidra(allow_unused_steps=True) as mock:
        mock.batch.get.script(503)


def test_an_unknown_request_that_the_code_swallows_is_raised():
    with pytest.raises(AssertionError, match="No endpoint of the fake Spidra answers GET /nothing") as told:
        with mock_spidra() as mock:
            with suppress(BaseException):  # the code under test is careless
                httpx.get(f"{mock.base_url}/nothing")
    assert "Something swallowed this" in str(told.value)


def test_a_way_past_the_block_is_stopped():
    with pytest.raises(AssertionError, match=r"on its way to the real\s+api\.spidra\.io"):
        with mock_spidra():
            with suppress(BaseException):  # the code under test is careless
                httpx.get("https://api.spidra.io/elsewhere")


def test_a_block_that_fails_by_itself_keeps_its_error_and_is_told_the_rest():
    with pytest.raises(ZeroDivisionError) as told:
        with mock_spidra(rules="error") as mock:
            mock.batch.get.script(503)
            pay_twice(mock)
            1 / 0  # noqa: B018 - the failure
    notes = "\n".join(told.value.__notes__)
    assert "batch.get: http_error(503) (step 1 of 1)" in notes
    assert "submit 2 URLs   ReadTimeout" in notes
    assert "> double-submission: " in notes


def test_the_timeline_stands_in_a_failure_once():
    """An assertion of ours has it already."""
    with pytest.raises(AssertionError) as told:
        with mock_spidra() as mock:
            submit(mock)
            mock.assert_attempts("batch.submit", 2)
    assert not hasattr(told.value, "__notes__")


@pytest.mark.parametrize("skip", [pytest.skip.Exception("later"), unittest.SkipTest("later")], ids=repr)
def test_a_skip_does_not_hide_what_was_swallowed(skip):
    with pytest.raises(AssertionError, match="GET /nothing"):
        with mock_spidra() as mock:
            try:
                httpx.get(f"{mock.base_url}/nothing")
            except BaseException:  # noqa: BLE001 - the code under test is careless
                raise skip from None


def test_a_skip_stays_a_skip():
    with pytest.raises(pytest.skip.Exception):
        with mock_spidra() as mock:
            mock.batch.get.script(503)
            pytest.skip("later")


def test_a_block_leaves_nothing_behind():
    before = vars(httpx.HTTPTransport).copy(), time.sleep, threading.Thread.join
    with mock_spidra() as mock:
        submit(mock)
    assert (vars(httpx.HTTPTransport).copy(), time.sleep, threading.Thread.join) == before
    with pytest.raises(ZeroDivisionError):
        with mock_spidra():
            1 / 0  # noqa: B018 - the failure
    assert (vars(httpx.HTTPTransport).copy(), time.sleep, threading.Thread.join) == before


def test_the_real_key_is_out_of_reach_in_a_block(monkeypatch):
    monkeypatch.setenv("SPIDRA_API_KEY", "spd_real_key")
    for block in (mock_spidra(), serve_spidra()):
        with block as mock:
            assert os.environ["SPIDRA_API_KEY"] == mock.api_key != "spd_real_key"
        assert os.environ["SPIDRA_API_KEY"] == "spd_real_key"


def test_blocks_one_after_another_know_nothing_of_each_other():
    ids = []
    for _ in range(2):
        with mock_spidra(rules="error") as mock:
            ids.append(submit(mock).json()["batchId"])
            assert [exchange.number for exchange in mock.exchanges] == [1]
            with pytest.raises(ValueError, match="this test never had a batch"):
                mock.assert_batch_not_retried(ids[0] if len(ids) > 1 else "another")
    assert len(set(ids)) == 2


def test_one_block_in_another_is_refused_and_the_first_goes_on():
    with mock_spidra() as mock:
        with pytest.raises(RuntimeError, match="mock_spidra answers here already"):
            with mock_spidra():
                pass
        assert submit(mock).status_code == 202


def test_a_block_beside_the_fixture_is_refused(spidra_mock):
    with pytest.raises(RuntimeError, match="spidra_mock answers here already"):
        with mock_spidra():
            pass
    assert submit(spidra_mock).status_code == 202


def test_a_block_that_is_entered_already_is_refused():
    block = serve_spidra()
    with block:
        with pytest.raises(RuntimeError, match="entered already"):
            with block:
                pass


def test_a_block_can_be_entered_again_when_it_has_ended():
    block = mock_spidra()
    for _ in range(2):
        with block as mock:
            assert len(mock.exchanges) == 0
            submit(mock)


def test_the_clock_may_be_the_real_one():
    with mock_spidra(clock="real"):
        assert "Clock" not in type(time.sleep).__name__
        assert time.sleep.__module__ == "time"


def test_another_base_url_is_answered():
    with mock_spidra(base_url="https://staging.example/api/") as mock:
        assert mock.base_url == "https://staging.example/api"
        assert submit(mock).status_code == 202


def test_the_limit_of_requests_ends_a_loop():
    with pytest.raises(pytest.fail.Exception, match="more than 5 requests without any progress"):
        with mock_spidra(request_limit=5) as mock:
            while True:
                httpx.get(f"{mock.base_url}/batch/scrape", headers={"x-api-key": mock.api_key})


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"rules": "of"}, "mock_spidra(rules=…): 'of' is no rule."),
        ({"clock": "unreal"}, 'mock_spidra(clock=…): the clock of a test is "virtual" or "real"'),
        ({"allow": ["busy-poling"]}, "Did you mean 'busy-polling'?"),
        ({"allow_unused_steps": 1}, "mock_spidra(allow_unused_steps=…) is True or False, not 1"),
        ({"request_limit": 0}, "mock_spidra(request_limit=…) is a number of requests from 1 on, not 0"),
        ({"base_url": "api.spidra.io"}, "mock_spidra(base_url=…) is a URL such as"),
        ({"base_url": "https://a.example:port/"}, "mock_spidra(base_url=…) is a URL such as"),
        ({"base_url": None}, "mock_spidra(base_url=…) is a URL such as"),
    ],
    ids=str,
)
def test_a_wrong_setting_is_told_where_it_is_given(wrong, told):
    with pytest.raises(ValueError) as error:
        mock_spidra(**wrong)
    assert told in str(error.value)


def test_batches_that_are_there_already_come_from_the_block_s_factory():
    with mock_spidra() as mock:
        batch = mock.batch_factory(urls=3, failed=1)
        assert spidra.Spidra(api_key=mock.api_key).retry_batch_scrape(batch.id) == 1


# -- as a decorator ---------------------------------------------------------------------------------


@mock_spidra(rules="error")
def test_a_decorated_test_gets_the_fake_by_its_name(spidra_mock, tmp_path):
    """And pytest the other fixtures."""
    assert tmp_path.is_dir()
    assert submit(spidra_mock).status_code == 202


@mock_spidra(rules="error")
def test_a_decorated_test_needs_not_ask_for_it():
    assert httpx.get(f"{BASE}/batch/scrape", headers={"x-api-key": "k" * 8}).status_code == 200


BASE = "https://api.spidra.io/api"


@mock_spidra(rules="error")
async def test_a_decorated_async_test_runs_on_the_clock(spidra_mock):
    async with spidra.AsyncSpidra(api_key=spidra_mock.api_key) as client:
        await client.batch_scrape(URLS)
    assert spidra_mock.clock.elapsed >= 5


def test_each_call_of_a_decorated_function_is_judged_by_itself():
    """The same pages again are no double payment: it is another call."""

    @mock_spidra(rules="error")
    def job(*, spidra_mock, code):
        spidra_mock.batch.submit.script(code)
        spidra.Spidra(api_key=spidra_mock.api_key).batch_scrape(URLS)
        return len(spidra_mock.exchanges)

    counts = [job(code=code) for code in (502, 503)]
    assert counts[0] == counts[1] == 4
    assert list(inspect.signature(job).parameters) == ["code"]


def test_a_decorated_function_that_calls_itself_is_refused():
    @mock_spidra()
    def again():
        again()

    with pytest.raises(RuntimeError, match="answers here already"):
        again()


@settings(max_examples=15, deadline=None, derandomize=True)
@given(code=st.sampled_from([400, 500, 502, 503]))
@mock_spidra(rules="error")
def test_each_example_of_hypothesis_is_judged_by_itself(spidra_mock, code):
    """With a fixture, twenty examples are one client that goes round in circles."""
    spidra_mock.batch.submit.script(code)
    client = spidra.Spidra(api_key=spidra_mock.api_key)
    if code < 502:
        with pytest.raises(spidra.SpidraError):
            client.batch_scrape(URLS)
    else:
        client.batch_scrape(URLS)


def test_hypothesis_finds_the_example_that_the_rules_accuse():
    @settings(max_examples=30, deadline=None, derandomize=True, database=None)
    @given(count=st.integers(0, 50))
    @mock_spidra(rules="error")
    def careless(spidra_mock, count):
        submit(spidra_mock)
        if count > 7:
            submit(spidra_mock)

    with pytest.raises(AssertionError, match=r"^resubmitted-unfinished: ") as told:
        careless()
    assert "count=8" in "\n".join(told.value.__notes__)


def test_a_block_inside_what_hypothesis_calls_is_one_for_each_example():
    @settings(
        max_examples=5,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(st.integers(0, 3))
    def examples(_):
        with mock_spidra(rules="error") as mock:
            submit(mock)

    examples()


class UnitTest(unittest.TestCase):
    """Methods of a TestCase, which take no fixtures."""

    @mock_spidra(rules="error")
    def test_a_method(self, spidra_mock):
        self.assertEqual(submit(spidra_mock).status_code, 202)  # noqa: PT009 - as unittest has it

    def test_a_block_that_the_case_enters(self):
        mock = self.enterContext(mock_spidra(rules="error"))
        self.assertEqual(submit(mock).status_code, 202)  # noqa: PT009 - as unittest has it


class AsyncUnitTest(unittest.IsolatedAsyncioTestCase):
    @mock_spidra(rules="error")
    async def test_an_async_method(self, spidra_mock):
        async with spidra.AsyncSpidra(api_key=spidra_mock.api_key) as client:
            await client.batch_scrape(URLS)


def generator():
    yield


async def async_generator():
    yield


@pytest.mark.parametrize(
    ("what", "instead"),
    [
        (type("Case", (), {}), "write self.enterContext(mock_spidra()) in setUp"),
        (generator, "write `with mock_spidra() as spidra_mock:` around the yield"),
        (async_generator, "write `with mock_spidra() as spidra_mock:` around the yield"),
        (given(st.none())(lambda x: None), "write @given above @mock_spidra()"),
    ],
    ids=["class", "generator", "async generator", "given"],
)
def test_what_cannot_be_decorated_is_refused_with_the_way(what, instead):
    with pytest.raises(TypeError) as told:
        mock_spidra()(what)
    assert instead in str(told.value)


# -- where pytest shows it --------------------------------------------------------------------------

MODULE_SCOPE = """
import httpx, pytest
from pytest_spidra import mock_spidra, reply_lost

@pytest.fixture(scope="module")
def shared():
    with mock_spidra(RULES) as mock:
        yield mock

@pytest.fixture
def spidra(shared):
    yield shared
    shared.reset()

def submit(mock):
    return httpx.post(mock.base_url + "/batch/scrape", json={"urls": ["https://a.example/"]}, headers={"x-api-key": mock.api_key})

def test_one(spidra):
    submit(spidra)

def test_two(spidra):
    "The same page again: another test, another chapter."
    submit(spidra)
    assert len(spidra.exchanges) == 1 and len(spidra.batches) == 2

def test_three(spidra):
    BODY
"""

TWICE = """submit(spidra)
    submit(spidra)"""


def run_module(run_tests, body, rules="rules='error'", *args):
    return run_tests(MODULE_SCOPE.replace("BODY", body).replace("RULES", rules), *args)


def test_tests_of_a_module_that_share_a_block_are_judged_one_by_one(run_tests):
    run_module(run_tests, "submit(spidra)").assert_outcomes(passed=3)


def test_the_careless_one_among_them_is_named(run_tests):
    result = run_module(run_tests, TWICE)
    result.assert_outcomes(passed=3, errors=1)
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_three*", "E * resubmitted-unfinished: *"])


def test_what_was_scripted_in_a_chapter_and_never_came_fails_its_test(run_tests):
    result = run_module(run_tests, "spidra.batch.get.script(503)")
    result.assert_outcomes(passed=3, errors=1)
    result.stdout.fnmatch_lines(["E * A scripted step was never reached:"])


def test_the_summary_of_a_run_lists_what_was_found_in_blocks_and_chapters(run_tests):
    result = run_module(run_tests, TWICE, "")
    result.assert_outcomes(passed=3, warnings=1)
    result.stdout.fnmatch_lines(["*spidra rules*", "resubmitted-unfinished (1)", "*::test_three: *"])


def test_a_failing_test_that_shares_a_block_shows_the_timeline(run_tests):
    result = run_module(run_tests, "submit(spidra)\n    assert 0 == 1")
    result.stdout.fnmatch_lines(["E *assert 0 == 1", "*spidra timeline*", "*submit 1 URL*202 queued"])


def test_a_fixture_beside_a_block_of_a_wider_scope_is_refused(run_tests):
    result = run_tests(
        MODULE_SCOPE.replace("RULES", "").replace("BODY", "pass")
        + "\ndef test_four(shared, spidra_mock):\n    pass\n"
    )
    result.assert_outcomes(passed=3, errors=1)
    result.stdout.fnmatch_lines(["spidra_mock cannot start: mock_spidra() answers here already*"])


def test_a_block_stays_in_front_of_a_fixture_that_patches_httpx(run_tests):
    result = run_tests(
        MODULE_SCOPE.replace("RULES", "").replace("BODY", "pass")
        + "\ndef test_four(shared, httpx_mock):\n    assert submit(shared).status_code == 202\n"
    )
    result.assert_outcomes(passed=4)


def test_a_failing_block_shows_its_timeline_once(run_tests, monkeypatch):
    for name in ("CI", "BUILD_NUMBER"):  # where it is set, pytest's summary repeats each message whole
        monkeypatch.delenv(name, raising=False)
    result = run_tests(
        "import httpx\nfrom pytest_spidra import mock_spidra\ndef test_it():\n    with mock_spidra() as mock:\n"
        "        httpx.get(mock.base_url + '/batch/scrape', headers={'x-api-key': mock.api_key})\n        assert 0 == 1\n"
    )
    result.assert_outcomes(failed=1)
    assert str(result.stdout).count("the client saw") == 1
    result.stdout.fnmatch_lines(["*#1     0.00               list*200*"])


def test_a_block_needs_no_pytest_that_runs(tmp_path):
    """A notebook, or a script."""
    script = tmp_path / "notebook.py"
    script.write_text(
        textwrap.dedent("""
        import asyncio, sys, time, warnings
        import spidra
        from pytest_spidra import mock_spidra
        warnings.simplefilter("error")
        with mock_spidra() as spidra_mock:
            spidra_mock.batch.submit.script(503)
            batch = spidra.Spidra(api_key=spidra_mock.api_key).batch_scrape(["https://a.example"])
            print(batch.status, spidra_mock.exchanges.calls("batch.submit")[0].outcomes)

        @mock_spidra()
        async def main(spidra_mock):
            async with spidra.AsyncSpidra(api_key=spidra_mock.api_key) as client:
                return (await client.batch_scrape(["https://a.example"])).status

        print(asyncio.run(main()))
        """)
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False, timeout=60)  # noqa: S603 - our own code
    assert (done.stdout, done.stderr) == ("completed [503, 202]\ncompleted\n", "")


def test_unittest_s_own_runner_counts_a_failure(tmp_path):
    (tmp_path / "test_case.py").write_text(
        textwrap.dedent("""
        import unittest, httpx
        from pytest_spidra import mock_spidra
        class Case(unittest.TestCase):
            @mock_spidra()
            def test_green(self, spidra_mock):
                pass
            @mock_spidra()
            def test_red(self, spidra_mock):
                spidra_mock.batch.get.script(503)
        """)
    )
    done = subprocess.run(
        [sys.executable, "-m", "unittest", "-q"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "AssertionError: A scripted step was never reached:" in done.stderr
    assert done.stderr.endswith("FAILED (failures=1)\n")


# -- a server ---------------------------------------------------------------------------------------


def test_a_server_of_its_own_answers_on_a_port_and_is_judged():
    with pytest.raises(AssertionError, match=r"^resubmitted-unfinished: ") as told:
        with serve_spidra(rules="error") as server:
            assert server.base_url.startswith("http://127.0.0.1:")
            for _ in range(2):
                assert submit(server).status_code == 202
    assert 'write serve_spidra(allow=["resubmitted-unfinished"])' in " ".join(str(told.value).split())
    with pytest.raises(httpx.ConnectError):
        submit(server)


def test_servers_and_a_fake_in_this_process_answer_side_by_side():
    with serve_spidra() as one, serve_spidra() as two, mock_spidra() as mock:
        assert len({one.base_url, two.base_url, mock.base_url}) == 3
        submit(one)
        submit(mock)
        assert [len(api.exchanges) for api in (one, two, mock)] == [1, 0, 1]


def test_a_port_that_is_taken_is_an_error_and_leaves_the_key_alone(monkeypatch):
    monkeypatch.setenv("SPIDRA_API_KEY", "spd_real_key")
    with serve_spidra() as server:
        port = httpx.URL(server.base_url).port
        with pytest.raises(OSError, match="in use"):
            with serve_spidra(port):
                pass
    assert os.environ["SPIDRA_API_KEY"] == "spd_real_key"


def test_a_decorated_function_gets_the_server_by_its_name():
    @serve_spidra()
    def job(spidra_server):
        return submit(spidra_server).status_code

    assert job() == 202


# -- chapters ---------------------------------------------------------------------------------------


def test_a_chapter_begins_with_nothing_but_the_batches(spidra_mock):
    spidra_mock.batch.outcomes({URLS[0]: [failed(), completed()]})
    batch = submit(spidra_mock).json()["batchId"]
    list(spidra.Spidra(api_key=spidra_mock.api_key).watch_batch(batch))
    spidra.Spidra(api_key=spidra_mock.api_key).retry_batch_scrape(batch)
    spidra_mock.batch.submit.always(503)
    assert submit(spidra_mock, "https://other.example/").status_code == 503
    spidra_mock.assert_credits(reserved=3, charged=2, refunded=1)
    elapsed, left = spidra_mock.clock.elapsed, spidra_mock.account.credits

    spidra_mock.reset()

    assert (len(spidra_mock.exchanges), len(spidra_mock.batches)) == (0, 1)
    assert (spidra_mock.clock.elapsed, spidra_mock.account.credits) == (elapsed, left)
    spidra_mock.assert_credits(reserved=1, charged=1, refunded=0)  # the retried page is under way
    assert submit(spidra_mock, "https://other.example/").status_code == 202
    (exchange,) = spidra_mock.exchanges
    assert (exchange.number, exchange.sent_at, exchange.waited, exchange.sender) == (1, elapsed, None, 1)


def test_a_batch_goes_on_in_the_next_chapter_as_it_was_told_to(spidra_mock):
    """What is scripted for others begins anew."""
    page = {"price": 12}
    spidra_mock.batch.outcomes({URLS[0]: completed(page, after_polls=1)})
    first = submit(spidra_mock, URLS[0]).json()["batchId"]
    spidra_mock.reset()
    client = spidra.Spidra(api_key=spidra_mock.api_key)
    (old,) = client.watch_batch(first)
    (new,) = client.watch_batch(submit(spidra_mock, URLS[0]).json()["batchId"])
    assert old.result == page != new.result


def test_the_same_work_in_another_chapter_is_another_wish(spidra_mock):
    submit(spidra_mock)
    spidra_mock.reset()
    submit(spidra_mock)
    spidra_mock.assert_rules()


def test_a_chapter_is_judged_when_it_ends(spidra_mock):
    submit(spidra_mock)
    submit(spidra_mock)
    line = inspect.currentframe().f_lineno + 2
    with pytest.warns(RuleWarning, match="resubmitted-unfinished") as told:
        spidra_mock.reset()
    assert (told[0].filename, told[0].lineno) == (__file__, line)


@pytest.mark.spidra(rules="error")
def test_a_chapter_that_is_accused_begins_anew_all_the_same(spidra_mock):
    submit(spidra_mock)
    submit(spidra_mock)
    with pytest.raises(AssertionError, match=r"^resubmitted-unfinished: "):
        spidra_mock.reset()
    assert len(spidra_mock.exchanges) == 0


def test_an_end_that_never_came_belongs_to_its_chapter(spidra_mock):
    """It is told once."""
    spidra_mock.batch.ends("failed", after_polls=9)
    list(spidra.Spidra(api_key=spidra_mock.api_key).watch_batch(submit(spidra_mock).json()["batchId"]))
    with pytest.raises(AssertionError, match="had ended before"):
        spidra_mock.reset()


def test_a_request_under_way_belongs_to_the_chapter_in_which_it_was_sent(spidra_mock):
    spidra_mock.batch.submit.script(pytest_spidra.ok(after=5))
    thread = threading.Thread(target=submit, args=[spidra_mock])
    thread.start()
    time.sleep(1)
    spidra_mock.reset()
    submit(spidra_mock, "https://other.example/")
    thread.join()
    (exchange,) = spidra_mock.exchanges
    assert (exchange.seen, exchange.seen_at, exchange.request_json["urls"]) == (
        202,
        1,
        ["https://other.example/"],
    )


def test_progress_is_counted_anew_in_a_chapter(spidra_mock):
    path = f"{spidra_mock.base_url}/batch/scrape"
    for _ in range(3):
        for _ in range(400):
            httpx.get(path, headers={"x-api-key": spidra_mock.api_key})
            time.sleep(5)
        spidra_mock.reset()


# -- outages ----------------------------------------------------------------------------------------


def test_in_an_outage_every_endpoint_answers_alike(spidra_mock):
    spidra_mock.outage(start=10, seconds=20)
    spidra_mock.batch.get.script(502)
    batch = submit(spidra_mock).json()["batchId"]
    headers, url = {"x-api-key": spidra_mock.api_key}, f"{spidra_mock.base_url}/batch/scrape"
    seen = []
    for until in (9, 10, 29, 30, 31):
        spidra_mock.clock.advance(until - spidra_mock.clock.elapsed)
        seen.append(
            [
                httpx.get(f"{url}/{batch}", headers=headers).status_code,
                httpx.get(url, headers=headers).status_code,
            ]
        )
    assert seen == [[502, 200], [503, 503], [503, 503], [200, 200], [200, 200]]
    assert spidra_mock.exchanges[3].scripted == "outage(http_error(503))"


def test_the_steps_of_a_script_wait_for_the_end_of_an_outage(spidra_mock):
    spidra_mock.outage(502, seconds=3)
    spidra_mock.batch.submit.script(503)
    seen = []
    for _ in range(3):
        seen.append(submit(spidra_mock).status_code)
        time.sleep(3)
    assert seen == [502, 503, 202]


def test_an_outage_may_lose_requests(spidra_mock):
    spidra_mock.outage(pytest_spidra.request_lost())
    with pytest.raises(httpx.ConnectError):
        submit(spidra_mock)


def test_an_outage_that_no_request_met_fails_the_test(run_tests):
    result = run_tests("def test_it(spidra_mock):\n    spidra_mock.outage(502, start=5, seconds=2.5)\n")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*outage(http_error(502), start=5, seconds=2.5): no request came in that time"]
    )


@pytest.mark.parametrize(
    ("wrong", "error", "told"),
    [
        ({"step": "503"}, TypeError, "'503' is no step"),
        ({"step": 200}, ValueError, "200"),
        ({"start": -1}, ValueError, "outage(start=…) counts seconds from 0 on, not -1"),
        ({"start": "1"}, TypeError, "outage(start=…) takes a number of seconds, not '1'"),
        ({"seconds": 0}, ValueError, "outage(seconds=…) lasts longer than 0 seconds"),
        ({"seconds": float("inf")}, ValueError, "outage(seconds=…) counts seconds from 0 on, not inf"),
    ],
    ids=str,
)
def test_a_wrong_outage_is_refused(spidra_mock, wrong, error, told):
    with pytest.raises(error) as found:
        spidra_mock.outage(**wrong)
    assert told in str(found.value)


def test_an_outage_of_a_server_goes_by_its_clock():
    with serve_spidra() as server:
        server.outage(seconds=100)
        assert submit(server).status_code == 503
        server.clock.advance(100)
        assert submit(server).status_code == 202


def test_a_script_without_steps_says_nothing(spidra_mock):
    spidra_mock.batch.submit.script(*[])
    assert submit(spidra_mock).status_code == 202


def test_asyncio_run_in_a_block_is_on_the_clock():
    async def wait():
        await asyncio.sleep(3600)

    with mock_spidra() as mock:
        asyncio.run(wait())
        assert mock.clock.elapsed == 3600


def test_a_chapter_forgets_what_was_said_of_a_site(spidra_mock):
    with httpx.Client(base_url=spidra_mock.base_url, headers={"x-api-key": spidra_mock.api_key}) as client:
        found = []
        for _ in range(2):
            found.append(client.post("/map", json={"url": "https://a.example"}).text)
            spidra_mock.map.finds(["https://a.example/only"])
            found.append(client.post("/map", json={"url": "https://a.example"}).text)
            spidra_mock.reset()
    assert found[0] == found[2]
    assert found[1] == found[3] != found[0]


# -- examples of hypothesis with the fixture --------------------------------------------------------

EXAMPLES = """
import httpx, pytest, spidra
from hypothesis import HealthCheck, given, settings, strategies as st
from pytest_spidra import failed

ALL = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)

def submit(mock):
    httpx.post(mock.base_url + "/batch/scrape", json={"urls": ["https://a.example"]}, headers={"x-api-key": mock.api_key})

@ALL
@given(code=st.sampled_from([502, 503]))
def test_plain(spidra_mock, code):
    spidra_mock.batch.submit.script(code)
    spidra.Spidra(api_key=spidra_mock.api_key).batch_scrape(["https://a.example"])

@ALL
@given(code=st.sampled_from([400, 500]))
async def test_async(spidra_mock, code):
    spidra_mock.batch.submit.script(code)
    async with spidra.AsyncSpidra(api_key=spidra_mock.api_key) as client:
        with pytest.raises(spidra.SpidraError):
            await client.batch_scrape(["https://a.example"])

@ALL
@given(count=st.integers(0, 9))
def test_accused(spidra_mock, count):
    submit(spidra_mock)
    if count > 5:
        submit(spidra_mock)

@ALL
@given(count=st.integers(0, 9))
def test_unreached(spidra_mock, count):
    if count > 6:
        spidra_mock.batch.get.script(503)

@pytest.fixture
def prepared(spidra_mock):
    submit(spidra_mock)
    spidra_mock.batch.list.script(503)
    spidra_mock.batch.get.always(500)
    spidra_mock.batch.outcomes({"https://b.example": [failed()]})
    spidra_mock.map.finds(["https://c.example/1"])
    return spidra_mock

LOGS = []

@ALL
@given(count=st.integers(0, 9))
def test_what_a_fixture_has_scripted_holds_in_each_example(prepared, count):
    LOGS.append(len(prepared.exchanges))
    headers = {"x-api-key": prepared.api_key}
    with httpx.Client(base_url=prepared.base_url, headers=headers) as client:
        assert [client.get("/batch/scrape").status_code for _ in range(2)] == [503, 200]
        batch = client.post("/batch/scrape", json={"urls": ["https://b.example"]}).json()["batchId"]
        assert client.get(f"/batch/scrape/{batch}").status_code == 500
        prepared.clock.advance(1)
        found = client.post("/map", json={"url": "https://c.example"}).json()
        assert "https://c.example/1" in str(found)
        client.delete(f"/batch/scrape/{batch}")

def test_the_first_example_has_what_the_fixture_has_sent_and_no_other_has_anything():
    assert LOGS[0] == 1
    assert set(LOGS[1:]) == {0}

@ALL
@given(count=st.integers(0, 9))
def test_what_a_fixture_has_scripted_is_reached(prepared, count):
    pass

@ALL
@given(count=st.integers(0, 9))
def test_fails_by_itself(spidra_mock, count):
    submit(spidra_mock)
    assert count < 3
"""


@pytest.mark.slow
def test_each_example_of_hypothesis_is_a_chapter_of_a_test_with_the_fixture(pytester):
    """A process of its own: hypothesis's plugin is imported once."""
    pytester.makepyfile(test_examples=EXAMPLES)
    result = pytester.runpytest_subprocess(
        *("-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function"),
        *("--spidra-rules=error", "-p", "no:cacheprovider"),
        timeout=100,
    )
    result.assert_outcomes(passed=4, failed=4)
    shown = str(result.stdout)
    assert "AssertionError: resubmitted-unfinished: " in shown
    assert "count=6" in shown
    assert "AssertionError: A scripted step was never reached:" in shown
    assert "count=7" in shown
    assert "assert 3 < 3" in shown
    result.stdout.fnmatch_lines(["*spidra rules*", "resubmitted-unfinished (1)"])
