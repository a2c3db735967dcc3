"""What long cassettes cost, and how it grows: ``python tests/benchmarks/bench_replay.py``.

Ten times as many interactions are to cost at most twenty times as much, and 5,000 less than five seconds, saving,
loading and playing together. That is said beside each pair, not asserted: a machine is as fast as it is. Seconds are
those of the processor, which is what replays take: they wait for nothing.
The second table shows vcrpy alone beside it, with fewer interactions, for its replay is quadratic.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
import time
from pathlib import Path

import httpx
import vcr

from pytest_spidra.cassettes.format import Format
from pytest_spidra.cassettes.recording import Times
from pytest_spidra.sessions.cassette_sessions import Cassette, ReplaySession
from pytest_spidra.settings import Settings
from pytest_spidra.traffic.reply import Reply
from pytest_spidra.traffic.request import Request

BASE_URL = "https://api.spidra.io/api"
KEY = "spd_" + "benchmark"
HEADERS = {"x-api-key": KEY, "content-type": "application/json"}
SMALL, LARGE = 500, 5_000
MOST_TIMES, MOST_SECONDS = 20, 5.0
BESIDE = (50, 100, 200, 400)
ROUNDS = 3


def exchanges(count, looks):
    """Return requests and replies: batches one after the other, each submitted and looked at so many times."""
    done = []
    for number in itertools.count():
        batch = f"00000001-0000-4000-8000-{number:012}"
        body = f'{{"urls": ["https://shop.example/{number}"]}}'.encode()
        reply = Reply.of(202, {"status": "queued", "batchId": batch, "total": 1})
        done.append((Request("POST", "/batch/scrape", headers=HEADERS, content=body), reply))
        items = [
            {"uuid": batch, "url": f"https://shop.example/{number}", "status": "running", "result": None}
        ]
        look = {"status": "running", "totalUrls": 1, "completedCount": 0, "failedCount": 0, "items": items}
        done += [(Request("GET", f"/batch/scrape/{batch}", headers=HEADERS), Reply.of(200, look))] * looks
        if len(done) >= count:
            return done[:count]
    raise AssertionError


def sent(done):
    """Send the requests and take in what comes back."""
    with httpx.Client() as client:
        for request, reply in done:
            url = BASE_URL + request.target
            response = client.request(request.method, url, headers=HEADERS, content=request.content)
            if response.json() != reply.json:
                message = f"{request} was answered with {response.text}"
                raise AssertionError(message)


def ours(done, config, folder):
    """Save a cassette, load and play it; return the seconds of each, loading being part of the session."""
    path = folder / "ours"
    format_ = Format(config)
    file = path.with_suffix(format_.suffix)
    with_times = [
        (request, reply, Times(float(number), 0.0, number, "2026-11-20T00:00:00Z"))
        for number, (request, reply) in enumerate(done, 1)
    ]
    begun = time.process_time()
    format_.write(file, with_times, BASE_URL, [KEY])
    saved = time.process_time()
    settings = Settings(base_url=BASE_URL, request_limit=10**6, fixture="spidra_api")
    session = ReplaySession(settings, Cassette(path, config, "bench", time.time(), "bench"))
    loaded = time.process_time()
    session.open()
    try:
        sent(done)
    finally:
        session.close()
    if reasons := session.failures:
        raise AssertionError(reasons)
    return saved - begun, loaded - saved, time.process_time() - loaded


def vcrpy(done, config, folder):
    """Do the same with vcrpy alone."""
    file = folder / ("theirs.json" if config else "theirs.yaml")
    with_times = [
        (request, reply, Times(float(number), 0.0, number, "2026-11-20T00:00:00Z"))
        for number, (request, reply) in enumerate(done, 1)
    ]
    Format(config).write(file, with_times, BASE_URL, [KEY])
    begun = time.process_time()
    with vcr.use_cassette(str(file), record_mode="none", **config) as cassette:
        loaded = time.process_time()
        sent(done)
    played = time.process_time()
    cassette._save(force=True)
    return time.process_time() - played, loaded - begun, played - loaded


def best(work, *args):
    """Return the shortest times of each part."""
    rounds = [work(*args) for _ in range(ROUNDS)]
    return [min(part) for part in zip(*rounds, strict=True)]


def row(name, count, parts):
    """Print a line."""
    columns = "".join(f"{part:>9.3f}" for part in (*parts, sum(parts)))
    sys.stdout.write(f"{name:<44}{count:>7}{columns}\n")


def main():
    """Print both tables."""
    head = f"{'seconds':<44}{'':>7}{'save':>9}{'load':>9}{'play':>9}{'all':>9}\n"
    sys.stdout.write(head)
    shapes = {"one batch, looked at on and on": 10**6, "many batches of nine looks each": 9}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for (shape, looks), config in itertools.product(shapes.items(), ({}, {"serializer": "json"})):
            kind = "JSON" if config else "YAML"
            totals = []
            for count in (SMALL, LARGE):
                parts = best(ours, exchanges(count, looks), config, folder)
                row(f"{shape}, {kind}", count, parts)
                totals.append(sum(parts))
            ratio = totals[1] / totals[0]
            good = ratio <= MOST_TIMES and totals[1] < MOST_SECONDS
            sys.stdout.write(f"{'':<44}  times {ratio:.1f}  {'good' if good else 'TOO SLOW'}\n")
        sys.stdout.write(f"\n{head}")
        for count in BESIDE:
            done = exchanges(count, 9)
            for who, work in (("ours", ours), ("vcrpy alone", vcrpy)):
                row(f"{who}, many batches, JSON", count, best(work, done, {"serializer": "json"}, folder))


if __name__ == "__main__":
    main()
