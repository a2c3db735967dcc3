"""A careful runner with several batches at once, a thread each: they share a client, and each finds its own batch."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import httpx

BATCHES, MOST, TRIES, POLL, PATIENCE, THREADS = "/batch/scrape", 50, 5, 3.0, 600.0, 3


def run(urls, *, base_url, api_key, max_attempts=3):
    """Return the items of all URLs, failed ones included when `max_attempts` rounds could not heal them."""
    size = min(MOST, -(-len(urls) // THREADS)) or 1
    parts = [urls[start : start + size] for start in range(0, len(urls), size)]
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}, timeout=30) as client:
        with ThreadPoolExecutor(THREADS) as pool:
            scraped = [pool.submit(_scrape, client, part, max_attempts) for part in parts]
        return [item for one in scraped for item in one.result()]


def _scrape(client, urls, rounds):
    began = time.time()
    submitted = _sure(client, "POST", BATCHES, lambda: _find(client, urls, began), json={"urls": urls})
    path = f"{BATCHES}/{submitted['batchId']}"
    for left in reversed(range(rounds)):
        deadline = time.monotonic() + PATIENCE
        while (batch := _sure(client, "GET", path))["status"] in ("pending", "running"):
            if time.monotonic() > deadline:
                raise TimeoutError(path)
            time.sleep(POLL)
        if not left or batch["status"] != "completed" or not batch["failedCount"]:
            return batch["items"]
        _sure(client, "POST", f"{path}/retry", lambda: _sure(client, "GET", path), unlike=batch)


def _find(client, urls, began):
    for job in _sure(client, "GET", f"{BATCHES}?limit=50")["jobs"]:
        if datetime.fromisoformat(job["createdAt"]).timestamp() > began - 60:
            if [item["url"] for item in _sure(client, "GET", f"{BATCHES}/{job['uuid']}")["items"]] == urls:
                return {"batchId": job["uuid"]}


def _sure(client, method, path, done=None, *, json=None, unlike=None):
    for wait in (2.0**attempt for attempt in range(TRIES)):
        try:
            reply = client.request(method, path, json=json)
            if reply.is_success:
                return reply.json()
            if reply.status_code < 500 and reply.status_code != 429:
                reply.raise_for_status()
            wait = max(
                wait, min(float(reply.headers.get("retry-after") or reply.json().get("retry_after", 0)), 60)
            )
        except httpx.TransportError:
            pass
        except ValueError:
            wait = 30.0  # half a body, a page of HTML, a date to wait for: it is long enough for whatever was asked
        time.sleep(wait)
        if done and (found := done()) and found != unlike:
            return found
    raise RuntimeError(f"{method} {path} has failed {TRIES} times")
