"""The retry loop of Spidra's documentation, in plain httpx: the code that the examples here test.

Submit, poll every three seconds until the batch is terminal, retry what failed, at most `max_attempts` rounds.
"""

from __future__ import annotations

import time

import httpx

TERMINAL = {"completed", "failed", "cancelled"}


class BatchRefusedError(Exception):
    """Spidra refused a request; the status code and the API's message."""


def scrape(urls, *, base_url, api_key, max_attempts=3, poll_seconds=3.0):
    """Return the items of a batch of `urls`, failed ones included when the last round could not heal them."""
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}, timeout=30.0) as client:
        batch_id = _ask(client, "POST", "/batch/scrape", json={"urls": urls})["batchId"]
        for attempt in range(1, max_attempts + 1):
            batch = _wait(client, batch_id, poll_seconds)
            if batch["failedCount"] == 0 or attempt == max_attempts:
                break
            _ask(client, "POST", f"/batch/scrape/{batch_id}/retry")
        return batch["items"]


def _wait(client, batch_id, poll_seconds):
    while True:
        batch = _ask(client, "GET", f"/batch/scrape/{batch_id}")
        if batch["status"] in TERMINAL:
            return batch
        time.sleep(poll_seconds)


def _ask(client, method, path, **body):
    response = client.request(method, path, **body)
    if response.is_error:
        raise BatchRefusedError(response.status_code, response.json()["message"])
    return response.json()
