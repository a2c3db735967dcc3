"""A second implementation of the batch API, written from its documentation alone: nothing of the fake is in it.

Pages of ``flaky.example`` fail in their first attempt, pages of ``gone.example`` in every one. Work goes on with each look.
"""

from __future__ import annotations

import json
import re
import threading
import uuid
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PRICE = 2
HELD = {"startedAt": None, "finishedAt": None, "jobId": None, "result": None, "error": None, "creditsUsed": 0}


def today():
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def error(status, message, code=None, **more):
    return status, {"status": "error", "message": message, **({"code": code} if code else {}), **more}, {}


class SecondApi(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    batches: dict = {}  # noqa: RUF012 - each server makes a class of its own
    busy: list = []  # noqa: RUF012 - likewise; errors to give before anything else
    credits = 1000

    def do_POST(self):
        self.answer(self.submit if self.path == "/api/batch/scrape" else self.retry)

    def do_GET(self):
        self.answer(self.list if re.match(r"/api/batch/scrape(\?|$)", self.path) else self.look)

    def do_DELETE(self):
        self.answer(self.cancel)

    def answer(self, deed):
        self.sent = self.rfile.read(int(self.headers.get("content-length", 0)))
        key = self.headers.get("x-api-key") or self.headers.get("authorization", "").removeprefix("Bearer ")
        self.batch = self.batches.get(self.path.split("/")[4]) if self.path.count("/") > 3 else None
        if not key.startswith("spd_"):
            status, body, headers = error(401, "Invalid token or API key")
        elif self.busy:
            status, body, headers = self.busy.pop(0)
        elif self.batch is None and deed not in (self.submit, self.list):
            status, body, headers = error(404, "No such batch.")
        else:
            status, body, headers = deed()
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {
            "content-type": "application/json",
            **headers,
            "content-length": len(content),
        }.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(content)

    def submit(self):
        urls = json.loads(self.sent).get("urls", [])
        if not urls or len(urls) > 50 or not all(url.startswith("http") for url in urls):
            return error(422, "Request validation failed.", errors=["Between 1 and 50 URLs are required."])
        if len(urls) * PRICE > self.credits:
            return error(403, "You have exceeded your monthly credit limit.")
        items = [{"uuid": str(uuid.uuid4()), "url": url, "status": "pending", **HELD} for url in urls]
        batch = {"status": "pending", "items": items, "createdAt": today(), "finishedAt": None, "rounds": 1}
        self.batches[batch_id := str(uuid.uuid4())] = batch
        location = {"location": f"/api/batch/scrape/{batch_id}"}
        return 202, {"status": "queued", "batchId": batch_id, "total": len(urls)}, location

    def look(self):
        body = self.shown(self.batch)
        self.work(self.batch)
        return 200, {**body, "items": [dict(item, screenshotUrl=None) for item in body["items"]]}, {}

    def shown(self, batch):
        items = [dict(item) for item in batch["items"]]
        done, failed = (sum(item["status"] == word for item in items) for word in ("completed", "failed"))
        counts = {"totalUrls": len(items), "completedCount": done, "failedCount": failed}
        dates = {"createdAt": batch["createdAt"], "finishedAt": batch["finishedAt"]}
        return {"status": batch["status"], **counts, "items": items, **dates}

    def work(self, batch):
        """End the oldest page in work, and begin the next two."""
        running = [item for item in batch["items"] if item["status"] == "running"]
        for item in running[:1]:
            bad = "gone." in item["url"] or ("flaky." in item["url"] and batch["rounds"] == 1)
            end = {"error": "Timeout"} if bad else {"result": {"title": item["url"]}, "creditsUsed": PRICE}
            item.update(status="failed" if bad else "completed", finishedAt=today(), **end)
        if batch["status"] == "cancelled":
            return
        for item in [item for item in batch["items"] if item["status"] == "pending"][: 2 - len(running[1:])]:
            item.update(status="running", startedAt=today(), jobId=f"bull:{item['uuid'][:8]}")
        done = all(item["status"] in ("completed", "failed") for item in batch["items"])
        batch.update(status="completed" if done else "running", finishedAt=today() if done else None)

    def list(self):
        asked = dict(part.split("=") for part in self.path.partition("?")[2].split("&") if "=" in part)
        page, limit = int(asked.get("page", 1)), min(int(asked.get("limit", 20)), 50)
        jobs = []
        for batch_id, batch in reversed(self.batches.items()):
            told = {name: value for name, value in self.shown(batch).items() if name != "items"}
            jobs.append({"uuid": batch_id, **told, "outputFormat": "json", "scrapingChannel": "api"})
        pages = {"page": page, "limit": limit, "total": len(jobs), "totalPages": -(-len(jobs) // limit)}
        return 200, {"jobs": jobs[(page - 1) * limit : page * limit], "pagination": pages}, {}

    def cancel(self):
        if self.batch["status"] in ("completed", "failed", "cancelled"):
            return error(409, "Cannot cancel a batch that is already completed.", "ALREADY_TERMINAL")
        waiting = [item for item in self.batch["items"] if item["status"] == "pending"]
        for item in waiting:
            item.update(status="cancelled", finishedAt=today())
        self.batch.update(status="cancelled", finishedAt=today())
        count = len(waiting)
        return 200, {"status": "cancelled", "cancelledItems": count, "creditsRefunded": PRICE * count}, {}

    def retry(self):
        failed = [item for item in self.batch["items"] if item["status"] == "failed"]
        if not failed:
            return error(400, "No failed items to retry.", "NO_FAILED_ITEMS")
        for item in failed:
            item.update(status="pending", **HELD)
        self.batch.update(status="running", finishedAt=None, rounds=self.batch["rounds"] + 1)
        return 202, {"status": "queued", "retriedCount": len(failed)}, {}

    def log_message(self, *args):
        pass


@contextmanager
def second_api(*busy, **settings):
    """Yield the base URL of a server of one's own; `busy` are the errors that its first requests get."""
    handler = type("Handler", (SecondApi,), {"batches": {}, "busy": list(busy), **settings})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/api"
    finally:
        server.shutdown()
        server.server_close()
