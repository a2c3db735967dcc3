"""A careful runner in httpx's async client: it looks before it sends a POST again, and waits as it is asked."""

import asyncio
import time
from datetime import datetime

import httpx

BATCHES, TRIES, POLL, PATIENCE = "/batch/scrape", 5, 3.0, 600.0


async def run(urls, *, base_url, api_key, max_attempts=3):
    """Return the items of all URLs, failed ones included when `max_attempts` rounds could not heal them."""
    async with httpx.AsyncClient(base_url=base_url, headers={"x-api-key": api_key}, timeout=30) as http:
        starts = range(0, len(urls), 50)
        return [one for at in starts for one in await _run(http, urls[at : at + 50], max_attempts)]


async def _run(client, urls, rounds):
    began, seen = time.time(), set()
    batch = await _sure(client, "POST", BATCHES, lambda: _find(client, urls, began, seen), {"urls": urls})
    path = f"{BATCHES}/{batch['batchId']}"
    for left in reversed(range(rounds)):
        async with asyncio.timeout(PATIENCE):  # the batch goes on, and will be billed
            while (batch := await _sure(client, "GET", path))["status"] in ("pending", "running"):
                await asyncio.sleep(POLL)
        if not left or batch["status"] != "completed" or not batch["failedCount"]:
            return batch["items"]
        await _sure(client, "POST", f"{path}/retry", lambda: _sure(client, "GET", path), unlike=batch)


async def _find(client, urls, began, seen):
    """Return the batch of a submit whose reply was lost; old ones and those of others are in the list, too."""
    for job in (await _sure(client, "GET", f"{BATCHES}?limit=50"))["jobs"]:
        if job["uuid"] not in seen and datetime.fromisoformat(job["createdAt"]).timestamp() > began - 60:
            seen.add(job["uuid"])
            batch = await _sure(client, "GET", f"{BATCHES}/{job['uuid']}")
            if [item["url"] for item in batch["items"]] == urls:
                return {"batchId": job["uuid"]}


async def _sure(client, method, path, done=None, json=None, *, unlike=None):
    """Send a request until it has worked; look (`done`) whether it has before it is sent again."""
    for wait in (2.0**attempt for attempt in range(TRIES)):
        try:
            reply = await client.request(method, path, json=json)
            if reply.status_code < 500 and reply.status_code != 429:
                return reply.raise_for_status().json()
            asked = reply.headers.get("retry-after") or reply.json().get("retry_after", 0)
            wait = max(wait, min(float(asked), 60))
        except httpx.TransportError:
            pass
        except ValueError:
            wait = 30.0  # half a body, a page of HTML, a date to wait for: it is long enough for whatever was asked
        await asyncio.sleep(wait)
        if done and (found := await done()) and found != unlike:
            return found
    raise RuntimeError(f"{method} {path} has failed {TRIES} times")
