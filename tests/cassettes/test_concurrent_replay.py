"""Eight batches at once: whatever the order in which replies come, each request has its own recorded reply."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from crowds import CROWDS
from real_server import inner_fixture, notes_fixture, served  # noqa: F401 - fixtures, by other names

pytestmark = pytest.mark.slow

REPLAYS = 16

BODIES = {
    "different": [{"urls": [f"https://shop.example/{number}"]} for number in range(8)],
    "identical": [{"urls": ["https://shop.example/"], "prompt": "prices"}] * 8,
}

# Replies take their time at random, and batches take one to three looks.
SLOW = """
chance = random.Random(7)
batch.submit.script(*[ok(after=round(chance.uniform(0, 0.12), 3)) for _ in range(60)])
batch.get.script(*[ok(after=round(chance.uniform(0, 0.08), 3)) for _ in range(3)])
for number in range(8):
    url = f"https://shop.example/{number}"
    batch.outcomes({url: completed({"page": url}, after_polls=1 + number % 3)})
"""

RUNS = SimpleNamespace(count=1, crowd="")
"""What the module below is to do; it runs in this process."""

MODULE = """
import asyncio, inspect, random
import pytest, vcr
from types import SimpleNamespace
from crowds import CROWDS
from real_server import KEY, note
from test_concurrent_replay import BODIES, RUNS

def crowded(api, bodies, order):
    found = CROWDS[RUNS.crowd](api, BODIES[bodies], order)
    found = asyncio.run(found) if inspect.iscoroutine(found) else found
    return [found[place] for place in range(8)]

@pytest.mark.parametrize("run", range(RUNS.count))
@pytest.mark.parametrize("bodies", BODIES)
def test_spidra(request, bodies, run):
    request.applymarker(pytest.mark.spidra(cassette=bodies, modes="replay"))
    api = request.getfixturevalue("spidra_api")
    order = list(range(8))
    if run:
        random.Random(run).shuffle(order)  # the tasks begin in another order
    note(api.mode, f"{bodies} {run}", crowded(api, bodies, order))

@pytest.mark.parametrize("bodies", BODIES)
def test_vcrpy(pytestconfig, bodies):
    api = SimpleNamespace(base_url=pytestconfig.getini("spidra_base_url"), api_key=KEY)
    with vcr.use_cassette(f"cassettes/{bodies}.yaml"):
        note("record", f"{bodies} 0", crowded(api, bodies, range(8)))
"""


@pytest.fixture
def swaps(inner, pytester, monkeypatch, notes):
    """Record a crowd with one of the two tests, replay it many times over; return what differs."""

    def run(base_url, *args):
        outcomes = inner(MODULE, base_url, *args).parseoutcomes()
        assert set(outcomes) <= {"passed", "deselected", "warnings"}
        return outcomes["passed"]

    def swaps(crowd, recorder, *args):
        monkeypatch.setattr(RUNS, "crowd", crowd)
        pytester.mkdir("cassettes")
        with served(pytester.path, SLOW) as base_url:
            assert run(base_url, "-k", recorder, *args) == len(BODIES)
        monkeypatch.setattr(RUNS, "count", REPLAYS)
        assert run(base_url, "-k", "test_spidra") == REPLAYS * len(BODIES)
        recorded, replayed = notes["record"], notes["replay"]
        assert len(replayed) == REPLAYS * len(BODIES)
        found = []
        for name, results in replayed.items():
            was = recorded[f"{name.split()[0]} 0"]
            if name.startswith("identical"):
                # Who submits the same as others has any of the batches, but nobody else's and a whole one.
                was, results = sorted(was, key=str), sorted(results, key=str)  # noqa: PLW2901 - the same, in order
            found += [(name, *pair) for pair in zip(was, results, strict=True) if pair[0] != pair[1]]
        return found

    return swaps


@pytest.mark.parametrize("crowd", CROWDS)
def test_each_batch_has_its_own_replies_in_every_replay(swaps, crowd):
    """Sixteen replays, fifteen of them with the tasks begun in another order."""
    assert swaps(crowd, "test_spidra", "--spidra-record=all") == []


@pytest.mark.parametrize("crowd", ["gathered_httpx", "threads_of_httpx"])
def test_each_batch_has_its_own_replies_from_a_cassette_of_vcrpy(swaps, crowd):
    """There is no telling when its requests were sent, and nothing is held against the order they come in."""
    assert swaps(crowd, "test_vcrpy") == []


TWO_TASKS = """
import asyncio, os
import httpx
import pytest
from crowds import in_threads

async def in_tasks(api, turns):
    async with httpx.AsyncClient(base_url=api.base_url, headers={"x-api-key": api.api_key}) as client:
        async def one(number):
            await asyncio.sleep(0.1 * turns.index(number))
            await client.post("/batch/scrape", json={"urls": [f"https://shop.example/{number}"]})
        await asyncio.gather(one(0), one(1))

def in_two_threads(api, turns):
    with httpx.Client(base_url=api.base_url, headers={"x-api-key": api.api_key}) as client:
        for number in turns:
            in_threads(lambda it: client.post("/batch/scrape", json={"urls": [f"https://shop.example/{it}"]}), [number])

@pytest.mark.parametrize("kind", ["tasks", "threads"])
@pytest.mark.spidra(modes="replay")
def test_it(spidra_api, kind):
    turns = [0, 1] if spidra_api.mode == "record" else [1, 0]
    asyncio.run(in_tasks(spidra_api, turns)) if kind == "tasks" else in_two_threads(spidra_api, turns)
"""


def test_tasks_and_threads_that_happened_to_take_turns_may_take_them_in_another_order(inner, pytester):
    """With a quick server no two of their requests were under way at once; that was luck, and no order."""
    with served(pytester.path) as base_url:
        inner(TWO_TASKS, base_url, "--spidra-record=all").assert_outcomes(passed=2)
    inner(TWO_TASKS, base_url).assert_outcomes(passed=2)


ONE_BY_ONE = """
import asyncio
import pytest, spidra

@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.spidra(modes="replay")
def test_it(spidra_api, kind):
    urls = ["https://shop.example/1", "https://shop.example/2"]
    urls = urls if spidra_api.mode == "record" else urls[::-1]
    if kind == "sync":
        client = spidra.Spidra(api_key=spidra_api.api_key, api_url=spidra_api.base_url)
        for url in urls:
            client.start_batch_scrape([url])
        return

    async def submit():
        async with spidra.AsyncSpidra(api_key=spidra_api.api_key, api_url=spidra_api.base_url) as client:
            for url in urls:
                await client.start_batch_scrape([url])

    asyncio.run(submit())
"""


def test_a_client_that_does_one_thing_after_the_other_has_an_order_to_keep(inner, pytester):
    """The SDK's sync client has an event loop for each call: that makes no crowd of it."""
    with served(pytester.path) as base_url:
        inner(ONE_BY_ONE, base_url, "--spidra-record=all").assert_outcomes(passed=2)
    result = inner(ONE_BY_ONE, base_url)
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*the order has changed."])
