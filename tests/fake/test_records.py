"""Logs, usage and account show what was done (docs of logs and usage statistics, SDK types)."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from fake_client import NOW
from job_client import JobClient

from pytest_spidra.fake.outcomes import completed, failed, stuck

A, B = "https://a.example/", "https://b.example/"


@pytest.fixture
def client():
    return JobClient("/scrape")


def scrape(client, *urls, **options):
    return client.post({"urls": [{"url": url} for url in urls or (A,)], **options}).json["jobId"]


def logs(client, **query):
    return client.send("GET", "/scrape-logs", query=urlencode(query)).json["data"]


def account(client):
    body = client.send("GET", "/account").json
    assert body["status"] == "success"
    return body["data"]


def usage(client, wanted):
    return client.send("GET", "/usage-stats", query=f"range={wanted}").json["data"]


# -- logs ----------------------------------------------------------------------------------------------


def test_scrapes_and_items_of_batches_are_in_the_logs_newest_first(client):
    client.shown(scrape(client, A, B, prompt="price", output="json"), looks=2)
    client.wait(1)
    client.submit([B])
    found = logs(client)
    assert found["total"] == 2
    item, job = found["logs"]
    assert ([one["url"] for one in item["urls"]], item["status"], item["finished_at"]) == (
        [B],
        "in_progress",
        None,
    )
    assert [one["url"] for one in job["urls"]] == [A, B]
    assert (job["status"], job["extraction_prompt"], job["credits_used"]) == ("success", "price", 4)
    assert (job["scraped_sites_count"], job["tokens_used"]) == (2, job["input_tokens"] + job["output_tokens"])
    assert len(job) == 22
    assert "result_data" not in job


def test_the_uuid_of_a_log_is_not_the_job_id_and_no_field_names_it(client):
    job = scrape(client)
    (row,) = logs(client)["logs"]
    assert job not in str(row)


def test_one_log_has_its_result_also_when_the_job_is_gone(client):
    client.outcomes({A: completed({"n": 1})})
    job = scrape(client)
    client.shown(job, looks=2)
    client.wait(7200)
    assert client.look(job).status == 404
    (row,) = logs(client)["logs"]
    reply = client.send("GET", f"/scrape-logs/{row['uuid']}")
    assert reply.json["data"] == {**row, "result_data": {"n": 1}}
    assert client.send("GET", f"/scrape-logs/{job}").status == 404


def test_a_log_of_several_pages_has_the_results_of_all(client):
    client.shown(scrape(client, A, B), looks=2)
    (row,) = logs(client)["logs"]
    assert len(client.send("GET", f"/scrape-logs/{row['uuid']}").json["data"]["result_data"]) == 2


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({}, 3),
        ({"status": "success"}, 1),
        ({"status": "error"}, 1),
        ({"status": "in_progress"}, 1),
        ({"status": "failed"}, 3),
        ({"searchTerm": "B.example"}, 1),
        ({"searchTerm": "title"}, 1),
        ({"searchTerm": "nothing"}, 0),
        ({"dateStart": "2024-01-15", "dateEnd": "2024-01-15"}, 3),
        ({"dateStart": "2024-01-16"}, 0),
        ({"dateEnd": "2024-01-14"}, 0),
        ({"channel": "api"}, 3),
        ({"channel": "playground"}, 0),
    ],
)
def test_logs_are_filtered_and_an_unknown_status_filters_nothing(client, query, count):
    client.outcomes({A: [completed(), failed("blocked")], B: stuck()})
    client.shown(scrape(client, A, prompt="title"), looks=2)
    client.shown(scrape(client, A), looks=2)
    scrape(client, B)
    found = logs(client, **query)
    assert (found["total"], len(found["logs"])) == (count, count)
    wrong = [row["error_message"] for row in logs(client, status="error")["logs"]]
    assert wrong == ["blocked"]


@pytest.mark.parametrize(
    ("query", "count"),
    [({}, 10), ({"limit": 5}, 5), ({"limit": 500}, 12), ({"page": 2}, 2), ({"page": 9}, 0)],
)
def test_logs_are_paged(client, query, count):
    for _ in range(12):
        scrape(client)
    assert (len(logs(client, **query)["logs"]), logs(client, **query)["total"]) == (count, 12)


def test_strangers_and_other_kinds_are_in_no_log(client):
    client.place(owner="someone else")
    client.post({"query": "cats"}, "/search")
    client.post({"baseUrl": A}, "/crawl")
    assert logs(client) == {"logs": [], "total": 0}


# -- usage ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "rows", "label"), [("7d", 7, "Mon"), ("30d", 30, "Jan 15"), ("weekly", 7, "Week 03")]
)
def test_usage_has_so_many_rows_with_the_labels_of_the_documentation(client, wanted, rows, label):
    assert NOW == 1_705_312_800_000_000  # a Monday
    shown = usage(client, wanted)
    assert (len(shown), shown[-1]["label"], shown[-1]["date"]) == (rows, label, "2024-01-15")
    assert list(shown[0]) == [
        "label",
        "date",
        "requests",
        "crawls",
        "tokens",
        "captchas",
        "latency",
        "credits",
    ]


def test_usage_counts_what_was_done_on_its_day(client):
    client.outcomes({A: completed(captchas=1, after_seconds=2)})
    scrape(client, prompt="x")
    client.submit(2)
    client.post({"baseUrl": A}, "/crawl")
    client.wait(86_400)
    yesterday, today = usage(client, "7d")[-2:]
    assert (yesterday["requests"], yesterday["crawls"], yesterday["captchas"]) == (4, 1, 1)
    assert (yesterday["tokens"], yesterday["latency"], yesterday["credits"]) == (396, 2000.0, 7)
    assert {today[name] for name in ("requests", "crawls", "tokens", "captchas", "credits")} == {0}
    assert usage(client, "weekly")[-1]["requests"] == 4


@pytest.mark.parametrize("query", ["", "range=", "range=1d", "range=30D"])
def test_a_missing_or_odd_range_is_a_400(client, query):
    assert client.send("GET", "/usage-stats", query=query).status == 400


# -- account -------------------------------------------------------------------------------------------


def test_the_account_shows_what_is_used_and_held_and_left(client):
    assert account(client) == {
        "plan": {"name": "Free"},
        "credits": {
            "limit": 10_000,
            "used": 0,
            "remaining": 10_000,
            "billingCycleStart": "2024-01-01T00:00:00Z",
        },
        "proxyBandwidth": {"limitMb": 1024, "usedMb": 0, "remainingMb": 1024},
        "subscription": {"status": "active"},
    }
    job = scrape(client, A, B)
    client.post({"baseUrl": A, "maxPages": 10}, "/crawl")
    assert (account(client)["credits"]["used"], account(client)["credits"]["remaining"]) == (24, 9_976)
    client.outcomes({A: failed()})
    client.shown(job, looks=2)
    credits_ = account(client)["credits"]
    assert (credits_["used"], credits_["remaining"], credits_["limit"]) == (24, 9_976, 10_000)


def test_credits_of_what_failed_come_back(client):
    client.outcomes({A: failed()})
    client.shown(scrape(client), looks=2)
    assert account(client)["credits"]["used"] == 0


def test_what_remains_is_never_below_zero_and_settings_are_shown(client):
    client.account.credits = -5
    client.account.plan = "Pro"
    client.account.payment_overdue = True
    data = account(client)
    assert (data["credits"]["remaining"], data["plan"]["name"], data["subscription"]["status"]) == (
        0,
        "Pro",
        "past_due",
    )
