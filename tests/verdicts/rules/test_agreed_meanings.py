"""What each rule was agreed to mean: the ordinary innocent that comes close, and the fault in another guise."""

from __future__ import annotations

import time

import httpx
import pytest
import spidra

from pytest_spidra import completed, failed, http_error, rate_limited, reply_lost
from pytest_spidra.verdicts.rules.judge import judge

URLS = [f"https://shop.example/{number}" for number in range(4)]
HOUR, NEARLY, JUST_OVER = 3600, 899, 901
pytestmark = pytest.mark.spidra(rules="off", allow_unused_steps=True)


@pytest.fixture
def accused(spidra_mock):
    """Return the names of the rules that accuse the client."""
    return lambda: [one.rule for one in judge(spidra_mock.exchanges)]


@pytest.fixture
def http(spidra_mock):
    with httpx.Client(base_url=spidra_mock.base_url, headers={"x-api-key": spidra_mock.api_key}) as http:
        yield http


def submit(http, urls, **options):
    """Submit as code does that lives with a lost reply."""
    try:
        return http.post("/batch/scrape", json={"urls": urls, **options})
    except httpx.ReadTimeout:
        return None


def path_of(reply):
    return f"/batch/scrape/{reply.json()['batchId']}"


# -- evidence ages ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("later", "names"), [(NEARLY, ["double-submission"]), (JUST_OVER, [])])
def test_a_lost_submit_is_forgotten_after_a_quarter_of_an_hour(spidra_mock, http, accused, later, names):
    spidra_mock.batch.submit.script(reply_lost())
    submit(http, URLS)
    time.sleep(later)
    submit(http, URLS)
    assert accused() == names


@pytest.mark.parametrize(("later", "names"), [(NEARLY, ["blind-resend"]), (JUST_OVER, [])])
def test_a_nightly_job_that_meets_last_nights_504_resends_nothing(spidra_mock, http, accused, later, names):
    spidra_mock.batch.submit.script(504)
    submit(http, URLS)
    time.sleep(later)
    submit(http, URLS)
    assert accused() == names


@pytest.mark.parametrize(("later", "names"), [(NEARLY, ["paid-again"]), (JUST_OVER, [])])
def test_a_price_monitor_may_want_the_same_page_again(spidra_mock, accused, later, names):
    client = spidra.Spidra(api_key=spidra_mock.api_key)
    client.batch_scrape(URLS, prompt="price")
    time.sleep(later)
    client.start_batch_scrape(URLS, prompt="price")
    assert accused() == names


@pytest.mark.parametrize(("later", "names"), [(NEARLY, ["permanent-error-resent"]), (JUST_OVER, [])])
def test_a_bill_may_have_been_paid_meanwhile(spidra_mock, http, accused, later, names):
    spidra_mock.batch.submit.script(http_error(402))
    submit(http, URLS)
    time.sleep(later)
    submit(http, URLS)
    assert accused() == names


@pytest.mark.parametrize(("later", "names"), [(1, ["resubmitted-unfinished"]), (JUST_OVER, [])])
def test_a_batch_of_long_ago_is_no_unfinished_work(spidra_mock, http, accused, later, names):
    spidra_mock.batch.outcomes({url: completed(after_polls=9) for url in URLS})
    http.get(path_of(submit(http, URLS)))
    time.sleep(later)
    submit(http, URLS)
    assert accused() == names


@pytest.mark.parametrize(("missing", "names"), [(1, []), (2, ["permanent-error-resent"])])
def test_one_more_look_that_finds_the_batch_was_right(spidra_mock, http, accused, missing, names):
    """The row of an accepted batch came late, be it later than usual: the error did go away."""
    spidra_mock.batch.get.script(*[http_error(404)] * missing)
    path = path_of(submit(http, URLS))
    for _ in range(missing + 1):
        time.sleep(60)
        http.get(path)
    assert accused() == names


def test_an_audit_that_reads_a_finished_batch_hours_later_is_no_loop(spidra_mock, http, accused):
    path = path_of(submit(http, URLS))
    for _ in range(2):
        http.get(path)
        time.sleep(3)
    for _ in range(5):
        time.sleep(HOUR)
        http.get(path)
    assert accused() == []


def test_a_call_ends_in_time(spidra_mock, http):
    """The same request an hour later is another call."""
    spidra_mock.batch.submit.script(503, 503)
    for _ in range(2):
        submit(http, URLS)
        time.sleep(HOUR)
    assert [call.outcomes for call in spidra_mock.exchanges.calls("batch.submit")] == [[503], [503]]


# -- innocents -------------------------------------------------------------------------------------------------


def test_two_keys_are_two_customers(spidra_mock, accused):
    for key in ("alice", "bob"):
        spidra.Spidra(api_key=key).batch_scrape(URLS)
    assert accused() == []


def test_one_look_for_the_log_and_then_a_loop_is_no_hurry(spidra_mock, accused):
    client = spidra.Spidra(api_key=spidra_mock.api_key)
    batch = client.start_batch_scrape(URLS).batch_id
    client.get_batch_scrape(batch)
    list(client.watch_batch(batch))
    assert accused() == []


def test_a_lost_retry_that_is_looked_after_and_then_polled_is_careful(spidra_mock, http, accused):
    spidra_mock.batch.outcomes({URLS[0]: [failed(), completed()]})
    spidra_mock.batch.retry.script(reply_lost())
    path = path_of(submit(http, URLS))
    for _ in range(2):
        http.get(path)
        time.sleep(3)
    with pytest.raises(httpx.ReadTimeout):
        http.post(f"{path}/retry")
    for _ in range(2):  # was it taken? then the loop
        http.get(path)
    assert accused() == []


@pytest.mark.parametrize(("looks", "names"), [(2, []), (3, ["poll-after-terminal"])])
def test_a_report_and_an_archive_may_each_fetch_a_finished_batch(http, accused, looks, names):
    path = path_of(submit(http, URLS))
    for _ in range(2 + looks):
        http.get(path)
        time.sleep(3)
    assert accused() == names


@pytest.mark.parametrize(("unknown", "names"), [(2, []), (3, ["permanent-error-resent"])])
def test_a_batch_of_a_moment_ago_may_be_unknown_twice(spidra_mock, http, accused, unknown, names):
    spidra_mock.batch.get.script(*[404] * unknown)
    path = path_of(submit(http, URLS))
    for _ in range(unknown):
        http.get(path)
        time.sleep(2)
    assert accused() == names


def test_a_page_that_has_failed_may_be_submitted_anew_while_the_rest_runs(spidra_mock, http, accused):
    """Nothing is paid for it in the first batch."""
    spidra_mock.batch.outcomes({URLS[0]: failed(), **{url: completed(after_polls=9) for url in URLS[1:]}})
    path = path_of(submit(http, URLS))
    for _ in range(2):
        http.get(path)
        time.sleep(3)
    submit(http, URLS[:1])
    assert accused() == []


# -- the guilty, in another guise ------------------------------------------------------------------------------

AGAIN = {"in another order": [URLS[::-1]], "in halves": [URLS[:2], URLS[2:]], "in part": [URLS[1:]]}


@pytest.mark.parametrize("how", AGAIN)
def test_a_lost_submit_is_seen_to_be_sent_again(spidra_mock, http, accused, how):
    """By the rule and by both assertions, whatever the cut."""
    spidra_mock.batch.submit.script(reply_lost())
    submit(http, URLS)
    for part in AGAIN[how]:
        time.sleep(1)
        submit(http, part)
    assert accused() == ["double-submission"]
    for claim in (lambda: spidra_mock.assert_not_retried("batch.submit"), spidra_mock.assert_submitted_once):
        with pytest.raises(AssertionError):
            claim()


def test_a_whole_job_that_is_begun_anew_leaves_its_batches_behind(spidra_mock, http, accused):
    spidra_mock.batch.get.always(503)
    for _ in range(3):
        http.get(path_of(submit(http, URLS)))
        time.sleep(2)
    assert accused() == ["resubmitted-unfinished", "resubmitted-unfinished"]


def test_the_unfinished_part_submitted_again_is_named(spidra_mock, http, accused):
    spidra_mock.batch.outcomes({url: completed(after_polls=9) for url in URLS[2:]})
    path = path_of(submit(http, URLS))
    for _ in range(2):
        http.get(path)
        time.sleep(3)
    submit(http, URLS[2:])
    assert accused() == ["resubmitted-unfinished"]


def test_a_finished_part_bought_again_after_a_cancel_is_named(spidra_mock, http, accused):
    spidra_mock.batch.outcomes({url: completed(after_polls=9) for url in URLS[2:]})
    path = path_of(submit(http, URLS))
    for _ in range(2):
        http.get(path)
        time.sleep(3)
    http.delete(path)
    submit(http, URLS)
    assert accused() == ["paid-again"]


def test_a_look_that_shows_what_was_known_excuses_one_sending(spidra_mock, http, accused):
    spidra_mock.batch.outcomes({URLS[0]: failed()})
    spidra_mock.batch.retry.always(http_error(403))
    path = path_of(submit(http, URLS))
    http.get(path)
    found = []
    for _ in range(3):
        time.sleep(3)
        http.get(path)
        http.post(f"{path}/retry")
        found.append(accused())
    assert found == [[], [], ["permanent-error-resent"]]


def test_looks_at_the_list_and_resends_in_haste_are_named(spidra_mock, http, accused):
    for _ in range(5):
        http.get("/batch/scrape")
        time.sleep(0.2)
    assert accused() == ["busy-polling"]


def test_a_failing_request_five_times_a_second_is_named(spidra_mock, http, accused):
    spidra_mock.batch.list.always(503)
    for _ in range(7):
        http.get("/batch/scrape")
        time.sleep(0.2)
    assert accused() == ["no-backoff"]


@pytest.mark.parametrize("what", ["the next chunk", "a look at another batch"])
def test_any_request_after_a_429_of_the_account_is_too_early(spidra_mock, http, accused, what):
    path = path_of(submit(http, URLS[:1]))
    spidra_mock.batch.submit.script(rate_limited(retry_after=30))
    submit(http, URLS[1:2])
    submit(http, URLS[2:]) if what == "the next chunk" else http.get(path)
    assert accused() == ["retry-after-ignored"]


def test_who_sends_twice_the_quota_is_named_at_whatever_pace(spidra_mock, http, accused):
    spidra_mock.batch.outcomes({url: completed(after_polls=300) for url in URLS})
    paths = [path_of(submit(http, [url])) for url in URLS[:3]]
    for _ in range(210):
        for path in paths:
            http.get(path)
        time.sleep(3)
    assert accused() == ["busy-polling"]
