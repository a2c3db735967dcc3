"""Careless clients in a hurry, or without an end; and two that mishandle the key."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import httpx_retries
import spidra
import tenacity

TERMINAL = {"completed", "failed", "cancelled"}


def _finished(http, batch_id, interval=5, most=40):
    for _ in range(most):
        batch = http.get(f"/batch/scrape/{batch_id}").raise_for_status().json()
        if batch["status"] in TERMINAL:
            return batch
        time.sleep(interval)
    raise TimeoutError(batch_id)


def submits_again_after_three_seconds(base_url, api_key, urls):
    """A refused submit again after three seconds, whatever the reply asks for."""
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}) as http:
        for _ in range(3):
            reply = http.post("/batch/scrape", json={"urls": urls})
            if reply.status_code not in {429, 503}:
                break
            time.sleep(3)
        return _finished(http, reply.raise_for_status().json()["batchId"])["items"]


def tenacity_that_knows_no_headers(base_url, api_key, urls):
    """wait_fixed for 429 and 503, in submit and looks: half of what is asked."""
    http = httpx.Client(base_url=base_url, headers={"x-api-key": api_key})

    def refused(error):
        return isinstance(error, httpx.HTTPStatusError) and error.response.status_code in {429, 503}

    @tenacity.retry(
        retry=tenacity.retry_if_exception(refused),
        wait=tenacity.wait_fixed(10),
        stop=tenacity.stop_after_attempt(3),
        reraise=True,
    )
    def send(method, path, **more):
        return http.request(method, path, **more).raise_for_status().json()

    batch_id = send("POST", "/batch/scrape", json={"urls": urls})["batchId"]
    for _ in range(40):
        batch = send("GET", f"/batch/scrape/{batch_id}")
        if batch["status"] in TERMINAL:
            return batch["items"]
        time.sleep(5)
    return None


def polls_on_through_429(base_url, api_key, urls):
    """A look every four seconds, and 429 or 503 is just a look that showed nothing."""
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}) as http:
        batch_id = http.post("/batch/scrape", json={"urls": urls}).raise_for_status().json()["batchId"]
        for _ in range(40):
            time.sleep(4)
            reply = http.get(f"/batch/scrape/{batch_id}")
            if reply.status_code in {429, 503}:
                continue
            if reply.raise_for_status().json()["status"] in TERMINAL:
                return reply.json()["items"]
        return None


def retries_again_after_two_seconds(base_url, api_key, urls):
    """A refused retry of the batch is sent again after two seconds, three times at most."""
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}) as http:
        batch_id = http.post("/batch/scrape", json={"urls": urls}).raise_for_status().json()["batchId"]
        batch = _finished(http, batch_id)
        if batch["status"] == "cancelled" or not batch["failedCount"]:
            return batch["items"]
        for _ in range(3):
            reply = http.post(f"/batch/scrape/{batch_id}/retry")
            if reply.status_code not in {429, 503}:
                break
            time.sleep(2)
        return _finished(http, reply.raise_for_status() and batch_id)["items"]


def next_chunk_after_a_429(base_url, api_key, urls):
    """A chunk that is refused is left for later, and the next one sent at once."""
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}) as http:
        ids, later = [], []
        for at in range(0, len(urls), 2):
            reply = http.post("/batch/scrape", json={"urls": urls[at : at + 2]})
            if reply.status_code == 429:
                later.append(urls[at : at + 2])
                continue
            ids.append(reply.raise_for_status().json()["batchId"])
            time.sleep(1)
        if later:
            time.sleep(60)
        ids += [
            http.post("/batch/scrape", json={"urls": chunk}).raise_for_status().json()["batchId"]
            for chunk in later
        ]
        return [_finished(http, batch_id)["items"] for batch_id in ids]


def the_other_batch_after_a_429(base_url, api_key, urls):
    """Two batches in turns: a 429 for one does not keep it from asking for the other."""
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}) as http:
        half = len(urls) // 2
        ids = [
            http.post("/batch/scrape", json={"urls": some}).raise_for_status().json()["batchId"]
            for some in (urls[:half], urls[half:])
        ]
        for _ in range(15):
            for batch_id in list(ids):
                reply = http.get(f"/batch/scrape/{batch_id}")
                if reply.status_code == 429:
                    continue
                if reply.raise_for_status().json()["status"] in TERMINAL:
                    ids.remove(batch_id)
            if not ids:
                return
            time.sleep(31)


def polls_five_times_a_second(base_url, api_key, urls):
    """time.sleep(0.2)."""
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}) as http:
        batch_id = http.post("/batch/scrape", json={"urls": urls}).raise_for_status().json()["batchId"]
        return _finished(http, batch_id, interval=0.2, most=200)["items"]


def polls_without_a_pause(base_url, api_key, urls):
    """while not done: look. At most a hundred times, then a long pause and a last look."""
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}) as http:
        batch_id = http.post("/batch/scrape", json={"urls": urls}).raise_for_status().json()["batchId"]
        for _ in range(100):
            batch = http.get(f"/batch/scrape/{batch_id}").raise_for_status().json()
            if batch["status"] in TERMINAL:
                return batch["items"]
        time.sleep(60)
        return http.get(f"/batch/scrape/{batch_id}").raise_for_status().json()["items"]


def sdk_with_a_tiny_interval(base_url, api_key, urls):
    """poll_interval is in seconds, not in minutes."""
    return (
        spidra.Spidra(api_key=api_key, api_url=base_url)
        .batch_scrape(urls, poll_interval=0.1, timeout=15)
        .items
    )


def gather_with_tiny_sleeps(base_url, api_key, urls):
    """Two coroutines, each with a look every half a second."""

    async def one(http, chunk):
        reply = await http.post("/batch/scrape", json={"urls": chunk})
        batch_id = reply.raise_for_status().json()["batchId"]
        for _ in range(80):
            batch = (await http.get(f"/batch/scrape/{batch_id}")).raise_for_status().json()
            if batch["status"] in TERMINAL:
                return batch["items"]
            await asyncio.sleep(0.5)
        return None

    async def main():
        async with httpx.AsyncClient(base_url=base_url, headers={"x-api-key": api_key}) as http:
            half = len(urls) // 2
            return await asyncio.gather(
                one(http, urls[:half]), one(http, urls[half:]), return_exceptions=True
            )

    return asyncio.run(main())


def one_hasty_thread_among_three(base_url, api_key, urls):
    """Two workers look every five seconds, the third one every quarter of a second."""

    def one(chunk, interval):
        if interval < 1:
            time.sleep(1)
        with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}) as http:
            batch_id = http.post("/batch/scrape", json={"urls": chunk}).raise_for_status().json()["batchId"]
            return _finished(http, batch_id, interval=interval, most=30)

    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(one, urls[n::3], interval) for n, interval in enumerate((5, 5, 0.25))]
    return [future.exception() for future in futures]


def list_five_times_a_second(base_url, api_key, urls):
    """The list is no batch, but it is a request."""
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}) as http:
        batch_id = http.post("/batch/scrape", json={"urls": urls}).raise_for_status().json()["batchId"]
        for _ in range(100):
            jobs = http.get("/batch/scrape").raise_for_status().json()["jobs"]
            if any(job["uuid"] == batch_id and job["status"] in TERMINAL for job in jobs):
                break
            time.sleep(0.2)
        return http.get(f"/batch/scrape/{batch_id}").raise_for_status().json()["items"]


def hammers_the_submit(base_url, api_key, urls):
    """A refused submit at once again, ten times."""
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}) as http:
        for _ in range(10):
            reply = http.post("/batch/scrape", json={"urls": urls})
            if reply.status_code != 503 or "retry-after" in reply.headers:
                break
        return _finished(http, reply.raise_for_status().json()["batchId"])["items"]


def submit_every_fifth_of_a_second(base_url, api_key, urls):
    """Ten tries, two tenths of a second apart."""
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}) as http:
        for _ in range(10):
            reply = http.post("/batch/scrape", json={"urls": urls})
            if reply.status_code != 503 or "retry-after" in reply.headers:
                break
            time.sleep(0.2)
        return _finished(http, reply.raise_for_status().json()["batchId"])["items"]


def tenacity_without_a_wait(base_url, api_key, urls):
    """stop_after_attempt, and tenacity waits for nothing unless it is told to."""
    http = httpx.Client(base_url=base_url, headers={"x-api-key": api_key})

    def passing(error):
        if isinstance(error, httpx.HTTPStatusError):
            return error.response.is_server_error and "retry-after" not in error.response.headers
        return isinstance(error, httpx.TransportError)

    @tenacity.retry(
        retry=tenacity.retry_if_exception(passing), stop=tenacity.stop_after_attempt(8), reraise=True
    )
    def look(batch_id):
        return http.get(f"/batch/scrape/{batch_id}").raise_for_status().json()

    batch_id = http.post("/batch/scrape", json={"urls": urls}).raise_for_status().json()["batchId"]
    for _ in range(40):
        if (batch := look(batch_id))["status"] in TERMINAL:
            return batch["items"]
        time.sleep(5)
    return None


def httpx_retries_by_default(base_url, api_key, urls):
    """Its default is ten retries and a backoff factor of nothing."""
    transport = httpx_retries.RetryTransport(retry=httpx_retries.Retry(total=10))
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}, transport=transport) as http:
        batch_id = http.post("/batch/scrape", json={"urls": urls}).raise_for_status().json()["batchId"]
        return _finished(http, batch_id)["items"]


def looks_that_fail_every_fifth_of_a_second(base_url, api_key, urls):
    """A look that failed is made again after two tenths of a second, sixty times."""
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}) as http:
        batch_id = http.post("/batch/scrape", json={"urls": urls}).raise_for_status().json()["batchId"]
        failures = 0
        while failures < 60:
            try:
                batch = http.get(f"/batch/scrape/{batch_id}").raise_for_status().json()
            except httpx.HTTPError as error:
                reply = getattr(error, "response", None)
                if reply is not None and (reply.is_client_error or "retry-after" in reply.headers):
                    raise
                failures += 1
                time.sleep(0.2)
                continue
            if batch["status"] in TERMINAL:
                return batch["items"]
            failures += 1
            time.sleep(4)
        return None


def looks_until_it_is_sure(base_url, api_key, urls):
    """Five looks more after the end, in case something changes."""
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}) as http:
        batch_id = http.post("/batch/scrape", json={"urls": urls}).raise_for_status().json()["batchId"]
        _finished(http, batch_id)
        for _ in range(5):
            time.sleep(3)
            batch = http.get(f"/batch/scrape/{batch_id}").raise_for_status().json()
        return batch["items"]


def watches_for_three_minutes(base_url, api_key, urls):
    """A watcher that knows how long a batch takes, and not how one ends."""
    client = spidra.Spidra(api_key=api_key, api_url=base_url)
    batch_id = client.start_batch_scrape(urls).batch_id
    for _ in range(18):
        time.sleep(10)
        print(client.get_batch_scrape(batch_id).completed_count)


def no_key_at_all(base_url, api_key, urls):
    """The header was forgotten."""
    with httpx.Client(base_url=base_url) as http:
        reply = http.post("/batch/scrape", json={"urls": urls})
        return _finished(http, reply.raise_for_status().json()["batchId"])["items"]


def key_in_the_url(base_url, api_key, urls):
    """In the header, and in the query for good measure."""
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}, params={"api_key": api_key}) as http:
        batch_id = http.post("/batch/scrape", json={"urls": urls}).raise_for_status().json()["batchId"]
        return _finished(http, batch_id)["items"]
