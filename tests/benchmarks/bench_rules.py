"""How long judging takes: ``python tests/benchmarks/bench_rules.py``.

Each row is a log of a kind that could make a rule slow; the columns are seconds for 5,000, 10,000 and 20,000
exchanges, so that a rule that is not linear shows.
"""

from __future__ import annotations

import sys
import time

from pytest_spidra.traffic.exchanges import Exchange
from pytest_spidra.traffic.log import ExchangeLog
from pytest_spidra.verdicts.rules.judge import judge

SIZES = (5_000, 10_000, 20_000)
SUBMIT = {"endpoint": "batch.submit", "method": "POST", "path": "/batch/scrape"}
GET = {"endpoint": "batch.get", "method": "GET", "path": "/batch/scrape/x", "batch_id": "x"}
LIST = {"endpoint": "batch.list", "method": "GET", "path": "/batch/scrape"}
JOBS = [{"uuid": f"b-{number}", "status": "running", "failedCount": 0} for number in range(20)]
RUNNING = {**GET, "seen": 200, "answered": 200, "seen_json": {"status": "running", "failedCount": 0}}


def poll(number):
    """One of fifty batches, polled in turn; in each round another page is completed."""
    done = number // 50 % 50
    items = [
        {"url": f"u-{place}", "status": "completed" if place < done else "running", "result": "x"}
        for place in range(50)
    ]
    batch = f"b-{number % 50}"
    body = {"status": "running", "completedCount": done, "failedCount": 0, "items": items}
    return {**GET, "path": f"/batch/scrape/{batch}", "batch_id": batch, "seen": 200, "seen_json": body}


def lost(number, url="u"):
    """A submit whose reply was lost."""
    body = {"urls": [url]}
    return {**SUBMIT, "batch_id": f"b-{number}", "request_json": body, "seen": "ReadTimeout", "answered": 202}


def refused(status, url="u"):
    """A submit that was refused."""
    return {**SUBMIT, "request_json": {"urls": [url]}, "seen": status, "answered": status, "seen_json": {}}


KINDS = {
    "50 batches polled in turn": poll,
    "the same submit, lost every time": lost,
    "other submits lost, another batch polled": lambda n: lost(n, f"u-{n}") if n % 2 else RUNNING,
    "the same submit, refused, credits moving": lambda _: refused(403),
    "other submits invalid, a batch polled": lambda n: refused(422, f"u-{n}") if n % 2 else RUNNING,
    "an ended batch polled for ever": lambda _: {**GET, "seen": 200, "seen_json": {"status": "completed"}},
    "a 503 hammered": lambda _: {**GET, "seen": 503, "answered": 503, "seen_json": {}},
    "the list polled": lambda _: {**LIST, "seen": 200, "seen_json": {"jobs": JOBS}},
}


def log_of(kind, size):
    """Return a log as the interceptor would have filled it."""
    log = ExchangeLog()
    for number in range(1, size + 1):
        at = number / 10
        common = {"number": number, "known": number, "sent_at": at, "seen_at": at}
        log._exchanges.append(Exchange(**common, headers={"x-api-key": "[key 1]"}, **kind(number)))
        if kind is KINDS["the same submit, refused, credits moving"]:
            log.changes.append(number // 2)
    return log


def main():
    """Print the table."""
    sys.stdout.write(f"{'':<44}" + "".join(f"{size:>10,}" for size in SIZES) + "\n")
    for name, kind in KINDS.items():
        sys.stdout.write(f"{name:<44}")
        for size in SIZES:
            log = log_of(kind, size)
            begun = time.perf_counter()
            judge(log)
            sys.stdout.write(f"{time.perf_counter() - begun:>10.2f}")
            sys.stdout.flush()
        sys.stdout.write("\n")


if __name__ == "__main__":
    main()
