"""A careful runner in plain httpx: it looks before it sends a POST again, and waits as it is asked."""

import time
from datetime import datetime
from email.utils import parsedate_to_datetime

import httpx

BATCHES = "/batch/scrape"
MOST, TRIES, POLL, PATIENCE = 50, 5, 3.0, 600.0  # URLs of a batch, requests, seconds, seconds of one round


def run(urls, *, base_url, api_key, max_attempts=3):
    """Return the items of all URLs, failed ones included when `max_attempts` rounds could not heal them."""
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}, timeout=30) as client:
        parts = [urls[start : start + MOST] for start in range(0, len(urls), MOST)]
        return [item for part in parts for item in _scrape(client, part, max_attempts)]


def _scrape(client, urls, max_attempts):
    began = time.time()
    path = f"{BATCHES}/{_sure(client, 'POST', BATCHES, lambda: _find(client, urls, began), {'urls': urls})['batchId']}"
    batch = _finished(client, path)
    for _ in range(max_attempts - 1):
        if batch["status"] == "completed" and batch["failedCount"]:
            _sure(client, "POST", f"{path}/retry", lambda before=batch: _sure(client, "GET", path) != before)
            batch = _finished(client, path)
    return batch["items"]


def _finished(client, path):
    deadline = time.monotonic() + PATIENCE
    while (batch := _sure(client, "GET", path))["status"] not in ("completed", "failed", "cancelled"):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{path} is still {batch['status']}: it goes on, and will be billed")
        time.sleep(POLL)
    return batch


def _find(client, urls, began):
    """Return the batch of a submit whose reply was lost, if it was taken: others may have batches in the list, too."""
    for job in _sure(client, "GET", f"{BATCHES}?limit=50")["jobs"]:
        young = datetime.fromisoformat(job["createdAt"]).timestamp() > began - 60
        if (
            young
            and [item["url"] for item in _sure(client, "GET", f"{BATCHES}/{job['uuid']}")["items"]] == urls
        ):
            return {"batchId": job["uuid"]}
    return None


def _sure(client, method, path, done=lambda: None, json=None):
    """Send a request until it has worked; after a failure, look whether it has (`done`) before it is sent again."""
    for attempt in range(TRIES):
        reply, wait = None, 2.0**attempt
        try:
            reply = client.request(method, path, json=json)
            if reply.is_success:
                return reply.json()
            if reply.status_code < 500 and reply.status_code != 429:
                break
            asked = reply.headers.get("retry-after") or reply.json().get("retry_after") or 0
            wait = max(wait, min(_seconds(asked), 60.0))
        except (httpx.TransportError, ValueError, AttributeError):
            pass  # a broken connection, half a body, a page of HTML, a wait that nobody can read
        time.sleep(wait)
        if found := done():
            return found
    raise RuntimeError(f"{method} {path}: {reply.status_code if reply is not None else 'no reply'}")


def _seconds(asked):
    try:
        return float(asked)
    except ValueError:
        return parsedate_to_datetime(asked).timestamp() - time.time()
