"""Whose request it was: what one thread or task was told is not held against another."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from pytest_spidra import http_error, rate_limited
from pytest_spidra.verdicts.rules.judge import judge

URLS = [f"https://shop.example/{number}" for number in range(3)]
pytestmark = pytest.mark.spidra(rules="off")


@pytest.fixture
def accused(spidra_mock):
    """Return the names of the rules that accuse the client."""
    return lambda: [one.rule for one in judge(spidra_mock.exchanges)]


def submit(api, *urls):
    return httpx.post(
        f"{api.base_url}/batch/scrape", json={"urls": list(urls)}, headers={"x-api-key": api.api_key}
    )


def test_threads_of_a_pool_do_not_know_what_another_was_told(spidra_mock, accused):
    """Three chunks at once; the first meets the account's quota."""
    spidra_mock.batch.submit.script(rate_limited(retry_after=30))
    together = threading.Barrier(len(URLS))

    def chunk(url):
        together.wait()
        return submit(spidra_mock, url).status_code

    with ThreadPoolExecutor(len(URLS)) as pool:
        assert sorted(pool.map(chunk, URLS)) == [202, 202, 429]
    assert accused() == []


async def test_tasks_that_each_send_once_do_not_either(spidra_mock, accused):
    spidra_mock.batch.get.always(http_error(401))
    path = f"{spidra_mock.base_url}/batch/scrape/{submit(spidra_mock, *URLS).json()['batchId']}"
    async with httpx.AsyncClient(headers={"x-api-key": spidra_mock.api_key}) as client:
        replies = await asyncio.gather(*(client.get(path) for _ in range(3)))
    assert [reply.status_code for reply in replies] == [401, 401, 401]
    assert accused() == []


def test_one_thread_that_goes_on_is_accused(spidra_mock, accused):
    """The careless twin: the next chunk at once, by whoever was told to wait."""
    spidra_mock.batch.submit.script(rate_limited(retry_after=30))
    for url in URLS:
        submit(spidra_mock, url)
    assert accused() == ["retry-after-ignored"]


async def test_a_careless_task_among_careful_ones_is_named_with_its_sender(spidra_mock):
    spidra_mock.batch.submit.script(rate_limited(retry_after=30))

    async def careless():
        async with httpx.AsyncClient(headers={"x-api-key": spidra_mock.api_key}) as client:
            for url in URLS[:2]:
                await client.post(f"{spidra_mock.base_url}/batch/scrape", json={"urls": [url]})

    async def careful():
        await asyncio.sleep(1)
        async with httpx.AsyncClient(headers={"x-api-key": spidra_mock.api_key}) as client:
            await client.get(f"{spidra_mock.base_url}/batch/scrape")

    await asyncio.gather(careless(), *(careful() for _ in range(10)))
    (found,) = judge(spidra_mock.exchanges)
    assert (found.rule, found.sender) == ("retry-after-ignored", spidra_mock.exchanges[0].sender)
