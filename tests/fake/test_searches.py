"""Searches, fact by fact, as the sources have them (SDK types, MCP server)."""

from __future__ import annotations

import pytest
from job_client import JobClient

from pytest_spidra.fake.outcomes import completed, failed, stuck

HOUR = 3600
SOURCES = ["web", "news", "images", "videos", "research", "developer"]


@pytest.fixture
def client():
    return JobClient("/search", price_per_url=1)


def submit(client, query="cats", **options):
    return client.post({"query": query, **options})


def submitted(client, query="cats", **options):
    return submit(client, query, **options).json["jobId"]


def finished(client, query="cats", **options):
    return client.shown(submitted(client, query, **options), looks=2)


def data(client, **options):
    return finished(client, **options)["result"]["data"]


def test_without_wait_a_search_is_queued_with_202_and_an_id(client):
    reply = submit(client)
    assert (reply.status, reply.json["status"], set(reply.json)) == (202, "queued", {"status", "jobId"})
    assert reply.took == 0.0


def test_its_words_are_waiting_active_completed_failed(client):
    client.outcomes({"x": failed("all engines blocked")})
    job = submitted(client)
    assert client.service.jobs.states[job].word == "waiting"
    first = client.shown(job)
    assert (first["status"], first["progress"]) == (
        "active",
        {"message": "Searching the web...", "progress": 0},
    )
    assert client.shown(job)["status"] == "completed"
    body = finished(client, "x")
    assert (body["status"], body["error"], body["result"]) == ("failed", "all engines blocked", None)


def test_only_the_requested_sources_are_in_the_result(client):
    for sources in (["news"], ["images", "research"], SOURCES):
        found = data(client, sources=sources)
        assert [name for name in found if name in SOURCES] == sources
    assert "web" in data(client)


def test_a_result_has_the_fields_that_the_sdk_reads(client):
    result = finished(client)["result"]
    assert set(result) == {"success", "data", "stats", "logUuid"}
    assert result["success"] is True
    assert set(result["data"]["web"][0]) >= {"title", "url", "position", "description"}
    assert isinstance(result["data"]["extras"], dict)
    assert isinstance(result["stats"]["durationMs"], int)


def test_the_log_has_a_uuid_of_its_own(client):
    job = submitted(client)
    assert client.shown(job, looks=2)["result"]["logUuid"] != job


@pytest.mark.parametrize(("limit", "count"), [(1, 1), (20, 20), (None, 10)])
def test_the_limit_is_per_source_and_ten_by_default(client, limit, count):
    found = data(client, sources=["web", "news"], **({"limit": limit} if limit else {}))
    assert [len(found[name]) for name in ("web", "news")] == [count] * 2


def test_ranks_go_on_over_pages_and_a_stale_token_is_a_fresh_search(client):
    first = data(client)
    token = first["nextPageTokens"]["web"]
    second = data(client, pageTokens={"web": token})
    assert [one["position"] for one in second["web"]] == list(range(11, 21))
    assert data(client, page=2)["web"] == second["web"]
    assert data(client, pageTokens={"web": "stale"})["web"] == first["web"]
    assert data(client, pageTokens={"web": 5})["web"] == first["web"]


def test_no_token_means_no_more_pages(client):
    last = data(client, page=3)
    assert last["nextPageTokens"] == {}
    assert data(client, page=4)["web"] == []


def test_a_source_that_is_broken_is_missing_and_the_others_are_unaffected(client):
    client.outcomes({"cats": completed({"news": [{"title": "t", "url": "u"}]})})
    found = data(client, sources=["web", "news"])
    assert "web" not in found
    assert len(found["news"]) == 1


def test_an_unsuccessful_search_says_so_in_its_result(client):
    client.outcomes({"cats": completed(unsuccessful=True)})
    assert finished(client)["result"]["success"] is False


# -- price ---------------------------------------------------------------------------------------------

PRICES = {
    "ten results": ({}, 1),
    "eleven": ({"limit": 11}, 2),
    "twenty of two sources": ({"limit": 20, "sources": ["web", "news"]}, 4),
    "one of each": ({"limit": 1, "sources": SOURCES}, 6),
    "an empty page": ({"page": 4}, 0),
    "with pages": ({"limit": 3, "scrapeOptions": {"formats": ["markdown"]}}, 1 + 3),
    "with ten pages at most": ({"limit": 20, "scrapeOptions": {}}, 2 + 10),
    "with two pages": ({"limit": 20, "scrapeOptions": {"maxResults": 2}}, 2 + 2),
}


@pytest.mark.parametrize(("options", "price"), PRICES.values(), ids=PRICES)
def test_a_search_costs_one_credit_for_ten_results_of_a_source_and_each_page(client, options, price):
    submitted(client, **options)
    assert client.service.bill(client.now).charged == price
    finished(client, **options)
    assert client.service.bill(client.now).charged == 2 * price
    assert client.account.credits == 10_000 - price


def test_a_failed_search_costs_nothing(client):
    client.outcomes({"cats": failed()})
    finished(client)
    assert client.ledger == {"reserved": 0, "charged": 0, "refunded": 0}


def test_credits_of_ones_own_are_charged(client):
    client.outcomes({"cats": completed(credits=7)})
    finished(client)
    assert client.ledger["charged"] == 7


def test_without_credits_it_is_refused(client):
    client.account.credits = 0
    reply = submit(client)
    assert (reply.status, reply.json["message"]) == (403, "You have exceeded your monthly credit limit.")


def test_pages_are_fetched_into_markdown_as_far_as_they_go(client):
    found = data(client, sources=["web", "news"], limit=3, scrapeOptions={"maxResults": 4})
    assert [["markdown" in one for one in found[name]] for name in ("web", "news")] == [
        [True] * 3,
        [True, False, False],
    ]


# -- wait ----------------------------------------------------------------------------------------------


def test_with_wait_the_result_comes_with_the_submit(client):
    reply = submit(client, wait=True)
    assert reply.status == 200
    assert (reply.json["status"], reply.json["error"]) == ("completed", None)
    assert len(reply.json["result"]["data"]["web"]) == 10
    assert client.shown(reply.json["jobId"])["status"] == "completed"


def test_with_wait_a_failure_comes_with_the_submit_and_its_id(client):
    client.outcomes({"cats": failed("all engines blocked")})
    reply = submit(client, wait=True)
    assert (reply.status, reply.json["status"], reply.json["error"]) == (200, "failed", "all engines blocked")
    assert client.look(reply.json["jobId"]).json["status"] == "failed"


@pytest.mark.parametrize("seconds", [5, 20])
def test_a_wait_takes_as_long_as_the_search(client, seconds):
    client.outcomes({"cats": completed(after_seconds=seconds)})
    reply = submit(client, wait=True)
    assert (reply.status, reply.took) == (200, float(seconds))
    assert client.shown(reply.json["jobId"])["status"] == "active"  # somebody else looks meanwhile
    assert client.ledger["charged"] == 0
    client.wait(seconds)
    assert client.shown(reply.json["jobId"])["status"] == "completed"
    assert client.ledger["charged"] == 1


@pytest.mark.parametrize("outcome", [completed(after_seconds=20.5), completed(after_polls=2), stuck()])
def test_what_takes_longer_than_the_window_is_queued_after_it(client, outcome):
    client.outcomes({"cats": outcome})
    reply = submit(client, wait=True)
    assert (reply.status, reply.json["status"], reply.took) == (202, "queued", 20.0)
    assert client.shown(reply.json["jobId"])["status"] == "active"


def test_the_window_is_a_setting_and_pages_are_never_waited_for(client):
    client.outcomes({"cats": completed(after_seconds=3)})
    client.account.search_wait = 2
    assert submit(client, wait=True).took == 2.0
    assert (submit(client, wait=True, scrapeOptions={}).status, submit(client, wait=False).took) == (202, 0.0)


# -- what is refused -----------------------------------------------------------------------------------

WRONG = {
    "no query": {"query": ""},
    "a blank query": {"query": " "},
    "a number": {"query": 5},
    "an unknown source": {"sources": ["shops"]},
    "no source": {"sources": []},
    "sources of numbers": {"sources": [5]},
    "sources in a text": {"sources": "web"},
    "a limit of 0": {"limit": 0},
    "a limit of 21": {"limit": 21},
    "a limit that is true": {"limit": True},
    "a page of 0": {"page": 0},
    "tokens in a list": {"pageTokens": []},
    "an unknown range": {"timeRange": "decade"},
    "both lists": {"includeDomains": ["a"], "excludeDomains": ["b"]},
    "domains of research": {"includeDomains": ["a"], "sources": ["research"]},
    "another file type": {"filetype": "doc"},
    "another format": {"scrapeOptions": {"formats": ["html"]}},
    "too many pages": {"scrapeOptions": {"maxResults": 21}},
    "a null": {"timeRange": None},
    "domains that are objects": {"excludeDomains": [{}]},
}


@pytest.mark.parametrize("body", WRONG.values(), ids=WRONG)
def test_a_wrong_body_is_a_422_with_sentences(client, body):
    reply = client.post({"query": "cats", **body})
    assert reply.status == 422
    assert reply.json["errors"]
    assert client.service.jobs.states == {}


RIGHT = {
    "everything": {
        "sources": SOURCES[:4],
        "limit": 20,
        "page": 2,
        "pageTokens": {},
        "timeRange": "day",
        "country": "eu",
        "includeDomains": ["a.example"],
        "filetype": "pdf",
        "scrapeOptions": {"formats": ["markdown"], "maxResults": 20},
        "wait": True,
    },
    "excluded": {"excludeDomains": ["a.example"]},
    "unknown": {"color": "blue"},
}


@pytest.mark.parametrize("body", RIGHT.values(), ids=RIGHT)
def test_what_is_documented_or_unknown_is_taken(client, body):
    assert submit(client, **body).status in {200, 202}


def test_unknown_fields_are_refused_where_the_account_says_so(client):
    client.account.refuse_unknown_fields = True
    assert submit(client, color="blue").status == 422
    assert submit(client).status == 202


@pytest.mark.parametrize(("outcome", "hours"), [(completed(), 1), (failed(), 24)])
def test_a_search_can_be_read_an_hour_after_its_end_a_failed_one_a_day(client, outcome, hours):
    client.outcomes({"cats": outcome})
    job = submitted(client)
    client.shown(job, looks=2)
    client.wait(hours * HOUR)
    assert client.look(job).status == 200
    client.wait(1)
    assert (client.look(job).status, client.look(job).json["message"]) == (404, "Job not found")


def cancel(client, job):
    return client.send("DELETE", f"/search/{job}")


def test_a_running_search_that_is_cancelled_has_failed_and_is_free(client):
    client.outcomes({"cats": stuck()})
    job = submitted(client)
    client.shown(job)
    assert (cancel(client, job).status, cancel(client, job).status) == (200, 409)
    body = client.shown(job)
    assert (body["status"], body["error"]) == ("failed", "Search cancelled")
    assert client.service.bill(client.now).charged == 0


def test_a_waiting_search_that_is_cancelled_is_removed(client):
    job = submitted(client)
    assert cancel(client, job).json == {"status": "cancelled", "jobId": job}
    assert (client.look(job).status, cancel(client, job).status) == (404, 404)
    assert client.service.bill(client.now).charged == 0


def test_a_scrape_is_no_search(client):
    job = client.post({"urls": [{"url": "https://a.example/"}]}, "/scrape").json["jobId"]
    assert client.look(job).status == 404
