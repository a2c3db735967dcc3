"""A scripted timeout lands when the client's own is over."""

from __future__ import annotations

import _thread
import asyncio
import threading
import time

import anyio
import httpx
import pytest
import spidra
import trio

from pytest_spidra import completed, http_error, ok, reply_lost, request_lost
from pytest_spidra.interception.timeouts import LONGEST_CONNECT, resolve
from pytest_spidra.traffic.pending import ConnectionLost
from pytest_spidra.traffic.reply import Reply
from pytest_spidra.traffic.request import Request

LIST = "https://api.spidra.io/api/batch/scrape"
KEY = {"x-api-key": "key-of-tests"}
OWN = httpx.Timeout(connect=3, read=40, write=7, pool=11)

OF_KIND = {"ConnectTimeout": 3.0, "PoolTimeout": 11.0, "WriteTimeout": 7.0, "ReadTimeout": 40.0}
LOST = [(lost, kind) for kind in OF_KIND for lost in (request_lost, reply_lost)]


def get(**options):
    return httpx.get(LIST, headers=KEY, **options)


async def get_async(**options):
    async with httpx.AsyncClient(headers=KEY) as client:
        return await client.get(LIST, **options)


WAYS = {
    "sync": get,
    "async": lambda **options: asyncio.run(get_async(**options)),
    "anyio": lambda **options: anyio.run(lambda: get_async(**options)),
    "async in a thread": lambda **options: in_a_thread(lambda: asyncio.run(get_async(**options))),
    "thread": lambda **options: in_a_thread(lambda: get(**options)),
}


def in_a_thread(work):
    """Run it in a thread, and raise what it raises."""
    caught = []

    def target():
        try:
            work()
        except Exception as error:  # noqa: BLE001 - raised below
            caught.append(error)

    thread = threading.Thread(target=target)
    thread.start()
    thread.join()
    raise caught[0]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("lost", "kind"), LOST)
def test_each_lands_when_the_client_s_own_is_over(spidra_mock, way, lost, kind):
    spidra_mock.batch.list.script(lost(kind))
    with pytest.raises(getattr(httpx, kind), match="scripted"):
        WAYS[way](timeout=OWN)
    (exchange,) = spidra_mock.exchanges
    assert (exchange.seen, exchange.seen_at) == (kind, OF_KIND[kind])
    assert spidra_mock.clock.elapsed == OF_KIND[kind]


def test_trio_s_clients_wait_as_long(spidra_mock):
    spidra_mock.batch.list.script(reply_lost())

    async def main():
        async with httpx.AsyncClient(headers=KEY, timeout=OWN) as client:
            with pytest.raises(httpx.ReadTimeout):
                await client.get(LIST)

    trio.run(main, clock=spidra_mock.clock.trio_clock())
    assert spidra_mock.clock.elapsed == pytest.approx(40)


@pytest.mark.parametrize("error", ["ConnectError", "ReadError", "WriteError", "CloseError", "ProxyError"])
@pytest.mark.parametrize("lost", [request_lost, reply_lost])
def test_all_other_errors_come_at_once(spidra_mock, lost, error):
    spidra_mock.batch.list.script(lost(error))
    with pytest.raises(getattr(httpx, error)):
        get(timeout=OWN)
    assert spidra_mock.clock.elapsed == 0


def test_after_says_otherwise(spidra_mock):
    """For any error; yet no client waits longer than it does."""
    spidra_mock.batch.list.script(
        reply_lost(after=0),
        request_lost(after=2),
        reply_lost("ReadError", after=25),
        reply_lost("ReadError", after=600),
        request_lost(after=600),
    )
    seen = []
    for _ in range(5):
        with pytest.raises(httpx.TransportError) as caught:
            get(timeout=OWN)
        seen.append(f"{type(caught.value).__name__}: {caught.value}")
    assert seen == [
        "ReadTimeout: scripted: reply_lost(after=0)",
        "ConnectError: scripted: request_lost(after=2)",
        'ReadError: scripted: reply_lost("ReadError", after=25)',
        "ReadTimeout: no reply within 40 s",
        "ConnectTimeout: no connection within 3 s",
    ]
    times = [(exchange.sent_at, exchange.seen_at) for exchange in spidra_mock.exchanges]
    assert times == [(0, 0), (0, 2), (2, 27), (27, 67), (67, 70)]


@pytest.mark.parametrize("after", [-1, float("inf"), float("nan")])
def test_after_counts_seconds_from_0_on(after):
    for lost in (reply_lost, request_lost):
        with pytest.raises(
            ValueError, match=rf"^{lost.__name__}\(after=…\) counts seconds from 0 on, not {after}"
        ):
            lost(after=after)
    with pytest.raises(TypeError, match=r"^reply_lost\(after=…\) takes a number of seconds, not '5'"):
        reply_lost(after="5")


def test_waits_are_what_lies_between_a_timeout_and_the_next_sending(spidra_mock):
    spidra_mock.batch.list.script(reply_lost(), 503)
    for wait in (2, 4, 0):
        try:
            get(timeout=30).raise_for_status()
        except httpx.HTTPError:
            time.sleep(wait)
    (call,) = spidra_mock.exchanges.calls("batch.list")
    assert (call.outcomes, call.waits) == (["ReadTimeout", 503, 200], [2.0, 4.0])
    spidra_mock.assert_backed_off("batch.list", [2, 4])
    assert [exchange.sent_at for exchange in call.exchanges] == [0, 32, 36]


def test_a_budget_counts_what_timeouts_take(spidra_mock):
    spidra_mock.batch.list.script(request_lost("ConnectTimeout"), reply_lost())
    for _ in range(2):
        with pytest.raises(httpx.TimeoutException):
            get(timeout=OWN)
    spidra_mock.assert_within(seconds=43)
    with pytest.raises(AssertionError, match="took 43 s of 42"):
        spidra_mock.assert_within(seconds=42)


def test_a_deadline_of_one_s_own_counts_them_too(spidra_mock):
    """Three attempts of 40 seconds each are all that fits into 100."""
    spidra_mock.batch.list.always(reply_lost())
    end = time.monotonic() + 100
    while time.monotonic() < end:
        with pytest.raises(httpx.ReadTimeout):
            get(timeout=OWN)
    spidra_mock.assert_attempts("batch.list", 3)
    assert spidra_mock.clock.elapsed == 120


def test_the_sdk_s_timeout_is_a_minute(spidra_mock):
    spidra_mock.batch.submit.script(request_lost("ConnectTimeout"), reply_lost())
    client = spidra.Spidra(api_key=spidra_mock.api_key)
    for minutes in (1, 2):
        with pytest.raises(httpx.TimeoutException):
            client.start_batch_scrape(["https://a.example/"])
        assert spidra_mock.clock.elapsed == 60 * minutes


async def test_the_async_sdk_gets_over_a_poll_that_timed_out(spidra_mock):
    spidra_mock.batch.outcomes({"https://a.example/": completed(after_seconds=30)})
    spidra_mock.batch.get.script(reply_lost())
    async with spidra.AsyncSpidra(api_key=spidra_mock.api_key) as client:
        batch = await client.batch_scrape(["https://a.example/"])
    assert batch.status == "completed"
    (call,) = spidra_mock.exchanges.calls("batch.get")
    assert (call.outcomes, call.waits) == (["ReadTimeout", 200], [1.0])
    assert spidra_mock.clock.elapsed == 61


def test_threads_time_out_side_by_side(spidra_mock):
    """Each by its own timeout, and all in the time of the longest."""
    spidra_mock.batch.list.always(reply_lost())
    seen = {}

    def ask(timeout):
        try:
            get(timeout=timeout)
        except httpx.ReadTimeout:
            seen[timeout] = time.monotonic() - begun

    begun = time.monotonic()
    crowd = [threading.Thread(target=ask, args=(timeout,)) for timeout in (5, 20, 60)]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join()
    assert seen == {5: pytest.approx(5), 20: pytest.approx(20), 60: pytest.approx(60)}
    assert spidra_mock.clock.elapsed == 60


async def test_tasks_time_out_side_by_side(spidra_mock):
    spidra_mock.batch.list.always(reply_lost())
    results = await asyncio.gather(*(get_async(timeout=n) for n in (5, 20, 60)), return_exceptions=True)
    assert [type(result) for result in results] == [httpx.ReadTimeout] * 3
    assert sorted(exchange.seen_at for exchange in spidra_mock.exchanges) == [5, 20, 60]


# -- somebody else ends the wait -------------------------------------------------------------------------


@pytest.mark.parametrize("timeout", [OWN, None])
async def test_a_time_limit_around_it_ends_it(spidra_mock, timeout):
    """Also that of a client that has none of its own."""
    spidra_mock.batch.submit.script(reply_lost())
    async with httpx.AsyncClient(headers=KEY, timeout=timeout) as client:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10):
                await client.post(LIST, json={"urls": ["https://a.example/"]})
        assert spidra_mock.clock.elapsed == 10
        assert (await client.get(LIST)).json()["pagination"]["total"] == 1
    assert [(one.seen, one.answered) for one in spidra_mock.exchanges] == [("cancelled", 202), (200, 200)]


@pytest.mark.parametrize("timeout", [OWN, None])
async def test_a_task_that_is_cancelled_waits_no_longer(spidra_mock, timeout):
    spidra_mock.batch.list.script(reply_lost())
    task = asyncio.create_task(get_async(timeout=timeout))
    await asyncio.sleep(12)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (spidra_mock.exchanges[0].seen, spidra_mock.exchanges[0].seen_at) == ("cancelled", 12)
    assert spidra_mock.clock.elapsed == 12


def test_an_interrupt_ends_it(spidra_mock):
    spidra_mock.batch.list.script(reply_lost())

    def interrupt():
        time.sleep(12)
        _thread.interrupt_main()

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        get(timeout=OWN)
        time.sleep(1)  # the signal may come a step later
    thread.join()
    assert spidra_mock.exchanges[0].seen == "cancelled"


# -- without a limit -------------------------------------------------------------------------------------

WAITS_FOR_EVER = [
    "The client waits for ever: it has no read timeout.",
    "",
    "reply_lost() is a ReadTimeout, which lands when the client's own read",
    "timeout is over. This client has none, and nothing else has ended its",
    "wait for 3600 s: in production it would hang here.",
    "",
    "        #  seconds    wait by    request         the client saw",
    "       #1     0.00               list            no reply yet",
    "          scripted reply_lost(); the service answered 200 0 batches",
    "",
    "To fix it, give the client a read timeout, or put a time limit around",
    "the call. To script another error: reply_lost(after=…) comes by then,",
    'reply_lost("ReadError") breaks the connection at once.',
]

WITHOUT = {
    "sync": "httpx.get(url, headers=headers, timeout=None)",
    "async": "asyncio.run(ask(url, headers))",
    "swallowed": """
    try:
        httpx.get(url, headers=headers, timeout=None)
    except BaseException:
        pass""",
}


@pytest.mark.parametrize("way", WITHOUT)
def test_a_client_that_waits_without_a_limit_fails_the_test(run_tests, way):
    """In production it would hang: no error that any client has seen."""
    result = run_tests(
        "import asyncio, httpx\n"
        "from pytest_spidra import reply_lost\n"
        "async def ask(url, headers):\n"
        "    async with httpx.AsyncClient(timeout=None, headers=headers) as client:\n"
        "        await client.get(url)\n"
        "def test_it(spidra_mock):\n"
        "    spidra_mock.batch.list.script(reply_lost())\n"
        "    url, headers = spidra_mock.base_url + '/batch/scrape', {'x-api-key': spidra_mock.api_key}\n"
        f"    {WITHOUT[way].strip()}\n"
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([line.replace("[", "[[]") for line in WAITS_FOR_EVER], consecutive=True)


def test_the_message_knows_what_the_client_waits_for(run_tests):
    result = run_tests(
        "import httpx\n"
        "from pytest_spidra import request_lost\n"
        "def test_it(spidra_mock):\n"
        "    spidra_mock.batch.list.script(request_lost('PoolTimeout'))\n"
        "    httpx.get(spidra_mock.base_url + '/batch/scrape', headers={'x-api-key': 'k'}, timeout=None)\n"
    )
    result.stdout.fnmatch_lines(
        [
            "The client waits for ever: it has no pool timeout.",
            "To fix it, give the client a pool timeout, or put a time limit around",
            'the call. To script another error: request_lost("PoolTimeout", after=…)',
            'comes by then, request_lost("ConnectError") breaks the connection at',
        ]
    )


def test_a_connection_without_a_limit_ends_by_the_operating_system_s(spidra_mock):
    spidra_mock.batch.list.script(request_lost("ConnectTimeout"))
    with pytest.raises(httpx.ConnectTimeout):
        get(timeout=None)
    assert spidra_mock.clock.elapsed == LONGEST_CONNECT == 127


def test_a_client_without_a_limit_gets_what_comes_at_last(spidra_mock):
    spidra_mock.batch.list.script(reply_lost(after=7200), ok(after=7200))
    with pytest.raises(httpx.ReadTimeout, match="scripted"):
        get(timeout=None)
    assert get(timeout=None).status_code == 200
    assert spidra_mock.clock.elapsed == 14400


# -- elsewhere -------------------------------------------------------------------------------------------


@pytest.mark.spidra(clock="real")
def test_on_the_real_clock_it_takes_real_time(spidra_mock):
    spidra_mock.batch.list.script(reply_lost())
    begun = time.perf_counter()
    with pytest.raises(httpx.ReadTimeout):
        get(timeout=0.05)
    assert time.perf_counter() - begun >= 0.05
    assert spidra_mock.clock.longest_silence == 60


def test_a_library_without_such_a_timeout_sees_it_at_once():
    """Adapters fill in what their libraries have; for the others, 0."""
    request = Request("GET", "/batch/scrape", connect_timeout=5.0, read_timeout=30.0)
    for kind, delay in {"Pool": 0.0, "Write": 0.0, "Connect": 5.0, "Read": 30.0}.items():
        step = request_lost(f"{kind}Timeout")
        assert resolve(request, step) == (delay, ConnectionLost(f"{kind}Timeout", f"scripted: {step.label}"))


def test_what_has_passed_already_is_not_waited_for_again():
    """A reply that took 20 seconds to come, and is lost, leaves 10 of 30; one that took 40 leaves none."""
    request = Request("GET", "/batch/scrape", read_timeout=30.0)
    took = Reply.of(200, {})
    assert [resolve(request, reply_lost(), took, passed=passed)[0] for passed in (0, 20, 40)] == [30, 10, 0]
    assert resolve(request, http_error(503, after=15), passed=20.0) == (
        10.0,
        ConnectionLost("ReadTimeout", "no reply within 30 s"),
    )
