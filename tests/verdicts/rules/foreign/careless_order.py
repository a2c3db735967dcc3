"""Careless clients that do things in the wrong order, or that the service has refused for good."""

from __future__ import annotations

import time

import httpx
import spidra
import stamina

TERMINAL = {"completed", "failed", "cancelled"}


def _finished(http, batch_id, interval=5, most=40):
    for _ in range(most):
        batch = http.get(f"/batch/scrape/{batch_id}").raise_for_status().json()
        if batch["status"] in TERMINAL:
            return batch
        time.sleep(interval)
    raise TimeoutError(batch_id)


def retries_what_still_runs(base_url, api_key, urls):
    """A single look, and whatever it shows, a retry; then it waits."""
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}) as http:
        batch_id = http.post("/batch/scrape", json={"urls": urls}).raise_for_status().json()["batchId"]
        time.sleep(3)
        batch = http.get(f"/batch/scrape/{batch_id}").raise_for_status().json()
        if batch["status"] in ("pending", "running"):
            reply = http.post(f"/batch/scrape/{batch_id}/retry")
            if reply.status_code != 400:
                reply.raise_for_status()
            time.sleep(5)
        return _finished(http, batch_id)["items"]


def sdk_retries_at_the_first_failed_item(base_url, api_key, urls):
    """It watches, and at the first failed item it sends a retry, although others are still at work."""
    client = spidra.Spidra(api_key=api_key, api_url=base_url)
    batch_id = client.start_batch_scrape(urls).batch_id
    for _ in range(40):
        batch = client.get_batch_scrape(batch_id)
        if any(item.status == "failed" for item in batch.items):
            return client.retry_batch_scrape(batch_id)
        if batch.status in TERMINAL:
            return None
        time.sleep(3)
    return None


def retries_whatever_the_result(base_url, api_key, urls):
    """After each batch one retry, in case something failed."""
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}) as http:
        batch_id = http.post("/batch/scrape", json={"urls": urls}).raise_for_status().json()["batchId"]
        batch = _finished(http, batch_id)
        if batch["status"] == "cancelled":
            return None
        if http.post(f"/batch/scrape/{batch_id}/retry").status_code == 202:
            batch = _finished(http, batch_id)
        return batch["items"]


def sdk_retries_whatever_the_result(base_url, api_key, urls):
    """The same with the SDK, and an except for what it is told then."""
    client = spidra.Spidra(api_key=api_key, api_url=base_url)
    batch_id = client.start_batch_scrape(urls).batch_id
    list(client.watch_batch(batch_id, timeout=200))
    if client.get_batch_scrape(batch_id).status != "cancelled":
        try:
            client.retry_batch_scrape(batch_id)
        except spidra.SpidraError:
            return None
        return list(client.watch_batch(batch_id, timeout=200))
    return None


def retries_what_was_cancelled(base_url, api_key, urls):
    """Anything but a clean end calls for a retry, a cancelled batch, too."""
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}) as http:
        batch_id = http.post("/batch/scrape", json={"urls": urls}).raise_for_status().json()["batchId"]
        batch = _finished(http, batch_id)
        if batch["status"] == "cancelled" or batch["failedCount"]:
            http.post(f"/batch/scrape/{batch_id}/retry").raise_for_status()
            return _finished(http, batch_id)["items"]
        return batch["items"]


def cancels_and_then_retries(base_url, api_key, urls):
    """It cancels what is slow, looks, and thinks that a retry would take it up again."""
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}) as http:
        path = (
            "/batch/scrape/"
            + http.post("/batch/scrape", json={"urls": urls}).raise_for_status().json()["batchId"]
        )
        for _ in range(4):
            time.sleep(5)
            batch = http.get(path).raise_for_status().json()
            if batch["status"] in TERMINAL:
                return batch["items"]
        http.delete(path).raise_for_status()
        if http.get(path).raise_for_status().json()["status"] == "cancelled":
            http.post(f"{path}/retry").raise_for_status()
        return None


def refused_retry_again_and_again(base_url, api_key, urls):
    """Six rounds, each with a look that shows what the one before had shown."""
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}) as http:
        batch_id = http.post("/batch/scrape", json={"urls": urls}).raise_for_status().json()["batchId"]
        for _ in range(6):
            batch = _finished(http, batch_id)
            if batch["status"] == "cancelled" or not batch["failedCount"]:
                return batch["items"]
            reply = http.post(f"/batch/scrape/{batch_id}/retry")
            time.sleep(40 if "retry-after" in reply.headers else 3)
        return None


def sdk_refused_retry_again_and_again(base_url, api_key, urls):
    """The same with the SDK: except SpidraError, sleep, look, once more."""
    client = spidra.Spidra(api_key=api_key, api_url=base_url)
    batch_id = client.start_batch_scrape(urls).batch_id
    for _ in range(7):
        list(client.watch_batch(batch_id, timeout=150))
        batch = client.get_batch_scrape(batch_id)
        if batch.status == "cancelled" or not batch.failed_count:
            return batch.items
        try:
            client.retry_batch_scrape(batch_id)
        except spidra.SpidraRateLimitError:
            time.sleep(60)
        except spidra.SpidraError:
            time.sleep(5)
    return None


def submits_until_it_is_taken(base_url, api_key, urls):
    """Whatever 4xx it gets, the same submit again every 40 seconds, five times."""
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}) as http:
        for _ in range(5):
            reply = http.post("/batch/scrape", json={"urls": urls})
            if not reply.is_client_error:
                break
            time.sleep(40)
        return _finished(http, reply.raise_for_status().json()["batchId"])["items"]


def stamina_on_every_error(base_url, api_key, urls):
    """stamina on HTTPStatusError for the looks: 401 and 404 are errors, too."""
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}) as http:

        @stamina.retry(
            on=httpx.HTTPStatusError,
            attempts=6,
            timeout=None,
            wait_initial=21.0,
            wait_max=40.0,
            wait_jitter=0.0,
        )
        def look(batch_id):
            return http.get(f"/batch/scrape/{batch_id}").raise_for_status().json()

        batch_id = http.post("/batch/scrape", json={"urls": urls}).raise_for_status().json()["batchId"]
        for _ in range(40):
            if (batch := look(batch_id))["status"] in TERMINAL:
                return batch["items"]
            time.sleep(5)
        return None


def polls_through_every_error(base_url, api_key, urls):
    """The loop knows one way out, the status, and twenty looks; an error body has none of its words."""
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}) as http:
        batch_id = http.post("/batch/scrape", json={"urls": urls}).raise_for_status().json()["batchId"]
        for _ in range(20):
            time.sleep(31)
            reply = http.get(f"/batch/scrape/{batch_id}")
            if (
                reply.headers["content-type"].startswith("application/json")
                and reply.json()["status"] in TERMINAL
            ):
                return reply.json()["items"]
        return None
