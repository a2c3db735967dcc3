"""Maps, fact by fact, as the SDKs have them."""

from __future__ import annotations

import pytest
from job_client import JobClient

SITE = "https://a.example"
URLS = [SITE, f"{SITE}/shop", f"{SITE}/blog", f"{SITE}/shop/1"]


@pytest.fixture
def client():
    client = JobClient("/map")
    client.service.maps.sites[None] = URLS
    return client


def mapped(client, **options):
    reply = client.post({"url": SITE, **options})
    assert reply.status == 200
    return reply.json


def test_a_map_answers_at_once_with_all_that_the_sdk_reads(client):
    body = mapped(client)
    assert (body["status"], [one["url"] for one in body["links"]]) == ("success", URLS)
    assert (body["total"], body["scanned"], body["creditsUsed"]) == (4, 4, 1)
    assert set(body["sources"]) == {"sitemap", "pages"}
    assert "message" not in body
    assert client.ledger == {"reserved": 0, "charged": 1, "refunded": 0}
    assert client.account.credits == 9_999


def test_total_counts_what_matched_and_scanned_what_was_found(client):
    body = mapped(client, search="SHOP", limit=1)
    assert ([one["url"] for one in body["links"]], body["total"], body["scanned"]) == ([URLS[1]], 2, 4)


@pytest.mark.parametrize("options", [{"search": "nothing"}, {"url": "https://b.example"}])
def test_nothing_found_is_free_and_says_so(client, options):
    client.service.maps.sites["https://b.example"] = []
    body = mapped(client, **options)
    assert (body["links"], body["creditsUsed"], bool(body["message"])) == ([], 0, True)
    assert client.ledger["charged"] == 0


def test_without_a_sitemap_all_comes_from_pages(client):
    assert mapped(client, sitemap="skip")["sources"] == {"sitemap": 0, "pages": 4}
    assert mapped(client, sitemap="only")["sources"] == {"sitemap": 4, "pages": 0}


def test_of_a_site_of_which_nothing_is_said_three_urls_are_found():
    assert len(mapped(JobClient("/map"))["links"]) == 3


WRONG = [
    {"url": ""},
    {"url": 5},
    {"url": "a.example"},
    {"url": "http://localhost"},
    {"limit": 0},
    {"limit": 5001},
    {"limit": "5"},
    {"sitemap": "no"},
    {"search": None},
    {"respectRobots": 1},
]


@pytest.mark.parametrize("body", WRONG, ids=repr)
def test_a_wrong_body_is_a_422_with_sentences(client, body):
    reply = client.post({"url": SITE, **body})
    assert reply.status == 422
    assert reply.json["errors"]


def test_what_is_no_json_or_no_object_or_unknown_is_refused(client):
    assert [client.post(body).status for body in (b"{", [], {})] == [400, 422, 422]
    assert mapped(client, color="blue")
    client.account.refuse_unknown_fields = True
    assert client.post({"url": SITE, "color": "blue"}).status == 422


def test_without_credits_or_payment_it_is_refused(client):
    client.account.credits = 0
    assert client.post({"url": SITE}).status == 403
    client.account.payment_overdue = True
    assert client.post({"url": SITE}).status == 402
