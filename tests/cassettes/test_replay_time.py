"""Replays take no waiting, and time passes in them as it did when they were recorded."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from real_server import inner_fixture, notes_fixture, served, simple_server  # noqa: F401 - fixtures, by other names

from pytest_spidra.cassettes.format import Format
from pytest_spidra.cassettes.recording import Times
from pytest_spidra.traffic.reply import Reply
from pytest_spidra.traffic.request import Request

BASE_URL = "https://api.spidra.io/api"
BEGAN = "2025-02-03T04:05:06.000000Z"
URL = "https://shop.example/1"
PATH = "/batch/scrape/00000001-0000-4000-8000-000000000000"
SUBMIT = Request("POST", "/batch/scrape", content=json.dumps({"urls": [URL]}).encode())
SUBMITTED = Reply.of(202, {"status": "queued", "batchId": PATH.rpartition("/")[2], "total": 1})


def look(status, created=BEGAN):
    """Return a look at the batch and its reply."""
    done = status == "completed"
    item = {"uuid": "i", "url": URL, "jobId": "j", "status": status, "result": "# ok" if done else None}
    item |= {"error": None, "creditsUsed": 2 if done else 0, "startedAt": None, "finishedAt": None}
    counts = {"totalUrls": 1, "completedCount": int(done), "failedCount": 0}
    body = {"status": status, **counts, "items": [item], "createdAt": created, "finishedAt": None}
    return Request("GET", PATH), Reply.of(200, body)


@pytest.fixture
def tape(pytester):
    """Write a cassette as the recorder does, of requests, replies and the seconds that they took."""

    def tape(name, exchanges):
        done = [
            (request, reply, Times(0.0, took[0] if took else 0.0, number, BEGAN))
            for number, (request, reply, *took) in enumerate(exchanges, 1)
        ]
        Format({}).write(pytester.path / "cassettes" / f"{name}.yaml", done, BASE_URL, [])

    return tape


POLLING = """
import asyncio, time
import httpx, pytest, spidra
from real_server import note

URL = "https://shop.example/1"

def settings(api):
    return {"base_url": api.base_url, "headers": {"x-api-key": api.api_key}}

def plain(api):
    with httpx.Client(**settings(api)) as client:
        batch = client.post("/batch/scrape", json={"urls": [URL]}).json()["batchId"]
        while client.get(f"/batch/scrape/{batch}").json()["status"] != "completed":
            time.sleep(5)

async def plain_async(api):
    async with httpx.AsyncClient(**settings(api)) as client:
        batch = (await client.post("/batch/scrape", json={"urls": [URL]})).json()["batchId"]
        while (await client.get(f"/batch/scrape/{batch}")).json()["status"] != "completed":
            await asyncio.sleep(5)

def sdk(api):
    spidra.Spidra(api_key=api.api_key).batch_scrape([URL], poll_interval=5, timeout=3600)

async def sdk_async(api):
    async with spidra.AsyncSpidra(api_key=api.api_key) as client:
        await client.batch_scrape([URL], poll_interval=5, timeout=3600)

@pytest.mark.parametrize("work", [plain, plain_async, sdk, sdk_async])
@pytest.mark.spidra(modes="replay", cassette="long")
def test_it(spidra_api, work):
    result = work(spidra_api)
    if asyncio.iscoroutine(result):
        asyncio.run(result)
    note(spidra_api.mode, work.__name__, [spidra_api.clock.elapsed, len(spidra_api.exchanges)])
"""


def test_ten_minutes_of_polling_take_no_time(inner, notes, tape):
    """Sync and async, plain and by the SDK: 121 looks, 5 seconds apart, and a limit of two minutes."""
    tape("long", [(SUBMIT, SUBMITTED), *[look("running")] * 120, look("completed")])
    inner(POLLING, BASE_URL).assert_outcomes(passed=4)
    for name, (elapsed, count) in notes["replay"].items():
        first = 5 if name.startswith("sdk") else 0  # the SDK waits before it looks for the first time
        assert elapsed in {600, 600 + first}, name
        assert count == 122


LOST = """
import asyncio
import httpx, pytest
from pytest_spidra import reply_lost, request_lost
from real_server import note

@pytest.mark.parametrize("way", ["sync", "async"])
@pytest.mark.spidra(modes="replay", cassette="lost")
def test_it(spidra_api, way):
    spidra_api.batch.submit.script(request_lost("ConnectTimeout"), reply_lost())
    asked = {"url": spidra_api.base_url + "/batch/scrape", "json": {"urls": ["https://shop.example/1"]}}
    asked |= {"headers": {"x-api-key": spidra_api.api_key}, "timeout": httpx.Timeout(30, connect=4)}

    async def in_async():
        async with httpx.AsyncClient(timeout=asked.pop("timeout")) as client:
            await client.post(asked.pop("url"), **asked)

    for error in (httpx.ConnectTimeout, httpx.ReadTimeout):
        with pytest.raises(error):
            httpx.post(**asked) if way == "sync" else asyncio.run(in_async())
        asked |= {"url": spidra_api.base_url + "/batch/scrape", "timeout": httpx.Timeout(30, connect=4)}
    note("lost", way, [one.seen_at for one in spidra_api.exchanges])
"""


def test_a_scripted_timeout_takes_the_client_s_own_time_whatever_was_recorded(inner, notes, tape):
    """The recorded reply took two seconds; the client waits for it for thirty."""
    tape("lost", [(SUBMIT, SUBMITTED, 2.0)])
    inner(LOST, BASE_URL).assert_outcomes(passed=2)
    assert notes["lost"] == {"sync": [4.0, 34.0], "async": [4.0, 34.0]}


LATENCIES = """
import asyncio, time
import httpx, pytest
from real_server import note

URL = "https://shop.example/1"

def settings(api, **more):
    return {"base_url": api.base_url, "headers": {"x-api-key": api.api_key}, "timeout": None, **more}

def plain(api, **more):
    with httpx.Client(**settings(api, **more)) as client:
        batch = client.post("/batch/scrape", json={"urls": [URL]}).json()["batchId"]
        while client.get(f"/batch/scrape/{batch}").json()["status"] != "completed":
            time.sleep(1)

async def plain_async(api, **more):
    async with httpx.AsyncClient(**settings(api, **more)) as client:
        batch = (await client.post("/batch/scrape", json={"urls": [URL]})).json()["batchId"]
        while (await client.get(f"/batch/scrape/{batch}")).json()["status"] != "completed":
            await asyncio.sleep(1)

@pytest.mark.parametrize("work", [plain, plain_async])
@pytest.mark.spidra(modes="replay", cassette="slow")
class Test:
    def test_virtual(self, spidra_api, work):
        result = work(spidra_api)
        if asyncio.iscoroutine(result):
            asyncio.run(result)
        took = [round(one.seen_at - one.sent_at, 6) for one in spidra_api.exchanges]
        note("virtual", work.__name__, [took, spidra_api.clock.elapsed])

    def test_patience(self, spidra_api, work):
        with pytest.raises(httpx.ReadTimeout):
            result = work(spidra_api, timeout=1.5)
            if asyncio.iscoroutine(result):
                asyncio.run(result)
        note("patience", work.__name__, [one.seen for one in spidra_api.exchanges] + [spidra_api.clock.elapsed])

    @pytest.mark.spidra(clock="real")
    def test_real(self, spidra_api, work):
        begun = time.perf_counter()
        result = work(spidra_api)
        if asyncio.iscoroutine(result):
            asyncio.run(result)
        note("real", work.__name__, time.perf_counter() - begun)
"""


@pytest.mark.slow
def test_latencies_pass_on_the_virtual_clock_and_not_at_all_on_the_real_one(inner, notes, tape):
    """A client that is less patient than the recorded one does not see the reply that comes too late."""
    running, done = look("running"), look("completed")
    tape("slow", [(SUBMIT, SUBMITTED, 0.25), (*running, 1.5), (*done, 300.125)])
    inner(LATENCIES, BASE_URL).assert_outcomes(passed=6)
    for name in ("plain", "plain_async"):
        took, elapsed = notes["virtual"][name]
        assert took == [0.25, 1.5, 300.125]
        assert elapsed == 0.25 + 1.5 + 1 + 300.125
        assert notes["patience"][name] == [202, 200, "ReadTimeout", 0.25 + 1.5 + 1 + 1.5]
        assert 1 <= notes["real"][name] < 300  # its own pause, and none of the five minutes


CLOCKS = """
import time
from datetime import datetime
import httpx, pytest
from real_server import note

@pytest.mark.spidra(modes="replay", cassette="old")
def test_it(spidra_api):
    note("wall", "began", time.time())
    with httpx.Client(base_url=spidra_api.base_url, headers={"x-api-key": spidra_api.api_key}) as client:
        batch = client.post("/batch/scrape", json={"urls": ["https://shop.example/1"]}).json()["batchId"]
        created = datetime.fromisoformat(client.get(f"/batch/scrape/{batch}").json()["createdAt"]).timestamp()
        note("wall", "age", time.time() - created)
        note("wall", "asked", [one.asked_wait for one in spidra_api.exchanges])
"""


def test_the_wall_clock_begins_at_the_recorded_date(inner, notes, tape):
    """What is compared with dates in replies is as old as it was: a batch, and a Retry-After that is a date."""
    created = "2025-02-03T04:05:04.000Z"
    asked = Reply(202, SUBMITTED.content, {"retry-after": "Mon, 03 Feb 2025 04:05:16 GMT"})
    tape("old", [(SUBMIT, asked, 0.5), (*look("completed", created), 0.25)])
    inner(CLOCKS, BASE_URL).assert_outcomes(passed=1)
    began = datetime.fromisoformat(BEGAN).astimezone(UTC).timestamp()
    assert notes["wall"] == {"began": began, "age": 2.75, "asked": [9.5, None]}


def test_a_cassette_of_vcrpy_tells_its_date_by_its_replies(inner, notes, pytester):
    """It has no other; to the second, which is what an HTTP date knows."""
    file = pytester.mkdir("cassettes") / "old.yaml"
    dated = {"date": "Mon, 03 Feb 2025 04:05:06 GMT"}
    done = []
    for number, (request, reply) in enumerate([(SUBMIT, SUBMITTED), look("completed")], 1):
        with_date = Reply(reply.status, reply.content, {**reply.headers, **dated})
        done.append((request, with_date, Times(0.0, 5.0, number, BEGAN)))
    Format({}).write(file, done, BASE_URL, [])
    lines = file.read_text().splitlines()
    theirs = [line for line in lines if line.strip().split(":")[0] not in {"recorded", "at", "took", "known"}]
    theirs = [line for line in theirs if not line.startswith("      date: '")]
    file.write_text("\n".join([*theirs, ""]))
    assert "recorded" not in file.read_text()
    inner(CLOCKS, BASE_URL).assert_outcomes(passed=1)
    began = datetime.fromisoformat(BEGAN).astimezone(UTC).timestamp()
    assert notes["wall"]["began"] == began


SLOW = """
import asyncio, time
import httpx, pytest
from real_server import note
from pytest_spidra import ok

BODY = {"urls": ["https://shop.example/1"]}

def plain(api, timeout):
    headers = {"x-api-key": api.api_key}
    with httpx.Client(base_url=api.base_url, headers=headers, timeout=timeout) as client:
        client.post("/batch/scrape", json=BODY)

def plain_async(api, timeout):
    async def main():
        headers = {"x-api-key": api.api_key}
        async with httpx.AsyncClient(base_url=api.base_url, headers=headers, timeout=timeout) as client:
            await client.post("/batch/scrape", json=BODY)
    asyncio.run(main())

@pytest.mark.parametrize("work", [plain, plain_async])
@pytest.mark.spidra(modes="replay")
class Test:
    def test_slow(self, spidra_api, work):
        work(spidra_api, TIMEOUT)
        self.note(spidra_api, f"slow {work.__name__}")

    def test_slower(self, spidra_api, work):
        spidra_api.batch.submit.script(ok(after=SCRIPTED))
        try:
            work(spidra_api, TIMEOUT)
        except httpx.ReadTimeout:
            pass
        self.note(spidra_api, f"slower {work.__name__}")

    def note(self, api, name):
        (one,) = api.exchanges
        note(api.mode, name, [one.seen, one.answered, one.seen_at - one.sent_at])
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("timeout", "scripted", "seen"), [(0.5, 0.3, "ReadTimeout"), (0.5, 0.05, 202), (None, 0.3, 202)]
)
def test_a_scripted_delay_and_the_real_one_are_one_wait(inner, notes, pytester, timeout, scripted, seen):
    """Live and replayed the client's patience ends at the same moment, or does not."""
    source = SLOW.replace("TIMEOUT", repr(timeout)).replace("SCRIPTED", repr(scripted))
    with served(pytester.path, "batch.submit.always(ok(after=0.3))") as base_url:
        inner(source, base_url, "--spidra-record=all").assert_outcomes(passed=4)
    inner(source, base_url).assert_outcomes(passed=4)
    recorded, replayed = notes["record"], notes["replay"]
    assert recorded == replayed
    for name, (result, answered, took) in replayed.items():
        assert answered == 202
        assert result == (seen if name.startswith("slower") else 202)
        expected = 0.3 + scripted * name.startswith("slower")
        assert took == pytest.approx(timeout if result == "ReadTimeout" else expected, abs=0.2)


@pytest.mark.slow
def test_a_reply_that_came_in_pieces_comes_in_time_again(inner, notes, pytester):
    """It took longer than the client waits for one piece; no piece did."""
    source = SLOW.replace("TIMEOUT", "0.3").replace("SCRIPTED", "0")
    with simple_server(dribble=0.15) as base_url:
        inner(source, base_url, "--spidra-record=all", "-k", "test_slow and not slower").assert_outcomes(
            passed=2
        )
    inner(source, base_url, "-k", "test_slow and not slower").assert_outcomes(passed=2)
    assert notes["record"].keys() == {"slow plain", "slow plain_async"}
    assert [result for result, *_ in notes["replay"].values()] == [202, 202]
