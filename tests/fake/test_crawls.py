"""Crawls, fact by fact, as the sources have them (docs of crawling, SDK types, MCP server)."""

from __future__ import annotations

import io
import json
import zipfile
from urllib.parse import urlsplit

import pytest
from job_client import JobClient

from pytest_spidra.fake.outcomes import batch_end, completed, failed, stuck
from pytest_spidra.traffic.request import Request

SITE = "https://a.example"
PAGES = [f"{SITE}/{number}" for number in range(1, 5)]


@pytest.fixture
def client():
    return JobClient("/crawl")


def submit(client, **options):
    return client.post({"baseUrl": SITE, "crawlInstruction": "all", **options})


def submitted(client, **options):
    return submit(client, **options).json["jobId"]


def finished(client, **options):
    job = submitted(client, **options)
    client.shown(job, looks=2)
    return job


def finds(client, pages):
    if isinstance(pages, dict):
        client.outcomes(pages)
    client.service.jobs.pages[None] = list(pages)


def pages(client, job, query=""):
    return client.send("GET", f"/crawl/{job}/pages", query=query).json


def cancel(client, job):
    return client.send("DELETE", f"/crawl/{job}")


def extract(client, job, told="the price"):
    return client.post({"transformInstruction": told}, f"/crawl/{job}/extract")


def retry(client, job, page):
    return client.send("POST", f"/crawl/{job}/retry/{page}", b"{}")


# -- submit and status ---------------------------------------------------------------------------------


def test_a_submit_is_accepted_with_202_queued_and_an_id(client):
    reply = submit(client)
    assert (reply.status, reply.json["status"], set(reply.json)) == (202, "queued", {"status", "jobId"})


def test_its_words_are_waiting_running_delayed_completed(client):
    finds(client, {SITE: completed(after_polls=2, delayed=True)})
    job = submitted(client)
    assert client.service.jobs.states[job].word == "waiting"
    assert [client.shown(job)["status"] for _ in range(3)] == ["delayed", "delayed", "completed"]
    finds(client, [SITE])
    client.outcomes({SITE: completed()})
    job = submitted(client)
    assert client.shown(job)["status"] == "running"


def test_a_running_crawl_tells_a_message_and_no_count_unless_the_account_says_so(client):
    finds(client, {PAGES[0]: completed(after_polls=1), PAGES[1]: completed(after_polls=3)})
    job = submitted(client)
    assert "pagesCrawled" not in client.shown(job)["progress"]
    assert client.shown(job)["progress"]["message"] == f"Scraping (2/5) {PAGES[1]}"
    client.account.crawl_progress = "pages"
    job = submitted(client)
    assert client.shown(job)["progress"]["pagesCrawled"] in {0, 1}
    assert client.shown(job)["progress"]["maxPages"] == 5


def test_a_completed_crawl_has_its_pages_and_failed_ones_among_them(client):
    finds(client, {PAGES[0]: completed(), PAGES[1]: failed("blocked")})
    body = client.shown(finished(client))
    assert (body["status"], body["error"], body["progress"]["message"]) == (
        "completed",
        None,
        "Crawl complete",
    )
    assert "totalPages" not in body
    first, second = body["result"]
    assert list(first) == ["url", "title", "status", "data", "html", "markdown", "depth", "parentUrl"]
    assert (first["status"], first["depth"], first["parentUrl"]) == ("success", 0, None)
    assert (second["status"], second["data"], second["html"], second["depth"]) == ("failed", None, None, 1)


def test_a_crawl_of_which_every_page_failed_is_completed(client):
    finds(client, {PAGES[0]: failed()})
    assert client.shown(finished(client))["status"] == "completed"


@pytest.mark.parametrize(("count", "inline", "total"), [(100, 100, None), (101, 100, 101), (250, 100, 250)])
def test_the_status_shows_the_first_hundred_pages_only(client, count, inline, total):
    finds(client, [f"{SITE}/{number}" for number in range(count)])
    body = client.shown(finished(client, maxPages=count))
    assert len(body["result"]) == inline
    assert (body.get("totalPages"), body.get("resultTruncated")) == (total, True if total else None)


def test_data_is_raw_markdown_without_an_instruction_and_an_object_with_one(client):
    assert client.shown(finished(client))["result"][0]["data"].startswith("# ")
    for options in ({"transformInstruction": "the price"}, {"schema": {"type": "object"}}):
        assert isinstance(client.shown(finished(client, **options))["result"][0]["data"], dict)


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_a_crawl_may_end_as_a_whole(client, status):
    client.service.jobs.ends.append(("crawl", batch_end(status)))
    job = submitted(client)
    assert client.shown(job)["status"] == "running"
    body = client.shown(job)
    assert body["status"] == status
    assert (body["error"] is not None) == (status == "failed")
    assert client.ledger["charged"] == 0
    assert client.account.credits == 10_000


@pytest.mark.parametrize(
    ("options", "count"), [({"maxPages": 2}, 2), ({"maxDepth": 0}, 1), ({}, 4), ({"maxPages": 50}, 4)]
)
def test_no_more_pages_are_returned_than_allowed(client, options, count):
    finds(client, PAGES)
    assert len(client.shown(finished(client, **options))["result"]) == count


def test_without_a_script_three_pages_are_found_five_at_most(client):
    assert [one["url"] for one in client.shown(finished(client))["result"]] == [
        SITE,
        f"{SITE}/1",
        f"{SITE}/2",
    ]


def test_a_site_may_have_pages_of_its_own(client):
    client.service.jobs.pages = {None: PAGES[:1], SITE: PAGES[1:3]}
    assert [one["url"] for one in client.shown(finished(client))["result"]] == PAGES[1:3]


WRONG = {
    "no site": {"baseUrl": ""},
    "no http": {"baseUrl": "ftp://a.example"},
    "a private site": {"baseUrl": "http://10.0.0.1"},
    "a number": {"baseUrl": 5},
    "no page": {"maxPages": 0},
    "too many pages": {"maxPages": 10_001},
    "a depth below 0": {"maxDepth": -1},
    "a schema with an array at its root": {"schema": {"type": "array"}},
    "paths of numbers": {"includePaths": [5]},
    "a null": {"webhookUrl": None},
    "an unknown mode": {"scrapeMode": "slow"},
    "a long instruction": {"transformInstruction": "x" * 5001},
}


@pytest.mark.parametrize("body", WRONG.values(), ids=WRONG)
def test_a_wrong_body_is_a_400_with_one_sentence(client, body):
    reply = submit(client, **body)
    assert (reply.status, reply.json["status"]) == (400, "error")
    assert "errors" not in reply.json
    assert client.service.jobs.states == {}


def test_unknown_fields_are_refused_where_the_account_says_so(client):
    client.account.refuse_unknown_fields = True
    assert submit(client, color="blue").status == 400


def test_the_documented_options_are_taken(client):
    options = {
        "maxDepth": 3,
        "includePaths": ["/blog"],
        "excludePaths": [],
        "allowSubdomains": True,
        "crawlEntireDomain": True,
        "ignoreQueryParams": True,
        "respectRobots": True,
        "useSitemap": False,
        "webhookUrl": "https://b.example",
        "useProxy": True,
        "proxyCountry": "eu",
        "cookies": "a=b",
        "scrapeMode": "fast",
        "transformInstruction": "x" * 5000,
    }
    assert submit(client, **options).status == 202


def test_the_sixth_pending_crawl_is_refused_by_the_cap(client):
    client.account.crawl_pending_cap = 5
    replies = [submit(client) for _ in range(6)]
    assert [reply.status for reply in replies] == [202] * 5 + [429]
    assert replies[-1].json["code"] == "TOO_MANY_PENDING_JOBS"


# -- credits -------------------------------------------------------------------------------------------


def test_what_all_allowed_pages_cost_is_held_and_what_is_returned_is_charged(client):
    job = submitted(client, maxPages=10)
    assert client.ledger == {"reserved": 20, "charged": 0, "refunded": 0}
    client.shown(job, looks=2)
    assert client.ledger == {"reserved": 20, "charged": 6, "refunded": 14}
    assert client.account.credits == 10_000 - 6


def test_too_few_credits_for_what_is_allowed_are_refused(client):
    client.account.credits = 9
    assert submit(client).status == 403
    assert submit(client, maxPages=4).status == 202


def test_the_bill_of_a_crawl_is_known_before_anybody_looks(client):
    submitted(client, maxPages=10)
    assert client.service.bill(client.now).charged == 6


# -- cancel --------------------------------------------------------------------------------------------


def test_a_cancel_answers_with_status_and_id(client):
    job = submitted(client)
    reply = cancel(client, job)
    assert (reply.status, reply.json) == (200, {"status": "cancelled", "jobId": job})


def test_a_cancelled_crawl_with_pages_ends_completed_at_its_next_check(client):
    finds(client, {PAGES[0]: completed(after_polls=1), PAGES[1]: stuck()})
    job = submitted(client)
    client.shown(job, looks=2)
    cancel(client, job)
    assert client.shown(job)["status"] == "running"
    body = client.shown(job)
    assert body["status"] == "completed"
    assert [one["url"] for one in body["result"]] == PAGES[:1]
    assert client.ledger == {"reserved": 10, "charged": 2, "refunded": 8}


def test_a_cancelled_crawl_without_pages_ends_cancelled_and_free(client):
    job = submitted(client)
    cancel(client, job)
    assert client.service.bill(client.now).charged == 0
    client.wait(3600)
    assert [client.shown(job)["status"] for _ in range(3)] == ["waiting", "cancelled", "cancelled"]
    assert client.ledger["charged"] == 0
    assert client.account.credits == 10_000


def test_in_the_older_story_it_is_cancelled_at_once_and_keeps_its_pages(client):
    client.account.crawl_cancel = "cancelled"
    finds(client, {PAGES[0]: completed(after_polls=1), PAGES[1]: stuck()})
    job = submitted(client)
    client.shown(job, looks=2)
    cancel(client, job)
    assert client.shown(job) == {"status": "cancelled", "error": None}
    assert [one["url"] for one in pages(client, job)["pages"]] == PAGES[:1]
    assert client.ledger == {"reserved": 10, "charged": 2, "refunded": 8}


def test_a_cancel_that_comes_too_late_is_a_409(client):
    reply = cancel(client, finished(client))
    assert (reply.status, reply.json["code"]) == (409, "ALREADY_TERMINAL")
    assert "crawl" in reply.json["message"]


# -- pages ---------------------------------------------------------------------------------------------


def test_pages_come_with_an_id_signed_urls_and_data_as_json_text(client):
    job = finished(client, transformInstruction="the price")
    body = pages(client, job)
    assert list(body) == ["pages", "total", "offset", "limit", "hasMore"]
    assert (body["total"], body["offset"], body["limit"], body["hasMore"]) == (3, 0, 1000, False)
    one = body["pages"][0]
    assert list(one) == [
        *("id", "url", "title", "status", "data", "error_message", "html", "markdown", "created_at"),
    ]
    assert json.loads(one["data"])["url"] == SITE
    client.account.crawl_data = "object"
    job = finished(client, transformInstruction="the price")
    assert pages(client, job)["pages"][0]["data"]["url"] == SITE


@pytest.mark.parametrize(
    ("query", "urls", "more"),
    [
        ("", PAGES, False),
        ("limit=2", PAGES[:2], True),
        ("offset=2&limit=2", PAGES[2:], False),
        ("offset=1&limit=2", PAGES[1:3], True),
        ("offset=9", [], False),
        ("limit=5000", PAGES, False),
        ("limit=x&offset=y", PAGES, False),
        ("limit=0", PAGES[:1], True),
        ("offset=-1", PAGES, False),
    ],
)
def test_pages_are_paged_by_any_offset(client, query, urls, more):
    finds(client, PAGES)
    body = pages(client, finished(client), query)
    assert ([one["url"] for one in body["pages"]], body["hasMore"]) == (urls, more)


def test_pages_can_be_read_while_the_crawl_runs_as_they_land(client):
    finds(client, {PAGES[0]: completed(after_polls=1), PAGES[1]: completed(after_polls=2)})
    job = submitted(client)
    seen = []
    for _ in range(3):
        client.shown(job)
        seen.append(pages(client, job)["total"])
    assert seen == [0, 1, 2]


def test_pages_land_with_the_seconds_too(client):
    finds(client, {PAGES[0]: completed(after_seconds=10), PAGES[1]: completed(after_seconds=20)})
    job = submitted(client)
    seen = []
    for _ in range(3):
        seen.append(pages(client, job)["total"])
        client.wait(10)
    assert seen == [0, 1, 2]


# -- signed URLs ---------------------------------------------------------------------------------------


def fetch(client, url, headers=None):
    parts = urlsplit(url)
    path = parts.path.removeprefix("/api")
    return client.service.answer(Request("GET", path, parts.query, headers or {}), client.now)


def test_a_signed_url_is_good_for_an_hour_without_a_key(client):
    job = finished(client)
    one = pages(client, job)["pages"][0]
    assert fetch(client, one["html"]).content.startswith(b"<html>")
    assert fetch(client, one["markdown"]).content.startswith(b"# ")
    client.wait(3600)
    assert fetch(client, one["html"]).status == 200
    client.wait(1)
    reply = fetch(client, one["html"])
    assert (reply.status, reply.headers["content-type"]) == (403, "application/xml")
    assert b"Request has expired" in reply.content
    fresh = pages(client, job)["pages"][0]["html"]
    assert fresh != one["html"]
    assert fetch(client, fresh).status == 200


def test_a_url_that_was_tampered_with_or_leads_nowhere_is_refused_as_the_storage_does(client):
    url = pages(client, finished(client))["pages"][0]["html"]
    assert b"SignatureDoesNotMatch" in fetch(client, url.replace("/storage/0", "/storage/1")).content
    assert fetch(client, url.partition("?")[0]).status == 403
    missing = client.service.jobs.files.url("nobody.html", client.now)
    assert (fetch(client, missing).status, b"NoSuchKey" in fetch(client, missing).content) == (404, True)


def test_screenshots_of_scrapes_lie_there_too(client):
    job = client.post({"urls": [{"url": SITE}], "screenshot": True}, "/scrape").json["jobId"]
    for _ in range(2):
        body = client.send("GET", f"/scrape/{job}").json
    (shot,) = body["result"]["screenshots"]
    assert fetch(client, shot).content.startswith(b"\x89PNG")


# -- extract, retry page -------------------------------------------------------------------------------


def test_an_extraction_is_a_crawl_of_its_own_over_the_good_pages(client):
    finds(client, {PAGES[0]: completed(), PAGES[1]: failed()})
    source = finished(client)
    before = client.shown(source)
    spent = client.ledger["charged"]
    reply = extract(client, source)
    new = reply.json["jobId"]
    assert reply.status == 202
    assert reply.json == {
        "status": "queued",
        "jobId": new,
        "message": f"Extraction job queued. Poll /api/crawl/{new} for results.",
    }
    (only,) = client.shown(new, looks=2)["result"]
    assert (only["url"], only["data"]["url"]) == (PAGES[0], PAGES[0])
    assert client.ledger["charged"] == spent + 1
    assert client.shown(source) == before
    assert client.send("GET", "/crawl/history").json["jobs"][0]["source_job_id"] == source


def test_what_an_extraction_refuses_is_told_in_the_documented_words(client):
    job = submitted(client)
    assert (extract(client, job).status, extract(client, job).json["message"]) == (
        400,
        "Source crawl job has not completed successfully",
    )
    client.shown(job, looks=2)
    for body, message in [
        ({}, "Missing required field: transformInstruction"),
        ({"transformInstruction": ""}, "Missing required field: transformInstruction"),
        ({"transformInstruction": "x" * 5001}, "transformInstruction must be 5000 characters or fewer"),
    ]:
        reply = client.post(body, f"/crawl/{job}/extract")
        assert (reply.status, reply.json["message"]) == (400, message)
    reply = extract(client, "unknown")
    assert (reply.status, reply.json["message"]) == (404, "Source crawl job not found")
    client.account.credits = 2
    reply = extract(client, job)
    assert (reply.status, reply.json["message"]) == (403, "You have exceeded your monthly credit limit.")


def test_a_page_is_retried_at_once_and_its_data_replaced(client):
    finds(client, {SITE: [failed("no price"), completed({"price": 7})]})
    job = finished(client, transformInstruction="the price")
    (one,) = pages(client, job)["pages"]
    assert (one["status"], one["error_message"]) == ("failed", "no price")
    reply = retry(client, job, one["id"])
    assert (reply.status, reply.json) == (
        200,
        {
            "success": True,
            "data": {"price": 7},
            "tokensUsed": 50,
            "creditsUsed": 1,
            "message": "Page transformation retried successfully",
        },
    )
    (one,) = pages(client, job)["pages"]
    assert (one["status"], one["data"], one["error_message"]) == ("success", '{"price": 7}', None)
    assert client.ledger["charged"] == 1


def test_a_refused_retry_of_a_page_has_an_error_and_no_message(client):
    plain, running = finished(client), submitted(client, transformInstruction="x")
    page_id = pages(client, plain)["pages"][0]["id"]
    client.shown(running)
    refusals = [retry(client, plain, page_id), retry(client, plain, "x"), retry(client, "x", page_id)]
    finds(client, {SITE: [completed(), failed("no price")]})
    job = finished(client, transformInstruction="x")
    (one,) = pages(client, job)["pages"]
    refusals.append(retry(client, job, one["id"]))
    assert [reply.status for reply in refusals] == [400, 404, 404, 400]
    assert all(set(reply.json) == {"error"} for reply in refusals)
    client.account.credits = 0
    assert retry(client, job, one["id"]).status == 403
    client.account.payment_overdue = True
    assert retry(client, job, one["id"]).status == 402


def test_a_page_of_a_running_crawl_is_not_retried(client):
    finds(client, {PAGES[0]: completed(after_polls=1), PAGES[1]: stuck()})
    job = submitted(client, transformInstruction="x")
    client.shown(job, looks=2)
    reply = retry(client, job, pages(client, job)["pages"][0]["id"])
    assert (reply.status, reply.json) == (400, {"error": "The crawl is running"})


# -- download, report, details, history, stats ---------------------------------------------------------


def names(reply):
    return sorted(zipfile.ZipFile(io.BytesIO(reply.content)).namelist())


def test_a_download_holds_the_good_pages_in_all_three_kinds_or_those_asked_for(client):
    finds(client, {PAGES[0]: completed({"n": 1}), PAGES[1]: failed()})
    job = finished(client, transformInstruction="x")
    reply = client.send("GET", f"/crawl/{job}/download")
    assert (reply.status, reply.headers["content-type"]) == (200, "application/zip")
    assert names(reply) == ["0001.html", "0001.json", "0001.md"]
    assert names(client.send("GET", f"/crawl/{job}/download", query="include=markdown%2Cdata")) == [
        "0001.json",
        "0001.md",
    ]
    assert client.send("GET", f"/crawl/{job}/download", query="include=pdf").status == 400
    assert client.send("GET", f"/crawl/{submitted(client)}/download").status == 400


def test_a_report_tells_what_was_skipped_and_why(client):
    client.service.jobs.skipped[None] = {"https://b.example": "outside_domain", f"{SITE}/x": "not_relevant"}
    job = submitted(client)
    path = f"/crawl/{job}/report"
    early = client.send("GET", path).json
    assert early == {
        "status": "success",
        "report": None,
        "message": "No report is available for this crawl.",
    }
    client.shown(job, looks=2)
    report = client.send("GET", path).json["report"]
    assert (report["understoodAs"], report["skippedTotal"], report["skippedUrlsTotal"]) == ("all", 2, 2)
    assert [(one["reason"], one["count"]) for one in report["skipped"]] == [
        ("outside_domain", 1),
        ("not_relevant", 1),
    ]
    one = client.send("GET", path, query="reason=not_relevant&limit=1").json["report"]["skippedUrls"]
    assert one == [{"url": f"{SITE}/x", "reason": "not_relevant", "foundOn": SITE}]
    assert client.send("GET", path, query="offset=2").json["report"]["skippedUrls"] == []


def test_the_history_has_every_crawl_newest_first_in_the_types_of_a_database(client):
    jobs = [finished(client, useProxy=True, schema={"type": "object"}), submitted(client)]
    body = client.send("GET", "/crawl/history").json
    assert (body["total"], body["page"], body["totalPages"]) == (2, 1, 1)
    second, first = body["jobs"]
    assert [first["id"], second["id"]] == jobs
    assert (first["credits_used"], second["credits_used"]) == ("6.00", None)
    assert (first["use_proxy"], first["allow_subdomains"], first["proxy_billing"]) == (1, 0, "billed")
    assert (first["pages_crawled"], second["status"], second["proxy_billing"]) == (3, "waiting", "none")
    assert len(first) == 25


@pytest.mark.parametrize(
    ("query", "count", "total"),
    [("", 10, 2), ("limit=5", 5, 3), ("limit=5&page=3", 2, 3), ("page=9", 0, 2), ("limit=500", 12, 1)],
)
def test_the_history_is_paged(client, query, count, total):
    for _ in range(12):
        submitted(client)
    body = client.send("GET", "/crawl/history", query=query).json
    assert (len(body["jobs"]), body["totalPages"]) == (count, total)


def test_the_details_are_the_row_without_what_is_of_the_customer(client):
    job = finished(client)
    row = client.send("GET", "/crawl/history").json["jobs"][0]
    details = client.send("GET", f"/crawl/job/{job}").json
    assert set(row) - set(details) == {
        *("user_uuid", "source_job_id", "use_proxy", "proxy_bandwidth_mb", "proxy_billing"),
    }
    assert details == {name: row[name] for name in details}


def test_the_stats_count_the_customers_crawls(client):
    assert client.send("GET", "/crawl/stats").json == {"total": 0}
    submitted(client)
    assert client.send("GET", "/crawl/stats").json == {"total": 1}


@pytest.mark.parametrize("path", ["", "/pages", "/download", "/report"])
def test_an_unknown_crawl_is_a_404(client, path):
    reply = client.send("GET", f"/crawl/unknown{path}")
    assert (reply.status, reply.json["message"]) == (404, "Crawl job not found")
    assert client.send("GET", "/crawl/job/unknown").status == 404
    assert cancel(client, "unknown").status == 404


def test_a_crawl_can_be_read_for_ever(client):
    job = finished(client)
    client.wait(365 * 86400)
    assert client.shown(job)["status"] == "completed"
