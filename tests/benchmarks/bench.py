"""What the plugin costs, as ratios measured side by side in one run: ``python tests/benchmarks/bench.py``.

Nothing here is asserted: a machine is as fast as it is. Each row compares two ways of doing the same thing, in turn,
and gives the medians in microseconds and their ratio.
"""

from __future__ import annotations

import statistics
import sys
import time
from contextlib import contextmanager

import httpx
import respx

from pytest_spidra.clock.virtual import VirtualClock
from pytest_spidra.sessions.fake_sessions import FakeSession
from pytest_spidra.settings import Settings
from pytest_spidra.verdicts.rules.judge import judge

BASE_URL = "https://api.spidra.io/api"
URLS = [f"https://shop.example/{number}" for number in range(50)]
HEADERS = {"x-api-key": "k"}
ROUNDS = 31


@contextmanager
def session(**settings):
    """Yield an open session."""
    session = FakeSession(Settings(base_url=BASE_URL, request_limit=10_000, **settings))
    session.open()
    try:
        yield session
    finally:
        session.close()


def empty_session():
    """Open and close a session: what a test pays that only asks for the fixture."""
    with session():
        pass


def empty_clock():
    """Start and stop a virtual clock."""
    clock = VirtualClock()
    clock.start()
    clock.stop()


def empty_respx():
    """Open and close respx with five routes, which is what a test would need without the plugin."""
    with respx.mock(base_url=BASE_URL, assert_all_called=False) as router:
        router.post("/batch/scrape").respond(202)
        router.get("/batch/scrape").respond(200)
        router.get("/batch/scrape/x").respond(200)
        router.delete("/batch/scrape/x").respond(200)
        router.post("/batch/scrape/x/retry").respond(202)


def new_client_shared():
    """Make a client while the interceptor is attached."""
    with session(clock="real"):
        httpx.Client().close()


def new_client_alone():
    """Make a client without it."""
    httpx.Client().close()


def poll(client, times=50):
    """Send 50 polls."""
    for _ in range(times):
        client.get(f"{BASE_URL}/batch/scrape/00000001-0000-4000-8000-000000000000", headers=HEADERS)


def polls_of_ours():
    """Send 50 polls of a batch of 50 to the fake."""
    with session() as opened:
        opened.factory(URLS)
        poll(CLIENT)


def polls_of_respx():
    """Send 50 polls to a respx route with a body as long."""
    with respx.mock(base_url=BASE_URL, assert_all_called=False) as router:
        router.get(url__regex=r".*/batch/scrape/[^/]+").respond(200, content=BODY)
        poll(CLIENT)


def judged():
    """Send 50 polls and judge them."""
    with session() as opened:
        opened.factory(URLS)
        poll(CLIENT)
        judge(opened.mock.exchanges)


CLIENT = httpx.Client()
with session() as first:
    BODY = CLIENT.get(f"{BASE_URL}/batch/scrape/{first.factory(URLS).id}", headers=HEADERS).content

ROWS = [
    ("a test that only asks for spidra_mock / for respx with five routes", empty_session, empty_respx),
    ("  of which the virtual clock", empty_clock, empty_session),
    ("a client made inside (session included) / outside", new_client_shared, new_client_alone),
    ("50 polls of a batch of 50: ours / respx", polls_of_ours, polls_of_respx),
    ("  with the rules / without", judged, polls_of_ours),
]


def measure(function):
    """Return microseconds."""
    begun = time.perf_counter()
    function()
    return (time.perf_counter() - begun) * 1e6


def main():
    """Print the table."""
    sys.stdout.write(f"{'':<70} {'first':>9} {'second':>9} {'ratio':>7}\n")
    for name, first, second in ROWS:
        pairs = [(measure(first), measure(second)) for _ in range(ROUNDS)]
        one, other = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(a / b for a, b in pairs)
        sys.stdout.write(f"{name:<70} {one:>7.0f}us {other:>7.0f}us {ratio:>7.3f}\n")


if __name__ == "__main__":
    main()
