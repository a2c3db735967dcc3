"""A careful runner in parts, and runners with one bug each: every one of them overrides just what is wrong in it."""

from __future__ import annotations

import time
from datetime import datetime
from email.utils import parsedate_to_datetime

import httpx

BATCHES = "/batch/scrape"
TERMINAL = ("completed", "failed", "cancelled")


class Careful:
    most, tries, poll, patience = 50, 5, 3.0, 600.0
    last_statuses = TERMINAL

    def __call__(self, urls, *, base_url, api_key, max_attempts):
        with httpx.Client(base_url=base_url, headers=self.key(api_key), timeout=30) as client:
            mine = type(self)()  # each run has a state of its own
            mine.client, mine.api_key, mine.others = client, api_key, set()
            return mine.whole(urls, max_attempts)

    def key(self, api_key):
        return {"x-api-key": api_key}

    def whole(self, urls, rounds):
        parts = [urls[start : start + self.most] for start in range(0, len(urls), self.most)]
        return [item for part in parts for item in self.scrape(part, rounds)]

    def scrape(self, urls, rounds):
        path = f"{BATCHES}/{self.submit(urls)}"
        batch = self.finished(path)
        for _ in range(self.retries(rounds)):
            if self.to_retry(batch):
                self.retry(path, batch)
                batch = self.merged(batch, self.finished(path))
        return self.result(urls, batch)

    def retries(self, rounds):
        return rounds - 1

    def to_retry(self, batch):
        return batch["status"] == "completed" and batch["failedCount"]

    def merged(self, before, batch):
        return batch

    def result(self, urls, batch):
        return batch["items"]

    def submit(self, urls):
        began = time.time()
        return self.sure("POST", BATCHES, lambda: self.find(urls, began), {"urls": urls})["batchId"]

    def retry(self, path, batch):
        self.sure("POST", f"{path}/retry", lambda: self.read(path) != batch)

    def read(self, path):
        return self.sure("GET", path)

    def finished(self, path):
        deadline = time.monotonic() + self.patience
        while not self.ended(batch := self.read(path)):
            if time.monotonic() > deadline:
                raise TimeoutError(path)
            time.sleep(self.poll)
        return batch

    def ended(self, batch):
        return batch["status"] in self.last_statuses

    def find(self, urls, began):
        for job in self.sure("GET", f"{BATCHES}?limit=50")["jobs"]:
            if job["uuid"] not in self.others and self.is_mine(job, urls, began):
                return {"batchId": job["uuid"]}
        return None

    def is_mine(self, job, urls, began):
        young = datetime.fromisoformat(job["createdAt"]).timestamp() > began - 60
        self.others.add(job["uuid"])
        return young and [item["url"] for item in self.read(f"{BATCHES}/{job['uuid']}")["items"]] == urls

    def sure(self, method, path, done=lambda: None, json=None):
        for attempt in range(self.tries):
            reply, wait = None, self.backoff(attempt)
            try:
                reply = self.client.request(method, path, json=json)
                if reply.is_success:
                    return self.body(reply)
                if self.permanent(reply):
                    break
                wait = max(wait, min(self.asked(reply), 60.0))
            except self.transient:
                pass
            if self.never_again(method, path, reply):
                break
            time.sleep(wait)
            if self.looks_first(method, path, reply) and (found := done()):
                return found
        return self.give_up(method, path, reply)

    transient = (httpx.TransportError, ValueError, AttributeError)

    def backoff(self, attempt):
        return 2.0**attempt

    def body(self, reply):
        return reply.json()

    def permanent(self, reply):
        return reply.status_code < 500 and reply.status_code != 429

    def asked(self, reply):
        return self.seconds(reply.headers.get("retry-after") or reply.json().get("retry_after") or 0)

    def seconds(self, text):
        try:
            return float(text)
        except ValueError:
            return parsedate_to_datetime(text).timestamp() - time.time()

    def never_again(self, method, path, reply):
        return False

    def looks_first(self, method, path, reply):
        return True

    def give_up(self, method, path, reply):
        raise RuntimeError(f"{method} {path}: {reply.status_code if reply is not None else 'no reply'}")
