"""Whoever asks is answered: sessions from before, kept-alive connections, other threads and loops, any kind of body."""

from __future__ import annotations

import asyncio
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import httpx
import pytest
import requests
import urllib3
from table_of_clients import CLIENTS, every_client

from pytest_spidra import http_error
from pytest_spidra.clients.adapter import Attachment
from pytest_spidra.clients.urllib3 import Urllib3Adapter

aiohttp = pytest.importorskip("aiohttp", reason="the lowest versions go without it")

pytestmark = pytest.mark.spidra(rules="off")  # what is unsafe is done on purpose here

URL = "https://api.spidra.io/api/batch/scrape"
KEY = {"x-api-key": "spd_mine"}
BODY = {"urls": ["https://a.example/"]}

OLD_SESSION = requests.Session()
OLD_POOL = urllib3.PoolManager()
OLD_LOOP = asyncio.new_event_loop()


async def new_session():
    return aiohttp.ClientSession(headers=KEY)


OLD_AIOHTTP = OLD_LOOP.run_until_complete(new_session())


@pytest.fixture(scope="module", autouse=True)
def _closed():
    yield
    OLD_LOOP.run_until_complete(OLD_AIOHTTP.close())
    OLD_LOOP.close()


async def status_of(session, method="GET", url=URL, **options):
    async with session.request(method, url, **options) as response:
        await response.read()
        return response.status


def run_aiohttp(*args, session_options=None, **options):
    async def ask():
        async with aiohttp.ClientSession(headers=KEY, **session_options or {}) as session:
            return await status_of(session, *args, **options)

    return asyncio.run(ask())


# -- which clients -----------------------------------------------------------------------------------------


@pytest.mark.spidra(clock="real")
def test_sessions_made_at_import_are_answered(spidra_mock):
    """Time is real, for the clock does not drive an event loop that ran before the test."""
    assert OLD_SESSION.get(URL, headers=KEY, timeout=5).status_code == 200
    assert OLD_POOL.request("GET", URL, headers=KEY).status == 200
    assert OLD_LOOP.run_until_complete(status_of(OLD_AIOHTTP)) == 200
    assert len(spidra_mock.exchanges) == 3


@every_client
def test_a_client_in_another_thread_is_answered(spidra_mock, client):
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(client.ask, "POST", URL, BODY) for _ in range(2)]
        assert [one.result()[0] for one in asked] == [202, 202]
    assert len(spidra_mock.batches) == 2


def test_a_session_made_in_another_thread_is_answered(spidra_mock):
    made = []
    thread = threading.Thread(target=lambda: made.append(requests.Session()))
    thread.start()
    thread.join()
    with made[0] as session:
        assert session.get(URL, headers=KEY, timeout=5).status_code == 200


def test_a_connection_that_is_kept_alive_is_not_asked(run_tests, loopback):
    """The pool has a real connection to the very host and port; a request to the API does not go over it."""
    run_tests(
        f"""
        import asyncio
        import aiohttp, httpx, pytest, requests, urllib3

        SERVER = "http://127.0.0.1:{loopback.port}"
        LOOP = asyncio.new_event_loop()

        async def ask(session, path):
            async with session.get(SERVER + path) as response:
                return await response.text()

        async def opened():
            session = aiohttp.ClientSession()
            assert await ask(session, "/x") == "real"
            assert session.connector._conns
            return session

        @pytest.fixture(scope="module")
        def clients():
            with requests.Session() as session, urllib3.PoolManager() as pool, httpx.Client() as client:
                session.trust_env = False
                for one in (session, client):
                    assert one.get(SERVER + "/x").text == "real"
                assert pool.request("GET", SERVER + "/x").data == b"real"
                kept = LOOP.run_until_complete(opened())
                yield session, client, pool, kept
                LOOP.run_until_complete(kept.close())
                LOOP.close()

        @pytest.mark.spidra(clock="real", rules="off")
        def test_kept(clients, spidra_mock):
            session, client, pool, kept = clients
            assert session.get(SERVER + "/api/batch/scrape").status_code == 401
            assert client.get(SERVER + "/api/batch/scrape").status_code == 401
            assert pool.request("GET", SERVER + "/api/batch/scrape").status == 401
            assert "Invalid" in LOOP.run_until_complete(ask(kept, "/api/batch/scrape"))
            assert len(spidra_mock.exchanges) == 4
            assert session.get(SERVER + "/y").text == client.get(SERVER + "/y").text == "real"
            assert pool.request("GET", SERVER + "/y").data == b"real"
            assert LOOP.run_until_complete(ask(kept, "/y")) == "real"

        def test_after(clients):
            session, client, pool, kept = clients
            assert session.get(SERVER + "/api/batch/scrape").text == "real"
            assert LOOP.run_until_complete(ask(kept, "/api/batch/scrape")) == "real"
        """,
        ini=f"spidra_base_url = {loopback.url}/api",
    ).assert_outcomes(passed=2)
    assert [line for line in loopback.seen if "/api" in line] == ["GET /api/batch/scrape"] * 2


@pytest.mark.slow
def test_a_library_that_is_imported_during_the_test_is_answered(pytester, monkeypatch):
    """None is imported for it: each is attached to at the moment when the code under test imports it."""
    pytester.makepyfile(
        """
        import asyncio, sys

        URL = "https://api.spidra.io/api/batch/scrape"
        LATE = {"requests", "urllib3", "aiohttp", "httpx", "httpx2"}

        def test_late(spidra_mock):
            assert not LATE & set(sys.modules)
            import requests
            assert requests.get(URL, timeout=5).status_code == 401
            import aiohttp
            async def ask():
                async with aiohttp.ClientSession() as session, session.get(URL) as response:
                    return response.status
            assert asyncio.run(ask()) == 401
            import httpx
            assert httpx.get(URL).status_code == 401
            import httpx2
            assert httpx2.get(URL).status_code == 401
            assert len(spidra_mock.exchanges) == 4

        def test_after():
            import aiohttp, httpx, requests, urllib3
            pool = urllib3.connectionpool.HTTPConnectionPool
            assert pool._make_request.__module__ == "urllib3.connectionpool"
            assert aiohttp.BaseConnector.connect.__module__ == "aiohttp.connector"
            assert "_pool" not in vars(httpx.HTTPTransport)
        """
    )
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    result = pytester.runpytest_subprocess("-p", "pytest_spidra.plugin", timeout=100)
    result.assert_outcomes(passed=2)


@pytest.mark.slow
def test_httpx2_under_the_name_of_httpx_is_answered(pytester):
    """respx's own plugin imports httpx when pytest starts, so an alias has to come before it."""
    pytest.importorskip("httpx2")
    pytester.makepyfile(
        aliased="import httpx2; httpx2.alias_httpx()",
        test_it="""
        import httpx, httpx2, pytest
        import spidra
        from pytest_spidra import request_lost

        def test_alias(spidra_mock, spidra_batch_factory):
            assert httpx.Client is httpx2.Client
            url = spidra_mock.base_url + "/batch/scrape"
            assert httpx.get(url).status_code == httpx2.get(url).status_code == 401
            client = spidra.Spidra(api_key=spidra_mock.api_key)
            assert client.get_batch_scrape(spidra_batch_factory().id).status == "completed"
            spidra_mock.batch.list.script(request_lost())
            with pytest.raises(httpx2.ConnectError):
                httpx.get(url)
            assert len(spidra_mock.exchanges) == 4
        """,
    )
    result = pytester.runpytest_subprocess(
        "-p",
        "aliased",
        "-p",
        "no:respx",
        "-p",
        "no:pytest_httpx",
        "-p",
        "no:pytest_httpx2",
        "-W",
        "default",
        timeout=100,
    )
    result.assert_outcomes(passed=1)


def test_a_proxy_is_not_asked(spidra_mock, loopback):
    """Neither for a tunnel nor for the request; not even one in the environment."""
    proxies = {"https": loopback.url, "http": loopback.url}
    assert requests.get(URL, headers=KEY, proxies=proxies, timeout=5).status_code == 200
    with urllib3.ProxyManager(loopback.url) as pool:
        assert pool.request("GET", URL, headers=KEY).status == 200
        assert pool.request("GET", f"{loopback.url}/x").data == b"real"
    assert run_aiohttp(proxy=loopback.url) == 200
    assert loopback.seen == [f"GET {loopback.url}/x"]
    assert len(spidra_mock.exchanges) == 3


def test_a_proxy_is_asked_for_other_hosts(spidra_mock, loopback):
    with urllib3.ProxyManager(loopback.url, retries=False) as pool:
        assert pool.request("GET", "http://elsewhere.example/x").data == b"real"
        with pytest.raises(urllib3.exceptions.HTTPError):  # it answers in plain text
            pool.request("GET", "https://elsewhere.example/x", timeout=5)
    assert loopback.seen == ["GET http://elsewhere.example/x", "CONNECT elsewhere.example:443"]


@pytest.mark.parametrize("path", ["/other", "/apis/batch/scrape"])
def test_what_is_not_the_api_s_goes_on_through_a_proxy_and_is_refused_there(run_tests, loopback, path):
    result = run_tests(
        f"""
        import urllib3

        def test_it(spidra_mock):
            with urllib3.ProxyManager("{loopback.url}", retries=False) as pool:
                pool.request("GET", "https://api.spidra.io{path}")
        """
    )
    result.assert_outcomes(failed=1)
    assert f"GET https://api.spidra.io{path} by urllib3 was on its way" in result.stdout.str()
    assert loopback.seen == []


# -- what is sent and what is seen -------------------------------------------------------------------------


def parts():
    yield b'{"urls":'
    yield b'["https://a.example/"]}'


async def async_parts():
    for part in parts():
        yield part


def test_bodies_of_every_kind_arrive(spidra_mock, tmp_path):
    text = '{"urls":["https://a.example/"]}'
    path = tmp_path / "body.json"
    path.write_text(text)
    for body in (text, text.encode(), parts()):
        assert requests.post(URL, data=body, headers=KEY, timeout=5).status_code == 202
        again = parts() if not isinstance(body, str | bytes) else body
        assert urllib3.request("POST", URL, body=again, headers=KEY).status == 202
    for body in (text, text.encode(), async_parts()):
        assert run_aiohttp("POST", data=body) == 202
    with path.open("rb") as file:
        assert requests.post(URL, data=file, headers=KEY, timeout=5).status_code == 202
    with path.open("rb") as file:
        assert run_aiohttp("POST", data=file) == 202
    assert run_aiohttp("POST", json=BODY, expect100=True) == 202
    assert [one.request_json for one in spidra_mock.exchanges] == [BODY] * 12


def test_a_body_that_fails_while_it_is_sent_is_the_client_s_own_error(spidra_mock):
    async def broken():
        yield b"{"
        msg = "no more"
        raise RuntimeError(msg)

    with pytest.raises(aiohttp.ClientConnectionError, match="Failed to send bytes"):
        run_aiohttp("POST", data=broken())
    assert len(spidra_mock.exchanges) == 0


@every_client
def test_parameters_and_headers_arrive(spidra_mock, client):
    client.ask("GET", f"{URL}?page=2&limit=1", None)
    (exchange,) = spidra_mock.exchanges
    assert exchange.path == "/batch/scrape?page=2&limit=1"
    assert exchange.headers["x-api-key"] != "spd_mine"


def test_a_reply_is_the_library_s_own_in_full(spidra_mock):
    response = requests.post(URL, json=BODY, headers=KEY, timeout=5)
    (batch,) = spidra_mock.batches
    assert (response.status_code, response.reason, response.url) == (202, "Accepted", URL)
    assert response.headers["Location"] == f"/api/batch/scrape/{batch.id}"
    assert response.json() == {"status": "queued", "batchId": batch.id, "total": 1}
    assert response.raw.version == 11
    response = urllib3.request("GET", f"{URL}/{batch.id}", headers=KEY)
    assert (response.status, response.reason, response.json()["status"]) == (200, "OK", "running")

    async def ask():
        async with (
            aiohttp.ClientSession(headers=KEY) as session,
            session.get(f"{URL}/{batch.id}") as response,
        ):
            assert (response.status, response.reason, str(response.url)) == (200, "OK", f"{URL}/{batch.id}")
            assert response.content_type == "application/json"
            return await response.json()

    assert asyncio.run(ask())["status"] == "completed"


def test_a_reply_is_streamed(spidra_mock):
    with requests.get(URL, headers=KEY, stream=True, timeout=5) as response:
        assert b"".join(response.iter_content(10)).startswith(b'{"jobs":[]')
    with urllib3.PoolManager() as pool:
        response = pool.request("GET", URL, headers=KEY, preload_content=False)
        assert b"".join(response.stream(7)).startswith(b'{"jobs":[]')

    async def ask():
        async with aiohttp.ClientSession(headers=KEY) as session, session.get(URL) as response:
            return [chunk async for chunk in response.content.iter_chunked(8)]

    assert b"".join(asyncio.run(ask())).startswith(b'{"jobs":[]')


@every_client
def test_an_error_of_a_route_is_the_client_s_own(spidra_mock, client):
    """A route of respx's raises httpx's errors; a client of another library sees its own of that name."""
    if "Retry" in client.name or "httpx-aiohttp" in client.name:
        pytest.skip("what it makes of an error is its own affair")
    spidra_mock.router["batch.list"].mock(side_effect=httpx.ReadTimeout("no answer"))
    with pytest.raises(client.error("ReadTimeout"), match="no answer"):
        client.ask("GET", URL, None)
    spidra_mock.router["batch.list"].mock(side_effect=ZeroDivisionError("by the user's own route"))
    with pytest.raises(ZeroDivisionError):
        client.ask("GET", URL, None)
    assert [one.seen for one in spidra_mock.exchanges] == ["ReadTimeout", "ZeroDivisionError"]


def test_a_urllib3_of_before_is_left_alone():
    """It sends in another way; the network guard refuses it."""

    class Pool:
        def _make_request(self, conn, method, url, **options):
            """As version 1 has it."""

    before = vars(Pool)["_make_request"]
    old = SimpleNamespace(connectionpool=SimpleNamespace(HTTPConnectionPool=Pool), HTTPResponse=object)
    Urllib3Adapter(Attachment(None), Hashable(vars(old))).close()
    assert vars(Pool)["_make_request"] is before


class Hashable(SimpleNamespace):
    def __init__(self, names):
        super().__init__(**names)

    __hash__ = object.__hash__


@every_client
def test_a_large_reply_arrives_whole(spidra_mock, client):
    large = b'"' + b"x" * 1_000_000 + b'"'
    spidra_mock.router["batch.list"].respond(200, content=large)
    assert client.ask("GET", URL, None) == (200, large)


@every_client
def test_a_reply_without_a_body_has_none(spidra_mock, client):
    spidra_mock.router.head(path__regex="/batch/scrape$").respond(200, headers={"content-length": "12"})
    spidra_mock.router["batch.list"].respond(204)
    assert client.ask("HEAD", URL, None) == (200, b"")
    assert client.ask("GET", URL, None) == (204, b"")


def test_cookies_of_a_reply_are_kept(spidra_mock):
    spidra_mock.batch.list.always(http_error(503, headers={"Set-Cookie": "lane=7; Path=/"}))
    with requests.Session() as session:
        assert session.get(URL, headers=KEY, timeout=5).cookies["lane"] == "7"
        assert session.cookies["lane"] == "7"

    async def ask():
        async with aiohttp.ClientSession(headers=KEY) as session, session.get(URL) as response:
            return response.cookies["lane"].value, [one.key for one in session.cookie_jar]

    assert asyncio.run(ask()) == ("7", ["lane"])


def test_a_session_that_is_closed_in_the_middle_of_a_request_ends_it(spidra_mock):
    """The service never saw it: its body was not whole."""

    async def body():
        yield b'{"urls":'
        await asyncio.sleep(1000)

    async def ask():
        session = aiohttp.ClientSession(headers=KEY)
        task = asyncio.create_task(session.post(URL, data=body()))
        await asyncio.sleep(1)
        await session.close()
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await task

    asyncio.run(ask())
    assert spidra_mock.clock.elapsed == 1.0
    assert not spidra_mock.exchanges


def test_a_status_raises_as_it_always_does(spidra_mock):
    spidra_mock.batch.list.always(503)
    with pytest.raises(requests.HTTPError, match="503 Server Error: Service Unavailable"):
        requests.get(URL, headers=KEY, timeout=5).raise_for_status()
    with pytest.raises(aiohttp.ClientResponseError, match="503"):
        run_aiohttp(session_options={"raise_for_status": True})


def test_a_pool_with_one_connection_serves_request_after_request(spidra_mock):
    """Nothing of it is used up: neither by replies that are read late nor by errors."""
    from pytest_spidra import reply_lost, request_lost  # noqa: PLC0415 - only here

    spidra_mock.batch.list.script(request_lost("PoolTimeout"), reply_lost())
    with urllib3.HTTPSConnectionPool(
        "api.spidra.io", maxsize=1, block=True, retries=False, timeout=5
    ) as pool:
        for error in (urllib3.exceptions.EmptyPoolError, urllib3.exceptions.ReadTimeoutError):
            with pytest.raises(error):
                pool.request("GET", "/api/batch/scrape", headers=KEY, pool_timeout=1)
        for _ in range(3):
            response = pool.request(
                "GET", "/api/batch/scrape", headers=KEY, pool_timeout=1, preload_content=False
            )
            assert response.read().startswith(b'{"jobs":[]')


def test_an_unknown_request_fails_the_test_even_if_it_is_swallowed(run_tests):
    result = run_tests(
        """
        import asyncio
        import aiohttp, pytest, requests

        def test_requests(spidra_mock):
            try:
                requests.get(spidra_mock.base_url + "/nothing", timeout=5)
            except BaseException:
                pass

        def test_aiohttp(spidra_mock):
            async def ask():
                async with aiohttp.ClientSession() as session:
                    try:
                        await session.get(spidra_mock.base_url + "/nothing")
                    except BaseException:
                        pass
            asyncio.run(ask())
        """
    )
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*No endpoint of the fake Spidra answers GET /nothing.*"] * 2)


@pytest.mark.parametrize("client", [one for one in CLIENTS if "Retry" not in one.name], ids=str)
def test_a_request_says_where_it_was_sent_from_and_by_whom(spidra_mock, client):
    """The sender is the thread and task that asks, not one of the library's own."""
    client.ask("POST", URL, BODY)
    client.ask("GET", URL, None)
    first, second = spidra_mock.exchanges
    assert first.sender == second.sender


def test_aiohttp_s_traces_and_middlewares_run(spidra_mock):
    seen = []

    async def note(session, context, params):
        seen.append(type(params).__name__)

    async def middleware(request, handler):
        request.headers["x-api-key"] = "spd_other"
        return await handler(request)

    trace = aiohttp.TraceConfig()
    for name in (
        "on_request_start",
        "on_connection_create_start",
        "on_connection_create_end",
        "on_request_end",
    ):
        getattr(trace, name).append(note)
    spidra_mock.account.keys = {"spd_other"}
    options = {"trace_configs": [trace]}
    if "middlewares" in aiohttp.ClientSession._request.__kwdefaults__:
        options["middlewares"] = [middleware]
    else:
        spidra_mock.account.keys = {"spd_mine"}
    assert run_aiohttp(session_options=options) == 200
    assert seen == [
        "TraceRequestStartParams",
        "TraceConnectionCreateStartParams",
        "TraceConnectionCreateEndParams",
        "TraceRequestEndParams",
    ]


# -- who is refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("library", "ask"),
    [
        ("curl_cffi", "import curl_cffi; curl_cffi.get(URL)"),
        ("niquests", "import niquests; niquests.get(URL)"),  # its urllib3-future takes urllib3's place
        ("pycurl", "import pycurl; c = pycurl.Curl(); c.setopt(pycurl.URL, URL); c.perform()"),
        ("urllib.request", "import urllib.request; urllib.request.urlopen(URL)"),
        (
            "http.client",
            'import http.client; http.client.HTTPSConnection("api.spidra.io").request("GET", "/api")',
        ),
    ],
)
def test_who_is_not_answered_is_told_of_the_server(run_tests, library, ask):
    if library in {"curl_cffi", "niquests", "pycurl"}:
        pytest.importorskip(library)
    result = run_tests(f'URL = "{URL}"\n\ndef test_it(spidra_mock):\n    {ask}\n')
    result.assert_outcomes(failed=1)
    said = " ".join(result.stdout.str().split())
    assert "spidra_mock answers httpx, httpx2, requests, urllib3, aiohttp and the official SDK" in said
    assert f"{library} is answered by spidra_server" in said


# -- leaving no trace --------------------------------------------------------------------------------------


def patched():
    pool = urllib3.connectionpool
    return {
        "urllib3": vars(pool.HTTPConnectionPool)["_make_request"],
        "tunnel": vars(pool.HTTPSConnectionPool)["_prepare_proxy"],
        "plain tunnel": vars(pool.HTTPConnectionPool)["_prepare_proxy"],
        "requests": vars(requests.Session)["send"],
        "adapter": vars(requests.adapters.HTTPAdapter)["send"],
        "aiohttp": vars(aiohttp.ClientSession)["_request"],
        "connect": vars(aiohttp.BaseConnector)["connect"],
        "create": vars(aiohttp.TCPConnector)["_create_connection"],
        "meta path": list(sys.meta_path),
    }


def test_nothing_is_left_of_it(run_tests):
    before = patched()
    run_tests(
        """
        import asyncio
        import aiohttp, requests

        def test_it(spidra_mock):
            requests.get(spidra_mock.base_url + "/batch/scrape", timeout=5)

        def test_fails(spidra_mock):
            1 / 0
        """
    ).assert_outcomes(passed=1, failed=1)
    assert patched() == before


def test_a_test_within_a_test_is_answered_by_its_own_fake(run_tests, spidra_mock):
    run_tests(
        """
        import asyncio
        import aiohttp, requests

        async def ask(url):
            async with aiohttp.ClientSession() as session, session.get(url) as response:
                return response.status

        def test_it(spidra_mock):
            url = spidra_mock.base_url + "/batch/scrape"
            spidra_mock.batch.list.script(503, 502)
            assert [requests.get(url, timeout=5).status_code, asyncio.run(ask(url))] == [503, 502]
        """,
        ini="spidra_clock = real",
    ).assert_outcomes(passed=1)
    assert len(spidra_mock.exchanges) == 0
    assert requests.get(URL, headers=KEY, timeout=5).status_code == 200
    assert run_aiohttp() == 200
