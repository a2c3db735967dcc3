"""How long a long cassette takes: ``python tests/benchmarks/bench_replay.py``.

Saving, loading and playing, each in seconds, for 500 and 5,000 interactions, and their ratio; for each kind of
cassette. Then the same by vcrpy alone, at sizes that it can still do, for its playing grows with the square.
"""

from __future__ import annotations

import itertools
import tempfile
import time
from pathlib import Path

import vcr
from vcr.cassette import Cassette
from vcr.record_mode import RecordMode
from vcr.request import Request as VcrRequest

from pytest_spidra.cassettes.files import Format, Times
from pytest_spidra.cassettes.player import Player
from pytest_spidra.messages import Reply, Request

BASE_URL = "http://127.0.0.1:8123/api"
KEY = "spd_" + "benchmark"
HEADERS = {"x-api-key": KEY, "host": "127.0.0.1:8123", "user-agent": "python-httpx"}
SIZES = (500, 5_000)
SIZES_OF_VCRPY = (100, 1_000)


def batch(number):
    return f"{number:08x}-0000-4000-8000-000000000000"


def submit(number):
    body = b'{"urls":["https://a.example/%d"]}' % number
    reply = Reply.of(202, {"status": "queued", "batchId": batch(number), "total": 1})
    return Request("POST", "/batch/scrape", headers=HEADERS, content=body), reply


def look(number, items=5):
    body = {
        "status": "running",
        "totalUrls": items,
        "completedCount": 0,
        "failedCount": 0,
        "items": [
            {"uuid": batch(place), "url": f"https://a.example/{place}", "status": "pending", "result": None}
            for place in range(items)
        ],
    }
    return Request("GET", f"/batch/scrape/{batch(number)}", headers=HEADERS), Reply.of(200, body)


KINDS = {
    "one batch polled": lambda size: [submit(0), *(look(0) for _ in range(size - 1))],
    "eight batches polled in turn": lambda size: [
        *map(submit, range(8)),
        *(look(place % 8) for place in range(size - 8)),
    ],
    "a submit after the other": lambda size: list(map(submit, range(size))),
}


def timed(function, *args, **kwargs):
    begun = time.perf_counter()
    result = function(*args, **kwargs)
    return time.perf_counter() - begun, result


def play(player, requests):
    for request in requests:
        player.answer(request)


def ours(path, pairs, *, in_a_row):
    """Return the seconds that saving, loading and playing took."""
    interactions = [
        (request, reply, Times(3.0 * place, 0.1, place + 1, "2026-11-23T12:00:00Z", not in_a_row))
        for place, (request, reply) in enumerate(pairs)
    ]
    form = Format({})
    saving, _ = timed(form.write, path, interactions, BASE_URL, [KEY])

    def load():
        return Player(form.read(path, BASE_URL), form, base_url=BASE_URL, keys=[KEY], again="", paced=True)

    loading, player = timed(load)
    playing, _ = timed(play, player, [request for request, _ in pairs])
    assert player.unplayed is None
    return saving, loading, playing


def theirs(path, pairs):
    """Return what vcrpy alone takes."""
    requests = [
        VcrRequest(request.method, BASE_URL + request.target, request.content, HEADERS)
        for request, _ in pairs
    ]

    def save():
        cassette = Cassette(str(path), **settings)
        for request, (_, reply) in zip(requests, pairs, strict=True):
            body = {"string": reply.content}
            cassette.append(request, {"status": {"code": 200, "message": "OK"}, "headers": {}, "body": body})
        cassette._save(force=True)

    def play():
        for request in requests:
            cassette.play_response(request)

    merged = vcr.VCR(record_mode=RecordMode.NONE).get_merged_config()
    names = ("serializer", "persister", "match_on", "record_mode")
    settings = {name: merged[name] for name in names}
    saving, _ = timed(save)
    loading, cassette = timed(Cassette.load, path=str(path), **settings)
    playing, _ = timed(play)
    return saving, loading, playing


def show(name, sizes, run):
    sums = []
    for size in sizes:
        saving, loading, playing = run(size)
        sums.append(saving + loading + playing)
        print(  # noqa: T201 - a benchmark talks
            f"{name:<38} {size:>6} {saving:>8.2f} {loading:>8.2f} {playing:>8.2f} {sums[-1]:>8.2f}",
            *([f"   x {sums[-1] / sums[0]:.1f}"] if len(sums) > 1 else []),
        )


def main():
    print(  # noqa: T201 - a benchmark talks
        f"{'':<38} {'number':>6} {'saving':>8} {'loading':>8} {'playing':>8} {'all':>8}   for ten times as many"
    )
    files = itertools.count()
    with tempfile.TemporaryDirectory() as folder:

        def path():
            return Path(folder) / f"{next(files)}.yaml"

        for name, kind in KINDS.items():
            show(f"{name}", SIZES, lambda size, kind=kind: ours(path(), kind(size), in_a_row=True))
            show(f"{name}, at once", SIZES, lambda size, kind=kind: ours(path(), kind(size), in_a_row=False))
        for name, kind in KINDS.items():
            show(f"{name}, vcrpy", SIZES_OF_VCRPY, lambda size, kind=kind: theirs(path(), kind(size)))


if __name__ == "__main__":
    main()
