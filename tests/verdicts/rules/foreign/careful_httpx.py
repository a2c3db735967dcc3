"""Careful clients on plain httpx, one request after the other.

Careful means: nothing is paid twice, what was asked is waited for, every loop ends. Giving up is careful, too.
Each is written as people write it, so they share nothing.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path

import httpx

TERMINAL = {"completed", "failed", "cancelled"}


def plain_script(base_url, api_key, urls):
    """Submit, look every five seconds, raise at the first error."""
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}) as http:
        reply = http.post("/batch/scrape", json={"urls": urls})
        reply.raise_for_status()
        path = f"/batch/scrape/{reply.json()['batchId']}"
        for _ in range(40):
            batch = http.get(path).raise_for_status().json()
            if batch["status"] in TERMINAL:
                return batch["items"]
            time.sleep(5)
        raise TimeoutError(path)


def plain_retry_rounds(base_url, api_key, urls):
    """Look until the end, and have what failed retried, at most twice."""
    headers = {"Authorization": f"Bearer {api_key}"}
    with httpx.Client(base_url=base_url, headers=headers, timeout=20) as http:
        path = (
            "/batch/scrape/"
            + http.post("/batch/scrape", json={"urls": urls}).raise_for_status().json()["batchId"]
        )
        for attempt in range(3):
            for _ in range(60):
                batch = http.get(path).raise_for_status().json()
                if batch["status"] in TERMINAL:
                    break
                time.sleep(3)
            if batch["status"] not in ("completed", "failed") or not batch["failedCount"] or attempt == 2:
                return batch["items"]
            http.post(f"{path}/retry").raise_for_status()
        return None


class _Patient:
    """A client that sends again what was certainly not taken, and waits as asked."""

    def __init__(self, base_url, api_key):
        self.http = httpx.Client(base_url=base_url, headers={"x-api-key": api_key})

    def send(self, method, path, **more):
        for attempt in range(5):
            try:
                reply = self.http.request(method, path, **more)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                wait = 2**attempt
            except httpx.TransportError:
                if method == "POST":
                    raise
                wait = 2**attempt
            else:
                again = {429, 502, 503} if method == "POST" else {429, 500, 502, 503, 504}
                if reply.status_code not in again:
                    return reply.raise_for_status()
                asked = reply.headers.get("retry-after", "")
                wait = max(2**attempt, float(asked) if asked.isdigit() else 30 if asked else 0)
            time.sleep(wait)
        raise RuntimeError(f"{method} {path}: gave up")


def class_with_a_retry_policy(base_url, api_key, urls):
    """One method decides what is sent again; POSTs only where they were refused."""
    client = _Patient(base_url, api_key)
    path = (
        "/batch/scrape/"
        + client.send("POST", "/batch/scrape", json={"urls": urls, "prompt": "price"}).json()["batchId"]
    )
    rounds = 0
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        batch = client.send("GET", path).json()
        if batch["status"] in TERMINAL:
            if batch["status"] == "cancelled" or not batch["failedCount"] or rounds == 2:
                return batch
            rounds += 1
            client.send("POST", f"{path}/retry", json={})
        time.sleep(4)
    return None


def looks_for_a_lost_submit(base_url, api_key, urls):
    """After a submit of unknown fate, look into the list; adopt what is there, else send once more."""
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}) as http:
        batch_id = None
        for _ in range(3):
            try:
                reply = http.post("/batch/scrape", json={"urls": urls})
                reply.raise_for_status()
                batch_id = reply.json()["batchId"]
                break
            except (httpx.TransportError, httpx.HTTPStatusError, ValueError) as error:
                reply = getattr(error, "response", None)
                if reply is not None and reply.is_client_error:
                    raise
                time.sleep(60 if reply is not None and "retry-after" in reply.headers else 5)
                jobs = http.get("/batch/scrape", params={"limit": 10}).raise_for_status().json()["jobs"]
                for job in jobs:
                    found = http.get(f"/batch/scrape/{job['uuid']}").raise_for_status().json()
                    if [item["url"] for item in found["items"]] == urls:
                        batch_id = job["uuid"]
                if batch_id:
                    break
        if batch_id is None:
            raise RuntimeError("no batch")
        for _ in range(50):
            time.sleep(5)
            batch = http.get(f"/batch/scrape/{batch_id}").raise_for_status().json()
            if batch["status"] in TERMINAL:
                return batch["items"]
        return None


def looks_after_a_lost_retry(base_url, api_key, urls):
    """After a retry of unknown fate, look at the batch and decide by its failedCount."""
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}) as http:
        path = (
            "/batch/scrape/"
            + http.post("/batch/scrape", json={"urls": urls}).raise_for_status().json()["batchId"]
        )

        def finished():
            for _ in range(60):
                batch = http.get(path).raise_for_status().json()
                if batch["status"] in TERMINAL:
                    return batch
                time.sleep(3)
            raise TimeoutError

        batch = finished()
        for _ in range(2):
            if batch["status"] == "cancelled" or not batch["failedCount"]:
                break
            try:
                reply = http.post(f"{path}/retry")
                if reply.is_server_error:
                    raise httpx.ReadError("unknown")
                reply.raise_for_status()
            except httpx.TransportError:
                now = http.get(path).raise_for_status().json()
                if now["status"] in TERMINAL and now["failedCount"]:
                    time.sleep(30)
                    http.post(f"{path}/retry").raise_for_status()
            batch = finished()
        return batch["items"]


def _items(http, path):
    told = set()
    for _ in range(80):
        batch = http.get(path).raise_for_status().json()
        for item in batch["items"]:
            if item["status"] in TERMINAL and item["uuid"] not in told:
                told.add(item["uuid"])
                yield item
        if batch["status"] in TERMINAL:
            return
        time.sleep(2)


def generator_of_items(base_url, api_key, urls):
    """Hand on every item once, as soon as it has ended."""
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}) as http:
        reply = (
            http.post("/batch/scrape", json={"urls": urls, "output": "markdown"}).raise_for_status().json()
        )
        return {item["url"]: item["result"] for item in _items(http, f"/batch/scrape/{reply['batchId']}")}


def deadline_and_cancel(base_url, api_key, urls):
    """After a minute, cancel, and take what there is."""
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}) as http:
        path = (
            "/batch/scrape/"
            + http.post("/batch/scrape", json={"urls": urls}).raise_for_status().json()["batchId"]
        )
        started = time.monotonic()
        while True:
            batch = http.get(path).raise_for_status().json()
            if batch["status"] in TERMINAL:
                return batch["items"]
            if time.monotonic() - started > 60:
                reply = http.delete(path)
                if reply.status_code != 409:  # it may have ended meanwhile
                    reply.raise_for_status()
                return http.get(path).raise_for_status().json()["items"]
            time.sleep(5)


def resumes_by_the_saved_id(base_url, api_key, urls):
    """The first run dies after a look; the second takes up the batch whose id it finds."""
    state = {}

    def run(dies):
        with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}) as http:
            if "batch" not in state:
                state["batch"] = (
                    http.post("/batch/scrape", json={"urls": urls}).raise_for_status().json()["batchId"]
                )
            for _ in range(40):
                batch = http.get(f"/batch/scrape/{state['batch']}").raise_for_status().json()
                if batch["status"] in TERMINAL:
                    return batch["items"]
                if dies:
                    raise KeyboardInterrupt
                time.sleep(5)
            return None

    try:
        run(dies=True)
    except KeyboardInterrupt:
        time.sleep(20)
    return run(dies=False)


def resumes_with_what_is_missing(base_url, api_key, urls):
    """Two runs with a file of pages that are done; the second submits the others only, and only if any."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "done.json")
        file.write_text("{}")
        for _ in range(2):
            done = json.loads(file.read_text())
            todo = [url for url in urls if url not in done]
            if not todo:
                break
            with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}) as http:
                batch_id = (
                    http.post("/batch/scrape", json={"urls": todo}).raise_for_status().json()["batchId"]
                )
                for _ in range(60):
                    time.sleep(4)
                    batch = http.get(f"/batch/scrape/{batch_id}").raise_for_status().json()
                    if batch["status"] in TERMINAL:
                        break
                else:
                    raise TimeoutError(batch_id)
            done |= {item["url"]: item["result"] for item in batch["items"] if item["status"] == "completed"}
            file.write_text(json.dumps(done))
        return done


def chunk_after_chunk(base_url, api_key, urls, size=4):
    """Never more than one chunk at a time."""
    results = []
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}) as http:
        for at in range(0, len(urls), size):
            batch_id = (
                http.post("/batch/scrape", json={"urls": urls[at : at + size]})
                .raise_for_status()
                .json()["batchId"]
            )
            for _ in range(30):
                batch = http.get(f"/batch/scrape/{batch_id}").raise_for_status().json()
                if batch["status"] in TERMINAL:
                    break
                time.sleep(5)
            results += batch["items"]
    return results


def all_chunks_then_all_looks(base_url, api_key, urls):
    """Submit all chunks, then go round them every five seconds, in a round only those that have not ended."""
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}) as http:
        chunks = [urls[at : at + 3] for at in range(0, len(urls), 3)]
        open_ones = []
        for chunk in chunks:
            reply = http.post("/batch/scrape", json={"urls": chunk})
            if reply.status_code == 429:
                time.sleep(
                    float(reply.headers.get("retry-after", 60))
                    if "," not in reply.headers.get("retry-after", "")
                    else 60
                )
                reply = http.post("/batch/scrape", json={"urls": chunk})
            open_ones.append(reply.raise_for_status().json()["batchId"])
        items = []
        for _ in range(40):
            for batch_id in list(open_ones):
                batch = http.get(f"/batch/scrape/{batch_id}").raise_for_status().json()
                if batch["status"] in TERMINAL:
                    open_ones.remove(batch_id)
                    items += batch["items"]
            if not open_ones:
                break
            time.sleep(5)
        return items


def list_poller(base_url, api_key, urls):
    """Poll the list until the batch has ended there, then fetch it once."""
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}) as http:
        batch_id = http.post("/batch/scrape", json={"urls": urls}).raise_for_status().json()["batchId"]
        for _ in range(40):
            jobs = http.get("/batch/scrape").raise_for_status().json()["jobs"]
            mine = next(job for job in jobs if job["uuid"] == batch_id)
            if mine["status"] in TERMINAL:
                return http.get(f"/batch/scrape/{batch_id}").raise_for_status().json()["items"]
            time.sleep(5)
        return None


def dashboard_of_three_batches(base_url, api_key, urls):
    """Three batches, watched by their list alone; it shows those that have ended for as long as one has not."""
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}) as http:
        ids = set()
        for part in (urls[:1], urls[1:3], urls[3:]):
            ids.add(http.post("/batch/scrape", json={"urls": part}).raise_for_status().json()["batchId"])
            time.sleep(1)
        for _ in range(30):
            jobs = http.get("/batch/scrape?limit=50").raise_for_status().json()["jobs"]
            if all(job["status"] in TERMINAL for job in jobs if job["uuid"] in ids):
                return jobs
            time.sleep(10)
        return None


def ever_longer_intervals(base_url, api_key, urls):
    """Look after 1, 2, 4 … seconds, at most 30."""
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}) as http:
        batch_id = http.post("/batch/scrape", json={"urls": urls}).raise_for_status().json()["batchId"]
        interval = 1.0
        for _ in range(14):
            time.sleep(interval)
            batch = http.get(f"/batch/scrape/{batch_id}").raise_for_status().json()
            if batch["status"] in TERMINAL:
                return batch["items"]
            interval = min(interval * 2, 30)
        return None


def checks_the_key_first(base_url, api_key, urls):
    """Ask for the list to see that the key is good, and look at the batch afterwards."""
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}) as http:
        http.get("/batch/scrape", params={"limit": 1}).raise_for_status()
        batch_id = http.post("/batch/scrape", json={"urls": urls}).raise_for_status().json()["batchId"]
        for _ in range(50):
            time.sleep(3)
            reply = http.get(f"/batch/scrape/{batch_id}")
            if reply.status_code == 404:  # just accepted, and not everywhere yet
                time.sleep(3)
                reply = http.get(f"/batch/scrape/{batch_id}")
            if reply.raise_for_status().json()["status"] in TERMINAL:
                return reply.json()["items"]
        return None


def documented_loop(base_url, api_key, urls, attempts=3):
    """The retry loop of the API's documentation, in Python: it looks at no status code."""
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}) as http:
        batch_id = http.post("/batch/scrape", json={"urls": urls}).json().get("batchId")
        for attempt in range(1, attempts + 1):
            while True:
                batch = http.get(f"/batch/scrape/{batch_id}").json()
                if batch["status"] in TERMINAL:
                    break
                time.sleep(3)
            if batch["failedCount"] == 0:
                break
            if attempt < attempts:
                http.post(f"/batch/scrape/{batch_id}/retry")
        return http.get(f"/batch/scrape/{batch_id}").json()["items"]


def report_and_archive(base_url, api_key, urls):
    """When all is done, the report fetches the batch, and so does the archive."""
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}) as http:
        path = (
            "/batch/scrape/"
            + http.post("/batch/scrape", json={"urls": urls}).raise_for_status().json()["batchId"]
        )
        for _ in range(60):
            if http.get(path).raise_for_status().json()["status"] in TERMINAL:
                break
            time.sleep(5)
        else:
            raise TimeoutError(path)
        report = [item["status"] for item in http.get(path).raise_for_status().json()["items"]]
        archive = http.get(path).raise_for_status().text
        return report, archive


def failed_pages_in_a_batch_of_their_own(base_url, api_key, urls):
    """What failed costs nothing, so it may as well be submitted anew, twice at most."""
    results, todo = {}, urls
    with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}) as http:
        for _ in range(3):
            batch_id = http.post("/batch/scrape", json={"urls": todo}).raise_for_status().json()["batchId"]
            for _ in range(40):
                batch = http.get(f"/batch/scrape/{batch_id}").raise_for_status().json()
                if batch["status"] in TERMINAL:
                    break
                time.sleep(4)
            else:
                return results
            results |= {item["url"]: item for item in batch["items"]}
            todo = [item["url"] for item in batch["items"] if item["status"] == "failed"]
            if not todo:
                return results
    return results


def price_monitor(base_url, api_key, urls):
    """The same pages every hour: prices change."""
    for _ in range(3):
        with httpx.Client(base_url=base_url, headers={"x-api-key": api_key}) as http:
            try:
                batch_id = (
                    http.post("/batch/scrape", json={"urls": urls, "prompt": "price"})
                    .raise_for_status()
                    .json()["batchId"]
                )
                for _ in range(30):
                    time.sleep(10)
                    batch = http.get(f"/batch/scrape/{batch_id}").raise_for_status().json()
                    if batch["status"] in TERMINAL:
                        break
            except (httpx.HTTPError, ValueError) as error:
                print(f"no prices this time: {error!r}")
        time.sleep(3600)


def nightly_job_that_tries_again_tomorrow(base_url, api_key, urls):
    """A night that went wrong is over; the next night begins anew, and has nothing to do with it."""
    for _ in range(2):
        try:
            return plain_script(base_url, api_key, urls)
        except (httpx.HTTPError, ValueError, TimeoutError):
            time.sleep(86_400)
    return None
