"""What each adapter costs, beside what its library needs for a reply of ready bytes: ``python …/bench_clients.py``.

The first column asks through the adapter and a handler that has its reply ready; the second asks the library alone, by
the shortest way that it has to ready bytes. A third, the whole of a test's session, is what a user meets.
"""

from __future__ import annotations

import asyncio
import io
import statistics
import sys
import time

import aiohttp
import httpx
import httpx2
import requests
import urllib3

from pytest_spidra.clients.libraries import Libraries
from pytest_spidra.sessions.fake_sessions import FakeSession
from pytest_spidra.settings import Settings
from pytest_spidra.traffic.pending import PendingRequest
from pytest_spidra.traffic.reply import Reply

URL = "https://api.spidra.io/api/batch/scrape"
KEY = {"x-api-key": "spd_bench"}
BODY = b'{"jobs":[' + b'{"uuid":"00000001"},' * 40 + b"{}]}"
TIMES, ROUNDS = 50, 31


class Handler:
    """Takes everything and has its reply ready."""

    prefix = "/api"

    def takes(self, *_):
        """Whether a request is taken: always."""
        return True

    def send(self, _request):
        """Return the reply."""
        return PendingRequest(lambda _: None, (0.0, Reply(200, BODY, {"content-type": "application/json"})))


def httpx_alone(library):
    """Ask httpx or httpx2 with its own mock transport."""
    transport = library.MockTransport(lambda _: library.Response(200, content=BODY))
    with library.Client(transport=transport, headers=KEY) as client:
        for _ in range(TIMES):
            client.get(URL).json()


def httpx_ours(library):
    """Ask httpx or httpx2."""
    with library.Client(headers=KEY) as client:
        for _ in range(TIMES):
            client.get(URL).json()


def urllib3_ours():
    """Ask urllib3."""
    with urllib3.PoolManager() as pool:
        for _ in range(TIMES):
            pool.request("GET", URL, headers=KEY).json()


def requests_ours():
    """Ask requests."""
    with requests.Session() as session:
        for _ in range(TIMES):
            session.get(URL, headers=KEY, timeout=5).json()


def with_ready_urllib3(ask):
    """Ask with urllib3's own response made of ready bytes where a connection would be asked."""
    pool = urllib3.connectionpool.HTTPConnectionPool
    below = pool._make_request

    def ready(_pool, _conn, method, url, *, retries=None, preload_content=True, decode_content=True, **_):
        response = urllib3.HTTPResponse(
            io.BytesIO(BODY),
            {"content-type": "application/json", "content-length": str(len(BODY))},
            200,
            preload_content=preload_content,
            decode_content=decode_content,
            request_method=method,
            request_url=url,
        )
        response.retries = retries
        return response

    pool._make_request = ready
    try:
        ask()
    finally:
        pool._make_request = below


def aiohttp_ours():
    """Ask aiohttp."""

    async def ask():
        async with aiohttp.ClientSession(headers=KEY) as session:
            for _ in range(TIMES):
                async with session.get(URL) as response:
                    await response.json()

    asyncio.run(ask())


class Wire(asyncio.Transport):
    """A transport that answers as soon as it is written to."""

    def __init__(self, protocol):
        super().__init__()
        self.protocol = protocol

    def write(self, _data):
        """Answer."""
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(BODY)}\r\n\r\n"
        self.protocol.data_received(head.encode() + BODY)

    def is_closing(self):
        """It is open."""
        return False

    def close(self):
        """Nothing is open."""


def aiohttp_alone():
    """Ask aiohttp with a connection that has ready bytes."""
    below = aiohttp.TCPConnector._create_connection

    async def ready(connector, *_):
        protocol = aiohttp.client_proto.ResponseHandler(connector._loop)
        protocol.connection_made(Wire(protocol))
        protocol.force_close()
        return protocol

    aiohttp.TCPConnector._create_connection = ready
    try:
        aiohttp_ours()
    finally:
        aiohttp.TCPConnector._create_connection = below


ROWS = {
    "httpx": (lambda: httpx_ours(httpx), lambda: httpx_alone(httpx)),
    "httpx2": (lambda: httpx_ours(httpx2), lambda: httpx_alone(httpx2)),
    "urllib3": (urllib3_ours, lambda: with_ready_urllib3(urllib3_ours)),
    "requests": (requests_ours, lambda: with_ready_urllib3(requests_ours)),
    "aiohttp": (aiohttp_ours, aiohttp_alone),
}


def measure(function):
    """Return microseconds for each request."""
    begun = time.perf_counter()
    function()
    return (time.perf_counter() - begun) * 1e6 / TIMES


def attached(function):
    """Measure with the adapters and a handler that is ready."""
    libraries = Libraries(Handler())
    try:
        return measure(function)
    finally:
        libraries.close()


def in_a_session(function):
    """Measure in a test's session."""
    session = FakeSession(Settings("https://api.spidra.io/api", 10_000, rules="off"))
    session.open()
    try:
        return measure(function)
    finally:
        session.close()


def main():
    """Print the table."""
    sys.stdout.write(f"{'':<10} {'adapter':>9} {'alone':>9} {'ratio':>7} {'session':>9} {'ratio':>7}\n")
    for name, (ours, alone) in ROWS.items():
        rounds = [(attached(ours), measure(alone), in_a_session(ours)) for _ in range(ROUNDS)]
        adapter, library, session = (statistics.median(column) for column in zip(*rounds, strict=True))
        ratio = statistics.median(one / other for one, other, _ in rounds)
        whole = statistics.median(one / other for _, other, one in rounds)
        sys.stdout.write(
            f"{name:<10} {adapter:>7.0f}us {library:>7.0f}us {ratio:>7.2f} {session:>7.0f}us {whole:>7.2f}\n"
        )


if __name__ == "__main__":
    main()
