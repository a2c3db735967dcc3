"""The fake beside recordings: the project's own, those of a second implementation, and those that were changed by hand."""

import json
import sys
from pathlib import Path

import httpx
import pytest
import spidra
import vcr
import yaml
from second_api import error, second_api

from pytest_spidra.cassettes.drift.mirror import drift_of
from pytest_spidra.cassettes.format import Format
from pytest_spidra.cli import main
from pytest_spidra.conformance import CassetteDrift

sys.path.append(str(Path(__file__).parents[2] / "examples"))

import retry_loop

ROOT = Path(__file__).parents[3]
GOOD = ["https://shop.example/1", "https://shop.example/2", "https://shop.example/3"]
MIXED = [GOOD[0], "https://flaky.example/", "https://gone.example/"]
BATCHES = "/batch/scrape"


class TestOwnCassettes(CassetteDrift):
    pass


def run_loop(client):
    retry_loop.scrape(MIXED, base_url=str(client.base_url), api_key="spd_recorded", poll_seconds=0.0)


def go_through_everything(client):
    batch_id = client.post(BATCHES, json={"urls": MIXED, "prompt": "titles"}).json()["batchId"]
    client.get(BATCHES)
    while client.get(f"{BATCHES}/{batch_id}").json()["status"] != "completed":
        pass
    client.delete(f"{BATCHES}/{batch_id}")  # 409
    client.post(f"{BATCHES}/{batch_id}/retry")
    while client.get(f"{BATCHES}/{batch_id}").json()["status"] != "completed":
        pass
    client.get(f"{BATCHES}?page=1&limit=1")
    other = client.post(BATCHES, json={"urls": [*GOOD, *MIXED]}).json()["batchId"]
    client.get(f"{BATCHES}/{other}")
    client.get(f"{BATCHES}/{other}")
    client.delete(f"{BATCHES}/{other}")
    for _ in range(4):
        client.get(f"{BATCHES}/{other}")
    healthy = client.post(BATCHES, json={"urls": GOOD[:1]}).json()["batchId"]
    for _ in range(3):
        client.get(f"{BATCHES}/{healthy}")
    client.post(f"{BATCHES}/{healthy}/retry")  # 400
    client.get(BATCHES)


def meet_errors(client):
    client.post(BATCHES, json={"urls": []})  # 422
    client.post(BATCHES, json={"urls": GOOD * 17})  # 422
    client.get(f"{BATCHES}/00000000-0000-4000-8000-000000000000")  # 404
    client.get(BATCHES, headers={"x-api-key": "wrong"})  # 401


def give_up_early(client):
    client.post(BATCHES, json={"urls": GOOD})
    client.post(BATCHES, json={"urls": GOOD[:1]})


ERRORS = (
    error(503, "The scraping service is currently at capacity.", "SERVICE_BUSY", retry_after=60),
    (503, {"status": "error", "message": "Queue is down", "code": "QUEUE_UNAVAILABLE"}, {}),
    (502, b"<html>Bad gateway</html>", {"content-type": "text/html"}),
    (504, b"", {"content-type": "text/plain"}),
    (429, {"status": "error", "message": "Too many requests, please try again later."}, {"retry-after": 12, "ratelimit-limit": 300, "ratelimit-remaining": 0, "ratelimit-reset": 12}),
    error(429, "You have too many pending scrape jobs.", "TOO_MANY_PENDING_JOBS"),
    error(402, "Your payment is overdue.", "PAYMENT_OVERDUE"),
)  # fmt: skip


def meet_every_known_error(client):
    for _ in ERRORS:
        client.post(BATCHES, json={"urls": GOOD})


def record(path, client_code, *busy, **settings):
    """Record with plain vcrpy what some client does with the second implementation."""
    with second_api(*busy, **settings) as url:
        headers = {"x-api-key": "spd_recorded"}
        with vcr.use_cassette(str(path), filter_headers=["x-api-key"]):
            with httpx.Client(base_url=url, headers=headers) as client:
                client_code(client)
    return path


def drift(path):
    return [str(one) for one in drift_of(Format({}).read(path))]


@pytest.mark.parametrize(
    ("client_code", "busy", "settings"),
    [
        (run_loop, (), {}),
        (go_through_everything, (), {}),
        (meet_errors, (), {}),
        (meet_every_known_error, ERRORS, {}),
        (give_up_early, (), {"credits": 6}),
    ],
    ids=["documented loop", "everything", "errors", "known errors", "too few credits"],
)
def test_a_second_implementation_written_from_the_documentation_alone_is_no_drift(
    tmp_path, client_code, busy, settings
):
    assert drift(record(tmp_path / "second.yaml", client_code, *busy, **settings)) == []


def test_it_has_fewer_than_150_lines_and_shares_no_code_with_the_fake():
    source = (Path(__file__).parent / "second_api.py").read_text()
    assert len(source.splitlines()) < 150
    assert "pytest_spidra" not in source


async def test_the_sdks_recording_of_it_is_no_drift(tmp_path):
    with second_api() as url, vcr.use_cassette(str(tmp_path / "sdk.yaml")):
        async with spidra.AsyncSpidra(api_key="spd_recorded", api_url=url) as client:
            queued = await client.start_batch_scrape(MIXED)
            for _ in range(2):
                while (await client.get_batch_scrape(queued.batch_id)).status != "completed":
                    pass
                await client.retry_batch_scrape(queued.batch_id)
            await client.list_batch_scrapes(limit=5)
    assert drift(tmp_path / "sdk.yaml") == []


# -- changed by hand ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """What a client recorded that goes through everything, as data."""
    path = record(tmp_path_factory.mktemp("drift") / "second.yaml", go_through_everything)
    return yaml.safe_load(path.read_text())


def bodies(data):
    """Return interactions with their bodies as JSON, which can be changed; `write` puts them back."""
    return [
        (one["request"]["method"], one["request"]["uri"], json.loads(one["response"]["body"]["string"]))
        for one in data["interactions"]
    ]


def changed(recorded, tmp_path, change):
    """Return the drift of the recording once somebody has changed it by hand."""
    data = yaml.safe_load(yaml.safe_dump(recorded))
    shown = bodies(data)
    change(data["interactions"], [body for _, _, body in shown])
    for one, (_, _, body) in zip(data["interactions"], shown, strict=True):
        one["response"]["body"]["string"] = json.dumps(body)
    path = tmp_path / "changed.yaml"
    path.write_text(yaml.safe_dump(data))
    return path


def renamed(interactions, bodies):
    bodies[3]["items"][1]["jobID"] = bodies[3]["items"][1].pop("jobId")


def new_status(interactions, bodies):
    bodies[3]["items"][0]["status"] = "queued"


def new_status_of_a_batch(interactions, bodies):
    bodies[2]["status"] = "waiting"


def another_code(interactions, bodies):
    (place,) = [number for number, body in enumerate(bodies) if body.get("code") == "NO_FAILED_ITEMS"]
    bodies[place]["code"] = "NOTHING_FAILED"


def count_that_does_not_add_up(interactions, bodies):
    bodies[3]["completedCount"] = 3


def transition_that_cannot_be(interactions, bodies):
    """A page that had completed runs again."""
    place = next(
        number for number, body in enumerate(bodies) if body.get("completedCount") == 1 and "items" in body
    )
    item = bodies[place + 1]["items"][0]
    item.update(status="running", result=None, creditsUsed=0, finishedAt=None)
    bodies[place + 1]["completedCount"] -= 1


def batch_that_goes_back(interactions, bodies):
    places = [
        number for number, body in enumerate(bodies) if body.get("status") == "running" and "items" in body
    ]
    bodies[places[1]]["status"] = "pending"


def another_http_status(interactions, bodies):
    interactions[0]["response"]["status"]["code"] = 201


def no_location(interactions, bodies):
    del interactions[0]["response"]["headers"]["location"]


def plain_text(interactions, bodies):
    interactions[2]["response"]["headers"]["content-type"] = ["text/plain"]


def date_of_another_form(interactions, bodies):
    bodies[2]["createdAt"] = "2026-11-25 10:00:00"


def credits_as_text(interactions, bodies):
    place = next(
        number for number, body in enumerate(bodies) if body.get("completedCount") == 1 and "items" in body
    )
    bodies[place]["items"][0]["creditsUsed"] = "2.00"


def pages_that_do_not_add_up(interactions, bodies):
    bodies[1]["pagination"]["totalPages"] = 7


def wrong_count_of_retried(interactions, bodies):
    (place,) = [number for number, body in enumerate(bodies) if "retriedCount" in body]
    bodies[place]["retriedCount"] = 3


def wrong_refund(interactions, bodies):
    (place,) = [number for number, body in enumerate(bodies) if "creditsRefunded" in body]
    bodies[place]["creditsRefunded"] = 5


def result_of_a_failed_page(interactions, bodies):
    place = next(number for number, body in enumerate(bodies) if body.get("failedCount") and "items" in body)
    next(item for item in bodies[place]["items"] if item["status"] == "failed")["result"] = {"title": "?"}


@pytest.mark.parametrize(
    ("change", "where", "what"),
    [
        (renamed, "$.items[1].jobID", "no such field"),
        (renamed, "$.items[1].jobId", "missing"),
        (new_status, "$.items[0].status", "'queued' was recorded"),
        (new_status_of_a_batch, "$.status", "'waiting' was recorded"),
        (another_code, "$.code", "'NOTHING_FAILED'"),
        (count_that_does_not_add_up, "$.completedCount", "3 was recorded, and the fake has 0"),
        (transition_that_cannot_be, "$.items[0].status", "from completed to running"),
        (batch_that_goes_back, "$.status", "from running to pending"),
        (another_http_status, "status", "201 was recorded, and the fake answers 202"),
        (no_location, "location", "None was recorded"),
        (plain_text, "content-type", "'text/plain'"),
        (date_of_another_form, "$.createdAt", "ISO 8601"),
        (credits_as_text, "$.items[0].creditsUsed", "a string ('2.00') was recorded"),
        (pages_that_do_not_add_up, "$.pagination.totalPages", "7 was recorded, and the fake has 1"),
        (wrong_count_of_retried, "$.retriedCount", "3 was recorded, and 2 items had failed"),
        (wrong_refund, "$.creditsRefunded", "5 credits"),
        (result_of_a_failed_page, ".result", "an object was recorded, and the fake has null"),
    ],
)  # fmt: skip
def test_what_was_changed_by_hand_is_told_with_its_file_interaction_and_path(
    recorded, tmp_path, capsys, change, where, what
):
    path = changed(recorded, tmp_path, change)
    assert main(["check", "--against-fake", "--allow-unfinished", str(path)]) == 1
    told = [line for line in capsys.readouterr().out.splitlines() if f"{where}: " in line and what in line]
    assert told, drift(path)
    assert told[0].startswith(f"{path}: interaction ")


def test_what_was_not_changed_is_clean(recorded, tmp_path, capsys):
    path = changed(recorded, tmp_path, lambda interactions, bodies: None)
    assert main(["check", "--against-fake", "--allow-unfinished", str(path)]) == 0
