"""Plain httpx, sync and async, meets the fake through every client there is."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor

import anyio
import httpx
import pytest
from httpx_retries import Retry, RetryTransport

from pytest_spidra import completed, failed, gateway_error, ok, rate_limited, reply_lost, request_lost
from pytest_spidra.scripting.lost import TRANSPORT_ERRORS

pytestmark = pytest.mark.spidra(rules="off")  # what is unsafe is done on purpose here

URL = "https://api.spidra.io/api/batch/scrape"
KEY = {"x-api-key": "spd_mine"}
BODY = {"urls": ["https://a.example/"]}

OLD_CLIENT = httpx.Client(headers=KEY)
OLD_ASYNC_CLIENT = httpx.AsyncClient(headers=KEY)


def ask_sync(method, url, **options):
    with httpx.Client() as client:
        return client.request(method, url, **options)


def ask_async(method, url, **options):
    async def ask():
        async with httpx.AsyncClient() as client:
            return await client.request(method, url, **options)

    return asyncio.run(ask())


@pytest.fixture(params=[ask_sync, ask_async], ids=["sync", "async"])
def ask(request):
    """Send one request with a client of its own, sync or async."""
    return request.param


# -- who is answered -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"x-api-key": "spd_mine"},
        {"X-API-Key": "spd_mine"},
        {"Authorization": "Bearer spd_mine"},
        {"authorization": "bearer spd_mine"},
    ],
)
def test_both_headers_carry_a_key(ask, spidra_mock, headers):
    spidra_mock.account.keys = {"spd_mine"}
    assert ask("GET", URL, headers=headers).status_code == 200


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Basic spd_mine"}, {"x-api-key": "spd_other"}])
def test_a_request_without_a_good_key_is_a_401(ask, spidra_mock, headers):
    spidra_mock.account.keys = {"spd_mine"}
    response = ask("GET", URL, headers=headers)
    assert response.status_code == 401
    assert response.json() == {"status": "error", "message": "Invalid token or API key"}


@pytest.mark.parametrize("value", ["Bearer ", " spd_mine", "spd_mine "])
def test_a_header_that_no_socket_takes_is_refused_as_over_a_socket(ask, spidra_mock, value):
    """The error has the class and the words of a real connection, and the service sees nothing."""
    with pytest.raises(httpx.LocalProtocolError) as raised:
        ask("GET", URL, headers={"Authorization": value})
    assert str(raised.value) == f"Illegal header value {value.encode()!r}"
    assert raised.value.request.url == URL
    assert len(spidra_mock.exchanges) == 0


def test_a_real_connection_refuses_an_empty_bearer_key_with_those_words(loopback):
    with pytest.raises(httpx.LocalProtocolError) as raised:
        httpx.get(loopback.url, headers={"Authorization": "Bearer "}, trust_env=False)
    assert str(raised.value) == "Illegal header value b'Bearer '"


def test_a_reply_is_an_httpx_response_in_full(ask, spidra_mock):
    response = ask("POST", URL, headers=KEY, json=BODY)
    batch = spidra_mock.batches[0]
    assert (response.status_code, response.reason_phrase) == (202, "Accepted")
    assert response.headers["Location"] == f"/api/batch/scrape/{batch.id}"
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    assert response.http_version == "HTTP/1.1"
    assert response.request.method == "POST"
    assert response.json() == {"status": "queued", "batchId": batch.id, "total": 1}


def test_a_reply_tells_how_long_it_took(ask, spidra_mock):
    """``Response.elapsed`` is there once the client has read the reply, as over a real connection."""
    assert ask("GET", URL, headers=KEY).elapsed.total_seconds() >= 0


def test_a_real_reply_tells_how_long_it_took(loopback):
    assert httpx.get(loopback.url, trust_env=False).elapsed.total_seconds() >= 0


def test_an_error_reply_raises_for_status(ask, spidra_mock):
    spidra_mock.batch.list.script(rate_limited(7))
    response = ask("GET", URL, headers=KEY)
    assert (response.headers["Retry-After"], response.headers["RateLimit-Reset"]) == ("7", "7")
    with pytest.raises(httpx.HTTPStatusError, match="429 Too Many Requests"):
        response.raise_for_status()


def test_the_whole_retry_conversation_goes_over_plain_httpx(ask, spidra_mock):
    """Submit, look, retry, look, cancel too late: the documented bodies all the way."""
    url = BODY["urls"][0]
    spidra_mock.batch.outcomes({url: [failed("Timeout", after_polls=0), completed({"a": 1}, after_polls=0)]})
    batch = f"{URL}/{ask('POST', URL, headers=KEY, json=BODY).json()['batchId']}"
    assert ask("GET", batch, headers=KEY).json()["items"][0]["error"] == "Timeout"
    assert ask("POST", f"{batch}/retry", headers=KEY).json() == {"status": "queued", "retriedCount": 1}
    assert ask("GET", batch, headers=KEY).json()["items"][0]["result"] == {"a": 1}
    assert ask("DELETE", batch, headers=KEY).json()["code"] == "ALREADY_TERMINAL"
    assert ask("GET", URL, headers=KEY, params={"limit": 1}).json()["pagination"]["limit"] == 1


@pytest.mark.parametrize(
    "url", [f"{URL}/", "HTTPS://API.SPIDRA.IO/api/batch/scrape", URL.replace("io/", "io:443/")]
)
def test_another_spelling_of_the_address_is_taken(ask, spidra_mock, url):
    assert ask("GET", url, headers=KEY).status_code == 200
    assert len(spidra_mock.exchanges) == 1


def test_a_base_url_with_a_port_takes_no_other_address(run_tests, loopback):
    """Other port, other scheme, other path and other host of a local base URL reach the real server."""
    run_tests(
        f"""
        import httpx, pytest

        @pytest.mark.parametrize("url", [
            "http://127.0.0.1:{loopback.port}/api/batch/scrape",
            "http://localhost:{loopback.port}/api/batch/scrape",
        ])
        def test_not_ours(spidra_mock, url):
            assert httpx.get(url, trust_env=False).text == "real"
            assert len(spidra_mock.exchanges) == 0

        def test_ours(spidra_mock):
            assert spidra_mock.base_url == "http://127.0.0.1:1/api"
            assert httpx.get("http://127.0.0.1:1/api/batch/scrape").status_code == 401
            with pytest.raises(httpx.ConnectError):
                httpx.get("https://127.0.0.1:1/api/batch/scrape", trust_env=False)
            assert len(spidra_mock.exchanges) == 1
        """,
        ini="spidra_base_url = http://127.0.0.1:1/api",
    ).assert_outcomes(passed=3)


def test_another_path_of_the_same_local_server_is_not_taken(run_tests, loopback):
    run_tests(
        """
        import httpx

        def test_paths(spidra_mock):
            server = spidra_mock.base_url.removesuffix("/api")
            for path in ("/", "/apis/batch/scrape", "/other/api/batch/scrape", "/ap"):
                assert httpx.get(server + path, trust_env=False).text == "real"
            assert httpx.get(server + "/api/batch/scrape").status_code == 401
            assert len(spidra_mock.exchanges) == 1
        """,
        ini=f"spidra_base_url = {loopback.url}/api/",
    ).assert_outcomes(passed=1)
    assert loopback.seen == ["GET /", "GET /apis/batch/scrape", "GET /other/api/batch/scrape", "GET /ap"]


@pytest.mark.parametrize(
    "url",
    [
        "http://api.spidra.io/api/batch/scrape",
        "https://api.spidra.io:8443/api/batch/scrape",
        "https://api.spidra.io/other",
        "https://api.spidra.io/apis",
        "https://app.spidra.io/api/batch/scrape",
        "https://api.spidra.io.example/api/batch/scrape",
    ],
)
def test_other_addresses_are_left_to_whoever_else_answers(ask, spidra_mock, respx_mock, url):
    route = respx_mock.get(url).respond(299)
    assert ask("GET", url).status_code == 299
    assert route.called
    assert len(spidra_mock.exchanges) == 0


def test_a_server_on_this_machine_is_reached(ask, loopback, spidra_mock):
    response = ask("POST", f"{loopback.url}/batch/scrape", content=b"x", timeout=None)
    assert (response.status_code, response.text, loopback.seen) == (200, "real", ["POST /batch/scrape"])
    assert len(spidra_mock.exchanges) == 0


# -- which clients -------------------------------------------------------------------------------------


def test_clients_made_before_the_fixture_are_answered(spidra_mock):
    async def ask():
        return await OLD_ASYNC_CLIENT.get(URL)

    assert OLD_CLIENT.get(URL).status_code == 200
    assert asyncio.run(ask()).status_code == 200
    assert len(spidra_mock.exchanges) == 2


async def test_a_client_of_the_tests_own_event_loop_is_answered(spidra_mock):
    async with httpx.AsyncClient(headers=KEY) as client:
        assert (await client.get(URL)).status_code == 200


def test_a_client_under_anyio_is_answered(spidra_mock):
    async def ask():
        async with httpx.AsyncClient(headers=KEY) as client:
            return await client.get(URL)

    assert anyio.run(ask).status_code == 200


def test_one_client_serves_many_event_loops(spidra_mock):
    client = httpx.AsyncClient(headers=KEY)
    for _ in range(5):
        assert asyncio.run(client.get(URL)).status_code == 200
    assert len(spidra_mock.exchanges) == 5


def test_functions_of_httpx_itself_are_answered(spidra_mock):
    assert httpx.get(URL, headers=KEY).status_code == 200
    with httpx.stream("GET", URL, headers=KEY) as response:
        assert response.read().startswith(b'{"jobs":[]')


def test_a_client_with_a_proxy_is_answered(spidra_mock):
    """Nothing is asked of the proxy: the request is taken above it."""
    with httpx.Client(proxy="http://127.0.0.1:9", headers=KEY) as client:
        assert client.get(URL).status_code == 200
    with httpx.Client(mounts={"https://": httpx.HTTPTransport(retries=2)}, headers=KEY) as client:
        assert client.get(URL).status_code == 200


def test_a_request_built_and_sent_by_hand_is_answered(spidra_mock):
    with httpx.Client(headers=KEY) as client:
        request = client.build_request("POST", URL, content=iter([b'{"urls":', b'["https://a.example/"]}']))
        assert client.send(request).status_code == 202
    assert spidra_mock.exchanges[0].request_json == BODY


def test_an_async_body_is_read(spidra_mock):
    async def body():
        yield b'{"urls":["https://a.example/"]}'

    async def ask():
        async with httpx.AsyncClient(headers=KEY) as client:
            return await client.post(URL, content=body())

    assert asyncio.run(ask()).status_code == 202


def test_event_hooks_and_auth_of_the_client_run(spidra_mock):
    spidra_mock.account.keys = {"spd_mine"}
    seen = []

    def auth(request):
        request.headers["Authorization"] = "Bearer spd_mine"
        return request

    with httpx.Client(auth=auth, event_hooks={"response": [seen.append]}) as client:
        assert client.get(URL).status_code == 200
    assert [response.status_code for response in seen] == [200]


# -- replies -------------------------------------------------------------------------------------------


def test_a_reply_is_streamed(spidra_mock):
    with httpx.Client(headers=KEY) as client, client.stream("POST", URL, json=BODY) as response:
        assert b"".join(response.iter_bytes(10)).startswith(b'{"status":"queued"')

    async def ask():
        async with httpx.AsyncClient(headers=KEY) as client, client.stream("GET", URL) as response:
            return [line async for line in response.aiter_lines()]

    (line,) = asyncio.run(ask())
    assert line.startswith('{"jobs":[')


def test_the_raw_bytes_of_a_reply_are_streamed(spidra_mock):
    with httpx.Client(headers=KEY) as client, client.stream("GET", URL) as response:
        assert not response.is_closed
        assert b"".join(response.iter_raw()).startswith(b'{"jobs":[')
    assert response.is_closed


def test_the_raw_bytes_of_a_real_reply_are_streamed(loopback):
    with httpx.stream("GET", loopback.url, trust_env=False) as response:
        assert not response.is_closed
        assert b"".join(response.iter_raw()) == b"real"


def test_a_streamed_reply_that_is_not_read_has_no_content_yet(spidra_mock):
    with (
        httpx.Client(headers=KEY) as client,
        client.stream("GET", URL) as response,
        pytest.raises(httpx.ResponseNotRead),
    ):
        response.json()


@pytest.mark.parametrize("follow", [True, False])
def test_a_redirect_of_another_host_to_ours_is_followed_as_the_client_says(spidra_mock, respx_mock, follow):
    respx_mock.get("https://short.example/").respond(307, headers={"location": URL})
    with httpx.Client(headers=KEY, follow_redirects=follow) as client:
        response = client.get("https://short.example/")
    assert response.status_code == (200 if follow else 307)
    assert len(spidra_mock.exchanges) == follow


@pytest.mark.parametrize("follow", [True, False])
def test_a_redirect_of_the_service_is_the_clients_business(spidra_mock, respx_mock, follow):
    route = respx_mock.get("https://elsewhere.example/").respond(204)
    spidra_mock.router["batch.list"].respond(302, headers={"location": "https://elsewhere.example/"})
    with httpx.Client(headers=KEY, follow_redirects=follow) as client:
        response = client.get(URL)
    assert response.status_code == (204 if follow else 302)
    assert route.called == follow
    assert [exchange.seen for exchange in spidra_mock.exchanges] == [302]


@pytest.mark.parametrize(("body", "share"), [("truncated", 2), ("empty", 0)])
def test_a_body_is_cut_and_the_work_is_done(ask, spidra_mock, body, share):
    spidra_mock.batch.submit.script(ok(body=body))
    response = ask("POST", URL, headers=KEY, json=BODY)
    whole = b'{"status":"queued","batchId":"%s","total":1}' % spidra_mock.batches[0].id.encode()
    assert (response.status_code, response.content) == (202, whole[: len(whole) // share] if share else b"")
    (exchange,) = spidra_mock.exchanges
    assert (exchange.seen, exchange.seen_json) == (202, None)
    assert exchange.answered_json["status"] == "queued"


@pytest.mark.parametrize("lost", [request_lost, reply_lost])
@pytest.mark.parametrize("name", TRANSPORT_ERRORS)
def test_every_transport_error_arrives_as_httpxs_own(ask, spidra_mock, name, lost):
    """The same exception, a different truth: a lost reply leaves a batch, a lost request leaves none."""
    spidra_mock.batch.submit.script(lost(name))
    with pytest.raises(getattr(httpx, name)) as raised:
        ask("POST", URL, headers=KEY, json=BODY)
    assert type(raised.value) is getattr(httpx, name)
    assert raised.value.request.url == URL
    assert str(raised.value).startswith(f"scripted: {lost.__name__}(")
    (exchange,) = spidra_mock.exchanges
    assert (exchange.seen, exchange.answered) == (name, 202 if lost is reply_lost else None)
    assert len(spidra_mock.batches) == (lost is reply_lost)


def test_a_transport_error_keeps_the_users_own_text(ask, spidra_mock):
    spidra_mock.batch.list.script(request_lost(httpx.ConnectError("no route to host")))
    with pytest.raises(httpx.ConnectError, match=r"^no route to host$"):
        ask("GET", URL, headers=KEY)


# -- time ----------------------------------------------------------------------------------------------


def test_a_slow_reply_comes_when_the_client_is_patient(ask, spidra_mock):
    spidra_mock.batch.submit.script(ok(after=0.02))
    assert ask("POST", URL, headers=KEY, json=BODY).status_code == 202
    (exchange,) = spidra_mock.exchanges
    assert exchange.seen_at - exchange.sent_at >= 0.0199
    assert spidra_mock.clock.elapsed >= 0.0199


@pytest.mark.parametrize("timeout", [0.02, httpx.Timeout(5, read=0.02)])
def test_a_slow_reply_runs_into_the_clients_own_timeout_and_the_work_is_done(ask, spidra_mock, timeout):
    spidra_mock.batch.submit.script(ok(after=3600))
    with pytest.raises(httpx.ReadTimeout) as raised:
        ask("POST", URL, headers=KEY, json=BODY, timeout=timeout)
    assert raised.value.request.url == URL
    (exchange,) = spidra_mock.exchanges
    assert (exchange.seen, exchange.answered) == ("ReadTimeout", 202)
    assert len(spidra_mock.batches) == 1
    assert exchange.seen_at - exchange.sent_at >= 0.0199


def test_a_client_without_a_timeout_waits(ask, spidra_mock):
    spidra_mock.batch.list.script(ok(after=0.02))
    assert ask("GET", URL, headers=KEY, timeout=None).status_code == 200


@pytest.mark.parametrize("step", [ok(after=3600), ok(after=3600, body="empty")])
async def test_a_cancelled_task_is_noted_and_the_work_is_done(spidra_mock, step):
    spidra_mock.batch.submit.script(step)
    async with httpx.AsyncClient(headers=KEY, timeout=None) as client:  # noqa: S113 - no patience of its own
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await client.post(URL, json=BODY)
        assert (await client.get(URL)).json()["pagination"]["total"] == 1
    assert [(one.seen, one.answered) for one in spidra_mock.exchanges] == [("cancelled", 202), (200, 200)]


async def test_a_task_that_is_cancelled_by_hand_is_noted(spidra_mock):
    spidra_mock.batch.list.script(ok(after=3600))
    async with httpx.AsyncClient(headers=KEY, timeout=None) as client:  # noqa: S113 - no patience of its own
        task = asyncio.create_task(client.get(URL))
        while not spidra_mock.exchanges:
            await asyncio.sleep(0)
        assert spidra_mock.exchanges[0].seen is None
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert spidra_mock.exchanges[0].seen == "cancelled"


async def test_slow_replies_overlap(spidra_mock):
    """Ten requests of which each takes its time arrive together, not one after another."""
    spidra_mock.batch.list.always(ok(after=0.05))
    async with httpx.AsyncClient(headers=KEY) as client:
        await asyncio.gather(*(client.get(URL) for _ in range(10)))
    log = spidra_mock.exchanges
    assert max(exchange.sent_at for exchange in log) <= min(exchange.seen_at for exchange in log)


# -- what is wrapped around httpx ----------------------------------------------------------------------


def test_a_retry_transport_sees_every_attempt(spidra_mock):
    spidra_mock.batch.list.script(503, gateway_error(502), request_lost(), reply_lost())
    transport = RetryTransport(transport=httpx.HTTPTransport(), retry=Retry(total=5, backoff_factor=0.001))
    with httpx.Client(transport=transport, headers=KEY) as client:
        assert client.get(URL).status_code == 200
    (call,) = spidra_mock.exchanges.calls("batch.list")
    assert call.outcomes == [503, 502, "ConnectError", "ReadTimeout", 200]


async def test_an_async_retry_transport_sees_every_attempt(spidra_mock):
    spidra_mock.batch.list.script(503, request_lost())
    transport = RetryTransport(
        transport=httpx.AsyncHTTPTransport(), retry=Retry(total=5, backoff_factor=0.001)
    )
    async with httpx.AsyncClient(transport=transport, headers=KEY) as client:
        assert (await client.get(URL)).status_code == 200
    (call,) = spidra_mock.exchanges.calls("batch.list")
    assert call.outcomes == [503, "ConnectError", 200]


def test_a_retry_transport_gives_up_on_its_own(spidra_mock):
    spidra_mock.batch.list.always(503)
    with httpx.Client(
        transport=RetryTransport(retry=Retry(total=2, backoff_factor=0.001)), headers=KEY
    ) as client:
        assert client.get(URL).status_code == 503
    (call,) = spidra_mock.exchanges.calls()
    assert call.outcomes == [503] * 3


def test_a_transport_that_calls_httpxs_own_is_answered(spidra_mock):
    class Mine(httpx.HTTPTransport):
        def handle_request(self, request):
            request.headers["x-api-key"] = "spd_mine"
            return super().handle_request(request)

    with httpx.Client(transport=Mine()) as client:
        assert client.get(URL).status_code == 200


# -- many at once --------------------------------------------------------------------------------------

TWENTY = [f"https://shop.example/{number}" for number in range(20)]


def expect_each_its_own(spidra_mock, seen):
    """Batch n failed n % 3 times, was refused once at each of its two scripted looks, and has its result."""
    assert seen == [{"number": number} for number in range(20)]
    for batch in spidra_mock.batches:
        looks = [
            exchange.seen
            for exchange in spidra_mock.exchanges
            if exchange.endpoint == "batch.get" and exchange.batch_id == batch.id
        ]
        number = TWENTY.index(batch.urls[0])
        assert looks[:2] == [503, 429]
        assert looks[2:] == [200] * (number % 3 + 1)


def script_twenty(spidra_mock):
    spidra_mock.batch.outcomes(
        {url: completed({"number": number}, after_polls=number % 3) for number, url in enumerate(TWENTY)}
    )
    spidra_mock.batch.get.script(503, 429)


async def test_twenty_batches_of_one_loop_have_each_their_own_script_and_outcomes(spidra_mock):
    script_twenty(spidra_mock)

    async def run(client, url):
        batch = (await client.post(URL, json={"urls": [url]})).json()["batchId"]
        while True:
            body = (await client.get(f"{URL}/{batch}")).json()
            if body["status"] == "completed":
                return body["items"][0]["result"]
            await asyncio.sleep(0.001)

    async with httpx.AsyncClient(headers=KEY) as client:
        seen = await asyncio.gather(*(run(client, url) for url in TWENTY))
    expect_each_its_own(spidra_mock, seen)


def test_twenty_batches_of_twenty_threads_have_each_their_own_script_and_outcomes(spidra_mock):
    script_twenty(spidra_mock)
    together = threading.Barrier(20)

    def run(url):
        with httpx.Client(headers=KEY) as client:
            batch = client.post(URL, json={"urls": [url]}).json()["batchId"]
            together.wait(10)
            while True:
                body = client.get(f"{URL}/{batch}").json()
                if body["status"] == "completed":
                    return body["items"][0]["result"]

    with ThreadPoolExecutor(20) as pool:
        seen = list(pool.map(run, TWENTY))
    expect_each_its_own(spidra_mock, seen)
    assert [exchange.number for exchange in spidra_mock.exchanges] == list(
        range(1, len(spidra_mock.exchanges) + 1)
    )


def test_twenty_loops_in_twenty_threads_are_answered(spidra_mock):
    def run(url):
        return ask_async("POST", URL, headers=KEY, json={"urls": [url]}).status_code

    with ThreadPoolExecutor(20) as pool:
        assert list(pool.map(run, TWENTY)) == [202] * 20
    assert sorted(batch.urls[0] for batch in spidra_mock.batches) == sorted(TWENTY)
    assert len({batch.id for batch in spidra_mock.batches}) == 20


# -- the shared TLS context ----------------------------------------------------------------------------


@pytest.fixture
def contexts(monkeypatch):
    """Every TLS context that httpx makes, and for every transport the one it was given.

    Transports hand theirs to httpcore's pool, so that is where it is read.
    """
    import httpcore  # noqa: PLC0415 - only here

    given = []
    for name in ("ConnectionPool", "HTTPProxy", "AsyncConnectionPool", "AsyncHTTPProxy"):
        kind = getattr(httpcore, name)

        def made(self, *args, _init=kind.__init__, **kwargs):
            given.append(kwargs["ssl_context"])
            _init(self, *args, **kwargs)

        monkeypatch.setattr(kind, "__init__", made)
    return given


def test_default_clients_share_one_tls_context(contexts, spidra_mock):
    httpx.Client(), httpx.Client(http2=False), httpx.AsyncClient(), httpx.HTTPTransport()
    assert len(contexts) == 4
    assert len({id(context) for context in contexts}) == 1
    assert contexts[0].verify_mode is ssl.CERT_REQUIRED
    assert contexts[0].check_hostname


def test_httpx_makes_no_second_default_context(contexts, spidra_mock, monkeypatch):
    httpx.Client()
    made = []
    monkeypatch.setattr(httpx, "create_ssl_context", lambda *args, **kwargs: made.append(kwargs))
    httpx.Client()
    httpx.AsyncClient()
    assert made == []


@pytest.mark.parametrize("kind", [httpx.Client, httpx.AsyncClient])
def test_a_client_with_settings_of_its_own_is_not_given_the_shared_context(contexts, spidra_mock, kind):
    own = ssl.create_default_context()
    kind()
    kind(verify=False)
    kind(verify=own)
    kind(trust_env=False)
    shared, unverified, mine, untrusting = contexts
    assert unverified.verify_mode is ssl.CERT_NONE
    assert mine is own
    assert len({id(context) for context in (shared, unverified, mine, untrusting)}) == 4


def test_http2_transports_have_a_context_apart(contexts, spidra_mock):
    """What httpcore sets on a context for HTTP/2 never reaches a client of HTTP/1."""
    httpx.HTTPTransport()
    httpx.HTTPTransport(http1=True, http2=True)
    assert contexts[0] is not contexts[1]


def test_another_ca_file_makes_another_context(contexts, spidra_mock, monkeypatch):
    import certifi  # noqa: PLC0415 - only here

    httpx.HTTPTransport()
    monkeypatch.setenv("SSL_CERT_FILE", certifi.where())
    httpx.HTTPTransport()
    httpx.HTTPTransport(trust_env=False)
    assert len({id(context) for context in contexts}) == 3


def test_a_client_without_the_fixture_has_a_context_of_its_own(contexts):
    httpx.Client()
    httpx.Client()
    assert contexts[0] is not contexts[1]


# -- leaving no trace ----------------------------------------------------------------------------------


def patched():
    return {
        "sync": httpx.HTTPTransport.handle_request,
        "names of transports": (*vars(httpx.HTTPTransport), *vars(httpx.AsyncHTTPTransport)),
        "async": httpx.AsyncHTTPTransport.handle_async_request,
        "sync init": httpx.HTTPTransport.__init__,
        "async init": httpx.AsyncHTTPTransport.__init__,
        "getaddrinfo": socket.getaddrinfo,
        "gethostbyname": socket.gethostbyname,
        "gethostbyname_ex": socket.gethostbyname_ex,
        "connect": socket.socket.connect,
        "names of socket": tuple(vars(socket.socket)),
        "sleep": asyncio.sleep,
    }


def test_the_fixture_leaves_no_trace_however_a_test_ends(run_tests):
    """Everything is after a test, with its last fixture, what it was before."""
    before = patched()
    result = run_tests(
        """
        import httpx, pytest, socket
        from pytest_spidra import request_lost
        before = httpx.HTTPTransport.handle_request, socket.getaddrinfo

        def test_passes(spidra_mock):
            assert httpx.HTTPTransport.handle_request is before[0]
            assert "_pool" in vars(httpx.HTTPTransport)
            assert socket.getaddrinfo is not before[1]

        def test_between():
            assert (httpx.HTTPTransport.handle_request, socket.getaddrinfo) == before
            assert "_pool" not in vars(httpx.HTTPTransport)

        def test_meets_an_error(spidra_mock):
            spidra_mock.batch.list.script(request_lost())
            with pytest.raises(httpx.ConnectError):
                httpx.get(spidra_mock.base_url + "/batch/scrape", headers={"x-api-key": "k"})

        def test_fails(spidra_mock):
            httpx.get(spidra_mock.base_url + "/nothing")

        def test_breaks(spidra_mock):
            1 / 0
        """
    )
    result.assert_outcomes(passed=3, failed=2)
    assert patched() == before


def test_the_patched_methods_keep_their_names_and_docs(spidra_mock):
    assert httpx.HTTPTransport.handle_request.__name__ == "handle_request"
    assert httpx.AsyncHTTPTransport.handle_async_request.__name__ == "handle_async_request"
    assert httpx.HTTPTransport.__init__.__name__ == "__init__"


def test_a_route_of_the_user_s_own_does_its_work_once_for_each_request(spidra_mock, client):
    """Looking whether it takes a request is not asking it."""
    seen = []
    route = spidra_mock.router.get(path__regex="/monitors$")
    route.mock(side_effect=lambda request: seen.append(request.url.path) or httpx.Response(200))
    client.get("/monitors")
    assert seen == ["/api/monitors"]
