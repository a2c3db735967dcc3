"""What pytest shows of the plugin in a user's own run: its messages, word for word, and its costs."""

from __future__ import annotations

import fnmatch
import io
import subprocess
import sys

import pytest

from pytest_spidra.sessions.start import end_process
from pytest_spidra.traffic.endpoints import ENDPOINTS, closest

HEAD = """
import asyncio, threading, warnings
import httpx, pytest
from pytest_spidra import completed, failed, http_error, ok, reply_lost, stuck

def ask(mock, path="/batch/scrape", method="GET", **options):
    return httpx.request(method, mock.base_url + path, headers={"x-api-key": "k"}, **options)

"""

SHOWS_NOTHING = ["", "What this test is about did not happen, so the test shows nothing about", "it.", ""]

FIX_UNUSED = [
    "",
    "To fix it, let the client get there, or take the step out. To allow it,",
    "mark the test @pytest.mark.spidra(allow_unused_steps=True).",
]

NO_REQUEST = [*SHOWS_NOTHING, "The client sent no request at all.", *FIX_UNUSED]

HEADING = "*#  seconds    wait by    request         the client saw"

ONE_UNUSED = {
    "a step": (
        "spidra_mock.batch.submit.script(503)",
        "    batch.submit: http_error(503) (step 1 of 1)",
    ),
    "the second of three steps on": (
        "spidra_mock.batch.list.script(503, reply_lost()); ask(spidra_mock)",
        "    batch.list: reply_lost() (step 2 of 2)",
    ),
    "a step for one batch": (
        'spidra_mock.batch.get.script(ok(after=1.5), batch="b-1")',
        "    batch.get: ok(after=1.5) (step 1 of 1) for batch b-1",
    ),
    "an outage": (
        "spidra_mock.batch.retry.always(http_error(503, retry_after=2))",
        "    batch.retry: always(http_error(503, retry_after=2))",
    ),
    "an end": (
        'spidra_mock.batch.ends("failed")',
        '    batch.ends("failed"): no batch was submitted after it',
    ),
    "an outcome": (
        """spidra_mock.batch.outcomes({"https://unlike.test/9": failed()})
ask(spidra_mock, method="POST", json={"urls": ["https://a.example/"]})""",
        "    batch.outcomes: no batch had the URL https://unlike.test/9",
    ),
    "an outcome, no batch submitted": (
        'spidra_mock.batch.outcomes({"https://b.example/": failed()})',
        "    batch.outcomes: no batch had the URL https://b.example/*",
    ),
}


def one_test(body, marks=""):
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    return f"{HEAD}{marks}\ndef test_it(spidra_mock):\n{lines}\n"


@pytest.mark.parametrize("what", ONE_UNUSED)
def test_what_was_scripted_and_never_reached_fails_the_test(run_tests, what):
    body, line = ONE_UNUSED[what]
    result = run_tests(one_test(body))
    result.assert_outcomes(failed=1, errors=0)
    asked = [*SHOWS_NOTHING, HEADING] if "ask(" in body else NO_REQUEST
    result.stdout.fnmatch_lines(
        ["*_ test_it _*", "A scripted step was never reached:", line, *asked], consecutive=True
    )
    result.stdout.fnmatch_lines(FIX_UNUSED[1:], consecutive=True)


def test_several_unused_steps_are_told_in_one_message(run_tests):
    result = run_tests(
        one_test(
            "spidra_mock.batch.submit.script(503, 502)\n"
            "spidra_mock.batch.get.always(500)\n"
            'spidra_mock.batch.ends("cancelled")'
        )
    )
    result.assert_outcomes(failed=1, errors=0)
    result.stdout.fnmatch_lines(
        [
            "4 scripted steps were never reached:",
            "    batch.submit: http_error(503) (step 1 of 2)",
            "    batch.submit: http_error(502) (step 2 of 2)",
            "    batch.get: always(http_error(500))",
            '    batch.ends("cancelled"): no batch was submitted after it',
            *NO_REQUEST,
        ],
        consecutive=True,
    )


@pytest.mark.parametrize("what", ONE_UNUSED)
def test_the_marker_allows_unused_steps(run_tests, what):
    body, _ = ONE_UNUSED[what]
    run_tests(one_test(body, "@pytest.mark.spidra(allow_unused_steps=True)")).assert_outcomes(passed=1)


def test_the_closest_marker_wins(run_tests):
    result = run_tests(
        HEAD
        + """
pytestmark = pytest.mark.spidra(allow_unused_steps=True)

def test_allowed(spidra_mock):
    spidra_mock.batch.get.script(503)

@pytest.mark.spidra(allow_unused_steps=False)
def test_refused(spidra_mock):
    spidra_mock.batch.get.script(503)

@pytest.mark.spidra(allow_unused_steps=False)
class TestClass:
    @pytest.mark.spidra(allow_unused_steps=True)
    def test_allowed_again(self, spidra_mock):
        spidra_mock.batch.get.script(503)
"""
    )
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["FAILED *::test_refused - Failed: A scripted step was never reached:"])


def test_steps_that_were_all_used_pass(run_tests):
    run_tests(
        one_test(
            "spidra_mock.batch.list.script(503, reply_lost())\n"
            "spidra_mock.batch.submit.always(503)\n"
            "ask(spidra_mock)\n"
            "with pytest.raises(httpx.ReadTimeout):\n"
            "    ask(spidra_mock)\n"
            'assert ask(spidra_mock, method="POST").status_code == 503\n'
        )
    ).assert_outcomes(passed=1)


# -- requests that no endpoint knows -------------------------------------------------------------------


def unknown(method="GET", path="/nothing"):
    meant = closest(method, path)
    rows = [row for row in ENDPOINTS if row.family == meant.family]
    return [
        f"No endpoint of the fake Spidra answers {method} {path}.",
        "",
        f"The closest is {meant.name}: {meant.method} {meant.path}.",
        "",
        "Against the real API this is an error, or a call that the fake does not",
        "know: the test would prove nothing.",
        "",
        f"The endpoints of {meant.family} are",
        *(f"    {row.name:<13} {row.method:<6} {row.path}" for row in rows),
        "besides those of *",
        "*.",
        "",
        "To fix it, correct the request. To answer it yourself, add a route of",
        "respx:",
        f'    spidra_mock.router.route(method="{method}", path__regex="…").respond(…)',
    ]


WENT_ON = [
    "Something swallowed this: the code under test went on, and the test",
    "fails all the same.",
]


def test_a_request_that_no_endpoint_knows_fails_the_test_where_it_is_sent(run_tests):
    result = run_tests(one_test('ask(spidra_mock, "/nothing")'))
    result.assert_outcomes(failed=1, errors=0)
    result.stdout.fnmatch_lines(
        ["*_ test_it _*", *unknown(), "", "Sent from *.py:6, in ask."], consecutive=True
    )
    result.stdout.fnmatch_lines(
        ["FAILED *::test_it - Failed: No endpoint of the fake Spidra answers GET /nothing."]
    )
    result.stdout.no_fnmatch_line("*the code under test went on*")


SWALLOWING = {
    "except BaseException": """
try:
    ask(spidra_mock, "/nothing")
except BaseException:
    pass
""",
    "a bare except": """
try:
    ask(spidra_mock, "/nothing")
except:
    pass
""",
    "gather": """
async def main():
    async with httpx.AsyncClient() as client:
        return await asyncio.gather(client.get(spidra_mock.base_url + "/nothing"), return_exceptions=True)

assert isinstance(asyncio.run(main())[0], BaseException)
""",
    "a thread": """
def run():
    try:
        ask(spidra_mock, "/nothing")
    except BaseException:
        pass

thread = threading.Thread(target=run)
thread.start()
thread.join()
""",
    "a future": """
from concurrent.futures import ThreadPoolExecutor

with ThreadPoolExecutor() as pool:
    assert pool.submit(ask, spidra_mock, "/nothing").exception()
""",
    "pytest.raises": """
with pytest.raises(pytest.fail.Exception):
    ask(spidra_mock, "/nothing")
""",
}


@pytest.mark.parametrize("way", SWALLOWING)
def test_an_unknown_request_fails_the_test_however_it_is_swallowed(run_tests, way):
    result = run_tests(one_test(SWALLOWING[way]))
    result.assert_outcomes(failed=1, errors=0)
    result.stdout.fnmatch_lines(
        ["*_ test_it _*", *unknown(), "", "Sent from *.py:*, in *.", "", *WENT_ON], consecutive=True
    )


def test_except_exception_does_not_catch_it(run_tests):
    """A loop that retries on every ``Exception`` asks once and ends."""
    result = run_tests(
        one_test(
            """
for _ in range(3):
    try:
        ask(spidra_mock, "/nothing")
    except Exception:
        pass
"""
        )
    )
    result.assert_outcomes(failed=1, errors=0)
    result.stdout.fnmatch_lines(["*_ test_it _*", *unknown()], consecutive=True)
    assert result.outlines.count("No endpoint of the fake Spidra answers GET /nothing.") == 1
    result.stdout.no_fnmatch_line(WENT_ON[0])


def test_a_thread_that_dies_of_it_fails_the_test(run_tests):
    result = run_tests(
        one_test(
            """
thread = threading.Thread(target=ask, args=(spidra_mock, "/nothing"))
thread.start()
thread.join()
"""
        )
    )
    result.assert_outcomes(failed=1, errors=0, warnings=1)
    result.stdout.fnmatch_lines([*unknown(), "", "Sent from *", "", *WENT_ON], consecutive=True)


def test_a_task_group_ends_in_the_plain_message(run_tests):
    result = run_tests(
        one_test(
            """
async def main():
    async with httpx.AsyncClient() as client, asyncio.TaskGroup() as group:
        group.create_task(client.get(spidra_mock.base_url + "/nothing"))
        group.create_task(asyncio.sleep(3600))

asyncio.run(main())
"""
        )
    )
    result.assert_outcomes(failed=1, errors=0)
    result.stdout.fnmatch_lines(["*_ test_it _*", *unknown()], consecutive=True)
    result.stdout.no_fnmatch_line("*ExceptionGroup*")


@pytest.mark.parametrize(
    ("method", "path", "meant"),
    [
        ("POST", "/batch/scrap", "batch.submit: POST /batch/scrape"),
        ("PUT", "/batch/scrape", "batch.submit: POST /batch/scrape"),
        ("POST", "/batch/scrape/b-1/retries", "batch.retry: POST /batch/scrape/{batchId}/retry"),
        (
            "GET",
            "/batch/scrape/00000001-0000-4000-8000-000000000000/items?page=2",
            "batch.get: GET /batch/scrape/{batchId}",
        ),
    ],
)
def test_the_message_names_the_closest_endpoint(run_tests, method, path, meant):
    result = run_tests(one_test(f'ask(spidra_mock, "{path}", "{method}")'))
    result.assert_outcomes(failed=1, errors=0)
    asked = path.replace("?", "[?]")
    told = [f"No endpoint of the fake Spidra answers {method} {asked}.", "", f"The closest is {meant}."]
    result.stdout.fnmatch_lines(told, consecutive=True)


def test_a_route_of_the_tests_own_answers_what_the_fake_does_not_know(run_tests):
    run_tests(
        one_test(
            'spidra_mock.router.route(method="GET", path__regex="/monitors$").respond(200, json={"a": 1})\n'
            'assert ask(spidra_mock, "/monitors").json() == {"a": 1}\n'
            "assert ask(spidra_mock).status_code == 200\n"
        )
    ).assert_outcomes(passed=1)


def test_a_request_that_a_users_fixture_sends_fails_there(run_tests):
    """At setup it is an error of the fixture that sent it, not of the test."""
    result = run_tests(
        HEAD
        + """
@pytest.fixture
def listed(spidra_mock):
    ask(spidra_mock, "/nothing")

def test_it(listed):
    pass
"""
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*ERROR at setup of test_it*", *unknown()], consecutive=True)


def test_a_request_swallowed_in_a_fixture_fails_the_test(run_tests):
    result = run_tests(
        HEAD
        + """
@pytest.fixture
def listed(spidra_mock):
    try:
        ask(spidra_mock, "/nothing")
    except BaseException:
        pass

def test_it(listed):
    pass
"""
    )
    result.assert_outcomes(failed=1, errors=0)
    result.stdout.fnmatch_lines([*unknown(), "", "Sent from *", "", *WENT_ON], consecutive=True)


def test_a_request_swallowed_in_a_finalizer_is_reported(run_tests):
    """After the test itself only its teardown can still fail."""
    result = run_tests(
        HEAD
        + """
@pytest.fixture
def cleaned(spidra_mock):
    yield
    try:
        ask(spidra_mock, "/nothing")
    except BaseException:
        pass

def test_it(cleaned):
    pass
"""
    )
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines([*unknown(), "", "Sent from *"], consecutive=True)


# -- endless loops -------------------------------------------------------------------------------------

ENDLESS = """
spidra_mock.batch.outcomes({"https://a.example/": stuck()})
batch = ask(spidra_mock, method="POST", json={"urls": ["https://a.example/"]}).json()["batchId"]
while True:
    try:
        ask(spidra_mock, "/batch/scrape/" + batch)
    except Exception:
        pass
"""


def test_an_endless_loop_ends_with_the_timeline(run_tests):
    result = run_tests(one_test(ENDLESS), ini="spidra_request_limit = 5")
    result.assert_outcomes(failed=1, errors=0)
    result.stdout.fnmatch_lines(
        [
            "*_ test_it _*",
            "The client sent more than 5 requests without any progress.",
            "",
            "In all of them, no URL was submitted or seen to end for the first time.",
            "No time has passed on the test's clock either: in production this loop",
            "would run for ever and use up the request quota.",
            "",
            HEADING,
            "       #1 *submit 1 URL*202 queued",
            "     #2-6 *get 00000001*200 running 0/1",
            "",
            "To fix it, give the loop a deadline or a highest number of attempts, and",
            "end it on every terminal status and on every error that is not",
            "transient. To allow it, raise the limit:",
            "@pytest.mark.spidra(request_limit=…), mock_spidra(request_limit=…), or",
            "the ini option spidra_request_limit.",
            "",
            "Sent from *.py:*, in ask.",
        ],
        consecutive=True,
    )


def test_the_limit_is_the_number_of_requests_without_progress(run_tests):
    """Five requests are within a limit of five, six are not, and each new URL starts the count anew."""
    source = (
        HEAD
        + """
@pytest.mark.parametrize("number", [5, 6])
def test_looks(spidra_mock, number):
    for _ in range(number):
        ask(spidra_mock)

def test_submits(spidra_mock):
    for number in range(20):
        ask(spidra_mock, method="POST", json={"urls": [f"https://a.example/{number}"]})
        for _ in range(4):
            ask(spidra_mock)

def test_completions(spidra_mock):
    urls = [f"https://a.example/{number}" for number in range(5)]
    spidra_mock.batch.outcomes({url: completed(after_polls=3 * n) for n, url in enumerate(urls)})
    batch = ask(spidra_mock, method="POST", json={"urls": urls}).json()["batchId"]
    while ask(spidra_mock, "/batch/scrape/" + batch).json()["status"] != "completed":
        pass
"""
    )
    result = run_tests(source, ini="spidra_request_limit = 5")
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["FAILED *::test_looks[[]6[]] - Failed: *"])


GOES_ON = {
    "a request": "ask(spidra_mock)",
    "a wait": "time.sleep(5)",
    "both": "ask(spidra_mock); time.sleep(5)",
}


@pytest.mark.slow
@pytest.mark.parametrize("round_", GOES_ON)
def test_a_loop_that_swallows_everything_ends_the_process_with_the_message_on_the_screen(
    run_tests, pytester, round_
):
    """It catches what would end the test, and what pytest-timeout raises as well."""
    pytester.makeini("[pytest]\nspidra_request_limit = 5\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makepyfile(
        HEAD
        + f"""
import time
def test_it(spidra_mock):
    for _ in range(6):
        try:
            ask(spidra_mock)
        except BaseException:
            pass
    while True:
        try:
            {GOES_ON[round_]}
        except:
            pass
"""
    )
    result = pytester.runpytest_subprocess(timeout=100)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stderr.fnmatch_lines(
        [
            "*::test_it",
            "The client sent more than 5 requests without any progress.",
            "     #1-5 *list*200 0 batches",
            "Sent from *.py:*, in ask.",
            "The code under test has swallowed this 10,000 times and goes on, so this",
            "process ends here, and with it the tests that were to follow. To fix it,",
        ]
    )


def test_many_tasks_that_fail_at_once_swallow_nothing(run_tests):
    """Each of them is told, and the test ends as tests do."""
    result = run_tests(
        HEAD
        + """
import asyncio
async def main(spidra_mock):
    async with httpx.AsyncClient(headers={"x-api-key": "k"}, base_url=spidra_mock.base_url) as client:
        await asyncio.gather(*(client.get("/batch/scrape") for _ in range(300)), return_exceptions=True)
def test_it(spidra_mock):
    asyncio.run(main(spidra_mock))
""",
        ini="spidra_request_limit = 5",
    )
    result.assert_outcomes(failed=1)


def test_the_process_ends_with_whatever_was_captured_left_behind(monkeypatch, request, capfd):
    ended = []
    monkeypatch.setattr("os._exit", ended.append)
    with capfd.disabled():
        monkeypatch.setattr("sys.stderr", screen := io.StringIO())
        end_process(request.node, "what was found")
        request.config.pluginmanager.getplugin("capturemanager").resume_global_capture()
    assert ended == [pytest.ExitCode.TESTS_FAILED]
    assert screen.getvalue() == f"\n{request.node.nodeid}\n\nwhat was found\n"


def test_time_that_passes_towards_what_is_scripted_is_progress(run_tests):
    """Three hours of looks every five seconds are patience; not so what waits for nothing, or does not wait."""
    source = (
        HEAD
        + """
import time
from httpx import ReadTimeout
URL = "https://a.example/"

def poll(spidra_mock, pause):
    batch = ask(spidra_mock, method="POST", json={"urls": [URL]}).json()["batchId"]
    while ask(spidra_mock, "/batch/scrape/" + batch).json()["status"] not in ("completed", "failed"):
        time.sleep(pause)

def test_patience(spidra_mock):
    spidra_mock.batch.outcomes({URL: completed(after_seconds=3 * 3600)})
    poll(spidra_mock, 5)
    assert spidra_mock.clock.elapsed == 3 * 3600

def test_an_end(spidra_mock):
    spidra_mock.batch.ends("failed", after_seconds=3600)
    spidra_mock.batch.outcomes({URL: stuck()})
    poll(spidra_mock, 5)

def test_what_comes_never(spidra_mock):
    spidra_mock.batch.outcomes({URL: stuck()})
    poll(spidra_mock, 5)

def test_what_came_and_was_not_seen(spidra_mock):
    spidra_mock.batch.outcomes({URL: completed(after_seconds=60)})
    spidra_mock.batch.get.always(503)
    poll(spidra_mock, 5)

@pytest.mark.parametrize("pause", [0, 0.001])
def test_haste(spidra_mock, pause):
    spidra_mock.batch.outcomes({URL: completed(after_seconds=3 * 3600)})
    poll(spidra_mock, pause)
"""
    )
    result = run_tests(source, ini="spidra_request_limit = 50\nspidra_rules = off")
    result.assert_outcomes(passed=2, failed=4)
    result.stdout.fnmatch_lines(
        ["FAILED *::test_what_comes_never - *", "FAILED *::test_what_came_and_was_not_seen - *"]
    )


def test_a_resubmitting_loop_is_endless_too(run_tests):
    body = 'while True: ask(spidra_mock, method="POST", json={"urls": ["https://a.example/"]})'
    result = run_tests(one_test(body), ini="spidra_request_limit = 10")
    result.assert_outcomes(failed=1, errors=0)
    result.stdout.fnmatch_lines(["The client sent more than 10 requests without any progress."])


def test_a_loop_that_swallows_the_limit_gets_no_answer_any_more(run_tests):
    """Retry code that catches everything is told again and again; the message comes once at the end."""
    result = run_tests(
        one_test(
            """
for _ in range(8):
    try:
        ask(spidra_mock)
    except BaseException:
        pass
"""
        ),
        ini="spidra_request_limit = 5",
    )
    result.assert_outcomes(failed=1, errors=0)
    result.stdout.fnmatch_lines(["The client sent more than 5 requests without any progress.", *WENT_ON])
    assert result.outlines.count("The client sent more than 5 requests without any progress.") == 1


# -- tests that end otherwise --------------------------------------------------------------------------


def test_a_tests_own_failure_comes_first_and_the_swallowed_one_is_shown_below(run_tests):
    result = run_tests(one_test(SWALLOWING["except BaseException"] + "assert 1 == 2"))
    result.assert_outcomes(failed=1, errors=0)
    result.stdout.fnmatch_lines(["E       assert 1 == 2", "*- spidra -*", *unknown(), "", "Sent from *"])
    result.stdout.fnmatch_lines(["*- spidra -*", *unknown(), "", "Sent from *"], consecutive=True)
    result.stdout.fnmatch_lines(["FAILED *::test_it - assert 1 == 2"])


def test_what_was_never_reached_stands_beside_a_tests_own_failure(run_tests):
    """It may be the reason: a scripted failure that did not come."""
    result = run_tests(one_test("spidra_mock.batch.get.script(503)\nassert 1 == 2"))
    result.assert_outcomes(failed=1, errors=0)
    result.stdout.fnmatch_lines(
        ["E       assert 1 == 2", "*- spidra -*", "A scripted step was never reached:"]
    )


def test_a_near_miss_names_the_url_that_was_meant(run_tests):
    body = """spidra_mock.batch.outcomes({"https://a.example": failed()})
ask(spidra_mock, method="POST", json={"urls": ["https://a.example/"]})"""
    result = run_tests(one_test(body))
    result.stdout.fnmatch_lines(
        [
            "    batch.outcomes: no batch had the URL https://a.example",
            "        Did you mean 'https://a.example/'?",
        ],
        consecutive=True,
    )


ENDINGS = {
    "pytest.skip('not today')": {"skipped": 1},
    "pytest.xfail('not yet')": {"xfailed": 1},
    "pytest.fail('on purpose')": {"failed": 1},
    "raise KeyError('mine')": {"failed": 1},
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_how_a_test_ends_itself_stands_before_unused_steps(run_tests, ending):
    result = run_tests(one_test(f"spidra_mock.batch.get.script(503)\n{ending}"), "-rA")
    result.assert_outcomes(**ENDINGS[ending])
    if "failed" not in ENDINGS[ending]:
        result.stdout.no_fnmatch_line("*never reached*")


def test_a_skip_inside_a_test_does_not_hide_a_swallowed_failure(run_tests):
    """A request that no endpoint knows fails the test whatever comes then, a skip included."""
    result = run_tests(one_test(SWALLOWING["except BaseException"] + "pytest.skip('not today')"))
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(unknown(), consecutive=True)


def test_an_expected_failure_covers_the_plugins_own(run_tests):
    result = run_tests(
        one_test("spidra_mock.batch.get.script(503)", "@pytest.mark.xfail(reason='known', strict=True)")
        + "\n\n@pytest.mark.xfail(strict=True, raises=pytest.fail.Exception)"
        + '\ndef test_unknown(spidra_mock):\n    ask(spidra_mock, "/nothing")\n'
    )
    result.assert_outcomes(xfailed=2)


def test_a_skipped_test_starts_nothing(run_tests):
    run_tests(one_test("1 / 0", "@pytest.mark.skip(reason='no')")).assert_outcomes(skipped=1)


def test_a_test_after_a_failed_one_starts_anew(run_tests):
    result = run_tests(
        one_test('ask(spidra_mock, "/nothing")')
        + "\ndef test_next(spidra_mock):\n    assert len(spidra_mock.exchanges) == 0\n"
    )
    result.assert_outcomes(failed=1, passed=1)


def test_a_scripted_transport_error_is_shown_with_its_step(run_tests):
    result = run_tests(one_test('spidra_mock.batch.list.script(reply_lost("ReadError"))\nask(spidra_mock)'))
    result.assert_outcomes(failed=1, errors=0)
    result.stdout.fnmatch_lines(['E*httpx.ReadError: scripted: reply_lost("ReadError")'])


def test_setup_show_and_durations_run(run_tests):
    run_tests(one_test("ask(spidra_mock)"), "--setup-show", "--durations=3").assert_outcomes(passed=1)


# -- settings ------------------------------------------------------------------------------------------

WRONG_MARKS = {
    "@pytest.mark.spidra('mock')": "@pytest.mark.spidra takes settings by name only, not 'mock'",
    "@pytest.mark.spidra(alow_unused_steps=True)": (
        "@pytest.mark.spidra has no setting 'alow_unused_steps'. Did you mean 'allow_unused_steps'? The settings are *"
    ),
    "@pytest.mark.spidra(allow_unused_steps='yes')": (
        "@pytest.mark.spidra(allow_unused_steps=…) is True or False, not 'yes'"
    ),
}


@pytest.mark.parametrize("mark", WRONG_MARKS)
def test_a_wrong_mark_is_told_once(run_tests, mark):
    result = run_tests(one_test("ask(spidra_mock)", mark))
    assert result.ret == 1
    assert sum(result.parseoutcomes().values()) == 1
    result.stdout.fnmatch_lines([f"*{WRONG_MARKS[mark]}"])


NO_LIMIT = "the ini option spidra_request_limit is a number of requests from 1 on"

NO_AGE = "the ini option spidra_cassette_max_age is a number of days from 0 on"

WRONG_INIS = {
    "spidra_request_limit = many": f"{NO_LIMIT}, not *many*",
    "spidra_request_limit = 0": f"{NO_LIMIT}, not *0*",
    "spidra_request_limit = -3": f"{NO_LIMIT}, not *-3*",
    "spidra_request_limit =": f"{NO_LIMIT}, not *'*",
    "spidra_cassette_max_age = a year": f"{NO_AGE}, not *a year*",
    "spidra_cassette_max_age = -1": f"{NO_AGE}, not *-1*",
    "spidra_cassette_max_age = inf": f"{NO_AGE}, not inf",
    "spidra_cassette_max_age =": f"{NO_AGE}, not *'*",
    "spidra_rules = busy-poling": "the ini option spidra_rules: 'busy-poling' is no rule. Did you mean *",
    "spidra_clock = sundial": "the ini option spidra_clock: the clock of a test is *, not 'sundial'",
    "spidra_modes = mocked": "the ini option spidra_modes: 'mocked' is no mode. Did you mean 'mock'? *",
    "spidra_base_url = api.spidra.io/api": (
        "the ini option spidra_base_url is a URL such as https://api.spidra.io/api, not 'api.spidra.io/api'"
    ),
    "spidra_base_url =": "the ini option spidra_base_url is a URL such as https://api.spidra.io/api, not ''",
    "spidra_base_url = https://": "the ini option spidra_base_url *",
    "spidra_base_url = http://127.0.0.1:port/api": "the ini option spidra_base_url *",
}


@pytest.mark.parametrize("ini", WRONG_INIS)
def test_a_wrong_ini_value_is_one_usage_error_when_the_run_starts(run_tests, ini):
    """Also where no test uses the plugin: nobody is to find out in the middle of a run."""
    result = run_tests("def test_it():\n    pass\n", ini=ini)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = [line for line in result.stderr.lines if line]
    assert fnmatch.fnmatchcase(line, f"ERROR: tox.ini: {WRONG_INIS[ini]}")


@pytest.mark.parametrize("wrong", ["mark", "ini"])
def test_a_wrong_setting_is_told_without_the_plugins_own_code(run_tests, wrong):
    """The sentence says it all; nobody needs a traceback through the plugin."""
    mark = "@pytest.mark.spidra('mock')" if wrong == "mark" else ""
    ini = "spidra_request_limit = many" if wrong == "ini" else ""
    result = run_tests(one_test("ask(spidra_mock)", mark), ini=ini)
    result.stdout.no_fnmatch_line("*def _settings*")
    result.stdout.no_fnmatch_line("*def spidra_mock*")


@pytest.mark.parametrize("url", ["https://staging.example/api", "https://staging.example/api/"])
def test_the_base_url_of_the_ini_file_is_the_mocks(run_tests, url):
    run_tests(
        one_test(
            'assert spidra_mock.base_url == "https://staging.example/api"\n'
            "assert ask(spidra_mock).status_code == 200"
        ),
        ini=f"spidra_base_url = {url}",
    ).assert_outcomes(passed=1)


def test_the_base_url_is_the_real_one_by_default(spidra_mock):
    assert spidra_mock.base_url == "https://api.spidra.io/api"
    assert spidra_mock.mode == "mock"
    assert spidra_mock.api_key.startswith("spd_")


def test_fixtures_are_described(run_tests):
    result = run_tests("", "--fixtures")
    result.stdout.fnmatch_lines(
        [
            "spidra_mock -- *plugin.py:*",
            "    A fake Spidra behind every HTTP client: script its failures, then look at what *.",
        ],
        consecutive=True,
    )
    result.stdout.fnmatch_lines(
        [
            "spidra_batch_factory -- *plugin.py:*",
            "    Make batches that are there when the code under test begins.",
        ],
        consecutive=True,
    )


@pytest.mark.parametrize(
    ("fixture", "summary"),
    [
        ("spidra_api", "The API for a test that runs mocked, recorded and replayed."),
        (
            "spidra_server",
            "The fake Spidra on a loopback port, for clients in other processes and other languages.",
        ),
        ("spidra_vcr_config", "Settings of vcrpy for the cassettes of spidra_api: *"),
    ],
)
def test_the_newer_fixtures_are_described(run_tests, fixture, summary):
    result = run_tests("", "--fixtures")
    result.stdout.fnmatch_lines([f"{fixture} -- *plugin.py:*", f"    {summary}"], consecutive=True)


def test_the_marker_is_described(run_tests):
    result = run_tests("", "--markers")
    result.stdout.fnmatch_lines(["@pytest.mark.spidra(*): settings of pytest-spidra for this test.*"])
    for name in ("allow_unused_steps", "modes", "cassette"):
        result.stdout.fnmatch_lines([f"@pytest.mark.spidra(*{name}*): * {name}: *"])


def test_the_ini_options_are_described(run_tests):
    result = run_tests("", "--help")
    limit, age = ("int", "float") if pytest.version_tuple >= (8, 4) else ("string", "string")
    for line in (
        "  spidra_base_url (string):",
        "*URL below which requests are answered, and to which they are sent while *",
        "  spidra_modes (args):*",
        "  spidra_cassette_dir (string):",
        "  --spidra-record={none,once,all}",
        f"  spidra_request_limit ({limit}):",
        f"  spidra_cassette_max_age ({age}):",
        "*Most requests to Spidra without progress in one test; one more fails it (pytest-spidra).",
    ):
        result.stdout.fnmatch_lines([line])


def test_everything_of_the_plugin_is_called_spidra(pytestconfig):
    """Names of other plugins clash with none of ours: pytest 9.2 refuses clashing ones."""
    plugin = pytestconfig.pluginmanager.get_plugin("spidra")
    assert plugin is sys.modules["pytest_spidra.plugin"]
    names = {
        name
        for name, value in vars(plugin).items()
        # A fixture is an object of its own since pytest 8.4, and a marked function before.
        if type(value).__name__ == "FixtureFunctionDefinition" or hasattr(value, "_pytestfixturefunction")
    }
    assert names == {
        *("spidra_mock", "spidra_api", "spidra_server", "spidra_batch_factory", "spidra_job_factory"),
        "spidra_vcr_config",
    }
    assert [name for name in names if not name.startswith("spidra_")] == []


# -- costs ---------------------------------------------------------------------------------------------

HEAVY = "httpx respx vcr asyncio ssl anyio spidra requests unittest.mock http.client pytest_spidra.sessions.session"


@pytest.mark.parametrize(
    "asked", ["import pytest_spidra.plugin", "import pytest_spidra", "dir(__import__('pytest_spidra'))"]
)
def test_importing_the_plugin_imports_nothing_heavy(asked):
    code = f"import sys, pytest; before = set(sys.modules); {asked}; print(*(set(sys.modules) - before))"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)  # noqa: S603 - our own code
    new = set(done.stdout.split())
    assert "pytest_spidra" in new
    assert new & set(HEAVY.split()) == set()
    # Which modules of its own the standard library loads for ours is up to the Python.
    assert {name.partition(".")[0] for name in new} - set(sys.stdlib_module_names) == {"pytest_spidra"}


def test_a_run_that_does_not_use_the_plugin_imports_nothing_heavy(pytester, monkeypatch):
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile(
        f"""
        import sys

        def test_it(request):
            assert request.config.pluginmanager.has_plugin("pytest_spidra.plugin")
            assert [name for name in {HEAVY.split()} if name in sys.modules] == []
            ours = [name for name in sys.modules if name.startswith("pytest_spidra.")]
            assert set(ours) == {{f"pytest_spidra.{{name}}" for name in ("plugin", "settings", "settings.options", "settings.values", "traffic", "traffic.address", "traffic.known_addresses")}}
        """
    )
    result = pytester.runpytest_subprocess(
        "-p", "pytest_spidra.plugin", "-p", "no:cacheprovider", timeout=100
    )
    result.assert_outcomes(passed=1)


@pytest.mark.slow
def test_warnings_as_errors_find_nothing_in_the_plugin_or_under_the_sync_sdk(pytester):
    """The SDK's sync client drops its clients unclosed; with nothing of theirs open, nobody is warned."""
    pytester.makepyfile(
        """
        import asyncio, gc
        import httpx, pytest
        from spidra import AsyncSpidra, Spidra

        pytestmark = pytest.mark.spidra(rules="off")  # it polls faster than is polite

        def test_sync(spidra_mock, spidra_batch_factory):
            sdk = Spidra(api_key="k")
            assert sdk.batch_scrape(["https://a.example/"], poll_interval=0.001).status == "completed"
            assert sdk.get_batch_scrape(spidra_batch_factory(failed=1).id).failed_count == 1
            del sdk
            gc.collect()

        def test_async(spidra_mock):
            assert asyncio.run(AsyncSpidra(api_key="k").list_batch_scrapes()).jobs == []
            gc.collect()
        """
    )
    result = pytester.runpytest_subprocess(
        "-W", "error", "-p", "no:asyncio", "-p", "no:hypothesispytest", timeout=100
    )
    result.assert_outcomes(passed=2)
