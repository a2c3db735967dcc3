"""A careful runner on requests: urllib3's `Retry` sends looks again by itself, and no POST."""

import time
from datetime import datetime

import requests
from urllib3.util import Retry

TRIES, POLL, PATIENCE, LOOKS = 5, 3.0, 600.0, Retry(3, backoff_factor=1.0, status_forcelist=(500, 502, 504))


def run(urls, *, base_url, api_key, max_attempts=3):
    """Return the items of all URLs, failed ones included when `max_attempts` rounds could not heal them."""
    with requests.Session() as http:
        http.headers["x-api-key"], api = api_key, f"{base_url}/batch/scrape"
        http.mount(base_url, requests.adapters.HTTPAdapter(max_retries=LOOKS))
        parts = [urls[at : at + 50] for at in range(0, len(urls), 50)]
        return [one for part in parts for one in _run(http, api, part, max_attempts)]


def _run(http, api, urls, rounds):
    began, seen = time.time(), set()
    batch = _sure(http, "POST", api, lambda: _find(http, api, urls, began, seen), json={"urls": urls})
    url, deadline = f"{api}/{batch['batchId']}", time.monotonic() + PATIENCE
    for left in reversed(range(rounds)):
        while (batch := _sure(http, "GET", url))["status"] in ("pending", "running"):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{url} is still {batch['status']}: it goes on, and will be billed")
            time.sleep(POLL)
        if not left or batch["status"] != "completed" or not batch["failedCount"]:
            return batch["items"]
        _sure(http, "POST", f"{url}/retry", lambda: _sure(http, "GET", url), unlike=batch)


def _find(http, api, urls, began, seen):
    for job in _sure(http, "GET", f"{api}?limit=50")["jobs"]:
        if job["uuid"] not in seen and datetime.fromisoformat(job["createdAt"]).timestamp() > began - 60:
            seen.add(job["uuid"])
            if [item["url"] for item in _sure(http, "GET", f"{api}/{job['uuid']}")["items"]] == urls:
                return {"batchId": job["uuid"]}


def _sure(http, method, url, done=None, *, json=None, unlike=None):
    for wait in (2.0**attempt for attempt in range(TRIES)):
        try:
            reply = http.request(method, url, json=json, timeout=30)
            if reply.status_code < 500 and reply.status_code != 429:
                return reply.raise_for_status() or reply.json()
            asked = reply.headers.get("retry-after") or reply.json().get("retry_after", 0)
            wait = max(wait, min(float(asked), 60))
        except ValueError:
            wait = 30.0  # half a body, a page of HTML, a date to wait for: it is long enough for whatever was asked
        except requests.RequestException as error:
            if isinstance(error, requests.HTTPError):
                raise
        time.sleep(wait)
        if done and (found := done()) and found != unlike:
            return found
    raise RuntimeError(f"{method} {url} has failed {TRIES} times")
