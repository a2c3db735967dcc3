"""The retry loop of Spidra's documentation, to the letter: it reads bodies and never looks at a status code."""

import time

import httpx


def run(urls, *, base_url, api_key, max_attempts=3):
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}, timeout=None) as client:  # noqa: S113 - as fetch has it
        submitted = client.post("/batch/scrape", json={"urls": urls}).json()
        path = f"/batch/scrape/{submitted.get('batchId', 'undefined')}"
        for attempt in range(1, max_attempts + 1):
            while True:
                batch = client.get(path).json()
                if batch["status"] in ("completed", "failed", "cancelled"):
                    break
                time.sleep(3)
            if batch["failedCount"] == 0:
                break
            if attempt < max_attempts:
                client.post(f"{path}/retry")
        return client.get(path).json()["items"]
