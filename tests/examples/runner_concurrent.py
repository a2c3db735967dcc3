"""A careful runner with several small batches at once, a thread each: every one finds its own batch."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import httpx

BATCHES, SIZE, TRIES, POLL, PATIENCE, THREADS = "/batch/scrape", 2, 5, 3.0, 600.0, 3


def run(urls, *, base_url, api_key, max_attempts=3):
    """Return the items of all URLs, failed ones included when `max_attempts` rounds could not heal them."""
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}, timeout=30) as http:
        with ThreadPoolExecutor(THREADS) as pool:
            parts = [urls[start : start + SIZE] for start in range(0, len(urls), SIZE)]
            return [one for part in pool.map(lambda p: _scrape(http, p, max_attempts), parts) for one in part]


def _scrape(client, urls, rounds):
    began, seen = time.time(), set()
    batch = _sure(client, "POST", BATCHES, lambda: _find(client, urls, began, seen), json={"urls": urls})
    path = f"{BATCHES}/{batch['batchId']}"
    for left in reversed(range(rounds)):
        deadline = time.monotonic() + PATIENCE
        while (batch := _sure(client, "GET", path))["status"] in ("pending", "running"):
            if time.monotonic() > deadline:
                return batch["items"]  # what has not ended is told as it is
            time.sleep(POLL)
        if not left or batch["status"] != "completed" or not batch["failedCount"]:
            return batch["items"]
        _sure(client, "POST", f"{path}/retry", lambda: _sure(client, "GET", path), unlike=batch)


def _find(client, urls, began, seen):
    for job in _sure(client, "GET", f"{BATCHES}?limit=50")["jobs"]:
        if job["uuid"] not in seen and datetime.fromisoformat(job["createdAt"]).timestamp() > began - 60:
            seen.add(job["uuid"])
            if [item["url"] for item in _sure(client, "GET", f"{BATCHES}/{job['uuid']}")["items"]] == urls:
                return {"batchId": job["uuid"]}


def _sure(client, method, path, done=None, *, json=None, unlike=None):
    for wait in (2.0**attempt for attempt in range(TRIES)):
        try:
            reply = client.request(method, path, json=json)
            if reply.status_code < 500 and reply.status_code != 429:
                return reply.raise_for_status().json()
            asked = reply.headers.get("retry-after") or reply.json().get("retry_after", 0)
            wait = max(wait, min(float(asked), 60))
        except httpx.TransportError:
            pass
        except ValueError:
            wait = 30.0  # half a body, a page of HTML, a date to wait for: it is long enough for whatever was asked
        time.sleep(wait)
        if done and (found := done()) and found != unlike:
            return found
    raise RuntimeError(f"{method} {path} has failed {TRIES} times")
