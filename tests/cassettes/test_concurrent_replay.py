"""Eight batches at once: whatever the order in which replies come, each request has its own recorded reply."""

from __future__ import annotations

import asyncio
import inspect
from types import SimpleNamespace

import pytest
import vcr
from crowds import CROWDS
from real_server import KEY, notes, served  # noqa: F401 - a fixture

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

MODULE = """
import asyncio, inspect, random
import pytest
from crowds import CROWDS
from real_server import note
from test_concurrent_replay import BODIES, RUNS

@pytest.mark.parametrize("run", range(RUNS.count))
@pytest.mark.parametrize("bodies", BODIES)
def test_it(request, bodies, run):
    request.applymarker(pytest.mark.spidra(cassette=bodies, modes="replay"))
    api = request.getfixturevalue("spidra_api")
    order = list(range(8))
    if run:
        random.Random(run).shuffle(order)  # the tasks begin in another order
    found = CROWDS[RUNS.crowd](api, BODIES[bodies], order)
    found = asyncio.run(found) if inspect.iscoroutine(found) else found
    note(api.mode, f"{bodies} {run}", [found[place] for place in range(8)])
"""

RUNS = SimpleNamespace(count=1, crowd="")
"""What the module above runs; it runs in this process."""


@pytest.fixture(params=CROWDS)
def crowd(request, monkeypatch):
    """A client that works on eight batches at once."""
    monkeypatch.setattr(RUNS, "crowd", request.param)
    return CROWDS[request.param]


@pytest.fixture
def recorded(run_tests, pytester, monkeypatch, notes):
    """Record the crowd with our own recorder; return the ini lines of the replay."""

    def recorded():
        monkeypatch.setenv("SPIDRA_API_KEY", KEY)
        with served(pytester.path, SLOW) as base_url:
            ini = f"spidra_base_url = {base_url}\nspidra_rules = off\n"
            run_tests(MODULE, "--spidra-record=all", ini=ini).assert_outcomes(passed=len(BODIES))
        return ini, {bodies: notes["record"][f"{bodies} 0"] for bodies in BODIES}

    return recorded


@pytest.fixture
def recorded_by_vcrpy(pytester, crowd):
    """Record the crowd with vcrpy, which keeps replies in the order in which they came."""

    def recorded_by_vcrpy():
        found = {}
        (pytester.path / "cassettes").mkdir()
        with served(pytester.path, SLOW) as base_url:
            api = SimpleNamespace(base_url=base_url, api_key=KEY)
            for name, bodies in BODIES.items():
                with vcr.use_cassette(str(pytester.path / "cassettes" / f"{name}.yaml")):
                    results = crowd(api, bodies, range(8))
                    results = asyncio.run(results) if inspect.iscoroutine(results) else results
                found[name] = [results[place] for place in range(8)]
        return f"spidra_base_url = {base_url}\nspidra_rules = off\n", found

    return recorded_by_vcrpy


@pytest.fixture
def swaps(run_tests, monkeypatch, notes):
    """Replay many times over; return those results that are not the recorded ones."""

    def swaps(ini, recording):
        monkeypatch.setattr(RUNS, "count", REPLAYS)
        run_tests(MODULE, ini=ini).assert_outcomes(passed=REPLAYS * len(BODIES))
        replays = notes["replay"]
        assert len(replays) == REPLAYS * len(BODIES)
        return [
            (name, was, found)
            for name, results in replays.items()
            # Who submits the same as others has any of the batches, but nobody else's and a whole one.
            for was, found in (
                zip(recording["different"], results, strict=True)
                if name.startswith("different")
                else zip(sorted(recording["identical"], key=str), sorted(results, key=str), strict=True)
            )
            if was != found
        ]

    return swaps


def test_each_batch_has_its_own_replies_in_every_replay(crowd, recorded, swaps):
    """Sixteen replays, fifteen of them with the tasks begun in another order."""
    assert swaps(*recorded()) == []


def test_each_batch_has_its_own_replies_from_a_cassette_of_vcrpy(recorded_by_vcrpy, swaps):
    """There is no telling when its requests were sent, and nothing is held against the order they come in."""
    assert swaps(*recorded_by_vcrpy()) == []
