"""Whose request it was: what one thread or task was told is not held against another."""

from __future__ import annotations

import asyncio
import functools
import multiprocessing
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import anyio.to_thread
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


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_each_piece_of_work_of_a_pool_is_a_sender_whichever_thread_does_it(spidra_mock, accused, workers):
    """What one chunk was told, the next one on the same thread does not know."""
    spidra_mock.batch.submit.script(rate_limited(retry_after=30))
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(functools.partial(submit, spidra_mock), URLS))
    assert sorted(senders(spidra_mock)) == [1, 2, 3]
    assert accused() == []


def test_a_piece_of_work_that_comes_back_early_is_accused(spidra_mock, accused):
    """The careless twin: one chunk that is told to wait and does not."""
    spidra_mock.batch.submit.script(rate_limited(retry_after=30))

    def twice(url):
        while submit(spidra_mock, url).status_code == 429:
            pass

    with ThreadPoolExecutor(1) as pool:
        list(pool.map(twice, URLS))
    assert accused() == ["retry-after-ignored"]


async def test_what_a_task_hands_to_a_thread_and_awaits_is_its_own(spidra_mock, accused):
    """A sync client in an async application: one sender, and a careless one."""
    spidra_mock.batch.submit.script(rate_limited(retry_after=30))
    for url in URLS:
        await asyncio.to_thread(submit, spidra_mock, url)
    assert senders(spidra_mock) == [1, 1, 1]
    assert accused() == ["retry-after-ignored"]


async def test_what_is_handed_to_a_pool_all_at_once_are_senders_of_their_own(spidra_mock, accused):
    spidra_mock.batch.submit.script(rate_limited(retry_after=30))
    loop = asyncio.get_running_loop()
    await asyncio.gather(*(loop.run_in_executor(None, submit, spidra_mock, url) for url in URLS))
    assert sorted(senders(spidra_mock)) == [1, 2, 3]
    assert accused() == []


async def test_tasks_that_each_hand_work_to_threads_are_told_apart(spidra_mock):
    async def twice(url):
        await asyncio.to_thread(submit, spidra_mock, url)
        await asyncio.sleep(1)
        await asyncio.to_thread(submit, spidra_mock, url)

    await asyncio.gather(*map(twice, URLS))
    found = senders(spidra_mock)
    assert sorted(found[:3]) == sorted(found[3:]) == [1, 2, 3]


@pytest.mark.parametrize("before", [False, True], ids=["at once", "after a request of its own"])
async def test_a_watcher_in_a_thread_beside_its_task_is_another_sender(spidra_mock, before):
    """Also for what it sent before that was to be seen."""
    headers = {"x-api-key": spidra_mock.api_key}
    list_url = f"{spidra_mock.base_url}/batch/scrape"

    def watch():
        for _ in range(2):
            httpx.get(list_url, params={"page": "1"}, headers=headers)
            time.sleep(4)

    async with httpx.AsyncClient(headers=headers) as client:
        if before:
            await client.get(list_url)
        watching = asyncio.get_running_loop().run_in_executor(None, watch)
        await asyncio.sleep(2)
        await client.get(list_url)
        await watching
        await client.get(list_url)
    of_watcher = {one.sender for one in spidra_mock.exchanges if "page" in one.path}
    of_task = {one.sender for one in spidra_mock.exchanges if "page" not in one.path}
    assert (len(of_watcher), len(of_task), of_watcher & of_task) == (1, 1, set())


async def test_work_for_processes_is_left_alone(spidra_mock):
    """It is pickled, and sends nothing here."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        assert await asyncio.get_running_loop().run_in_executor(pool, abs, -1) == 1


async def test_anyio_s_worker_threads_do_pieces_of_work_too(spidra_mock):
    """As a web framework calls plain functions: one after another on the same thread."""
    for url in URLS:
        await anyio.to_thread.run_sync(submit, spidra_mock, url)
    assert senders(spidra_mock) == [1, 2, 3]


def senders(api):
    """Return who sent each request."""
    return [exchange.sender for exchange in api.exchanges]
