"""What libraries retry by themselves, they retry here as over a real connection: with their own waits, on the clock."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
import requests
import urllib3

from pytest_spidra import http_error, ok, reply_lost, request_lost

pytestmark = pytest.mark.spidra(rules="off")  # what is unsafe is done on purpose here

URL = "https://api.spidra.io/api/batch/scrape"
KEY = {"x-api-key": "spd_mine"}
LISTED = b'{"jobs":[]'


def outcomes_and_waits(spidra_mock):
    (call,) = spidra_mock.exchanges.calls("batch.list")
    return call.outcomes, call.waits


# -- httpx and httpx2 --------------------------------------------------------------------------------------


@pytest.fixture(params=["httpx", "httpx2"])
def library(request):
    """httpx, or httpx2 in its place."""
    return pytest.importorskip(request.param)


def ask(library, retries):
    transport = library.HTTPTransport(retries=retries)
    with library.Client(transport=transport, headers=KEY) as client:
        return client.get(URL).status_code


async def ask_async(library, retries):
    transport = library.AsyncHTTPTransport(retries=retries)
    async with library.AsyncClient(transport=transport, headers=KEY) as client:
        return (await client.get(URL)).status_code


WAYS = [ask, lambda *args: asyncio.run(ask_async(*args))]


@pytest.mark.parametrize("way", WAYS, ids=["sync", "async"])
@pytest.mark.parametrize("error", ["ConnectError", "ConnectTimeout"])
def test_a_transport_with_retries_connects_again_with_its_own_waits(spidra_mock, library, way, error):
    """httpcore waits not at all, then half a second, then twice as long each time."""
    spidra_mock.batch.list.script(*[request_lost(error)] * 4)
    assert way(library, 4) == 200
    outcomes, waits = outcomes_and_waits(spidra_mock)
    assert outcomes == [*[error] * 4, 200]
    assert [round(wait, 6) for wait in waits] == [0.0, 0.5, 1.0, 2.0]


@pytest.mark.parametrize("way", WAYS, ids=["sync", "async"])
def test_a_transport_with_retries_gives_up_in_the_end(spidra_mock, library, way):
    spidra_mock.batch.list.always(request_lost())
    with pytest.raises(library.ConnectError):
        way(library, 2)
    assert outcomes_and_waits(spidra_mock)[0] == ["ConnectError"] * 3


@pytest.mark.parametrize("way", WAYS, ids=["sync", "async"])
@pytest.mark.parametrize(
    "step", [request_lost("ReadError"), reply_lost("RemoteProtocolError"), 503], ids=repr
)
def test_a_transport_with_retries_retries_nothing_else(spidra_mock, library, way, step):
    spidra_mock.batch.list.script(step)
    if step == 503:
        assert way(library, 2) == 503
    else:
        with pytest.raises(library.TransportError):
            way(library, 2)
    assert len(spidra_mock.exchanges) == 1


# -- urllib3 and requests ----------------------------------------------------------------------------------


def by_urllib3(**settings):
    with urllib3.PoolManager(retries=urllib3.Retry(**settings), timeout=10) as pool:
        return pool.request("GET", URL, headers=KEY).status


def by_requests(**settings):
    with requests.Session() as session:
        session.mount("https://", requests.adapters.HTTPAdapter(max_retries=urllib3.Retry(**settings)))
        return session.get(URL, headers=KEY, timeout=10).status_code


@pytest.mark.parametrize("way", [by_urllib3, by_requests])
def test_retry_tries_lost_requests_again_as_connections_that_failed(spidra_mock, way):
    """``connect=2`` counts them and ``read=0`` does not: they are connections that were never made."""
    spidra_mock.batch.list.script(request_lost(), request_lost("ConnectTimeout"))
    assert way(total=None, connect=2, read=0, backoff_factor=1) == 200
    assert outcomes_and_waits(spidra_mock) == (["ConnectError", "ConnectTimeout", 200], [0.0, 2.0])


@pytest.mark.parametrize("way", [by_urllib3, by_requests])
def test_retry_gives_up_on_lost_requests_after_as_many_as_it_is_told(spidra_mock, way):
    spidra_mock.batch.list.always(request_lost())
    with pytest.raises((urllib3.exceptions.MaxRetryError, requests.exceptions.ConnectionError)):
        way(total=None, connect=2)
    assert len(spidra_mock.exchanges) == 3


@pytest.mark.parametrize("way", [by_urllib3, by_requests])
@pytest.mark.parametrize("error", ["ReadTimeout", "ReadError", "RemoteProtocolError", "WriteError"])
def test_retry_counts_a_lost_reply_as_one_that_could_not_be_read(spidra_mock, way, error):
    spidra_mock.batch.list.script(reply_lost(error))
    assert way(total=None, connect=0, read=1) == 200
    assert outcomes_and_waits(spidra_mock)[0] == [error, 200]


@pytest.mark.parametrize("way", [by_urllib3, by_requests])
def test_retry_waits_as_long_as_retry_after_says(spidra_mock, way):
    spidra_mock.batch.list.script(http_error(503, retry_after=7), http_error(429, retry_after=1.0), 502)
    assert way(total=5, status_forcelist=[502], backoff_factor=0.1) == 200
    outcomes, waits = outcomes_and_waits(spidra_mock)
    assert outcomes == [503, 429, 502, 200]
    assert [round(wait, 3) for wait in waits] == [7.0, 1.0, 0.4]


def test_retry_after_as_a_date_is_reckoned_from_the_clock_of_the_test(spidra_mock):
    asked = datetime.now(UTC) + timedelta(seconds=90)
    spidra_mock.batch.list.script(http_error(503, retry_after=asked))
    assert by_urllib3(total=2) == 200
    (wait,) = outcomes_and_waits(spidra_mock)[1]
    assert 88 <= wait <= 90  # the header counts whole seconds


def test_retry_does_not_repeat_a_post_whose_reply_was_lost(spidra_mock):
    """urllib3's own rule: what is not idempotent is repeated only where its connection was never made."""
    spidra_mock.batch.submit.script(request_lost(), reply_lost())
    with urllib3.PoolManager(retries=3) as pool, pytest.raises(urllib3.exceptions.ReadTimeoutError):
        pool.request("POST", URL, headers=KEY, json={"urls": ["https://a.example/"]}, timeout=5)
    assert [one.seen for one in spidra_mock.exchanges] == ["ConnectError", "ReadTimeout"]


def test_urllib3_s_own_redirects_really_run(spidra_mock):
    spidra_mock.router["batch.list"].respond(302, headers={"location": f"{URL}?page=2"})
    with urllib3.PoolManager() as pool, pytest.raises(urllib3.exceptions.MaxRetryError, match="redirects"):
        pool.request("GET", URL, headers=KEY, retries=urllib3.Retry(redirect=2))
    assert len(spidra_mock.exchanges) == 3


def test_a_body_that_is_read_only_once_is_sent_again_as_urllib3_can(spidra_mock, tmp_path):
    path = tmp_path / "body.json"
    path.write_bytes(b'{"urls":["https://a.example/"]}')
    spidra_mock.batch.submit.script(request_lost())
    with path.open("rb") as file, urllib3.PoolManager() as pool:
        assert pool.request("POST", URL, headers=KEY, body=file, retries=1).status == 202
    assert [one.request_json for one in spidra_mock.exchanges] == [{"urls": ["https://a.example/"]}] * 2


# -- aiohttp -----------------------------------------------------------------------------------------------


def by_aiohttp(method, *, times=1, **settings):
    aiohttp = pytest.importorskip("aiohttp")

    async def ask():
        async with aiohttp.ClientSession(headers=KEY, **settings) as session:
            for _ in range(times):
                async with session.request(method, URL, json={"urls": ["https://a.example/"]}) as response:
                    await response.read()
            return response.status

    return asyncio.run(ask())


def test_aiohttp_s_own_second_attempt_really_runs(spidra_mock):
    """It repeats what is idempotent once, when the connection was there and broke."""
    spidra_mock.batch.list.script(reply_lost("RemoteProtocolError"))
    assert by_aiohttp("GET") == 200
    assert [one.seen for one in spidra_mock.exchanges] == ["RemoteProtocolError", 200]
    spidra_mock.batch.submit.script(reply_lost("RemoteProtocolError"))
    with pytest.raises(pytest.importorskip("aiohttp").ServerDisconnectedError):
        by_aiohttp("POST")
    assert len(spidra_mock.exchanges) == 3


@pytest.mark.parametrize(
    ("timeouts", "error", "after"),
    [
        ({"total": 3}, "TimeoutError", 3),
        ({"sock_read": 4}, "SocketTimeoutError", 4),
        ({"total": 9, "sock_read": 4}, "SocketTimeoutError", 4),
        ({"total": 3, "sock_read": 4}, "TimeoutError", 3),
    ],
)
def test_aiohttp_s_own_timeouts_run_on_the_clock_of_the_test(spidra_mock, timeouts, error, after):
    """The log says what the client saw, a timeout of its own, and when."""
    aiohttp = pytest.importorskip("aiohttp")
    spidra_mock.batch.submit.script(ok(after=3600))
    with pytest.raises(TimeoutError) as raised:
        by_aiohttp("POST", timeout=aiohttp.ClientTimeout(**timeouts))
    assert type(raised.value).__name__ == error
    (exchange,) = spidra_mock.exchanges
    assert (exchange.seen, exchange.answered) == ("ReadTimeout", 202)
    assert exchange.seen_at - exchange.sent_at == pytest.approx(after)


def test_a_total_timeout_that_is_over_while_a_reply_is_waited_for_is_no_cancelled_task(spidra_mock):
    """aiohttp ends the wait itself, by cancelling the task that it runs in."""
    spidra_mock.batch.submit.script(ok(after=3600))
    aiohttp = pytest.importorskip("aiohttp")

    async def ask(patience):
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(headers=KEY, timeout=timeout) as session:
            async with asyncio.timeout(patience):
                await session.post(URL, json={"urls": ["https://a.example/"]})

    with pytest.raises(TimeoutError):
        asyncio.run(ask(5))
    assert [one.seen for one in spidra_mock.exchanges] == ["cancelled"]


def test_the_limit_of_aiohttp_s_connector_really_holds(spidra_mock):
    """Two connections, six requests of a second each: they take three seconds."""
    aiohttp = pytest.importorskip("aiohttp")
    spidra_mock.batch.list.always(ok(after=1))

    async def ask():
        connector = aiohttp.TCPConnector(limit=2)
        async with aiohttp.ClientSession(connector=connector, headers=KEY) as session:
            return await asyncio.gather(*(one(session) for _ in range(6)))

    async def one(session):
        async with session.get(URL) as response:
            return await response.read()

    assert all(body.startswith(LISTED) for body in asyncio.run(ask()))
    assert spidra_mock.clock.elapsed == pytest.approx(3)
