"""The facts of Spidra's batch API, each with a test that fails when the fake breaks it."""

import json
import re

import pytest
from fake_client import BATCHES, KEY, NOW, Client, urls

from pytest_spidra.fake import serializers
from pytest_spidra.fake.outcomes import completed, failed, stuck
from pytest_spidra.fake.quota import RateLimit
from pytest_spidra.traffic import error_replies
from pytest_spidra.traffic.reply import Reply

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
NOBODY = "f3a2b1c0-0000-0000-0000-000000000000"
TERMINAL = ["completed", "failed", "cancelled"]
REFUSED_KEY = {"status": "error", "message": "Invalid token or API key"}

REQUESTS = {
    "submit": ("POST", BATCHES),
    "get": ("GET", f"{BATCHES}/{{batch}}"),
    "list": ("GET", BATCHES),
    "cancel": ("DELETE", f"{BATCHES}/{{batch}}"),
    "retry": ("POST", f"{BATCHES}/{{batch}}/retry"),
}
OF_ONE_BATCH = ["get", "cancel", "retry"]


def request(client, operation, batch_id="", headers=None):
    method, path = REQUESTS[operation]
    content = json.dumps({"urls": urls(1)}).encode() if operation == "submit" else b""
    return client.send(method, path.format(batch=batch_id), content, headers)


def answer(reply):
    return reply.status, reply.json


def everything(client):
    """Return all that a client could find out without moving a batch, and the account."""
    states = client.service.batches.values()
    for state in states:
        state.advance(client.now)
    shown = [serializers.batch(state, "seconds") for state in states]
    return shown, client.account.credits, client.ledger


# -- authentication ------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", REQUESTS)
@pytest.mark.parametrize(
    "headers",
    [
        {"x-api-key": "spd_good"},
        {"authorization": "Bearer spd_good"},
        {"authorization": "bearer spd_good"},
        {"authorization": "BEARER spd_good"},
        {"x-api-key": "spd_good", "authorization": "Basic abc"},
        {"x-api-key": "", "authorization": "Bearer spd_good"},
    ],
    ids=str,
)
def test_either_header_brings_the_key(operation, headers):
    client = Client(keys=["spd_good"])
    batch_id = client.place(3, failing=1, status="running" if operation == "cancel" else "completed")
    assert request(client, operation, batch_id, headers).status in {200, 202}


@pytest.mark.parametrize("operation", REQUESTS)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-api-key": ""},
        {"x-api-key": "  "},
        {"authorization": "Bearer"},
        {"authorization": "Bearer "},
        {"authorization": "Basic spd_good"},
        {"authorization": "spd_good"},
    ],
    ids=str,
)
@pytest.mark.parametrize("status", [401, 403])
def test_a_missing_key_is_401_whatever_an_invalid_one_is(operation, headers, status):
    client = Client(invalid_key_status=status)
    batch_id = client.place(3, failing=1)
    before = everything(client)
    assert answer(request(client, operation, batch_id, headers)) == (401, REFUSED_KEY)
    assert everything(client) == before


@pytest.mark.parametrize("operation", REQUESTS)
@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("headers", [{"x-api-key": "spd_bad"}, {"authorization": "Bearer spd_bad"}], ids=str)
def test_an_invalid_key_is_401_or_403_as_the_account_says(operation, status, headers):
    client = Client(invalid_key_status=status, keys={"spd_good"})
    assert answer(request(client, operation, NOBODY, headers)) == (status, REFUSED_KEY)


def test_an_invalid_key_is_401_unless_told_otherwise():
    assert request(Client(keys=["spd_good"]), "list").status == 401


def test_any_key_is_good_by_default(client):
    assert request(client, "list", headers={"x-api-key": "anything"}).status == 200


def test_a_key_that_is_taken_away_stops_working_at_once(client):
    client.submit()
    client.account.keys = []
    assert client.list().status == 401


def test_a_good_x_api_key_is_taken_before_a_bad_bearer_token():
    client = Client(keys=["spd_good"])
    headers = {"x-api-key": "spd_good", "authorization": "Bearer spd_bad"}
    assert request(client, "list", headers=headers).status == 200


# -- error bodies --------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", OF_ONE_BATCH)
@pytest.mark.parametrize("whose", ["nobody", "someone else"])
def test_an_unknown_batch_and_a_strangers_batch_are_the_same_404(client, operation, whose):
    batch_id = NOBODY if whose == "nobody" else client.place(3, failing=1, owner=whose)
    assert answer(request(client, operation, batch_id)) == (
        404,
        {"status": "error", "message": "Batch not found."},
    )


@pytest.mark.parametrize("batch_id", ["undefined", "42", "%20"])
@pytest.mark.parametrize("operation", OF_ONE_BATCH)
def test_an_id_that_is_no_uuid_is_404(client, operation, batch_id):
    assert request(client, operation, batch_id).status == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("POST", "/batch-scrape"),
        ("PUT", BATCHES),
        ("HEAD", BATCHES),
        ("DELETE", BATCHES),
        ("GET", f"{BATCHES}/{NOBODY}/retry"),
        ("POST", f"{BATCHES}/{NOBODY}"),
        ("POST", f"{BATCHES}/{NOBODY}/retry/again"),
        ("POST", f"{BATCHES}//retry"),
    ],
)
def test_what_is_no_endpoint_is_404_with_an_error_body(client, method, path):
    reply = client.send(method, path)
    assert reply.status == 404
    assert reply.json["status"] == "error"
    assert reply.json["message"]


@pytest.mark.parametrize(
    ("reply", "status", "body"),
    [
        (
            error_replies.no_failed_items(),
            400,
            {"message": "No failed items to retry.", "code": "NO_FAILED_ITEMS"},
        ),
        (
            error_replies.already_terminal("completed"),
            409,
            {"message": "Cannot cancel a batch that is already completed.", "code": "ALREADY_TERMINAL"},
        ),
        (
            error_replies.too_many_pending(),
            429,
            {
                "message": "You have too many pending scrape jobs. Please wait for some to complete before "
                "submitting more.",
                "code": "TOO_MANY_PENDING_JOBS",
            },
        ),
        (
            error_replies.too_many_requests({}),
            429,
            {"message": "Too many requests, please try again later."},
        ),
        (
            error_replies.error_reply(503, code="SERVICE_BUSY", retry_after=60),
            503,
            {
                "message": "The scraping service is currently at capacity. Please retry in a few minutes.",
                "code": "SERVICE_BUSY",
                "retry_after": 60,
            },
        ),
        (error_replies.invalid(["One."]), 422, {"message": "Request validation failed.", "errors": ["One."]}),
        (error_replies.error_reply(401), 401, {"message": "Invalid token or API key"}),
    ],
    ids=lambda value: value.json.get("code") if isinstance(value, Reply) else None,
)
def test_error_bodies_are_those_of_the_api(reply, status, body):
    assert reply.headers["content-type"].startswith("application/json")
    assert answer(reply) == (status, {"status": "error", **body})


def test_an_overdue_payment_is_402_on_submit_and_retry_only():
    client = Client(payment_overdue=True)
    batch_id = client.place(3, failing=1)
    before = everything(client)
    for reply in (client.submit(), client.retry(batch_id)):
        assert reply.status == 402
        assert reply.json["status"] == "error"
        assert reply.json["code"] == "PAYMENT_OVERDUE"
    assert everything(client) == before
    assert client.get(batch_id).status == 200


def test_replies_are_json(client):
    for reply in (client.submit(), client.list(), client.get(NOBODY)):
        assert reply.headers["content-type"].startswith("application/json")


# -- submit --------------------------------------------------------------------------------------------


def test_submit_is_202_with_the_id_the_number_of_urls_and_where_to_look(client):
    reply = client.submit(2)
    batch_id = reply.json["batchId"]
    assert answer(reply) == (202, {"status": "queued", "batchId": batch_id, "total": 2})
    assert UUID.fullmatch(batch_id)
    assert reply.headers["location"] == f"/api/batch/scrape/{batch_id}"


@pytest.mark.parametrize("warnings", [[], ["title: no type", "price: no type"]])
@pytest.mark.parametrize("options", [{}, {"schema": {"type": "object"}}], ids=["plain", "schema"])
def test_schema_warnings_come_with_a_schema_and_only_if_there_are_any(warnings, options):
    body = Client(schema_warnings=warnings).submit(1, **options).json
    if warnings and options:
        assert body["schema_warnings"] == warnings
    else:
        assert set(body) == {"status", "batchId", "total"}


def test_the_list_shows_a_batch_without_its_items(client):
    batch_id = client.submitted(2)
    (job,) = client.jobs()
    assert job == {
        "uuid": batch_id,
        "status": "running",
        "totalUrls": 2,
        "completedCount": 0,
        "failedCount": 0,
        "outputFormat": "json",
        "scrapingChannel": "api",
        "createdAt": "2024-01-15T10:00:00Z",
        "finishedAt": None,
    }


def test_duplicate_urls_are_items_of_their_own(client):
    client.will(failed(), completed())
    batch_id = client.submitted([urls(1)[0]] * 3)
    assert client.statuses(batch_id, looks=2) == ["failed"] * 3
    assert len({item["uuid"] for item in client.items(batch_id)}) == 3
    assert client.retry(batch_id).json["retriedCount"] == 3
    assert client.ledger["reserved"] == 12


def test_the_same_submit_twice_makes_two_batches(client):
    assert client.submitted() != client.submitted()
    assert len(client.jobs()) == 2


# -- status --------------------------------------------------------------------------------------------

UNTOUCHED = {
    "jobId": None,
    "status": "pending",
    "result": None,
    "error": None,
    "creditsUsed": 0,
    "startedAt": None,
    "finishedAt": None,
    "screenshotUrl": None,
}


def told(item):
    """Return an item without what names it."""
    return {name: value for name, value in item.items() if name not in {"uuid", "url"}}


def test_the_status_body_has_the_documented_keys_in_order_and_no_batch_id(client):
    batch = client.seen(client.submitted())
    assert list(batch) == [
        "status",
        "totalUrls",
        "completedCount",
        "failedCount",
        "items",
        "createdAt",
        "finishedAt",
    ]
    assert list(batch["items"][0]) == [
        "uuid",
        "url",
        "jobId",
        "status",
        "result",
        "error",
        "creditsUsed",
        "startedAt",
        "finishedAt",
        "screenshotUrl",
    ]


def test_items_are_in_the_order_of_submission_with_ids_that_stay(client):
    asked = ["https://b.example", "https://a.example", "https://c.example"]
    batch_id = client.submitted(asked)
    first, second = client.items(batch_id), client.items(batch_id)
    assert [item["url"] for item in first] == [item["url"] for item in second] == asked
    assert [item["uuid"] for item in first] == [item["uuid"] for item in second]
    assert all(UUID.fullmatch(item["uuid"]) for item in first)
    assert batch_id not in {item["uuid"] for item in first}


def test_a_pending_item_has_nothing_yet():
    client = Client(concurrency=1)
    running, waiting = client.items(client.submitted(2))
    assert told(waiting) == UNTOUCHED
    assert running["status"] == "running"


def test_a_running_item_has_a_job_and_a_start(client):
    batch_id = client.submitted(1)
    client.wait(5)
    (item,) = client.items(batch_id)
    assert isinstance(item["jobId"], str)
    assert item["jobId"]
    assert told(item) == {
        **UNTOUCHED,
        "jobId": item["jobId"],
        "status": "running",
        "startedAt": "2024-01-15T10:00:05Z",
    }


def test_a_completed_item_has_a_result_a_price_and_an_end(client):
    client.will(completed({"title": "Yes"}, credits=1))
    batch_id = client.submitted(1)
    (running,) = client.items(batch_id)
    client.wait(7)
    (item,) = client.items(batch_id)
    assert told(item) == {
        **UNTOUCHED,
        "jobId": running["jobId"],
        "status": "completed",
        "result": {"title": "Yes"},
        "creditsUsed": 1,
        "startedAt": "2024-01-15T10:00:00Z",
        "finishedAt": "2024-01-15T10:00:07Z",
    }


def test_a_failed_item_has_an_error_and_costs_nothing(client):
    client.will(failed("blocked"))
    batch_id = client.submitted(1, screenshot=True)
    (running,) = client.items(batch_id)
    client.wait(7)
    (item,) = client.items(batch_id)
    assert told(item) == {
        **UNTOUCHED,
        "jobId": running["jobId"],
        "status": "failed",
        "error": "blocked",
        "startedAt": "2024-01-15T10:00:00Z",
        "finishedAt": "2024-01-15T10:00:07Z",
    }
    assert client.ledger == {"reserved": 2, "charged": 0, "refunded": 2}


def test_a_cancelled_item_has_an_end_only(client):
    batch_id = client.submitted(1)
    client.wait(7)
    client.cancel(batch_id)
    (item,) = client.items(batch_id)
    assert told(item) == {**UNTOUCHED, "status": "cancelled", "finishedAt": "2024-01-15T10:00:07Z"}


@pytest.mark.parametrize(
    ("options", "kind", "format_"),
    [
        ({}, str, "json"),
        ({"prompt": ""}, str, "json"),
        ({"prompt": "The title"}, dict, "json"),
        ({"prompt": "The title", "output": "json"}, dict, "json"),
        ({"prompt": "The title", "output": "markdown"}, str, "markdown"),
        ({"output": "markdown"}, str, "markdown"),
        ({"schema": {"type": "object"}}, dict, "json"),
        ({"schema": {"type": "object"}, "output": "markdown"}, dict, "json"),
    ],
    ids=str,
)
def test_the_result_is_an_object_for_json_and_a_text_for_markdown(client, options, kind, format_):
    """Without prompt and schema it is raw markdown, and a schema forces json."""
    (item,) = client.items(client.submitted(1, **options), looks=2)
    assert isinstance(item["result"], kind)
    assert [job["outputFormat"] for job in client.jobs()] == [format_]


@pytest.mark.parametrize("result", [{}, [], [1], "", "text", 0, False, {"a": {"b": None}}], ids=repr)
def test_a_result_is_shown_as_it_was_scripted(client, result):
    client.will(completed(result))
    (item,) = client.items(client.submitted(1), looks=2)
    assert item["result"] == result
    assert type(item["result"]) is type(result)


@pytest.mark.parametrize("wanted", [True, False, None])
def test_a_screenshot_is_there_if_asked_for_once_an_item_completed(client, wanted):
    options = {} if wanted is None else {"screenshot": wanted}
    client.will(failed(), place=2)
    batch_id = client.submitted(2, **options)
    assert [item["screenshotUrl"] for item in client.items(batch_id)] == [None, None]
    good, bad = client.items(batch_id)
    assert bool(good["screenshotUrl"]) == bool(wanted)
    assert bad["screenshotUrl"] is None


def test_counters_follow_the_items(client):
    client.will(failed(), place=1)
    client.will(stuck(), place=2)
    batch = client.seen(client.submitted(4), looks=2)
    assert (batch["totalUrls"], batch["completedCount"], batch["failedCount"]) == (4, 2, 1)
    assert (batch["status"], batch["finishedAt"]) == ("running", None)


def test_a_batch_is_pending_while_no_item_started(client):
    batch_id = client.place(2, status="pending")
    batch = client.seen(batch_id)
    assert (batch["status"], batch["finishedAt"]) == ("pending", None)
    assert [told(item) for item in batch["items"]] == [UNTOUCHED, UNTOUCHED]
    assert client.seen(batch_id)["status"] == "running"


def test_a_batch_is_completed_when_every_item_ended_even_if_all_failed(client):
    for place in (1, 2):
        client.will(failed(), place=place)
    batch_id = client.submitted(2)
    client.seen(batch_id)
    client.wait(90)
    batch = client.seen(batch_id)
    assert batch["status"] == "completed"
    assert (batch["completedCount"], batch["failedCount"]) == (0, 2)
    assert batch["createdAt"] == "2024-01-15T10:00:00Z"
    assert batch["finishedAt"] == "2024-01-15T10:01:30Z"


def test_a_finished_batch_does_not_change_by_itself(client):
    client.will(failed(), completed())
    batch_id = client.submitted(2)
    done = client.seen(batch_id, looks=2)
    client.wait(3600)
    assert client.seen(batch_id, looks=3) == done


@pytest.mark.parametrize(
    ("fineness", "shown"),
    [("seconds", "2024-01-15T10:00:01Z"), ("milliseconds", "2024-01-15T10:00:01.234Z")],
)
def test_dates_are_iso_8601_in_utc_as_fine_as_the_account_says(fineness, shown):
    client = Client(timestamps=fineness)
    client.now = NOW + 1_234_567
    batch_id = client.submitted(1)
    batch = client.seen(batch_id, looks=2)
    (item,), (job,) = batch["items"], client.jobs()
    dates = [batch["createdAt"], batch["finishedAt"], item["startedAt"], item["finishedAt"]]
    assert [*dates, job["createdAt"], job["finishedAt"]] == [shown] * 6


# -- how items end -------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", [completed, failed])
@pytest.mark.parametrize("polls", [0, 1, 2, 5])
def test_an_outcome_after_n_polls_is_seen_by_the_look_after_them(client, outcome, polls):
    client.will(outcome(after_polls=polls))
    batch_id = client.submitted(1)
    seen = [client.statuses(batch_id)[0] for _ in range(polls + 1)]
    assert seen == ["running"] * polls + [outcome.__name__]


def test_one_poll_is_the_default(client):
    batch_id = client.submitted(1)
    assert [client.seen(batch_id)["status"] for _ in range(2)] == ["running", "completed"]


@pytest.mark.parametrize("how", [{"after_polls": 0}, {"after_seconds": 0}], ids=str)
@pytest.mark.parametrize("outcome", [completed, failed])
def test_an_outcome_at_once_is_there_before_the_first_look(client, outcome, how):
    client.will(outcome(**how))
    client.submit(1)
    (job,) = client.jobs()
    assert job["status"] == "completed"
    assert (job["completedCount"], job["failedCount"]) == ((1, 0) if outcome is completed else (0, 1))


@pytest.mark.parametrize("outcome", [completed, failed])
def test_an_outcome_after_seconds_ends_at_that_moment_however_often_one_looks(client, outcome):
    client.will(outcome(after_seconds=10))
    batch_id = client.submitted(1)
    assert client.statuses(batch_id, looks=5) == ["running"]
    client.wait(9.999_999)
    assert client.statuses(batch_id, looks=5) == ["running"]
    client.wait(0.000_001)
    assert client.statuses(batch_id) == [outcome.__name__]


def test_an_outcome_after_seconds_needs_no_look_and_ended_when_its_time_was_up(client):
    client.will(completed(after_seconds=10))
    batch_id = client.submitted(1)
    client.wait(60)
    batch = client.seen(batch_id)
    (item,) = batch["items"]
    assert batch["status"] == "completed"
    assert item["startedAt"] == "2024-01-15T10:00:00Z"
    assert item["finishedAt"] == batch["finishedAt"] == "2024-01-15T10:00:10Z"


@pytest.mark.parametrize("how", [{}, {"after_polls": 3}, {"after_seconds": 2}], ids=str)
def test_a_stuck_item_runs_for_ever(client, how):
    client.will(stuck(**how))
    batch_id = client.submitted(2)
    assert client.statuses(batch_id, looks=20) == ["running", "completed"]
    client.wait(1_000_000)
    assert client.statuses(batch_id) == ["running", "completed"]
    assert client.ledger == {"reserved": 4, "charged": 2, "refunded": 0}


def test_the_last_outcome_repeats(client):
    client.will(failed("one"), failed("two"))
    batch_id = client.submitted(1)
    errors = []
    for _ in range(4):
        errors += [item["error"] for item in client.items(batch_id, looks=2)]
        client.retry(batch_id)
    assert errors == ["one", "two", "two", "two"]


def test_each_batch_begins_with_the_first_outcome(client):
    client.will(failed(), completed())
    first, second = client.submitted(1), client.submitted(1)
    assert client.statuses(first, looks=2) == client.statuses(second, looks=2) == ["failed"]


def test_outcomes_of_one_batch_go_before_those_of_all(client):
    client.will(failed())
    first, second = client.submitted(1), client.place(1)
    client.service.script_outcomes({urls(1)[0]: [failed("other"), completed()]}, first)
    client.items(first, looks=2)
    client.retry(first)
    assert client.statuses(first, looks=2) == ["completed"]
    assert client.statuses(second) == ["failed"]


def test_a_url_without_outcomes_completes(client):
    assert client.statuses(client.submitted(2), looks=2) == ["completed", "completed"]


def test_no_more_items_than_the_concurrency_are_in_work():
    client = Client(concurrency=2)
    batch_id = client.submitted(5)
    seen = [client.statuses(batch_id) for _ in range(4)]
    assert seen == [
        ["running"] * 2 + ["pending"] * 3,
        ["completed"] * 2 + ["running"] * 2 + ["pending"],
        ["completed"] * 4 + ["running"],
        ["completed"] * 5,
    ]


def test_with_a_concurrency_the_next_item_starts_when_one_ends():
    client = Client(concurrency=1)
    for place in (1, 2, 3):
        client.will(completed(after_seconds=10), place=place)
    batch_id = client.submitted(3)
    client.wait(25)
    assert client.statuses(batch_id) == ["completed", "completed", "running"]
    client.wait(5)
    batch = client.seen(batch_id)
    assert [item["startedAt"][-3:-1] for item in batch["items"]] == ["00", "10", "20"]
    assert [item["finishedAt"][-3:-1] for item in batch["items"]] == ["10", "20", "30"]
    assert batch["status"] == "completed"


def test_all_items_are_in_work_at_once_without_a_concurrency(client):
    assert client.statuses(client.submitted(50)) == ["running"] * 50


# -- how batches end -----------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["failed", "cancelled"])
@pytest.mark.parametrize("unfinished", ["failed", "cancelled", None])
def test_a_scripted_end_ends_what_has_not_ended_in_either_flavour(client, status, unfinished):
    client.will(completed(after_polls=0), place=1)
    client.will(stuck(), place=2)
    client.ends(status, after_polls=1, unfinished=unfinished)
    batch_id = client.submitted(3)
    assert client.seen(batch_id)["status"] == "running"
    client.wait(3)
    batch = client.seen(batch_id)
    end = unfinished or status
    assert (batch["status"], batch["finishedAt"]) == (status, "2024-01-15T10:00:03Z")
    assert [item["status"] for item in batch["items"]] == ["completed", end, end]
    assert batch["failedCount"] == (2 if end == "failed" else 0)
    for item in batch["items"][1:]:
        assert isinstance(item["error"], str if end == "failed" else type(None))
        assert (item["result"], item["creditsUsed"]) == (None, 0)
        assert item["finishedAt"] == "2024-01-15T10:00:03Z"
    assert client.ledger == {"reserved": 6, "charged": 2, "refunded": 4}
    assert client.seen(batch_id, looks=3) == batch


@pytest.mark.parametrize("polls", [0, 1, 4])
def test_an_end_after_n_polls_is_seen_by_the_look_after_them(client, polls):
    client.will(stuck())
    client.ends("failed", after_polls=polls)
    batch_id = client.submitted(1)
    assert [client.seen(batch_id)["status"] for _ in range(polls + 1)] == ["running"] * polls + ["failed"]


def test_an_end_after_seconds_comes_at_that_moment(client):
    client.will(stuck())
    client.ends("cancelled", after_seconds=10)
    batch_id = client.submitted(1)
    client.wait(9.999_999)
    assert client.seen(batch_id)["status"] == "running"
    client.wait(50)
    batch = client.seen(batch_id)
    assert (batch["status"], batch["finishedAt"]) == ("cancelled", "2024-01-15T10:00:10Z")


def test_an_end_after_seconds_counts_from_the_submit_whatever_was_retried_since(client):
    client.will(failed(after_polls=0), stuck())
    client.will(stuck(), place=2)
    client.ends("failed", after_seconds=10)
    batch_id = client.submitted(2)
    client.wait(6)
    assert client.retry(batch_id).status == 202
    client.wait(4)
    assert client.seen(batch_id)["status"] == "failed"


def test_an_end_holds_for_the_next_batch_that_is_accepted_only(client):
    client.ends("failed", after_polls=0)
    assert client.submit([]).status == 422
    client.account.credits = 1
    assert client.submit(1).status == 403
    client.account.credits = 100
    first, second = client.submitted(1), client.submitted(1)
    assert client.seen(first)["status"] == "failed"
    assert client.seen(second, looks=2)["status"] == "completed"


def test_ends_are_used_in_order(client):
    client.ends("failed", after_polls=0)
    client.ends("cancelled", after_polls=0)
    batches = [client.submitted(1) for _ in range(3)]
    assert [client.seen(one)["status"] for one in batches] == ["failed", "cancelled", "running"]


@pytest.mark.parametrize("how", [{"after_polls": 3}, {"after_seconds": 100}], ids=str)
def test_an_end_after_the_batch_completed_changes_nothing(client, how):
    client.ends("failed", **how)
    batch_id = client.submitted(2)
    done = client.seen(batch_id, looks=2)
    assert done["status"] == "completed"
    client.wait(1000)
    assert client.seen(batch_id, looks=5) == done


@pytest.mark.parametrize("polls", [0, 1, 2])
def test_an_end_after_a_cancel_does_not_hold_up_the_items_in_work(polls):
    """What goes on after a cancel ends normally, whether or not an end was scripted."""
    seen = []
    for scripted in (False, True):
        client = Client(concurrency=1)
        if scripted:
            client.ends("failed", after_polls=polls + 1)
        batch_id = client.submitted(2)
        client.get(batch_id)
        client.cancel(batch_id)
        seen.append([client.statuses(batch_id) for _ in range(polls + 2)])
    assert seen[0] == seen[1]


# -- batches that were there before --------------------------------------------------------------------


@pytest.mark.parametrize("owner", ["me", "someone else"])
@pytest.mark.parametrize("status", ["pending", "running", *TERMINAL])
def test_a_placed_batch_exists_in_its_state_for_its_owner_only(client, status, owner):
    batch_id = client.place(3, status=status, owner=owner)
    reply = client.get(batch_id)
    if owner == "me":
        assert (reply.status, reply.json["status"], reply.json["totalUrls"]) == (200, status, 3)
    else:
        assert reply.status == 404


@pytest.mark.parametrize("status", ["pending", "running", *TERMINAL])
@pytest.mark.parametrize("outcome", [completed(after_polls=0), failed(after_polls=0), stuck()], ids=repr)
def test_a_placed_batch_is_found_in_its_state_whatever_is_scripted_for_its_urls(client, status, outcome):
    client.will(outcome)
    assert client.seen(client.place(1, status=status))["status"] == status


def test_a_placed_pending_batch_that_time_began_is_not_pending_for_one_look_more(client):
    client.will(completed(after_seconds=5))
    batch_id = client.place(2, status="pending")
    client.wait(10)
    assert client.statuses(batch_id) == ["completed", "running"]
    assert client.statuses(batch_id) == ["completed", "completed"]


def test_in_a_placed_batch_the_last_items_failed_and_a_retry_completes_them(client):
    batch_id = client.place(4, failing=2)
    assert client.statuses(batch_id) == ["completed", "completed", "failed", "failed"]
    assert client.retry(batch_id).json["retriedCount"] == 2
    assert client.statuses(batch_id, looks=2) == ["completed"] * 4


@pytest.mark.parametrize(("status", "shown"), [("cancelled", "cancelled"), ("failed", "completed")])
def test_a_placed_batch_that_was_not_finished_kept_what_it_was_told(client, status, shown):
    """Without an outcome an item of a cancelled batch is cancelled; in a broken one it has ended."""
    client.account.retry_of_failed = "accept"
    batch_id = client.place(3, status=status, outcomes={urls(1)[0]: [failed("blocked")]})
    batch = client.seen(batch_id)
    assert [item["status"] for item in batch["items"]] == ["failed", shown, shown]
    assert batch["finishedAt"] < "2024-01-15T10:00:00Z"


# -- list ----------------------------------------------------------------------------------------------


def test_the_list_is_newest_first_with_the_id_called_uuid_and_no_items(client):
    batches = []
    for _ in range(3):
        batches.append(client.submitted(1))
        client.wait(1)
    jobs = client.jobs()
    assert [job["uuid"] for job in jobs] == batches[::-1]
    assert list(jobs[0]) == [
        "uuid",
        "status",
        "totalUrls",
        "completedCount",
        "failedCount",
        "outputFormat",
        "scrapingChannel",
        "createdAt",
        "finishedAt",
    ]
    assert {job["scrapingChannel"] for job in jobs} == {"api"}


def test_the_list_is_newest_first_whenever_a_batch_was_placed(client):
    client.submit(1)
    client.place(1, status="running")
    client.place(1, status="completed")
    dates = [job["createdAt"] for job in client.jobs()]
    assert dates == sorted(dates, reverse=True)


def test_the_list_agrees_with_the_status(client):
    client.will(failed())
    client.submit(3)
    for _ in range(3):
        (job,) = client.jobs()
        (batch,), *_ = everything(client)
        for name in ("status", "totalUrls", "completedCount", "failedCount", "createdAt", "finishedAt"):
            assert job[name] == batch[name]


def test_the_list_shows_what_time_alone_did(client):
    client.will(completed(after_seconds=10))
    client.submit(1)
    client.wait(10)
    assert client.jobs()[0]["status"] == "completed"


def test_a_look_at_the_list_is_a_look_at_each_batch_on_the_page(client):
    """Who polls the list sees its batches end; those on other pages stay as they are."""
    client.submit(1)
    client.submit(1)
    shown = [[job["status"] for job in client.list(limit=1).json["jobs"]] for _ in range(2)]
    assert shown == [["running"], ["completed"]]
    assert [job["status"] for job in client.list(limit=1, page=2).json["jobs"]] == ["running"]


def test_a_strangers_batch_is_in_no_list(client):
    client.place(3, owner="someone else")
    assert client.list().json["pagination"]["total"] == 0


@pytest.mark.parametrize(
    ("total", "query", "count", "pagination"),
    [
        (0, {}, 0, {"page": 1, "limit": 20, "total": 0, "totalPages": 0}),
        (1, {}, 1, {"page": 1, "limit": 20, "total": 1, "totalPages": 1}),
        (20, {}, 20, {"page": 1, "limit": 20, "total": 20, "totalPages": 1}),
        (21, {}, 20, {"page": 1, "limit": 20, "total": 21, "totalPages": 2}),
        (47, {}, 20, {"page": 1, "limit": 20, "total": 47, "totalPages": 3}),
        (47, {"page": 3}, 7, {"page": 3, "limit": 20, "total": 47, "totalPages": 3}),
        (47, {"page": 4}, 0, {"page": 4, "limit": 20, "total": 47, "totalPages": 3}),
        (47, {"page": 2, "limit": 40}, 7, {"page": 2, "limit": 40, "total": 47, "totalPages": 2}),
        (60, {"limit": 50}, 50, {"page": 1, "limit": 50, "total": 60, "totalPages": 2}),
        (60, {"limit": 51}, 50, {"page": 1, "limit": 50, "total": 60, "totalPages": 2}),
        (60, {"limit": 1000}, 50, {"page": 1, "limit": 50, "total": 60, "totalPages": 2}),
        (3, {"limit": 1, "page": 2}, 1, {"page": 2, "limit": 1, "total": 3, "totalPages": 3}),
        (3, {"page": 0}, 3, {"page": 1, "limit": 20, "total": 3, "totalPages": 1}),
        (3, {"page": -1, "limit": 0}, 1, {"page": 1, "limit": 1, "total": 3, "totalPages": 3}),
        (3, {"page": "x", "limit": ""}, 3, {"page": 1, "limit": 20, "total": 3, "totalPages": 1}),
    ],
)
def test_the_list_is_cut_into_pages(client, total, query, count, pagination):
    for _ in range(total):
        client.submit(1)
    body = client.list(**query).json
    assert list(body) == ["jobs", "pagination"]
    assert len(body["jobs"]) == count
    assert body["pagination"] == pagination


def test_the_pages_together_are_the_list(client):
    batches = [client.submitted(1) for _ in range(7)]
    found = [job["uuid"] for page in (1, 2, 3) for job in client.jobs(page=page, limit=3)]
    assert found == batches[::-1]


# -- cancel --------------------------------------------------------------------------------------------


def test_cancel_of_a_batch_nobody_began_stops_all_items(client):
    batch_id = client.submitted(8)
    reply = client.cancel(batch_id)
    assert answer(reply) == (200, {"status": "cancelled", "cancelledItems": 8, "creditsRefunded": 16})
    batch = client.seen(batch_id)
    assert batch["status"] == "cancelled"
    assert [item["status"] for item in batch["items"]] == ["cancelled"] * 8
    assert (batch["completedCount"], batch["failedCount"]) == (0, 0)
    assert client.ledger == {"reserved": 16, "charged": 0, "refunded": 16}
    assert client.account.credits == 10_000


@pytest.mark.parametrize("price", [0, 1, 2, 5])
def test_cancel_gives_back_what_was_reserved_for_the_items_it_stopped(price):
    client = Client(price_per_url=price, concurrency=1)
    batch_id = client.submitted(4)
    client.get(batch_id)
    assert client.cancel(batch_id).json == {
        "status": "cancelled",
        "cancelledItems": 3,
        "creditsRefunded": 3 * price,
    }


def test_cancel_lets_running_items_go_on_and_charges_them():
    client = Client(concurrency=2)
    client.will(failed("late"), place=2)
    batch_id = client.submitted(5)
    client.get(batch_id)
    client.wait(1)
    assert client.cancel(batch_id).json["cancelledItems"] == 3
    (job,), *_ = everything(client)
    assert (job["status"], job["finishedAt"]) == ("cancelled", "2024-01-15T10:00:01Z")
    assert (job["completedCount"], job["failedCount"]) == (0, 0)
    client.wait(1)
    batch = client.seen(batch_id)
    assert [item["status"] for item in batch["items"]] == ["completed", "failed"] + ["cancelled"] * 3
    assert batch["items"][0]["creditsUsed"] == 2
    assert batch["items"][0]["result"]
    assert batch["items"][1]["error"] == "late"
    assert (batch["status"], batch["completedCount"], batch["failedCount"]) == ("cancelled", 1, 1)
    assert client.ledger == {"reserved": 10, "charged": 2, "refunded": 8}
    assert client.account.credits == 10_000 - 2


def test_running_items_of_a_cancelled_batch_end_by_time_too(client):
    client.will(completed(after_seconds=10))
    batch_id = client.submitted(1)
    client.get(batch_id)
    assert client.cancel(batch_id).json["cancelledItems"] == 0
    client.wait(10)
    assert client.jobs()[0]["completedCount"] == 1
    assert client.ledger["charged"] == 2


def test_nothing_is_taken_into_work_after_a_cancel():
    client = Client(concurrency=1)
    batch_id = client.submitted(2)
    client.get(batch_id)
    client.cancel(batch_id)
    client.account.concurrency = None
    assert client.statuses(batch_id, looks=5) == ["completed", "cancelled"]


def test_finished_items_keep_their_results_when_the_batch_is_cancelled(client):
    client.will(completed({"kept": True}, after_polls=0))
    batch_id = client.submitted(2)
    (before, _), _ = client.items(batch_id), client.cancel(batch_id)
    after, _ = client.items(batch_id)
    assert before == after
    assert after["result"] == {"kept": True}


@pytest.mark.parametrize("status", TERMINAL)
def test_cancel_of_a_finished_batch_is_409(client, status):
    batch_id = client.place(3, status=status)
    before = client.seen(batch_id), everything(client)
    assert answer(client.cancel(batch_id)) == (
        409,
        {
            "status": "error",
            "message": f"Cannot cancel a batch that is already {status}.",
            "code": "ALREADY_TERMINAL",
        },
    )
    assert (client.seen(batch_id), everything(client)) == before


def test_a_second_cancel_is_409(client):
    batch_id = client.submitted(2)
    client.get(batch_id)
    assert [client.cancel(batch_id).status for _ in range(3)] == [200, 409, 409]


def test_cancel_comes_too_late_when_time_completed_the_batch(client):
    client.will(completed(after_seconds=10))
    batch_id = client.submitted(1)
    client.wait(10)
    assert client.cancel(batch_id).json["code"] == "ALREADY_TERMINAL"


@pytest.mark.parametrize("status", ["pending", "running"])
def test_a_batch_that_has_not_ended_can_be_cancelled(client, status):
    batch_id = client.place(3, status=status)
    assert client.cancel(batch_id).json["cancelledItems"] == (3 if status == "pending" else 0)


# -- retry ---------------------------------------------------------------------------------------------


@pytest.fixture
def broken(client):
    """The id of a finished batch: the second and third of four items failed."""
    for place in (2, 3):
        client.will(failed("Timeout"), completed({"second": "attempt"}), place=place)
    batch_id = client.submitted(4)
    client.get(batch_id)
    client.wait(30)
    assert client.statuses(batch_id) == ["completed", "failed", "failed", "completed"]
    return batch_id


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        (b"", {}),
        (b"", {"content-type": "application/json"}),
        (b"{}", {"content-type": "application/json"}),
        (b'{"cookies": "session=1"}', {"content-type": "application/json"}),
        (b"{\n}\n", {}),
    ],
)
def test_every_form_of_a_retry_is_202_with_the_number_of_items(client, broken, content, headers):
    reply = client.retry(broken, content, {**KEY, **headers})
    assert answer(reply) == (202, {"status": "queued", "retriedCount": 2})


@pytest.mark.parametrize("content", [b"[]", b"null", b"1", b"{", b"urls=1", b"\xff"])
def test_a_retry_with_a_body_that_is_no_object_is_400(client, broken, content):
    before = client.seen(broken), everything(client)
    reply = client.retry(broken, content)
    assert (reply.status, reply.json["status"]) == (400, "error")
    assert (client.seen(broken), everything(client)) == before


def test_a_retry_with_a_body_nested_without_end_is_400(client, broken):
    assert client.retry(broken, b"[" * 100_000).status == 400


def test_a_retry_queues_the_failed_items_and_the_batch_runs_at_once(client, broken):
    client.wait(30)
    client.retry(broken)
    (job,) = client.jobs()
    assert job["uuid"] == broken
    assert job["status"] == "running"
    assert (job["totalUrls"], job["completedCount"], job["failedCount"]) == (4, 2, 0)
    assert (job["createdAt"], job["finishedAt"]) == ("2024-01-15T10:00:00Z", None)


def test_retried_items_are_as_good_as_new(client, broken):
    client.account.concurrency = 1
    before = client.items(broken)
    client.retry(broken)
    after = client.items(broken)
    assert told(after[2]) == UNTOUCHED
    assert after[1]["status"] == "running"
    assert (after[1]["error"], after[1]["finishedAt"], after[1]["creditsUsed"]) == (None, None, 0)
    assert after[1]["jobId"] != before[1]["jobId"]
    for name in ("uuid", "url"):
        assert [item[name] for item in before] == [item[name] for item in after]


def test_a_retry_leaves_completed_items_untouched(client, broken):
    before = client.items(broken)
    client.retry(broken)
    for looks in (1, 2, 3):
        after = client.items(broken, looks)
        assert (after[0], after[3]) == (before[0], before[3])


def test_a_retried_batch_completes_again_under_its_id(client, broken):
    client.retry(broken)
    assert client.seen(broken)["status"] == "running"
    client.wait(30)
    batch = client.seen(broken)
    assert (batch["status"], batch["completedCount"], batch["failedCount"]) == ("completed", 4, 0)
    assert batch["createdAt"] == "2024-01-15T10:00:00Z"
    assert batch["finishedAt"] == "2024-01-15T10:01:00Z"
    assert batch["items"][1]["result"] == {"second": "attempt"}
    assert client.list().json["pagination"]["total"] == 1


def test_a_retried_item_needs_no_look_either_when_its_outcome_has_a_time(client):
    client.will(failed(), completed(after_seconds=10))
    batch_id = client.submitted(1)
    client.items(batch_id, looks=2)
    client.wait(5)
    client.retry(batch_id)
    client.wait(60)
    (item,) = client.items(batch_id)
    assert (item["startedAt"], item["finishedAt"]) == ("2024-01-15T10:00:05Z", "2024-01-15T10:00:15Z")


def test_a_retry_reserves_credits_for_the_retried_items_only(client, broken):
    assert client.ledger == {"reserved": 8, "charged": 4, "refunded": 4}
    left = client.account.credits
    client.retry(broken)
    assert client.account.credits == left - 4
    assert client.ledger == {"reserved": 12, "charged": 4, "refunded": 4}
    client.seen(broken, looks=2)
    assert client.ledger == {"reserved": 12, "charged": 8, "refunded": 4}


def test_an_item_that_fails_again_costs_nothing_again(client):
    client.will(failed())
    batch_id = client.submitted(1)
    client.get(batch_id)
    for _ in range(3):
        client.get(batch_id)
        client.retry(batch_id)
        assert client.items(batch_id)[0]["creditsUsed"] == 0
    client.get(batch_id)
    assert client.ledger == {"reserved": 8, "charged": 0, "refunded": 8}
    assert client.account.credits == 10_000


def test_a_retry_keeps_the_options_of_the_submit(client):
    client.will(failed(), completed())
    batch_id = client.submitted(1, prompt="The title", screenshot=True)
    client.items(batch_id, looks=2)
    client.retry(batch_id)
    (item,) = client.items(batch_id, looks=2)
    assert isinstance(item["result"], dict)
    assert item["screenshotUrl"]


def test_a_retry_when_nothing_failed_is_400(client):
    batch_id = client.submitted(2)
    refused = (400, {"status": "error", "message": "No failed items to retry.", "code": "NO_FAILED_ITEMS"})
    assert answer(client.retry(batch_id)) == refused
    client.get(batch_id)
    assert answer(client.retry(batch_id)) == refused
    client.get(batch_id)
    assert answer(client.retry(batch_id)) == refused
    assert client.seen(batch_id)["status"] == "completed"
    assert client.ledger["reserved"] == 4


def test_a_retry_finds_what_time_alone_let_fail(client):
    client.will(failed(after_seconds=10), completed())
    batch_id = client.submitted(1)
    client.wait(10)
    assert client.retry(batch_id).status == 202


def test_a_retry_sent_twice_is_refused_the_second_time(client, broken):
    assert client.retry(broken).status == 202
    assert client.retry(broken).json["code"] == "NO_FAILED_ITEMS"
    assert client.ledger["reserved"] == 12


def test_a_retry_does_not_touch_cancelled_items(client):
    client.account.retry_of_cancelled = "accept"
    client.account.concurrency = 1
    client.will(failed(), completed())
    batch_id = client.submitted(3)
    client.get(batch_id)
    client.cancel(batch_id)
    assert client.statuses(batch_id) == ["failed", "cancelled", "cancelled"]
    assert client.retry(batch_id).json["retriedCount"] == 1
    batch = client.seen(batch_id, looks=2)
    assert [item["status"] for item in batch["items"]] == ["completed", "cancelled", "cancelled"]
    assert (batch["status"], batch["completedCount"], batch["failedCount"]) == ("completed", 1, 0)


def in_state(client, state):
    """Return the id of a batch in `state` of whose three items one failed."""
    client.will(failed(after_polls=0), completed())
    if state == "running":
        client.will(stuck(), place=2)
    elif state == "failed":
        client.ends("failed", after_polls=0, unfinished="cancelled")
    batch_id = client.submitted(3)
    if state == "cancelled":
        client.cancel(batch_id)
    batch = client.seen(batch_id)
    assert (batch["status"], batch["failedCount"]) == (state, 1)
    return batch_id


@pytest.mark.parametrize("state", ["running", "failed", "cancelled"])
def test_a_retry_of_any_other_state_can_be_accepted(client, state):
    setattr(client.account, f"retry_of_{state}", "accept")
    batch_id = in_state(client, state)
    assert answer(client.retry(batch_id)) == (202, {"status": "queued", "retriedCount": 1})
    (job,) = client.jobs()
    assert (job["status"], job["failedCount"], job["finishedAt"]) == ("running", 0, None)
    if state == "running":
        assert client.statuses(batch_id, looks=2) == ["completed", "running", "completed"]
    else:
        batch = client.seen(batch_id, looks=2)
        assert batch["status"] == "completed"
        assert [item["status"] for item in batch["items"]] == ["completed", "cancelled", "cancelled"]


@pytest.mark.parametrize("state", ["running", "failed", "cancelled"])
@pytest.mark.parametrize("status", [400, 409, 422])
def test_a_retry_of_any_other_state_can_be_refused_with_a_status(client, state, status):
    setattr(client.account, f"retry_of_{state}", status)
    batch_id = in_state(client, state)
    before = everything(client)
    reply = client.retry(batch_id)
    assert (reply.status, reply.json["status"]) == (status, "error")
    assert state in reply.json["message"]
    assert everything(client) == before


@pytest.mark.parametrize("state", ["running", "failed", "cancelled"])
def test_a_retry_of_any_other_state_can_be_refused_with_a_reply(client, state):
    reply = Reply.of(418, {"error": "no"}, {"x-why": "tea"})
    setattr(client.account, f"retry_of_{state}", reply)
    assert client.retry(in_state(client, state)) == reply


@pytest.mark.parametrize(("state", "status"), [("running", 202), ("failed", 202), ("cancelled", 409)])
def test_by_default_only_cancelled_batches_refuse_a_retry(client, state, status):
    assert client.retry(in_state(client, state)).status == status


def test_a_pending_batch_answers_a_retry_as_a_running_one(client):
    client.account.retry_of_running = 409
    assert client.retry(client.submitted(1)).status == 409


@pytest.mark.parametrize("state", ["running", "failed", "cancelled"])
def test_a_completed_batch_can_be_retried_whatever_the_others_answer(client, broken, state):
    setattr(client.account, f"retry_of_{state}", 409)
    assert client.retry(broken).status == 202


# -- credits -------------------------------------------------------------------------------------------


def test_credits_are_reserved_on_submit_and_settled_item_by_item(client):
    client.will(completed(after_seconds=1), place=1)
    client.will(failed(after_seconds=2), place=2)
    client.will(completed(after_seconds=3), place=3)
    batch_id = client.submitted(3)
    assert client.ledger == {"reserved": 6, "charged": 0, "refunded": 0}
    settled = []
    client.get(batch_id)
    for _ in range(3):
        client.wait(1)
        client.get(batch_id)
        settled.append((client.account.credits, client.ledger["charged"], client.ledger["refunded"]))
    assert settled == [(9994, 2, 0), (9996, 2, 2), (9996, 4, 2)]


@pytest.mark.parametrize(
    ("used", "charged", "refunded"), [(0, 0, 2), (1, 1, 1), (2, 2, 0), (7, 7, 0), (None, 2, 0)]
)
def test_a_completed_item_is_charged_what_it_used(client, used, charged, refunded):
    client.will(completed(credits=used))
    (item,) = client.items(client.submitted(1), looks=2)
    assert item["creditsUsed"] == charged
    assert client.ledger == {"reserved": 2, "charged": charged, "refunded": refunded}
    assert client.account.credits == 10_000 - charged


@pytest.mark.parametrize("price", [0, 1, 3])
def test_the_price_per_url_is_a_setting(price):
    client = Client(price_per_url=price)
    items = client.items(client.submitted(2), looks=2)
    assert [item["creditsUsed"] for item in items] == [price, price]
    assert client.ledger["reserved"] == 2 * price


def test_a_batch_keeps_the_price_of_its_submit(client):
    client.will(failed(), completed())
    batch_id = client.submitted(2)
    client.account.price_per_url = 100
    client.items(batch_id, looks=2)
    client.retry(batch_id)
    client.get(batch_id)
    assert [item["creditsUsed"] for item in client.items(batch_id)] == [2, 2]


def test_short_credits_are_a_403_on_submit_and_nothing_changes(client):
    client.account.credits = 5
    before = everything(client)
    reply = client.submit(3)
    assert reply.status == 403
    assert reply.json["status"] == "error"
    assert everything(client) == before
    client.account.credits = 6
    assert client.submit(3).status == 202
    assert client.account.credits == 0


def test_short_credits_are_a_403_on_retry_and_nothing_changes(client, broken):
    client.account.credits = 3
    before = client.seen(broken), everything(client)
    reply = client.retry(broken)
    assert reply.status == 403
    assert reply.json["status"] == "error"
    assert (client.seen(broken), everything(client)) == before
    client.account.credits = 4
    assert client.retry(broken).status == 202
    assert client.account.credits == 0


def test_the_403_of_short_credits_is_told_from_that_of_an_invalid_key_by_its_message():
    client = Client(credits=0, keys=["spd_good"], invalid_key_status=403)
    key = client.submit()
    client.account.keys = None
    short = client.submit()
    assert key.status == short.status == 403
    assert "credit" in short.json["message"].lower()
    assert "credit" not in key.json["message"].lower()


def test_looking_listing_and_cancelling_need_no_credits(client):
    batch_id = client.submitted(1)
    client.account.credits = 0
    assert [client.cancel(batch_id).status, client.get(batch_id).status, client.list().status] == [200] * 3


def test_what_a_placed_batch_cost_is_in_no_ledger(client):
    client.place(3, failing=1)
    assert client.ledger == {"reserved": 0, "charged": 0, "refunded": 0}
    assert client.account.credits == 10_000


@pytest.mark.parametrize("status", ["pending", "running"])
def test_what_a_placed_batch_still_holds_counts_as_reserved(client, status):
    client.place(3, status=status)
    assert client.ledger == {"reserved": 6, "charged": 0, "refunded": 0}
    assert client.account.credits == 10_000


@pytest.mark.parametrize("status", ["pending", "running"])
def test_what_a_strangers_batch_holds_is_none_of_our_credits(client, status):
    client.place(3, status=status, owner="someone else")
    assert client.ledger == {"reserved": 0, "charged": 0, "refunded": 0}


# -- pending jobs --------------------------------------------------------------------------------------

PENDING_JOBS = {
    "status": "error",
    "message": "You have too many pending scrape jobs. Please wait for some to complete before submitting more.",
    "code": "TOO_MANY_PENDING_JOBS",
}


def test_there_is_no_pending_cap_by_default(client):
    assert [client.submit(50).status for _ in range(3)] == [202] * 3


def test_the_pending_cap_counts_waiting_items_over_all_batches():
    client = Client(pending_cap=5)
    client.submit(3)
    before = everything(client)
    assert answer(client.submit(3)) == (429, PENDING_JOBS)
    assert everything(client) == before
    assert client.submit(2).status == 202
    assert client.submit(1).status == 429


def test_items_in_work_do_not_count_as_pending():
    client = Client(pending_cap=3)
    batch_id = client.submitted(3)
    assert client.submit(1).status == 429
    client.get(batch_id)
    assert client.submit(3).status == 202


def test_items_that_time_alone_took_into_work_do_not_count_as_pending():
    client = Client(pending_cap=1)
    client.will(completed(after_seconds=10))
    client.submit(1)
    assert client.submit(1).status == 429
    client.wait(10)
    assert client.submit(1).status == 202


def test_a_strangers_items_do_not_count_as_pending():
    client = Client(pending_cap=3)
    client.place(3, status="pending", owner="someone else")
    assert client.submit(3).status == 202


def test_retried_items_count_as_pending(client, broken):
    client.account.pending_cap = 1
    before = client.seen(broken), everything(client)
    assert answer(client.retry(broken)) == (429, PENDING_JOBS)
    assert (client.seen(broken), everything(client)) == before
    client.account.pending_cap = 2
    assert client.retry(broken).status == 202


# -- rate limit ----------------------------------------------------------------------------------------


def limited(**limit):
    return Client(rate_limit=RateLimit(**limit))


def quota(reply):
    names = ("ratelimit-limit", "ratelimit-remaining", "ratelimit-reset")
    return tuple(reply.headers.get(name) for name in names)


def test_there_is_no_rate_limit_by_default(client):
    replies = [client.list() for _ in range(400)]
    assert {reply.status for reply in replies} == {200}
    assert not any("limit" in name or "retry" in name for name in replies[-1].headers)


def test_the_documented_limit_is_300_requests_in_15_minutes():
    client = limited()
    first = client.list()
    assert quota(first) == ("300", "299", "900")
    assert first.headers["ratelimit-policy"] == "300;w=900"
    assert [client.list().status for _ in range(300)] == [200] * 299 + [429]


def test_a_request_over_the_limit_is_429_without_a_code_and_does_nothing():
    client = limited(requests=1, per_seconds=60)
    batch_id = client.submitted(1)
    client.wait(12.3)
    reply = client.cancel(batch_id)
    assert answer(reply) == (
        429,
        {"status": "error", "message": "Too many requests, please try again later."},
    )
    assert quota(reply) == ("1", "0", "48")
    assert reply.headers["retry-after"] == "48"
    client.wait(60)
    assert client.seen(batch_id)["status"] == "running"


def test_a_request_within_the_limit_has_no_retry_after():
    assert "retry-after" not in limited(requests=1).list().headers


def test_retry_after_can_be_left_out_of_a_429():
    client = limited(requests=0, retry_after=False)
    reply = client.list()
    assert reply.status == 429
    assert "retry-after" not in reply.headers


def test_the_reset_can_be_a_unix_timestamp():
    client = limited(requests=1, per_seconds=60, reset="timestamp")
    end = str(NOW // 1_000_000 + 60)
    assert quota(client.list()) == ("1", "0", end)
    client.wait(12.3)
    reply = client.list()
    assert quota(reply) == ("1", "0", end)
    assert reply.headers["retry-after"] == "48"


@pytest.mark.parametrize("operation", REQUESTS)
def test_every_endpoint_counts_and_shows_the_quota(operation):
    client = limited(requests=2)
    batch_id = client.place(2, failing=1)
    assert quota(request(client, operation, batch_id))[:2] == ("2", "1")
    request(client, operation, batch_id)
    assert request(client, operation, batch_id).status == 429


def test_refused_requests_count_and_show_the_quota():
    client = limited(requests=3)
    assert quota(client.get(NOBODY))[1] == "2"
    assert quota(client.send("GET", BATCHES, headers={}))[1] == "1"
    assert quota(client.submit([]))[1] == "0"
    assert client.list().status == 429


def test_a_submit_keeps_its_location_beside_the_quota():
    reply = limited().submit()
    assert reply.headers["location"].endswith(reply.json["batchId"])
    assert reply.headers["content-type"].startswith("application/json")
