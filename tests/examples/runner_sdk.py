"""A careful runner on the official SDK: its own retries are off, as they send a submit again that may have worked."""

import asyncio
import time
from datetime import datetime

import httpx
import spidra

TRIES, POLL, PATIENCE = 5, 3.0, 600.0


async def run(urls, *, base_url, api_key, max_attempts=3):
    """Return the items of all URLs, failed ones included when `max_attempts` rounds could not heal them."""
    async with spidra.AsyncSpidra(api_key=api_key, api_url=base_url, max_retries=0) as sdk:
        starts = range(0, len(urls), 50)
        return [one for at in starts for one in await _run(sdk, urls[at : at + 50], max_attempts)]


async def _run(client, urls, rounds):
    began, seen = time.time(), set()
    queued = await _sure(lambda: client.start_batch_scrape(urls), lambda: _find(client, urls, began, seen))
    uuid = getattr(queued, "batch_id", queued)
    for left in reversed(range(rounds)):
        async with asyncio.timeout(PATIENCE):  # the batch goes on, and will be billed
            while (batch := await _look(client, uuid)).status in ("pending", "running"):
                await asyncio.sleep(POLL)
        if not left or batch.status != "completed" or not batch.failed_count:
            return batch.items
        await _sure(lambda: client.retry_batch_scrape(uuid), lambda: _look(client, uuid), unlike=batch)


async def _look(client, batch_id):
    return await _sure(lambda: client.get_batch_scrape(batch_id))


async def _find(client, urls, began, seen):
    """Return the id of a batch whose submit's reply was lost; old ones and those of others are in the list, too."""
    for job in (await _sure(client.list_batch_scrapes)).jobs:
        if job.uuid not in seen and datetime.fromisoformat(job.created_at).timestamp() > began - 60:
            seen.add(job.uuid)
            if [item.url for item in (await _look(client, job.uuid)).items] == urls:
                return job.uuid


async def _sure(call, done=None, *, unlike=None):
    """Call the SDK until it has worked; look (`done`) whether it has before it is called again."""
    for wait in (2.0**attempt for attempt in range(TRIES)):
        try:
            return await call()
        except (spidra.SpidraError, httpx.TransportError, ValueError) as error:
            status, asked = getattr(error, "status", 0), getattr(error, "retry_after", None)
            if 0 < status < 500 and status != 429:
                raise
            wait = max(wait, asked or (30.0 if status == 503 else 0.0))  # it does not tell what a 503 asks
        await asyncio.sleep(wait)
        if done and (found := await done()) and found != unlike:
            return found
    raise RuntimeError(f"Spidra has failed {TRIES} times")
