"""Careful clients on the official SDK, in the ways it is used."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import spidra


def sdk_batch_scrape(base_url, api_key, urls):
    return spidra.Spidra(api_key=api_key, api_url=base_url).batch_scrape(urls, timeout=200).items


def sdk_async_batch_scrape(base_url, api_key, urls):
    async def main():
        async with spidra.AsyncSpidra(api_key=api_key, api_url=base_url) as client:
            return await client.batch_scrape(urls, prompt="price", poll_interval=2.0, timeout=200)

    return asyncio.run(main())


def sdk_watch_and_retry_round(base_url, api_key, urls):
    client = spidra.Spidra(api_key=api_key, api_url=base_url)
    batch_id = client.start_batch_scrape(urls).batch_id
    items = {item.url: item for item in client.watch_batch(batch_id, timeout=200)}
    if (
        any(item.status == "failed" for item in items.values())
        and client.get_batch_scrape(batch_id).status == "completed"
    ):
        client.retry_batch_scrape(batch_id)
        items |= {item.url: item for item in client.watch_batch(batch_id, timeout=200)}
    return items


def sdk_async_watch(base_url, api_key, urls):
    async def main():
        async with spidra.AsyncSpidra(api_key=api_key, api_url=base_url) as client:
            batch_id = (await client.start_batch_scrape(urls)).batch_id
            return [item.url async for item in client.watch_batch(batch_id, timeout=200)]

    return asyncio.run(main())


def sdk_start_and_own_polling(base_url, api_key, urls):
    client = spidra.Spidra(api_key=api_key, api_url=base_url)
    queued = client.start_batch_scrape(urls)
    for _ in range(40):
        time.sleep(5)
        batch = client.get_batch_scrape(queued.batch_id)
        if batch.status not in ("pending", "running"):
            return batch.items
    client.cancel_batch_scrape(queued.batch_id)
    return None


def sdk_in_threads(base_url, api_key, urls):
    client = spidra.Spidra(api_key=api_key, api_url=base_url)
    chunks = [urls[at : at + 2] for at in range(0, len(urls), 2)]
    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(client.batch_scrape, chunk, timeout=200) for chunk in chunks]
    return [future.result() for future in futures if not future.exception()]


def sdk_sync_inside_a_running_loop(base_url, api_key, urls):
    async def main():
        client = spidra.Spidra(api_key=api_key, api_url=base_url)  # as in a notebook
        batch_id = client.start_batch_scrape(urls).batch_id
        for _ in range(40):
            if client.get_batch_scrape(batch_id).status not in ("pending", "running"):
                return client.get_batch_scrape(batch_id).items
            await asyncio.sleep(4)
        return None

    return asyncio.run(main())


def sdk_own_retry_rounds(base_url, api_key, urls):
    client = spidra.Spidra(api_key=api_key, api_url=base_url)
    batch_id = client.start_batch_scrape(urls).batch_id
    for round_ in range(3):
        for _ in client.watch_batch(batch_id, timeout=150):
            pass
        batch = client.get_batch_scrape(batch_id)
        if batch.status != "completed" or not batch.failed_count or round_ == 2:
            return batch.items
        try:
            client.retry_batch_scrape(batch_id)
        except spidra.SpidraForbiddenError:
            return batch.items  # no credits: half a result is one
    return None


def sdk_gather_of_chunks(base_url, api_key, urls):
    async def main():
        async with spidra.AsyncSpidra(api_key=api_key, api_url=base_url) as client:
            third = -(-len(urls) // 3)
            chunks = [urls[at : at + third] for at in range(0, len(urls), third)]
            return await asyncio.gather(
                *(client.batch_scrape(chunk, timeout=200) for chunk in chunks), return_exceptions=True
            )

    return asyncio.run(main())


def sdk_looks_and_then_watches(base_url, api_key, urls):
    client = spidra.Spidra(api_key=api_key, api_url=base_url)
    batch_id = client.start_batch_scrape(urls).batch_id
    print(client.get_batch_scrape(batch_id).status)
    return list(client.watch_batch(batch_id, timeout=200))


def sdk_two_watchers(base_url, api_key, urls):
    async def main():
        async with spidra.AsyncSpidra(api_key=api_key, api_url=base_url) as client:
            batch_id = (await client.start_batch_scrape(urls)).batch_id

            async def watch(interval):
                return [
                    item async for item in client.watch_batch(batch_id, poll_interval=interval, timeout=200)
                ]

            return await asyncio.gather(watch(4), watch(6), return_exceptions=True)

    return asyncio.run(main())


def sdk_finds_a_lost_submit(base_url, api_key, urls):
    client = spidra.Spidra(api_key=api_key, api_url=base_url)
    try:
        batch_id = client.start_batch_scrape(urls).batch_id
    except (httpx.TransportError, spidra.SpidraServerError, ValueError):
        time.sleep(10)
        jobs = client.list_batch_scrapes(limit=5).jobs
        mine = [
            job.uuid for job in jobs if [item.url for item in client.get_batch_scrape(job.uuid).items] == urls
        ]
        if not mine:
            raise
        batch_id = mine[0]
    return list(client.watch_batch(batch_id, timeout=200))


def sdk_deadline_and_cancel(base_url, api_key, urls):
    client = spidra.Spidra(api_key=api_key, api_url=base_url)
    batch_id = client.start_batch_scrape(urls).batch_id
    try:
        return list(client.watch_batch(batch_id, timeout=30))
    except spidra.SpidraTimeoutError:
        client.cancel_batch_scrape(batch_id)
        return client.get_batch_scrape(batch_id).items
