"""Scrapes, fact by fact, as the sources have them (docs of scrape and scrape-status, SDKs, MCP server)."""

from __future__ import annotations

import json

import pytest
from fake_client import KEY
from job_client import JobClient

from pytest_spidra.fake.job import JobKind
from pytest_spidra.fake.outcomes import completed, failed, stuck

A, B, C = "https://a.example/", "https://b.example/", "https://c.example/"
HOUR = 3600


@pytest.fixture
def client():
    return JobClient("/scrape")


def submit(client, *urls, **options):
    return client.post({"urls": [{"url": url} for url in urls or (A,)], **options})


def submitted(client, *urls, **options):
    return submit(client, *urls, **options).json["jobId"]


def finished(client, *urls, **options):
    return client.shown(submitted(client, *urls, **options), looks=2)


# -- submit --------------------------------------------------------------------------------------------


def test_a_submit_is_accepted_with_202_queued_and_an_id(client):
    reply = submit(client)
    assert reply.status == 202
    assert set(reply.json) == {"status", "jobId"}
    assert reply.json["status"] == "queued"


def test_ids_are_stable_differ_from_each_other_and_from_a_batchs(client):
    ids = [submitted(client) for _ in range(3)]
    assert len({*ids, client.submitted()}) == 4
    assert ids == [submitted(again) for again in [JobClient("/scrape")] for _ in range(3)]


@pytest.mark.parametrize("output", [None, "json", "markdown"])
@pytest.mark.parametrize(
    "schema", [{"type": "object", "properties": {"n": {"anyOf": [{"type": "integer"}, {"type": "null"}]}}}]
)
def test_keywords_that_are_ignored_are_named_in_the_answer_and_in_the_status(client, schema, output):
    options = {"schema": schema, **({"output": output} if output else {})}
    reply = submit(client, **options)
    assert reply.status == 202
    (warning,) = reply.json["schema_warnings"]
    assert '"anyOf"' in warning
    assert "n" in warning
    assert client.shown(reply.json["jobId"])["schema_warnings"] == [warning]
    assert client.shown(reply.json["jobId"])["schema_warnings"] == [warning]


def test_a_property_that_is_called_like_a_keyword_is_no_keyword(client):
    schema = {"type": "object", "properties": {"anyOf": {"type": "string"}}}
    assert "schema_warnings" not in submit(client, schema=schema).json


@pytest.mark.parametrize("warnings", [(), ("careful",)])
def test_the_account_may_say_what_the_warnings_are(client, warnings):
    client.account.schema_warnings = warnings
    answer = submit(client, schema={"anyOf": []}).json
    assert answer.get("schema_warnings", []) == list(warnings)


def test_a_batch_derives_its_warnings_just_so(client):
    answer = client.submit(
        1, schema={"properties": {"n": {"$ref": "#/$defs/N"}}, "$defs": {"N": {"anyOf": []}}}
    )
    first, second = answer.json["schema_warnings"]
    assert '"$ref" at schema.properties.n ' in first
    assert '"anyOf" at schema.$defs.N ' in second


OPTIONS = {
    "prompt": "the price",
    "output": "json",
    "schema": {"type": "object"},
    "useProxy": True,
    "proxyCountry": "eu",
    "extractContentOnly": True,
    "cookies": "a=b",
    "screenshot": True,
    "fullPageScreenshot": True,
    "scrapeMode": "fast",
}


@pytest.mark.parametrize("option", OPTIONS)
def test_every_documented_option_is_taken_and_of_its_type_only(client, option):
    assert submit(client, **{option: OPTIONS[option]}).status == 202
    for wrong in (None, 5, []):
        reply = submit(client, **{option: wrong})
        assert (reply.status, reply.json["message"]) == (422, "Request validation failed.")
        assert any(option in sentence for sentence in reply.json["errors"])


def test_an_empty_prompt_is_none(client):
    assert finished(client, prompt="")["result"]["content"] == f"# {A}\n\nScraped."


@pytest.mark.parametrize(("count", "status"), [(1, 202), (3, 202), (4, 422), (50, 422)])
def test_one_to_three_urls_are_taken(client, count, status):
    assert submit(client, *(f"https://a.example/{number}" for number in range(count))).status == status


@pytest.mark.parametrize("body", [{}, {"urls": []}, {"urls": None}])
def test_without_a_url_it_is_a_422_of_that_wording(client, body):
    reply = client.post(body)
    assert reply.status == 422
    assert reply.json["message"] == "Request validation failed."
    assert reply.json["errors"] == ["At least one URL is required."]


WRONG_URLS = {
    "a text": A,
    "texts": [A],
    "no url": [{}],
    "a number": [{"url": 5}],
    "no scheme": [{"url": "a.example"}],
    "a private address": [{"url": "http://127.0.0.1/"}],
    "an instruction that is no text": [{"url": A, "instruction": 5}],
    "actions that are no list": [{"url": A, "actions": {}}],
    "an action that is no object": [{"url": A, "actions": ["click"]}],
    "an unknown action": [{"url": A, "actions": [{"type": "fly"}]}],
    "an unknown mode": [{"url": A, "actions": [{"type": "forEach", "mode": "fly"}]}],
    "too many items": [{"url": A, "actions": [{"type": "forEach", "maxItems": 51}]}],
    "no items": [{"url": A, "actions": [{"type": "forEach", "maxItems": 0}]}],
    "pagination that is no object": [{"url": A, "actions": [{"type": "forEach", "pagination": 1}]}],
    "too many pages": [{"url": A, "actions": [{"type": "forEach", "pagination": {"maxPages": 11}}]}],
    "a wrong action inside": [{"url": A, "actions": [{"type": "forEach", "actions": [{"type": "fly"}]}]}],
}


@pytest.mark.parametrize("urls", WRONG_URLS.values(), ids=WRONG_URLS)
def test_what_is_wrong_with_urls_is_told_with_the_place(client, urls):
    reply = client.post({"urls": urls})
    assert reply.status == 422
    assert all(sentence.startswith("urls") and sentence.endswith(".") for sentence in reply.json["errors"])


@pytest.mark.parametrize("kind", ["click", "type", "check", "uncheck", "wait", "scroll", "forEach"])
def test_every_documented_action_is_taken(client, kind):
    action = {"type": kind, "maxItems": 50, "mode": "inline", "pagination": {"maxPages": 10}, "actions": []}
    assert client.post({"urls": [{"url": A, "actions": [action], "instruction": "look"}]}).status == 202


@pytest.mark.parametrize(("refuse", "status"), [(False, 202), (True, 422)])
def test_unknown_fields_are_ignored_unless_the_account_says_so(client, refuse, status):
    client.account.refuse_unknown_fields = refuse
    assert submit(client, use_proxy=True).status == status


@pytest.mark.parametrize("content", [b"", b"{", b"[1", b"\xff"])
def test_a_body_that_is_no_json_is_a_400(client, content):
    assert client.post(content).status == 400


@pytest.mark.parametrize("body", [[], 5, "text", None])
def test_a_body_that_is_no_object_is_a_422(client, body):
    assert client.post(body).status == 422


def test_nothing_is_queued_and_reserved_of_what_is_refused(client):
    client.post({"urls": []})
    assert client.service.jobs.states == {}
    assert client.ledger == {"reserved": 0, "charged": 0, "refunded": 0}


def test_too_many_pending_scrapes_are_refused_by_the_cap_and_run_ones_are_none(client):
    client.account.scrape_pending_cap = 1
    first = submitted(client)
    reply = submit(client)
    assert (reply.status, reply.json["code"]) == (429, "TOO_MANY_PENDING_JOBS")
    client.look(first)
    assert submit(client).status == 202


def test_an_overdue_payment_and_short_credits_are_refused(client):
    client.account.payment_overdue = True
    assert (submit(client).status, submit(client).json["code"]) == (402, "PAYMENT_OVERDUE")
    client.account.payment_overdue = False
    client.account.credits = 3
    reply = submit(client, A, B)
    assert (reply.status, reply.json["message"]) == (403, "You have exceeded your monthly credit limit.")
    assert submit(client, A).status == 202


def test_a_key_is_asked_for(client):
    content = json.dumps({"urls": [{"url": A}]}).encode()
    assert client.send("POST", "/scrape", content, headers={}).status == 401
    client.account.keys = ["other"]
    assert client.send("POST", "/scrape", content, headers=KEY).status == 401


# -- status --------------------------------------------------------------------------------------------


def test_the_first_look_shows_it_active_and_the_next_its_result(client):
    job = submitted(client)
    first = client.shown(job)
    assert list(first) == ["status", "progress", "result", "error"]
    assert (first["status"], first["result"], first["error"]) == ("active", None, None)
    assert 0 <= first["progress"]["progress"] < 1
    second = client.shown(job)
    assert (second["status"], second["error"]) == ("completed", None)
    assert second["progress"] == {"message": "Scrape completed successfully", "progress": 1}
    assert list(second["result"]) == ["content", "data", "screenshots", "ai_extraction_failed", "stats"]
    assert client.shown(job) == second


def test_it_is_delayed_while_the_service_retries_by_itself(client):
    client.outcomes({A: completed(after_polls=2, delayed=True)})
    job = submitted(client)
    assert [client.shown(job)["status"] for _ in range(3)] == ["delayed", "delayed", "completed"]


@pytest.mark.parametrize("delayed", [True, False])
def test_what_is_stuck_never_ends(client, delayed):
    client.outcomes({A: stuck(delayed=delayed)})
    assert client.shown(submitted(client), looks=50)["status"] == ("delayed" if delayed else "active")


def test_a_scrape_with_seconds_of_its_own_ends_whoever_looks(client):
    client.outcomes({A: completed(after_seconds=9.5)})
    job = submitted(client)
    client.wait(9)
    assert client.shown(job, looks=9)["status"] == "active"
    client.wait(0.5)
    body = client.shown(job)
    assert body["status"] == "completed"
    assert body["result"]["stats"]["durationMs"] == 9500


def test_a_failed_scrape_has_an_error_and_no_result_and_costs_nothing(client):
    client.outcomes({A: failed("blocked")})
    body = finished(client)
    assert (body["status"], body["error"], body["result"]) == ("failed", "blocked", None)
    assert client.ledger == {"reserved": 2, "charged": 0, "refunded": 2}


def test_some_failed_urls_leave_it_completed_and_are_marked(client):
    client.outcomes({B: failed("blocked")})
    body = finished(client, A, B)
    assert body["status"] == "completed"
    assert [(one["url"], one["success"]) for one in body["result"]["data"]] == [(A, True), (B, False)]
    assert client.ledger == {"reserved": 4, "charged": 2, "refunded": 2}


def test_all_failed_urls_make_it_failed_with_the_first_error(client):
    client.outcomes({A: failed("first"), B: failed("second")})
    body = finished(client, A, B)
    assert (body["status"], body["error"]) == ("failed", "first")


CONTENTS = {
    "nothing": ({}, str),
    "a prompt for json": ({"prompt": "p", "output": "json"}, dict),
    "a prompt for markdown": ({"prompt": "p", "output": "markdown"}, str),
    "a schema": ({"schema": {"type": "object"}}, dict),
    "json without a prompt": ({"output": "json"}, dict),
    "markdown": ({"output": "markdown"}, str),
}


@pytest.mark.parametrize(("options", "kind"), CONTENTS.values(), ids=CONTENTS)
def test_content_is_raw_markdown_or_what_the_ai_says(client, options, kind):
    result = finished(client, **options)["result"]
    assert type(result["content"]) is kind
    uses_ai = bool({"prompt", "schema"} & set(options)) or options.get("output") == "json"
    assert (result["stats"]["totalTokens"] > 0) == uses_ai
    assert result["stats"]["totalTokens"] == result["stats"]["inputTokens"] + result["stats"]["outputTokens"]


def test_raw_pages_come_in_sections_and_answers_in_one(client):
    raw = finished(client, A, B)["result"]["content"]
    assert raw.split("\n\n---\n\n") == [f"Content from: {url}\n\n# {url}\n\nScraped." for url in (A, B)]
    client.outcomes({A: completed({"n": 1}), B: completed({"n": 2})})
    assert finished(client, A, B, prompt="p", output="json")["result"]["content"] == [{"n": 1}, {"n": 2}]


def test_a_result_of_ones_own_is_the_content(client):
    client.outcomes({A: completed({"price": 7}, credits=5)})
    assert finished(client)["result"]["content"] == {"price": 7}
    assert client.ledger["charged"] == 5


def test_the_flags_of_bad_data_are_shown(client):
    client.outcomes({A: completed(ai_extraction_failed=True), B: completed(extraction_empty=True)})
    first = finished(client, A, prompt="p", output="json")["result"]
    assert first["ai_extraction_failed"] is True
    assert first["content"].startswith("# ")
    assert "extraction_empty" not in first
    second = finished(client, B, prompt="p", output="json")["result"]
    assert (second["ai_extraction_failed"], second["extraction_empty"], second["content"]) == (
        False,
        True,
        {},
    )
    client.outcomes({C: completed(low_content=True)})
    (page,) = finished(client, C)["result"]["data"]
    assert (page["lowContent"], page["success"]) == (True, True)


def test_captchas_are_counted_and_cost_five_each(client):
    client.outcomes({A: completed(captchas=2)})
    assert finished(client)["result"]["stats"]["captchaSolvedCount"] == 2
    assert client.ledger["charged"] == 2 + 2 * 5


def test_screenshots_are_there_when_asked_for(client):
    assert finished(client)["result"]["screenshots"] == []
    (shot,) = finished(client, screenshot=True)["result"]["screenshots"]
    assert shot.startswith("https://")


def test_outcomes_are_those_of_the_first_second_and_later_scrape_of_a_url(client):
    client.outcomes({A: [failed("once"), completed()]})
    assert [finished(client)["status"] for _ in range(3)] == ["failed", "completed", "completed"]
    assert client.service.jobs.unused_outcomes() == []


def test_hosts_that_cannot_resolve_fail_where_the_account_says_so(client):
    url = "https://x.invalid/"
    assert finished(client, url)["status"] == "completed"
    client.account.invalid_hosts_fail = True
    assert finished(client, url)["error"] == "net::ERR_NAME_NOT_RESOLVED"


# -- who may see it, and how long ----------------------------------------------------------------------


@pytest.mark.parametrize("job_id", ["abc", "", "00000001-0000-4000-8000-000000000000"])
def test_an_unknown_job_is_a_404_of_that_wording(client, job_id):
    if not job_id:
        job_id = client.submitted()  # a batch is no scrape
    reply = client.look(job_id)
    assert (reply.status, reply.json["message"]) == (404, "Job not found")


@pytest.mark.parametrize(("outcome", "hours"), [(completed(), 1), (failed(), 24)])
def test_a_scrape_can_be_read_an_hour_after_its_end_a_failed_one_a_day(client, outcome, hours):
    client.outcomes({A: outcome})
    job = submitted(client)
    client.shown(job, looks=2)
    client.wait(hours * HOUR)
    assert client.look(job).status == 200
    client.wait(0.001)
    assert client.look(job).status == 404


def test_an_hour_counts_from_the_end_and_not_from_the_look(client):
    client.outcomes({A: completed(after_seconds=10)})
    job = submitted(client)
    client.wait(10 + HOUR + 1)
    assert client.look(job).status == 404


def test_what_nobody_looks_at_is_billed_all_the_same(client):
    submitted(client, A, B)
    assert client.service.bill(client.now).charged == 4


def test_a_kind_that_leaves_something_out_cannot_be_made():
    class Halfway(JobKind):
        name = "halfway"

    with pytest.raises(TypeError) as raised:
        Halfway()
    assert all(
        name in str(raised.value)
        for name in ("problems", "accepted", "parts", "price", "shown", "result", "ordered")
    )
