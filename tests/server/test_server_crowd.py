"""A thousand requests over fifty connections at once: all are answered, in order per batch, and nothing is left."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import requests

from pytest_spidra import completed
from pytest_spidra.sessions.server import Server

pytestmark = pytest.mark.slow

OPEN = Path("/proc/self/fd")
CROWD, LOOKS = 50, 19  # connections at once; looks at each batch after its submit


async def by_aiohttp(server):
    aiohttp = pytest.importorskip("aiohttp")

    async def ask(session, method, path, body=None):
        async with session.request(method, server.base_url + path, json=body) as response:
            assert response.status in {200, 202}
            return await response.json()

    connector = aiohttp.TCPConnector(limit=CROWD, force_close=False)
    headers = {"x-api-key": server.api_key}
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        return await asyncio.gather(*(run(lambda *a: ask(session, *a), number) for number in range(CROWD)))


async def by_httpx(server):
    limits = httpx.Limits(max_connections=CROWD, max_keepalive_connections=CROWD)
    async with httpx.AsyncClient(
        base_url=server.base_url, headers={"x-api-key": server.api_key}, limits=limits, timeout=60
    ) as client:

        async def ask(method, path, body=None):
            response = await client.request(method, path, json=body)
            return response.raise_for_status().json()

        return await asyncio.gather(*(run(ask, number) for number in range(CROWD)))


async def run(ask, number):
    """Submit a batch and look at it; return its id and what was seen, in order."""
    batch = (await ask("POST", "/batch/scrape", {"urls": [f"https://shop.example/{number}"]}))["batchId"]
    return batch, [(await ask("GET", f"/batch/scrape/{batch}"))["status"] for _ in range(LOOKS)]


def by_requests(server):
    def run_sync(number):
        with requests.Session() as session:
            session.headers["x-api-key"] = server.api_key
            url = f"{server.base_url}/batch/scrape"
            body = {"urls": [f"https://shop.example/{number}"]}
            batch = session.post(url, json=body, timeout=60).json()["batchId"]
            return batch, [session.get(f"{url}/{batch}", timeout=60).json()["status"] for _ in range(LOOKS)]

    with ThreadPoolExecutor(CROWD) as pool:
        return list(pool.map(run_sync, range(CROWD)))


def sockets():
    """Return how many sockets this process has open."""
    count = 0
    for number in OPEN.iterdir():
        with contextlib.suppress(OSError):  # the one that lists them
            count += str(number.readlink()).startswith("socket:")
    return count


@pytest.mark.skipif(not OPEN.is_dir(), reason="it looks where Linux says what is open")
@pytest.mark.parametrize(
    "crowd",
    [
        lambda server: asyncio.run(by_aiohttp(server)),
        lambda server: asyncio.run(by_httpx(server)),
        by_requests,
    ],
    ids=["aiohttp", "httpx", "requests"],
)
def test_a_thousand_requests_over_fifty_connections_are_all_answered_in_order(crowd):
    gc.collect()
    before = sockets(), threading.active_count()
    server = Server()
    server.start()
    server.api.batch.outcomes(
        {f"https://shop.example/{number}": completed(after_polls=LOOKS - 1) for number in range(CROWD)}
    )
    seen = crowd(server.api)
    log = list(server.api.exchanges)
    server.stop()
    assert server.errors == []
    assert len(log) == CROWD * (LOOKS + 1)
    assert {exchange.seen for exchange in log} == {200, 202}
    assert [exchange.number for exchange in log] == list(range(1, len(log) + 1))
    assert len({batch for batch, _ in seen}) == CROWD
    assert [states for _, states in seen] == [["running"] * (LOOKS - 1) + ["completed"]] * CROWD
    for batch, states in seen:
        looks = [
            one.seen_json["status"] for one in log if one.endpoint == "batch.get" and one.batch_id == batch
        ]
        assert looks == states
    gc.collect()
    assert (sockets(), threading.active_count()) == before
