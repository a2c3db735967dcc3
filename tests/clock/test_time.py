"""Time under spidra_mock: loops and libraries wait exactly as long as they say, and for no real time.

That it is none, nobody measures: most of them wait longer than the limit that every test has.
"""

import asyncio
import datetime as dt
import time
from time import sleep

import anyio
import httpx
import httpx_retries
import pytest
import spidra
import stamina
import tenacity
import trio

from pytest_spidra import RateLimit, completed, http_error, ok

URLS = ["https://shop.example/1", "https://shop.example/2", "https://shop.example/3"]
LIST = "https://api.spidra.io/api/batch/scrape"
KEY = {"x-api-key": "k"}


def test_ten_minutes_of_the_sdk_take_no_time(spidra_mock):
    """It polls every 5 seconds by default."""
    spidra_mock.batch.outcomes({URLS[0]: completed(after_seconds=600)})
    spidra.Spidra(api_key="k").batch_scrape(URLS)
    assert spidra_mock.clock.elapsed == 600
    assert len(spidra_mock.exchanges.calls("batch.get")) == 121


async def test_so_do_they_in_a_thread_beside_a_running_loop(spidra_mock):
    """That is where the sync client goes when a loop is running."""
    spidra_mock.batch.outcomes({URLS[0]: completed(after_seconds=600)})
    spidra.Spidra(api_key="k").batch_scrape(URLS)
    assert spidra_mock.clock.elapsed == 600


# In functions of their own: what is put into a list here stays the real one (PLW0108 would have it there).
PAUSES = {
    "time.sleep": lambda seconds: time.sleep(seconds),  # noqa: PLW0108 - see above
    "from time import sleep": lambda seconds: sleep(seconds),  # noqa: PLW0108 - see above
}


@pytest.mark.parametrize("way", PAUSES)
def test_a_loop_of_the_user_waits_exactly(spidra_mock, spidra_batch_factory, way):
    batch = spidra_batch_factory({URLS[0]: completed(after_seconds=10)}, status="running")
    with httpx.Client(headers=KEY) as client:
        while client.get(f"{LIST}/{batch.id}").json()["status"] == "running":
            PAUSES[way](3)
    assert spidra_mock.clock.elapsed == 12
    assert [exchange.waited for exchange in spidra_mock.exchanges] == [None, 3.0, 3.0, 3.0, 3.0]


def ask():
    """Ask for the list; an error status raises."""
    httpx.get(LIST, headers=KEY).raise_for_status()


def by_tenacity():
    tenacity.retry(wait=tenacity.wait_exponential(min=4, max=60), stop=tenacity.stop_after_attempt(4))(ask)()


def by_stamina():
    stamina.retry(on=httpx.HTTPError, attempts=4, timeout=None, wait_initial=4, wait_max=60, wait_jitter=0)(
        ask
    )()


def by_httpx_retries():
    retry = httpx_retries.Retry(total=3, backoff_factor=4, backoff_jitter=0, status_forcelist=[503])
    with httpx.Client(transport=httpx_retries.RetryTransport(retry=retry), headers=KEY) as client:
        client.get(LIST).raise_for_status()


@pytest.mark.parametrize("library", [by_tenacity, by_stamina, by_httpx_retries])
def test_libraries_that_retry_wait_on_the_clock(spidra_mock, library):
    """Four, then longer: the policy that is in production is the one that is tested."""
    spidra_mock.batch.list.script(503, 503, 503)
    library()
    (call,) = spidra_mock.exchanges.calls("batch.list")
    assert call.attempts == 4
    assert sum(call.waits) == spidra_mock.clock.elapsed
    assert spidra_mock.clock.elapsed >= 12


def test_anyio_on_asyncio_waits_on_the_clock(spidra_mock):
    async def main():
        async with httpx.AsyncClient(headers=KEY) as client:
            await anyio.sleep(30)
            with anyio.move_on_after(5):
                await client.get(LIST, timeout=None)

    spidra_mock.batch.list.script(ok(after=3600))
    anyio.run(main)
    assert spidra_mock.clock.elapsed == 35
    assert spidra_mock.exchanges[0].seen == "cancelled"


def test_trio_waits_on_the_clock_when_it_is_given_ours(spidra_mock):
    async def main():
        async with httpx.AsyncClient(headers=KEY) as client:
            await trio.sleep(30)
            with trio.move_on_after(5):
                await client.get(LIST, timeout=None)

    spidra_mock.batch.list.script(ok(after=3600))
    trio.run(main, clock=spidra_mock.clock.trio_clock())
    assert spidra_mock.clock.elapsed == pytest.approx(35)
    assert spidra_mock.exchanges[0].seen == "cancelled"


def test_the_sdk_s_own_deadline_fires_at_its_second(spidra_mock):
    """It gives up when the next look would come too late: after 20 of 23 seconds."""
    spidra_mock.batch.outcomes({URLS[0]: completed(after_seconds=600)})
    with pytest.raises(spidra.SpidraTimeoutError):
        spidra.Spidra(api_key="k").batch_scrape(URLS, timeout=23)
    assert spidra_mock.clock.elapsed == 20


@pytest.mark.parametrize("wait", ["timeout", "wait_for"])
async def test_deadlines_of_asyncio_fire_at_their_second(spidra_mock, wait):
    async def forever():
        async with spidra.AsyncSpidra(api_key="k") as client:
            await client.batch_scrape(URLS)

    spidra_mock.batch.outcomes({URLS[0]: completed(after_seconds=600)})
    with pytest.raises(TimeoutError):
        if wait == "timeout":
            async with asyncio.timeout(42.5):
                await forever()
        else:
            await asyncio.wait_for(forever(), 42.5)
    assert spidra_mock.clock.elapsed == 42.5


async def test_three_that_poll_at_once_wait_at_once(spidra_mock):
    """Each takes 30 seconds, and so do all."""
    for url in URLS:
        spidra_mock.batch.outcomes({url: completed(after_seconds=30)})
    async with spidra.AsyncSpidra(api_key="k") as client:
        await asyncio.gather(*(client.batch_scrape([url]) for url in URLS))
    assert spidra_mock.clock.elapsed == 30


def test_a_client_s_read_timeout_is_waited_for(spidra_mock):
    spidra_mock.batch.list.script(ok(after=3600))
    with pytest.raises(httpx.ReadTimeout):
        httpx.get(LIST, headers=KEY, timeout=60)
    assert spidra_mock.clock.elapsed == 60


def test_dates_of_the_service_follow_the_wall_clock(spidra_mock):
    """To the second, as the API tells them."""
    spidra_mock.batch.outcomes({URLS[0]: completed(after_seconds=1000)})
    begun = int(time.time())
    batch = spidra.Spidra(api_key="k").batch_scrape(URLS[:1])
    created, finished = (dt.datetime.fromisoformat(text) for text in (batch.created_at, batch.finished_at))
    assert 0 <= created.timestamp() - begun <= 1
    assert (finished - created).total_seconds() == 1000
    assert finished.timestamp() == int(time.time())


def test_the_quota_s_window_runs_on_the_clock(spidra_mock):
    spidra_mock.account.rate_limit = RateLimit(requests=2, per_seconds=900)
    client = spidra.Spidra(api_key="k")
    client.list_batch_scrapes()
    time.sleep(100)
    client.list_batch_scrapes()
    with pytest.raises(spidra.SpidraRateLimitError) as limited:
        client.list_batch_scrapes()
    assert limited.value.retry_after == 800
    time.sleep(limited.value.retry_after)
    client.list_batch_scrapes()


@pytest.mark.spidra(clock="real")
def test_on_the_real_clock_everything_works_in_real_time(spidra_mock):
    spidra_mock.batch.outcomes({URLS[0]: completed(after_seconds=0.2)})
    spidra_mock.batch.submit.script(http_error(503, retry_after=0.1))
    real, begun = time.monotonic(), spidra_mock.clock.elapsed
    batch = spidra.Spidra(api_key="k").batch_scrape(URLS, poll_interval=0.05)
    assert batch.status == "completed"
    assert 0.3 <= spidra_mock.clock.elapsed - begun <= time.monotonic() - real
    (submit,) = spidra_mock.exchanges.calls("batch.submit")
    assert submit.waits[0] >= 0.1


RESTORED = """
import asyncio, datetime, queue, selectors, socket, subprocess, sys, threading, time
import http.client
import httpx, pytest
from time import sleep
from concurrent.futures import ThreadPoolExecutor

def names():
    owners = {
        time: ["sleep", "time", "time_ns", "monotonic", "monotonic_ns", "localtime", "gmtime", "strftime"],
        datetime: ["datetime", "date"],
        datetime.datetime: ["now", "utcnow", "today"],
        datetime.date: ["today"],
        threading.Condition: ["wait"],
        threading.Thread: ["join"],
        queue: ["SimpleQueue"],
        subprocess.Popen: ["__init__"],
        sys.modules[__name__]: ["sleep"],
        asyncio.BaseEventLoop: ["_run_once", "run_in_executor"],
        ThreadPoolExecutor: ["submit"],
        socket: ["getaddrinfo", "gethostbyname", "gethostbyname_ex"],
        socket.socket: ["connect"],  # inherited, or pytest-socket has put the inherited one there
        http.client.HTTPConnection: ["set_tunnel", "putrequest"],
        httpx.HTTPTransport: ["handle_request", "__init__"],
        httpx.AsyncHTTPTransport: ["handle_async_request", "__init__"],
        selectors.DefaultSelector: ["select"],
    }
    state = {f"{owner}.{name}": getattr(owner, name) for owner, them in owners.items() for name in them}
    state["pools"] = [vars(transport).get("_pool") for transport in (httpx.HTTPTransport, httpx.AsyncHTTPTransport)]
    return state

BEFORE = names()
"""


@pytest.mark.parametrize("fixtures", ["spidra_mock", "monkeypatch, spidra_mock", "spidra_mock, monkeypatch"])
@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        ("time.sleep(60); assert spidra_mock.clock.elapsed == 60", {"passed": 2}),
        ("time.sleep(60); 1 / 0", {"passed": 1, "failed": 1}),
        ("pytest.skip('not today')", {"passed": 1, "skipped": 1}),
    ],
)
def test_every_name_is_put_back_however_a_test_ends(run_tests, fixtures, body, outcome):
    source = f"{RESTORED}\ndef test_it({fixtures}):\n    {body}\n\ndef test_after():\n    assert names() == BEFORE\n"
    run_tests(source).assert_outcomes(**outcome)


@pytest.mark.slow
def test_every_name_is_put_back_after_a_keyboard_interrupt(pytester):
    """A run in a process of its own, as an interrupt ends it; another plugin looks afterwards."""
    pytester.makeconftest(
        f"""
{RESTORED}

@pytest.hookimpl(trylast=True)
def pytest_configure():  # the addresses that names lead to are remembered for the whole run
    global BEFORE
    BEFORE = names()

def pytest_unconfigure():
    print("restored", names() == BEFORE)
"""
    )
    pytester.makepyfile(
        "import time\ndef test_it(spidra_mock):\n    time.sleep(60)\n    raise KeyboardInterrupt\n"
    )
    result = pytester.runpytest_subprocess("-s", timeout=100)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*restored True*"])


THOUSAND = f"""{RESTORED}
THREADS = set(threading.enumerate())
URL = "https://a.example/"

def use(spidra_mock):
    with httpx.Client(base_url=spidra_mock.base_url, headers={{"x-api-key": "k"}}) as client:
        client.post("/batch/scrape", json={{"urls": [URL]}})
    time.sleep(60)
    return datetime.datetime.now()

def in_a_thread(spidra_mock):
    thread = threading.Thread(target=use, args=(spidra_mock,))
    thread.start()
    thread.join()

def in_a_pool(spidra_mock):
    with ThreadPoolExecutor(1) as pool:
        pool.submit(use, spidra_mock).result(timeout=3600)

def in_a_loop(spidra_mock):
    async def main():
        async with httpx.AsyncClient(base_url=spidra_mock.base_url, headers={{"x-api-key": "k"}}) as client:
            await client.post("/batch/scrape", json={{"urls": [URL]}})
            await asyncio.sleep(60)
    asyncio.run(main())

@pytest.mark.parametrize("number", range(1000))
def test_it(spidra_mock, number):
    [use, in_a_thread, in_a_pool, in_a_loop][number % 4](spidra_mock)
    assert spidra_mock.clock.elapsed == 60

def test_after():
    assert names() == BEFORE
    assert set(threading.enumerate()) <= THREADS
    assert abs((datetime.datetime.now() - datetime.datetime.fromtimestamp(time.time())).total_seconds()) < 1
"""


@pytest.mark.slow
def test_a_thousand_tests_in_a_row_leave_nothing_behind(run_tests):
    """No patch, no thread, no date: in plain code, threads, pools and event loops in turn."""
    run_tests(THOUSAND, "-q").assert_outcomes(passed=1001)


def test_freezegun_is_refused_with_one_sentence(run_tests):
    result = run_tests(
        """
        import freezegun, pytest

        @pytest.fixture
        def frozen():
            with freezegun.freeze_time("2030-01-01"):
                yield

        def test_it(frozen, spidra_mock):
            pass
        """
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["spidra_mock cannot start: time.* is already replaced by freezegun.*"])


def test_time_machine_decides_where_the_wall_clock_begins(run_tests):
    run_tests(
        """
        import datetime as dt, time, httpx, time_machine

        @time_machine.travel("2030-01-01T00:00:00Z", tick=False)
        def test_it(spidra_mock):
            body = {"urls": ["https://a.example/"]}
            created = httpx.post(
                spidra_mock.base_url + "/batch/scrape", json=body, headers={"x-api-key": "k"}
            ).json()["batchId"]
            time.sleep(3600)
            assert time.time() == dt.datetime(2030, 1, 1, 1, tzinfo=dt.UTC).timestamp()
        """
    ).assert_outcomes(passed=1)


@pytest.mark.parametrize("value", ["virtual", "real"])
def test_the_ini_option_sets_the_clock(run_tests, value):
    source = f"def test_it(spidra_mock):\n    assert spidra_mock.exchanges.virtual is {value == 'virtual'}\n"
    run_tests(source, ini=f"spidra_clock = {value}").assert_outcomes(passed=1)


def test_a_clock_that_is_none_is_told(run_tests):
    result = run_tests("def test_it(spidra_mock):\n    pass\n", ini="spidra_clock = frozen")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            'ERROR: tox.ini: the ini option spidra_clock: the clock of a test is "virtual" or "real", not *frozen*'
        ]
    )
