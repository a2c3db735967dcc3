"""What must not be accused: the innocent, whatever they look like at first sight; and what must be all the same."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time

import httpx
import pytest
import spidra
import written_clients as clients
from written_clients import SUBMIT, TERMINAL

from pytest_spidra import completed, failed, http_error, ok, reply_lost, request_lost, service_busy
from pytest_spidra.verdicts.rules.judge import RULES, judge

URLS = ["https://shop.example/1", "https://shop.example/2"]
WORKERS = 20

pytestmark = pytest.mark.spidra(rules="off", allow_unused_steps=True)


@pytest.fixture
def accused(spidra_mock):
    """Return the names of the rules that accuse what happened up to now."""
    return lambda: [one.rule for one in judge(spidra_mock.exchanges)]


@pytest.fixture
def path(submit):
    """Submit the URLs and return the batch's path."""
    return f"{SUBMIT}/{submit(*URLS).json()['batchId']}"


async def worker(client, urls, delay=0.0, seconds=2.0):
    """Submit, poll until the end, retry once."""
    await asyncio.sleep(delay)
    batch_id = (await client.post(SUBMIT, json={"urls": urls})).json()["batchId"]
    for _ in range(2):
        while True:
            batch = (await client.get(f"{SUBMIT}/{batch_id}")).json()
            if batch["status"] in TERMINAL:
                break
            await asyncio.sleep(seconds)
        if not batch["failedCount"]:
            return
        await client.post(f"{SUBMIT}/{batch_id}/retry")


# -- concurrency ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("takes", [0.0, 0.3])
async def test_twenty_batches_of_the_same_urls_at_once(spidra_mock, accused, takes):
    """Each worker goes on with its own batch."""
    spidra_mock.batch.submit.always(ok(after=takes))
    spidra_mock.batch.outcomes({URLS[0]: [failed(), completed()]})
    async with clients.in_async(spidra_mock) as client:
        await asyncio.gather(*(worker(client, URLS) for _ in range(WORKERS)))
    assert len(spidra_mock.batches) == WORKERS
    assert accused() == []


async def test_twenty_batches_of_the_same_urls_with_the_sdk(spidra_mock, accused):
    async with spidra.AsyncSpidra(api_key=spidra_mock.api_key) as client:
        await asyncio.gather(*(client.batch_scrape(URLS) for _ in range(WORKERS)))
    assert accused() == []


async def test_two_workers_with_lists_of_their_own_meet_an_outage(spidra_mock, accused):
    """The first request of the second worker repeats nothing."""
    spidra_mock.batch.submit.script(service_busy(10), service_busy(10))

    async def persistent(client, url):
        while (reply := await client.post(SUBMIT, json={"urls": [url]})).is_error:
            await asyncio.sleep(float(reply.headers["retry-after"]))

    async with clients.in_async(spidra_mock) as client:
        await asyncio.gather(*(persistent(client, url) for url in URLS))
    assert accused() == []


async def test_requests_under_way_repeat_nothing(spidra_mock, accused):
    """Both submits were sent before either was lost."""
    spidra_mock.batch.submit.script(ok(after=90), ok(after=90))
    async with clients.in_async(spidra_mock, timeout=30) as client:
        await asyncio.gather(
            *(client.post(SUBMIT, json={"urls": URLS}) for _ in range(2)), return_exceptions=True
        )
    assert [one.seen for one in spidra_mock.exchanges] == ["ReadTimeout", "ReadTimeout"]
    assert accused() == []


async def test_a_look_under_way_while_the_retry_is_sent(spidra_mock, accused):
    """Its reply shows the batch as it was, and the client polls on as it should."""
    spidra_mock.batch.outcomes({URLS[0]: [failed(after_polls=0), completed(after_polls=4)]})
    async with clients.in_async(spidra_mock) as client:
        batch_id = (await client.post(SUBMIT, json={"urls": URLS[:1]})).json()["batchId"]
        path = f"{SUBMIT}/{batch_id}"
        spidra_mock.batch.get.script(ok(after=5))
        late = asyncio.create_task(client.get(path))
        await asyncio.sleep(1)
        assert (await client.get(path)).json()["failedCount"] == 1
        await client.post(f"{path}/retry")
        await asyncio.sleep(2)
        while (await client.get(path)).json()["status"] not in TERMINAL:
            await asyncio.sleep(3)
        await late
    assert accused() == []


async def test_a_final_fetch_that_the_client_gave_up_is_repeated(spidra_mock, accused):
    spidra_mock.batch.outcomes(dict.fromkeys(URLS, completed(after_polls=0)))
    spidra_mock.batch.get.script(ok(), ok(after=60))
    async with clients.in_async(spidra_mock, timeout=30) as client:
        path = f"{SUBMIT}/{(await client.post(SUBMIT, json={'urls': URLS})).json()['batchId']}"
        await client.get(path)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10):
                await client.get(path)
        await client.get(path)
    assert [one.seen for one in spidra_mock.exchanges] == [202, 200, "cancelled", 200]
    assert accused() == []


# -- looks ----------------------------------------------------------------------------------------------------


def test_the_final_fetch(client, spidra_mock, accused, path):
    clients.waited_for(client, path.removeprefix(f"{SUBMIT}/"))
    client.get(path)
    assert accused() == []


@pytest.mark.parametrize("bad", [http_error(503), ok(body="truncated"), ok(body="empty"), reply_lost()])
def test_a_final_fetch_that_told_nothing_is_repeated(client, spidra_mock, accused, path, bad):
    client.get(path)
    time.sleep(3)
    spidra_mock.batch.get.script(ok(), bad, batch=path.rpartition("/")[2])
    for _ in range(3):
        with contextlib.suppress(httpx.ReadTimeout):
            client.get(path)
        time.sleep(3)
    assert accused() == []


def test_the_end_of_a_cancelled_batch_is_worth_waiting_for(client, spidra_mock, accused):
    """What was in work goes on and is charged: its result is wanted."""
    spidra_mock.account.concurrency = 1
    spidra_mock.batch.outcomes({URLS[0]: completed(after_seconds=20)})
    path = f"{SUBMIT}/{clients.submitted(client, URLS)}"
    client.get(path)
    client.delete(path)
    while any(item["status"] == "running" for item in client.get(path).json()["items"]):
        time.sleep(3)
    assert spidra_mock.credits.charged > 0
    assert accused() == []


@pytest.mark.spidra(rules="off", clock="real")
def test_on_the_real_clock_short_waits_are_no_evidence(client, spidra_mock, accused):
    """Tests on the real clock poll fast so as to be fast."""
    spidra_mock.batch.outcomes(dict.fromkeys(URLS, completed(after_polls=5)))
    clients.waited_for(client, clients.submitted(client, URLS), 0)
    assert accused() == []


# -- retries --------------------------------------------------------------------------------------------------


def test_a_retry_of_a_batch_that_was_never_looked_at(spidra_batch_factory, client, accused):
    """The client may know of it from somewhere else."""
    batch = spidra_batch_factory(urls=3, failed=1)
    assert client.post(f"{SUBMIT}/{batch.id}/retry").status_code == 202
    assert accused() == []


def test_a_retry_after_the_list_showed_the_end(client, spidra_mock, accused):
    """The list is a look, too."""
    spidra_mock.batch.outcomes({URLS[0]: failed(after_seconds=5), URLS[1]: completed(after_seconds=5)})
    path = f"{SUBMIT}/{clients.submitted(client, URLS)}"
    client.get(path)
    time.sleep(10)
    (job,) = client.get(SUBMIT).json()["jobs"]
    assert (job["status"], job["failedCount"]) == ("completed", 1)
    client.post(f"{path}/retry")
    assert accused() == []


def test_a_retry_after_a_cancel_that_came_too_late(client, spidra_mock, accused):
    """409 ALREADY_TERMINAL says that the batch has ended."""
    spidra_mock.batch.outcomes({URLS[0]: failed(after_seconds=5), URLS[1]: completed(after_seconds=5)})
    path = f"{SUBMIT}/{clients.submitted(client, URLS)}"
    client.get(path)
    time.sleep(10)
    assert client.delete(path).json()["code"] == "ALREADY_TERMINAL"
    client.post(f"{path}/retry")
    assert accused() == []


def test_a_retry_after_a_lost_reply_and_a_look(client, spidra_mock, accused):
    spidra_mock.batch.outcomes({URLS[0]: [failed(), completed()]})
    spidra_mock.batch.retry.script(request_lost("ReadTimeout"))
    path = f"{SUBMIT}/{clients.submitted(client, URLS)}"
    clients.waited_for(client, path.rpartition("/")[2])
    with pytest.raises(httpx.ReadTimeout):
        client.post(f"{path}/retry")
    assert client.get(path).json()["failedCount"] == 1
    client.post(f"{path}/retry")
    assert accused() == []


def test_a_retry_of_a_cancelled_batch_that_the_service_takes(
    spidra_batch_factory, client, spidra_mock, accused
):
    """No source says that it must refuse."""
    spidra_mock.account.retry_of_cancelled = "accept"
    batch = spidra_batch_factory({URLS[0]: failed(after_polls=0), URLS[1]: completed()}, status="cancelled")
    client.get(f"{SUBMIT}/{batch.id}")
    assert client.post(f"{SUBMIT}/{batch.id}/retry").status_code == 202
    assert accused() == []


# -- submits --------------------------------------------------------------------------------------------------


def test_a_list_and_then_a_resubmit(client, spidra_mock, submit, accused):
    """The list showed that the lost submit had not arrived."""
    spidra_mock.batch.submit.script(request_lost("ReadTimeout"))
    with pytest.raises(httpx.ReadTimeout):
        submit(*URLS)
    assert client.get(SUBMIT).json()["jobs"] == []
    submit(*URLS)
    assert accused() == []


def test_a_lost_submit_that_was_found_failed_and_is_submitted_anew(client, spidra_mock, submit, accused):
    """The client found its batch in the list and saw its end: the second submit is on purpose."""
    spidra_mock.batch.submit.script(reply_lost())
    spidra_mock.batch.outcomes(dict.fromkeys(URLS, failed()))
    with pytest.raises(httpx.ReadTimeout):
        submit(*URLS)
    (job,) = client.get(SUBMIT).json()["jobs"]
    assert clients.waited_for(client, job["uuid"])["failedCount"] == 2
    submit(*URLS)
    assert accused() == []


@pytest.mark.parametrize("options", [{"prompt": "the price"}, {"output": "markdown"}, {"useProxy": True}])
def test_the_same_urls_with_other_options(client, submit, accused, options):
    clients.waited_for(client, submit(*URLS).json()["batchId"])
    submit(*URLS, **options)
    assert accused() == []


def test_the_same_page_as_somebody_else_sees_it(client, submit, accused):
    """Other cookies are other work, though the log shows no cookie."""
    clients.waited_for(client, submit(*URLS, cookies="user=anna").json()["batchId"])
    submit(*URLS, cookies="user=bert")
    assert accused() == []


def test_a_lost_submit_and_one_with_other_cookies(spidra_mock, submit, accused):
    spidra_mock.batch.submit.script(reply_lost())
    with pytest.raises(httpx.ReadTimeout):
        submit(*URLS, cookies="user=anna")
    submit(*URLS, cookies="user=bert")
    assert accused() == []


@pytest.mark.parametrize("nothing", [None, "", {}, []])
def test_a_page_that_came_out_empty_is_wanted_still(client, spidra_mock, submit, accused, nothing):
    """Completed, and nothing in it: the client did not have the result."""
    item = {"url": URLS[0], "status": "completed", "result": nothing}
    shown = {"status": "completed", "totalUrls": 1, "completedCount": 1, "failedCount": 0, "items": [item]}
    spidra_mock.router["batch.get"].respond(200, json=shown)
    client.get(f"{SUBMIT}/{submit(URLS[0]).json()['batchId']}")
    submit(URLS[0])
    assert accused() == []


def test_a_batch_of_somebody_else(spidra_batch_factory, client, submit, accused):
    """404 is asked for once, and the URLs in it are nobody's business."""
    batch = spidra_batch_factory(URLS, owner="someone else")
    assert client.get(f"{SUBMIT}/{batch.id}").status_code == 404
    submit(*URLS)
    assert accused() == []


def test_the_urls_of_a_batch_that_was_there_before(spidra_batch_factory, client, submit, accused):
    """With which options it was submitted, the log does not show."""
    batch = spidra_batch_factory(URLS)
    client.get(f"{SUBMIT}/{batch.id}")
    submit(*URLS)
    assert accused() == []


# -- errors ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("longer", [0, 0.5, 100])
def test_a_longer_wait_than_asked(spidra_mock, submit, accused, longer):
    spidra_mock.batch.submit.script(service_busy(20))
    submit(*URLS)
    time.sleep(20 + longer)
    submit(*URLS)
    assert accused() == []


def test_thirty_seconds_are_enough(spidra_mock, submit, accused):
    spidra_mock.batch.submit.script(service_busy(600))
    submit(*URLS)
    time.sleep(30)
    submit(*URLS)
    assert accused() == []


@pytest.mark.parametrize("hint", [0, "0", "-5", "Thu, 01 Jan 1970 00:00:00 GMT"])
def test_a_service_that_asks_for_no_wait_gets_none(spidra_mock, accused, hint):
    """The SDK comes back at once, as it is told."""
    spidra_mock.batch.submit.script(*[http_error(503, retry_after=hint)] * 3)
    clients.sdk(spidra_mock).batch_scrape(URLS)
    assert accused() == []


def test_another_key_after_a_401(spidra_mock, accused):
    spidra_mock.account.keys = ["the new one"]
    for key in ("the old one", "the new one"):
        httpx.get(f"{spidra_mock.base_url}{SUBMIT}", headers={"x-api-key": key})
    assert [one.seen for one in spidra_mock.exchanges] == [401, 200]
    assert accused() == []


def test_an_account_that_changes_between_two_refusals(spidra_mock, submit, accused):
    """Somebody paid, not enough."""
    spidra_mock.account.credits = 0
    submit(*URLS)
    spidra_mock.account.credits = 1
    submit(*URLS)
    assert [one.seen for one in spidra_mock.exchanges] == [403, 403]
    assert accused() == []


def test_an_error_that_asks_for_time_is_not_permanent(spidra_mock, submit, accused):
    spidra_mock.batch.submit.script(http_error(409, retry_after=10))
    submit(*URLS)
    time.sleep(10)
    submit(*URLS)
    assert accused() == []


def test_two_bodies_that_are_no_json_are_not_the_same(client, spidra_mock, accused):
    """The log holds neither, so it cannot tell."""
    for number in range(3):
        client.post(SUBMIT, data={"urls": f"https://shop.example/{number}"})
    assert {one.seen for one in spidra_mock.exchanges} == {400}
    assert accused() == []


def test_another_batch_is_another_request(spidra_batch_factory, client, spidra_mock, accused):
    """Three batches, three refusals, no repetition."""
    for _ in range(3):
        client.post(f"{SUBMIT}/{spidra_batch_factory(urls=2).id}/retry")
    assert {one.seen for one in spidra_mock.exchanges} == {400}
    assert accused() == []


# -- keys and routes ------------------------------------------------------------------------------------------


def test_a_route_of_the_test_s_own_may_be_open_to_all(spidra_mock, accused):
    spidra_mock.router.get(path__regex=".*/health").respond(200, json={})
    httpx.get(f"{spidra_mock.base_url}/health")
    assert accused() == []


def test_a_key_of_one_letter_is_in_no_url(spidra_mock, accused):
    """Tests use short keys, and every URL has a 1 somewhere."""
    httpx.get(f"{spidra_mock.base_url}{SUBMIT}?page=1", headers={"x-api-key": "1"})
    assert accused() == []


ODD = [
    {"status": []},
    {"status": {}},
    {"status": "completed", "items": 5, "completedCount": 1},
    {"status": "completed", "items": [{"url": [], "status": {}}, 7], "completedCount": [1]},
    {"jobs": None},
    {"jobs": [1, {"uuid": None}]},
    {"failedCount": "x", "status": None},
    {"retriedCount": None},
    {"batchId": 5},
    {"status": "error", "code": []},
    [1],
    "text",
    None,
]


@pytest.mark.parametrize("status", [200, 503])
@pytest.mark.parametrize("body", ODD, ids=repr)
def test_whatever_a_route_answers_can_be_judged_and_shown(client, spidra_mock, submit, body, status):
    """A user's route may answer anything; rules, timeline and diagram take it."""
    for name in ("submit", "get", "retry", "cancel", "list"):
        spidra_mock.router[f"batch.{name}"].respond(status, json=body)
    for _ in range(2):
        submit(*URLS)
        client.get(f"{SUBMIT}/b-1")
        client.post(f"{SUBMIT}/b-1/retry")
        client.delete(f"{SUBMIT}/b-1")
        client.get(SUBMIT)
    try:
        assert {one.rule for one in judge(spidra_mock.exchanges)} <= set(RULES)
        assert spidra_mock.exchanges.to_mermaid().startswith("sequenceDiagram\n")
        with pytest.raises(AssertionError, match="#"):
            spidra_mock.assert_attempts("batch.get", 9)
    except BaseException:
        spidra_mock.exchanges._exchanges.clear()  # what cannot be shown must not end the whole run
        raise


# -- the guilty who would get away ----------------------------------------------------------------------------


def test_two_bad_keys_in_turn_are_no_rotation(spidra_mock, accused):
    spidra_mock.account.keys = ["good"]
    for number in range(6):
        httpx.get(f"{spidra_mock.base_url}{SUBMIT}", headers={"x-api-key": f"bad-{number % 2}"})
        time.sleep(1)
    assert set(accused()) == {"permanent-error-resent"}


def test_a_422_stays_a_422_whatever_else_works(client, submit, accused):
    for _ in range(3):
        client.post(SUBMIT, json={"urls": []})
        client.get(SUBMIT)
        time.sleep(2)
    assert accused() == ["permanent-error-resent"]


def test_a_look_at_another_batch_is_no_look(client, spidra_mock, submit, accused):
    """It tells nothing of the submit that was lost."""
    other = submit("https://other.example/").json()["batchId"]
    spidra_mock.batch.submit.script(ok(), request_lost("ReadTimeout"))
    submit("https://third.example/")
    with pytest.raises(httpx.ReadTimeout):
        submit(*URLS)
    client.get(f"{SUBMIT}/{other}")
    submit(*URLS)
    assert accused() == ["blind-resend"]


def test_patience_that_ends_after_three_waits_is_no_contempt(spidra_mock, accused):
    """The SDK forgets the hint after four refusals and polls again after 5 s, having waited 30 s three times."""
    spidra_mock.batch.get.script(*[service_busy()] * 6)
    clients.sdk(spidra_mock).batch_scrape(URLS)
    assert accused() == []


def test_patience_that_ends_after_two_waits_is_accused(client, spidra_mock, accused):
    spidra_mock.batch.list.script(*[service_busy(10)] * 3)
    for wait in (10, 10, 2):
        client.get(SUBMIT)
        time.sleep(wait)
    client.get(SUBMIT)
    assert accused() == ["retry-after-ignored"]


@pytest.mark.parametrize(("looks", "names"), [(2, []), (3, ["busy-polling"])])
def test_three_looks_in_a_row_within_a_second_are_busy_two_are_not(
    client, spidra_mock, submit, accused, looks, names
):
    """One look for the log and then the first of a loop are two, and the log of both is the same."""
    spidra_mock.batch.outcomes(dict.fromkeys(URLS, completed(after_polls=5)))
    path = f"{SUBMIT}/{submit(*URLS).json()['batchId']}"
    for _ in range(looks):
        client.get(path)
        time.sleep(0.99)
    assert accused() == names


@pytest.mark.slow
def test_a_wait_that_the_clock_does_not_know_is_a_wait(client, spidra_mock, submit, accused):
    """``Event.wait`` passes in real time, and on the clock it does not."""
    spidra_mock.batch.outcomes(dict.fromkeys(URLS, completed(after_polls=5)))
    path = f"{SUBMIT}/{submit(*URLS).json()['batchId']}"
    client.get(path)
    threading.Event().wait(1.01)
    client.get(path)
    assert accused() == []


# -- timeouts --------------------------------------------------------------------------------------------


def test_who_sends_again_at_once_after_timeouts_that_took_their_time(client, spidra_mock, accused):
    """A request every five seconds hits nobody."""
    spidra_mock.batch.list.script(*[reply_lost()] * 8)
    for _ in range(8):
        with pytest.raises(httpx.ReadTimeout):
            client.get(SUBMIT, timeout=5)
    assert accused() == []


def test_who_times_out_in_a_blink_hammers(client, spidra_mock, accused):
    """Its own patience is no pause when it is a tenth of a second."""
    spidra_mock.batch.list.script(*[reply_lost()] * 8)
    for _ in range(8):
        with pytest.raises(httpx.ReadTimeout):
            client.get(SUBMIT, timeout=0.1)
    assert accused() == ["no-backoff"]
