"""Nothing that spidra_mock does not answer finds the way to the real API."""

from __future__ import annotations

import asyncio
import http.client
import socket
import textwrap
import urllib.request

import pytest
import requests

pytestmark = pytest.mark.spidra(rules="off")  # what is unsafe is done on purpose here

WAYS = {
    "requests": 'requests.get("https://api.spidra.io/other", timeout=5)',
    "requests through a proxy": (
        'requests.get("https://api.spidra.io/other", proxies={"https": "http://127.0.0.1:9"}, timeout=5)'
    ),
    "urllib": 'urllib.request.urlopen("https://api.spidra.io/api/batch/scrape", timeout=5)',
    "urllib3": 'urllib3.PoolManager(retries=False).request("GET", "https://api.spidra.io/ap", timeout=5)',
    "http.client": 'http.client.HTTPSConnection("api.spidra.io", timeout=5).request("GET", "/api")',
    "http.client through a proxy": (
        'http.client.HTTPSConnection("127.0.0.1", 9, timeout=5).set_tunnel("api.spidra.io")'
    ),
    "http.client, tunnel by name": (
        'http.client.HTTPSConnection("127.0.0.1", 9, timeout=5).set_tunnel(host="api.spidra.io", port=443)'
    ),
    "a socket": 'sock.connect(("api.spidra.io", 443))',
    "a socket that returns errors": 'sock.connect_ex(("api.spidra.io", 443))',
    "create_connection": 'socket.create_connection(("api.spidra.io", 443), 5)',
    "getaddrinfo": 'socket.getaddrinfo("api.spidra.io", 443)',
    "getaddrinfo by name": 'socket.getaddrinfo(host="api.spidra.io", port=443)',
    "getaddrinfo of bytes": 'socket.getaddrinfo(b"api.spidra.io", 443)',
    "gethostbyname": 'socket.gethostbyname("api.spidra.io")',
    "gethostbyname_ex": 'socket.gethostbyname_ex("api.spidra.io")',
    "another spelling": 'socket.getaddrinfo("API.Spidra.IO.", 443)',
    "open_connection": 'asyncio.run(asyncio.open_connection("api.spidra.io", 443))',
    "loop.getaddrinfo": "asyncio.run(resolve())",
    "loop.sock_connect": "asyncio.run(sock_connect())",
    "another path by httpx": 'httpx.get("https://api.spidra.io/other")',
    "another scheme by httpx": 'httpx.get("http://api.spidra.io/api/batch/scrape")',
    "another port by async httpx": "asyncio.run(another_port())",
    "a transport of the user's own": "httpx.Client(transport=Own()).get(spidra_mock.base_url)",
    "httpcore": 'httpcore.request("GET", "https://api.spidra.io/api")',
    "a thread": "in_a_thread()",
}

SOURCE = """
import asyncio, http.client, socket, threading, urllib.request
import httpcore, httpx, pytest, requests, urllib3

class Own(httpx.BaseTransport):
    def handle_request(self, request):
        socket.create_connection((request.url.host, 443), 5)

async def resolve():
    await asyncio.get_running_loop().getaddrinfo("api.spidra.io", 443)

async def sock_connect():
    with socket.socket() as sock:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("api.spidra.io", 443))

async def another_port():
    async with httpx.AsyncClient() as client:
        await client.get("https://api.spidra.io:8443/api/batch/scrape")

def in_a_thread():
    thread = threading.Thread(target=swallow)
    thread.start()
    thread.join()

def swallow():
    try:
        socket.getaddrinfo("api.spidra.io", 443)
    except BaseException:
        pass

@pytest.fixture
def sock():
    with socket.socket() as sock:
        yield sock

def test_raised(spidra_mock, sock):
    {way}

def test_swallowed(spidra_mock, sock):
    try:
        {way}
    except BaseException:
        pass
"""

ADDRESS = "it asked for the address of api.spidra.io"
PROXY = "it asked a proxy for api.spidra.io"
CONNECTED = "it connected to api.spidra.io"
SAID = {
    "requests": ("GET https://api.spidra.io/other by requests", ADDRESS),
    "requests through a proxy": ("GET https://api.spidra.io/other by requests", PROXY),
    "urllib": ("GET https://api.spidra.io/api/batch/scrape by urllib.request", ADDRESS),
    "urllib3": ("GET https://api.spidra.io/ap by urllib3", ADDRESS),
    "http.client": ("GET https://api.spidra.io/api by http.client", ADDRESS),
    "http.client through a proxy": ("A request", PROXY),
    "http.client, tunnel by name": ("A request", PROXY),
    "a socket": ("A request", CONNECTED),
    "a socket that returns errors": ("A request", CONNECTED),
    "open_connection": ("A request by asyncio", ADDRESS),
    "another path by httpx": ("GET https://api.spidra.io/other by httpx", ADDRESS),
    "another scheme by httpx": ("GET http://api.spidra.io/api/batch/scrape by httpx", ADDRESS),
    "another port by async httpx": ("GET https://api.spidra.io:8443/api/batch/scrape by httpx", ADDRESS),
    "a transport of the user's own": ("GET https://api.spidra.io/api by httpx", ADDRESS),
    "httpcore": ("GET https://api.spidra.io/api by httpcore", ADDRESS),
}
"""What is said of each way: what was asked, and what it did when it was stopped. Names that are looked up say no more."""


def message(way):
    """Return the two paragraphs that say what was stopped, as lines."""
    asked, how = SAID.get(way, ("A request", ADDRESS))
    return [
        *textwrap.wrap(f"{asked} was on its way to the real api.spidra.io, past spidra_mock.", 72),
        "",
        *textwrap.wrap(
            "The real service would have answered it, for real credits with a real key. It was stopped when "
            f"{how}.",
            72,
        ),
    ]


WENT_ON = [
    "Something swallowed this: the code under test went on, and the test",
    "fails all the same.",
]


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    """The machine's own proxy settings stand in no test's way."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize("way", WAYS)
def test_what_goes_past_the_mock_fails_the_test_even_if_it_is_swallowed(run_tests, way):
    result = run_tests(SOURCE.replace("{way}", WAYS[way]))
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*_ test_raised _*", *message(way)], consecutive=True)
    result.stdout.fnmatch_lines(["*_ test_swallowed _*", *message(way)], consecutive=True)
    result.stdout.fnmatch_lines(["*_ test_swallowed _*", "Sent from *.py:*, in *.", "", *WENT_ON])


@pytest.mark.parametrize(
    ("way", "answer"),
    [
        ("urllib", "urllib.request is answered by spidra_server, the same fake on a port of this machine"),
        ("requests", "build the URL on spidra_mock.base_url, which is https://api.spidra.io/api."),
        (
            "another path by httpx",
            "build the URL on spidra_mock.base_url, which is https://api.spidra.io/api.",
        ),
        (
            "another scheme by httpx",
            "build the URL on spidra_mock.base_url, which is https://api.spidra.io/api.",
        ),
        ("a transport of the user's own", "through transports of its own, httpx.HTTPTransport and"),
    ],
)
def test_the_message_says_what_would_have_answered(run_tests, way, answer):
    result = run_tests(SOURCE.replace("{way}", WAYS[way]))
    assert answer in " ".join(result.stdout.str().split())


@pytest.mark.parametrize("way", ["requests", "urllib", "getaddrinfo"])
def test_retry_code_does_not_catch_it(run_tests, way):
    """The failure is no ``Exception``, so a loop that retries on every exception asks once."""
    result = run_tests(
        SOURCE.replace("{way}", "pass")
        + f"""
attempts = []

def test_retried(spidra_mock, sock):
    for _ in range(3):
        try:
            attempts.append(1)
            {WAYS[way]}
        except Exception:
            continue

def test_once():
    assert len(attempts) == 1
"""
    )
    result.assert_outcomes(passed=3, failed=1)


def test_the_host_of_another_base_url_is_guarded_too(run_tests):
    result = run_tests(
        """
        import socket, pytest

        @pytest.mark.parametrize("host", ["spidra.staging.example", "api.spidra.io"])
        def test_it(spidra_mock, host):
            socket.getaddrinfo(host, 443)
        """,
        ini="spidra_base_url = https://spidra.staging.example/api",
    )
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        ["A request was on its way to the real spidra.staging.example, past", "spidra_mock."]
    )


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_local_base_url_leaves_this_machine_reachable(run_tests, loopback, host):
    run_tests(
        f"""
        import socket

        def test_it(spidra_mock):
            socket.create_connection(("{host}", {loopback.port}), 5).close()
        """,
        ini=f"spidra_base_url = http://{host}:1/api",
    ).assert_outcomes(passed=1)


def test_other_hosts_resolve_as_before(spidra_mock):
    assert socket.getaddrinfo("localhost", 80)
    assert socket.gethostbyname("localhost") == "127.0.0.1"
    assert socket.gethostbyname_ex("localhost")[2] == ["127.0.0.1"]
    assert socket.getaddrinfo(None, 80)
    assert asyncio.run(resolved("localhost"))


async def resolved(host):
    return await asyncio.get_running_loop().getaddrinfo(host, 80)


def test_other_libraries_reach_other_hosts(loopback, spidra_mock):
    assert requests.get(loopback.url, timeout=5).text == "real"
    with urllib.request.urlopen(loopback.url, timeout=5) as response:  # noqa: S310 - our own server
        assert response.read() == b"real"
    with socket.create_connection(("127.0.0.1", loopback.port), 5) as sock:
        assert sock.getpeername()[1] == loopback.port


def test_a_tunnel_to_another_host_is_asked_for(loopback, spidra_mock):
    connection = http.client.HTTPConnection("127.0.0.1", loopback.port, timeout=5)
    connection.set_tunnel("elsewhere.example", 443)
    connection.request("GET", "/x")
    assert connection.getresponse().read() == b"real"
    connection.close()
    assert loopback.seen == ["CONNECT elsewhere.example:443", "GET /x"]


def test_no_tunnel_reaches_the_proxy(run_tests, loopback):
    run_tests(
        f"""
        import requests

        def test_it(spidra_mock):
            requests.get("https://api.spidra.io/other", proxies={{"https": "{loopback.url}"}}, timeout=5)
        """
    ).assert_outcomes(failed=1)
    assert loopback.seen == []


def test_a_plain_request_through_a_proxy_does_not_reach_it_either(run_tests, loopback):
    """Over http a proxy is given the whole URL and resolves the name by itself."""
    run_tests(
        f"""
        import requests

        def test_it(spidra_mock):
            requests.get("http://api.spidra.io/api", proxies={{"http": "{loopback.url}"}}, timeout=5)
        """
    ).assert_outcomes(failed=1)
    assert loopback.seen == []


def test_the_guard_is_gone_after_a_test(run_tests):
    before = (socket.getaddrinfo, socket.socket.connect, http.client.HTTPConnection.set_tunnel)
    run_tests(SOURCE.replace("{way}", WAYS["getaddrinfo"])).assert_outcomes(failed=2)
    assert before == (socket.getaddrinfo, socket.socket.connect, http.client.HTTPConnection.set_tunnel)
    # Not "it is not there": pytest-recording leaves the real one behind as the class's own.
    assert vars(socket.socket).get("connect", before[1]) == before[1]
