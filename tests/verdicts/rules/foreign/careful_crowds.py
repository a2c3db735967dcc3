"""Careful clients that do several things at once: asyncio, anyio, threads."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import anyio
import httpx

TERMINAL = {"completed", "failed", "cancelled"}


def async_with_a_deadline(base_url, api_key, urls):
    """asyncio.timeout ends the wait; the batch goes on, and that is said."""

    async def main():
        async with httpx.AsyncClient(base_url=base_url, headers={"x-api-key": api_key}) as http:
            reply = await http.post("/batch/scrape", json={"urls": urls})
            path = f"/batch/scrape/{reply.raise_for_status().json()['batchId']}"
            async with asyncio.timeout(200):
                while True:
                    batch = (await http.get(path)).raise_for_status().json()
                    if batch["status"] in TERMINAL:
                        return batch["items"]
                    await asyncio.sleep(4)

    return asyncio.run(main())


def gather_of_chunks(base_url, api_key, urls):
    """Two chunks, each with a coroutine of its own; one that fails does not take the other down."""

    async def one(http, chunk):
        reply = await http.post("/batch/scrape", json={"urls": chunk})
        batch_id = reply.raise_for_status().json()["batchId"]
        for _ in range(40):
            batch = (await http.get(f"/batch/scrape/{batch_id}")).raise_for_status().json()
            if batch["status"] in TERMINAL:
                return batch["items"]
            await asyncio.sleep(5)
        raise TimeoutError(batch_id)

    async def main():
        async with httpx.AsyncClient(base_url=base_url, headers={"x-api-key": api_key}) as http:
            half = len(urls) // 2
            return await asyncio.gather(
                one(http, urls[:half]), one(http, urls[half:]), return_exceptions=True
            )

    return asyncio.run(main())


def gather_behind_a_semaphore(base_url, api_key, urls):
    """Three chunks, two at a time; retries of what failed inside each coroutine."""

    async def one(http, room, chunk):
        async with room:
            reply = await http.post("/batch/scrape", json={"urls": chunk})
            path = f"/batch/scrape/{reply.raise_for_status().json()['batchId']}"
            for round_ in range(2):
                for _ in range(30):
                    await asyncio.sleep(5)
                    batch = (await http.get(path)).raise_for_status().json()
                    if batch["status"] in TERMINAL:
                        break
                if batch["status"] != "completed" or not batch["failedCount"] or round_:
                    return batch["items"]
                (await http.post(f"{path}/retry", json={})).raise_for_status()
            return None

    async def main():
        room = asyncio.Semaphore(2)
        async with httpx.AsyncClient(base_url=base_url, headers={"x-api-key": api_key}) as http:
            third = -(-len(urls) // 3)
            chunks = [urls[at : at + third] for at in range(0, len(urls), third)]
            return await asyncio.gather(*(one(http, room, chunk) for chunk in chunks), return_exceptions=True)

    return asyncio.run(main())


def task_group_of_chunks(base_url, api_key, urls):
    """The first error cancels the others, whatever they were waiting for."""

    async def one(http, chunk):
        reply = await http.post("/batch/scrape", json={"urls": chunk})
        batch_id = reply.raise_for_status().json()["batchId"]
        for _ in range(40):
            await asyncio.sleep(3)
            batch = (await http.get(f"/batch/scrape/{batch_id}")).raise_for_status().json()
            if batch["status"] in TERMINAL:
                return batch["items"]
        return None

    async def main():
        async with (
            httpx.AsyncClient(base_url=base_url, headers={"x-api-key": api_key}) as http,
            asyncio.TaskGroup() as group,
        ):
            for at in range(0, len(urls), 2):
                group.create_task(one(http, urls[at : at + 2]))

    asyncio.run(main())


def progress_bar_beside_a_collector(base_url, api_key, urls):
    """One task shows how far it is, every four seconds; another collects, every six. They meet now and then."""

    async def progress(http, path):
        while True:
            batch = (await http.get(path)).raise_for_status().json()
            print(f"{batch['completedCount']}/{batch['totalUrls']}")
            if batch["status"] in TERMINAL:
                return
            await asyncio.sleep(4)

    async def collect(http, path):
        for _ in range(30):
            batch = (await http.get(path)).raise_for_status().json()
            if batch["status"] in TERMINAL:
                return batch["items"]
            await asyncio.sleep(6)
        raise TimeoutError(path)

    async def main():
        async with httpx.AsyncClient(base_url=base_url, headers={"x-api-key": api_key}) as http:
            reply = await http.post("/batch/scrape", json={"urls": urls})
            path = f"/batch/scrape/{reply.raise_for_status().json()['batchId']}"
            bar = asyncio.create_task(progress(http, path))
            try:
                return await collect(http, path)
            finally:
                bar.cancel()
                await asyncio.gather(bar, return_exceptions=True)

    return asyncio.run(main())


def three_watchers_of_one_batch(base_url, api_key, urls):
    """A log, a metric and a collector, each with its own interval."""

    async def watch(http, path, interval):
        for _ in range(40):
            batch = (await http.get(path)).raise_for_status().json()
            if batch["status"] in TERMINAL:
                return batch["items"]
            await asyncio.sleep(interval)
        return None

    async def main():
        async with httpx.AsyncClient(base_url=base_url, headers={"x-api-key": api_key}) as http:
            reply = await http.post("/batch/scrape", json={"urls": urls})
            path = f"/batch/scrape/{reply.raise_for_status().json()['batchId']}"
            return await asyncio.gather(
                *(watch(http, path, interval) for interval in (2, 3, 5)), return_exceptions=True
            )

    return asyncio.run(main())


def anyio_with_fail_after(base_url, api_key, urls):
    """anyio's task group and deadline, for two chunks."""

    async def one(http, chunk, into):
        reply = await http.post("/batch/scrape", json={"urls": chunk})
        path = f"/batch/scrape/{reply.raise_for_status().json()['batchId']}"
        while True:
            await anyio.sleep(5)
            batch = (await http.get(path)).raise_for_status().json()
            if batch["status"] in TERMINAL:
                into += batch["items"]
                return

    async def main():
        items = []
        async with httpx.AsyncClient(base_url=base_url, headers={"x-api-key": api_key}) as http:
            with anyio.fail_after(150):
                async with anyio.create_task_group() as group:
                    group.start_soon(one, http, urls[:2], items)
                    group.start_soon(one, http, urls[2:], items)
        return items

    return anyio.run(main)


def producer_and_collectors(base_url, api_key, urls):
    """One task submits chunks a second apart, two others take the ids from a queue and wait for the batches."""

    async def collect(http, queue, into):
        while (batch_id := await queue.get()) is not None:
            for _ in range(40):
                batch = (await http.get(f"/batch/scrape/{batch_id}")).raise_for_status().json()
                if batch["status"] in TERMINAL:
                    into += batch["items"]
                    break
                await asyncio.sleep(4)

    async def produce(http, queue):
        try:
            for at in range(0, len(urls), 2):
                reply = await http.post("/batch/scrape", json={"urls": urls[at : at + 2]})
                await queue.put(reply.raise_for_status().json()["batchId"])
                await asyncio.sleep(1)
        finally:
            await queue.put(None)
            await queue.put(None)

    async def main():
        queue, items = asyncio.Queue(), []
        async with httpx.AsyncClient(base_url=base_url, headers={"x-api-key": api_key}) as http:
            await asyncio.gather(
                produce(http, queue),
                collect(http, queue, items),
                collect(http, queue, items),
                return_exceptions=True,
            )
        return items

    return asyncio.run(main())


def pool_with_a_client_each(base_url, api_key, urls):
    """A thread for each chunk, with a client of its own."""

    def one(chunk):
        with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}) as http:
            batch_id = http.post("/batch/scrape", json={"urls": chunk}).raise_for_status().json()["batchId"]
            for _ in range(40):
                batch = http.get(f"/batch/scrape/{batch_id}").raise_for_status().json()
                if batch["status"] in TERMINAL:
                    return batch["items"]
                time.sleep(5)
            return None

    with ThreadPoolExecutor(3) as pool:
        return list(pool.map(one, [urls[at : at + 2] for at in range(0, len(urls), 2)]))


def pool_with_one_client(base_url, api_key, urls):
    """All threads share a client; each waits as asked when it is told to."""
    http = httpx.Client(base_url=base_url, headers={"x-api-key": api_key})

    def look(path):
        for _ in range(3):
            reply = http.get(path)
            if reply.status_code not in {429, 503}:
                return reply.raise_for_status().json()
            time.sleep(30)
        raise RuntimeError(path)

    def one(chunk):
        path = (
            "/batch/scrape/"
            + http.post("/batch/scrape", json={"urls": chunk}).raise_for_status().json()["batchId"]
        )
        for _ in range(40):
            batch = look(path)
            if batch["status"] in TERMINAL:
                return batch["items"]
            time.sleep(3)
        return None

    half = len(urls) // 2
    with http, ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(one, chunk) for chunk in (urls[:half], urls[half:])]
    return [future.result() for future in futures if not future.exception()]


def watcher_thread_beside_main(base_url, api_key, urls):
    """A daemon-like thread prints the progress every five seconds, the main thread waits for the end."""
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}) as http:
        path = (
            "/batch/scrape/"
            + http.post("/batch/scrape", json={"urls": urls}).raise_for_status().json()["batchId"]
        )
        over = []

        def watch():
            while not over:
                time.sleep(5)
                if over:
                    return
                reply = http.get(path)
                if reply.is_error or reply.json()["status"] in TERMINAL:
                    return

        def quiet():
            try:
                watch()
            except (httpx.HTTPError, ValueError):
                return

        thread = threading.Thread(target=quiet)
        thread.start()
        try:
            for _ in range(50):
                batch = http.get(path).raise_for_status().json()
                if batch["status"] in TERMINAL:
                    return batch["items"]
                time.sleep(4)
            raise TimeoutError(path)
        finally:
            over.append(True)
            thread.join()


def submitter_and_watcher_threads(base_url, api_key, urls):
    """One thread submits, and when it has, another one watches; their looks and posts never mix."""
    ids = []

    def submit():
        with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}) as http:
            ids.append(http.post("/batch/scrape", json={"urls": urls}).raise_for_status().json()["batchId"])

    def watch():
        with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}) as http:
            for _ in range(40):
                if http.get(f"/batch/scrape/{ids[0]}").raise_for_status().json()["status"] in TERMINAL:
                    return
                time.sleep(5)

    for work in (submit, watch):
        with ThreadPoolExecutor(1) as pool:
            pool.submit(work).result()
