"""Details of the rules and assertions that nothing else shows: each was once changed without a test that noticed."""

from __future__ import annotations

import threading
import time
from contextlib import suppress

import httpx
import pytest

from pytest_spidra import completed, failed, http_error, mock_spidra, ok, rate_limited, reply_lost
from pytest_spidra.verdicts.rules.judge import judge

URLS = [f"https://shop.example/{number}" for number in range(2)]
pytestmark = pytest.mark.spidra(rules="off", allow_unused_steps=True)


@pytest.fixture
def accused(spidra_mock):
    """Return the names of the rules that accuse the client."""
    return lambda: [one.rule for one in judge(spidra_mock.exchanges)]


def path_of(reply):
    return f"/batch/scrape/{reply.json()['batchId']}"


def finished(client, submit):
    """Return the path of a batch that was submitted and seen to end."""
    path = path_of(submit(*URLS))
    while client.get(path).json()["status"] == "running":
        time.sleep(3)
    return path


@pytest.mark.parametrize(("wait", "names"), [(19.5, ["retry-after-ignored"]), (20, [])])
def test_seconds_are_waited_for_to_the_end(spidra_mock, submit, accused, wait, names):
    """Only a date is known in whole seconds."""
    spidra_mock.batch.submit.script(rate_limited(retry_after=20))
    submit(*URLS)
    time.sleep(wait)
    submit(*URLS)
    assert accused() == names


def test_a_page_twice_in_a_submit_that_is_a_second_one_is_two_faults(spidra_mock, submit, accused):
    spidra_mock.batch.submit.script(reply_lost())
    with pytest.raises(httpx.ReadTimeout):
        submit(URLS[0])
    submit(URLS[0], URLS[0])
    assert accused() == ["double-submission", "duplicate-urls"]


@pytest.mark.parametrize(("status", "names"), [(200, []), (401, ["missing-key"]), (402, [])])
def test_a_route_of_the_users_own_wants_a_key_where_it_says_so(spidra_mock, accused, status, names):
    spidra_mock.router.route(path__regex="/health$").respond(status)
    httpx.get(f"{spidra_mock.base_url}/health")
    assert accused() == names


def test_who_looks_on_after_the_end_is_no_busy_poller(spidra_mock, client, submit):
    """That is a fault of its own."""
    path = finished(client, submit)
    for _ in range(4):
        client.get(path)
    assert [one.rule for one in judge(spidra_mock.exchanges, ["busy-polling"])] == []
    assert [one.rule for one in judge(spidra_mock.exchanges)] == ["poll-after-terminal"]


def test_three_who_fetch_a_finished_batch_at_once_are_no_hurry(spidra_mock, client, submit):
    """Each of them looks once, as did those who saw it at work and at its end."""
    path = path_of(submit(*URLS))
    spidra_mock.batch.get.always(ok(after=1))
    for count in (1, 1, 1, 3):
        looks = [threading.Thread(target=client.get, args=[path]) for _ in range(count)]
        for look in looks:
            look.start()
        for look in looks:
            look.join()
        time.sleep(5)
    assert [one.seen_json["status"] for one in spidra_mock.exchanges if one.is_look][:3] == [
        "running",
        "completed",
        "completed",
    ]
    assert judge(spidra_mock.exchanges, ["busy-polling"]) == []


def test_something_done_in_between_makes_a_refused_request_worth_another_try(spidra_mock, client, submit):
    """A batch was cancelled, so its credits are back."""
    path = path_of(submit("https://other.example/"))
    spidra_mock.batch.submit.script(http_error(403))
    submit(*URLS)
    client.delete(path)
    submit(*URLS)
    spidra_mock.assert_only_transient_retried()


def test_a_look_in_between_makes_nothing_worth_another_try(spidra_mock, client, submit):
    path = path_of(submit("https://other.example/"))
    spidra_mock.batch.submit.script(http_error(403))
    submit(*URLS)
    client.get(path)
    submit(*URLS)
    with pytest.raises(AssertionError, match=r"was sent again after 403"):
        spidra_mock.assert_only_transient_retried()


def test_that_only_transient_errors_were_retried_cannot_be_said_of_nothing(spidra_mock):
    with pytest.raises(AssertionError, match=r"^The client sent no request at all\."):
        spidra_mock.assert_only_transient_retried()


def test_an_outcome_that_came_too_late_is_told_from_one_whose_page_nobody_wants():
    with pytest.raises(AssertionError) as told:
        with mock_spidra(rules="off") as mock:
            httpx.post(
                f"{mock.base_url}/batch/scrape", json={"urls": URLS}, headers={"x-api-key": mock.api_key}
            )
            mock.batch.outcomes(dict.fromkeys([URLS[0], "https://else.example/"], failed()))
    assert f"batch.outcomes: given for {URLS[0]} when its attempt had begun already" in str(told.value)
    assert "batch.outcomes: no batch had the URL https://else.example/" in str(told.value)


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 409, 422])
def test_each_error_that_stays_is_one_not_to_be_sent_again_after(spidra_mock, submit, accused, status):
    spidra_mock.batch.submit.script(http_error(status))
    submit(*URLS)
    time.sleep(5)
    submit(*URLS)
    assert accused() == ["permanent-error-resent"]


@pytest.mark.parametrize("status", [408, 429, 502, 503])
def test_each_error_that_passes_is_one_to_be_sent_again_after(spidra_mock, submit, accused, status):
    spidra_mock.batch.submit.script(http_error(status))
    submit(*URLS)
    time.sleep(5)
    submit(*URLS)
    assert accused() == []


def test_what_fails_in_time_is_refunded_although_nobody_looks(spidra_mock, submit):
    spidra_mock.batch.outcomes({URLS[0]: failed(after_seconds=5)})
    submit(*URLS)
    spidra_mock.assert_credits(reserved=2, charged=1, refunded=0)
    spidra_mock.clock.advance(5)
    spidra_mock.assert_credits(reserved=2, charged=1, refunded=1)


def test_the_graver_rule_advises_once(spidra_mock, submit):
    """A look before sending again is what the other rule asks for, too."""
    spidra_mock.batch.submit.script(reply_lost())
    with pytest.raises(httpx.ReadTimeout):
        submit(*URLS)
    submit(*URLS)
    (found,) = judge(spidra_mock.exchanges)
    assert (found.rule, found.also) == ("double-submission", [])


def test_a_lighter_rule_s_advice_is_given_once_by_the_graver_one(spidra_mock, client, submit):
    """Retries of a running batch that are refused, sent again at once."""
    spidra_mock.account.retry_of_running = 409
    path = path_of(submit(*URLS))
    client.get(path)
    for _ in range(3):
        client.post(f"{path}/retry")
    (found,) = judge(spidra_mock.exchanges)
    (also,) = found.also
    assert found.rule == "retry-before-terminal"
    assert also.startswith("Stop on 400, 401")


def test_a_look_during_a_retry_that_is_lost_is_no_knowledge_of_what_it_did(spidra_mock, client, submit):
    """Its reply was still to come."""
    spidra_mock.batch.outcomes({URLS[0]: [failed(), completed(after_polls=0)]})
    path = finished(client, submit)
    spidra_mock.batch.retry.script(ok(after=40))
    lost = threading.Thread(target=_patiently, args=[client, f"{path}/retry"])
    lost.start()
    time.sleep(1)
    assert client.get(path).json()["failedCount"] == 0
    lost.join()
    _patiently(client, f"{path}/retry")
    assert [one.seen for one in spidra_mock.exchanges if one.is_retry] == ["ReadTimeout", 400]
    assert judge(spidra_mock.exchanges, ["nothing-to-retry"]) == []


def _patiently(client, path):
    with suppress(httpx.ReadTimeout):
        client.post(path)
