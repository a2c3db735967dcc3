"""Every method of the official SDK meets every failure, sync and async: one table.

What each does is decided by how its request is sent: a POST is sent again after 502, 503 and QUEUE_UNAVAILABLE only, a
GET or DELETE also after 504 and a broken connection, a download never; a waiter gets over errors while it polls.
"""

from __future__ import annotations

import asyncio
import inspect
import warnings

import httpx
import pytest
import spidra

from pytest_spidra import (
    http_error,
    ok,
    payment_overdue,
    queue_unavailable,
    rate_limited,
    request_lost,
    service_busy,
)
from pytest_spidra.traffic.endpoints import NAMES

pytestmark = pytest.mark.spidra(rules="off")

SITE = "https://shop.example/"
LINK = SITE + "a.pdf"


def bulk(sdk):
    return sdk.bulk_scrape(SITE + "{n}", {"n": ["1", "2"]}, prompt="x", items_path="items", dedupe_by="url")


# method: (the endpoint that fails, how its request is sent, how it is called with the ids of what is there)
METHODS = {
    "start_scrape": ("scrape.submit", "post", lambda sdk, ids: sdk.start_scrape(SITE)),
    "get_scrape": ("scrape.get", "get", lambda sdk, ids: sdk.get_scrape(ids["scrape"])),
    "scrape": ("scrape.get", "wait", lambda sdk, ids: sdk.scrape(SITE)),
    "start_search": ("search.submit", "post", lambda sdk, ids: sdk.start_search("cats")),
    "search": ("search.submit", "post", lambda sdk, ids: sdk.search("cats")),
    "get_search": ("search.get", "get", lambda sdk, ids: sdk.get_search(ids["search"])),
    "start_crawl": ("crawl.submit", "post", lambda sdk, ids: sdk.start_crawl(SITE)),
    "get_crawl": ("crawl.get", "get", lambda sdk, ids: sdk.get_crawl(ids["crawl"])),
    "crawl": ("crawl.get", "wait", lambda sdk, ids: sdk.crawl(SITE)),
    "crawl_pages": ("crawl.pages", "get", lambda sdk, ids: sdk.crawl_pages(ids["crawl"])),
    "crawl_all_pages": ("crawl.pages", "get", lambda sdk, ids: sdk.crawl_all_pages(ids["crawl"])),
    "cancel_crawl": ("crawl.cancel", "get", lambda sdk, ids: sdk.cancel_crawl(ids["running"])),
    "crawl_extract": ("crawl.extract", "post", lambda sdk, ids: sdk.crawl_extract(ids["crawl"], "x")),
    "crawl_history": ("crawl.history", "get", lambda sdk, ids: sdk.crawl_history()),
    "crawl_stats": ("crawl.stats", "get", lambda sdk, ids: sdk.crawl_stats()),
    "get_crawl_job_details": (
        "crawl.details",
        "get",
        lambda sdk, ids: sdk.get_crawl_job_details(ids["crawl"]),
    ),
    "retry_crawl_page": (
        "crawl.retry_page",
        "post",
        lambda sdk, ids: sdk.retry_crawl_page(ids["crawl"], ids["page"]),
    ),
    "download_crawl_results": (
        "crawl.download",
        "once",
        lambda sdk, ids: sdk.download_crawl_results(ids["crawl"]),
    ),
    "crawl_report": ("crawl.report", "get", lambda sdk, ids: sdk.crawl_report(ids["crawl"])),
    "watch_crawl": ("crawl.get", "get", lambda sdk, ids: sdk.watch_crawl(ids["crawl"])),
    "map": ("map.submit", "post", lambda sdk, ids: sdk.map(SITE)),
    "start_batch_scrape": ("batch.submit", "post", lambda sdk, ids: sdk.start_batch_scrape([SITE])),
    "get_batch_scrape": ("batch.get", "get", lambda sdk, ids: sdk.get_batch_scrape(ids["batch"])),
    "batch_scrape": ("batch.get", "wait", lambda sdk, ids: sdk.batch_scrape([SITE])),
    "bulk_scrape": ("batch.get", "wait", lambda sdk, ids: bulk(sdk)),
    "list_batch_scrapes": ("batch.list", "get", lambda sdk, ids: sdk.list_batch_scrapes()),
    "cancel_batch_scrape": ("batch.cancel", "get", lambda sdk, ids: sdk.cancel_batch_scrape(ids["pending"])),
    "retry_batch_scrape": ("batch.retry", "post", lambda sdk, ids: sdk.retry_batch_scrape(ids["batch"])),
    "watch_batch": ("batch.get", "get", lambda sdk, ids: sdk.watch_batch(ids["batch"])),
    "start_parse": ("parse.submit", "post", lambda sdk, ids: sdk.start_parse(LINK)),
    "parse": ("parse.submit", "post", lambda sdk, ids: sdk.parse(b"%PDF", file_name="a.pdf")),
    "estimate_parse": ("parse.submit", "post", lambda sdk, ids: sdk.estimate_parse(LINK)),
    "get_parse": ("parse.get", "get", lambda sdk, ids: sdk.get_parse(ids["parse"])),
    "parse_batch": ("parse.batch_submit", "post", lambda sdk, ids: sdk.parse_batch([LINK])),
    "a parse batch": ("parse.batch_get", "wait", lambda sdk, ids: sdk.parse_batch([LINK])),
    "upload_for_parse": ("parse.upload", "post", lambda sdk, ids: sdk.upload_for_parse(b"x", "a.pdf")),
    "an upload": ("storage.put", "once", lambda sdk, ids: sdk.upload_for_parse(b"x", "a.pdf")),
    "delete_parse_file": ("parse.delete_file", "get", lambda sdk, ids: sdk.delete_parse_file(ids["file"])),
    "scrape_logs": ("logs.list", "get", lambda sdk, ids: sdk.scrape_logs()),
    "get_scrape_log": ("logs.get", "get", lambda sdk, ids: sdk.get_scrape_log(ids["log"])),
    "usage": ("usage.get", "get", lambda sdk, ids: sdk.usage("7d")),
    "account": ("account.get", "get", lambda sdk, ids: sdk.account()),
}
PARTS = {"a parse batch", "an upload"}  # of methods that are there already

# failure: (the step, what post, get, once and wait come to; None: it works)
RATE, SERVER, BROKEN = spidra.SpidraRateLimitError, spidra.SpidraServerError, httpx.TransportError
FAILURES = {
    "400": (http_error(400), *[spidra.SpidraError] * 4),
    "401": (http_error(401), *[spidra.SpidraAuthenticationError] * 4),
    "402": (payment_overdue(), *[spidra.SpidraPaymentRequiredError] * 4),
    "403": (http_error(403), *[spidra.SpidraForbiddenError] * 4),
    "404": (http_error(404), *[spidra.SpidraNotFoundError] * 4),
    "409": (http_error(409), *[spidra.SpidraError] * 4),
    "422": (http_error(422), *[spidra.SpidraValidationError] * 4),
    "429": (rate_limited(retry_after=3), RATE, RATE, RATE, None),
    "500": (http_error(500), SERVER, SERVER, SERVER, None),
    "502": (http_error(502), None, None, SERVER, None),
    "503": (service_busy(retry_after=2), None, None, SERVER, None),
    "504": (http_error(504), SERVER, None, SERVER, None),
    "queue down": (queue_unavailable(), None, None, SERVER, None),
    "no connection": (request_lost(), BROKEN, None, BROKEN, None),
    "no reply": (request_lost("ReadTimeout"), BROKEN, None, BROKEN, None),
    "a reply that breaks off": (request_lost("ReadError"), BROKEN, BROKEN, BROKEN, None),
    "half a body": (ok(body="truncated"), ValueError, ValueError, None, ValueError),
}
WAYS = ("post", "get", "once", "wait")


@pytest.fixture
def ids(spidra_mock, spidra_job_factory, spidra_batch_factory, client):
    """Make what methods ask for, before the log begins to count."""
    crawl = spidra_job_factory("crawl", transformInstruction="x")
    found = {
        "scrape": spidra_job_factory("scrape").id,
        "search": spidra_job_factory("search", "cats").id,
        "crawl": crawl.id,
        "running": spidra_job_factory("crawl", status="running").id,
        "batch": spidra_batch_factory(failed=1).id,
        "pending": spidra_batch_factory(status="pending").id,
        "parse": spidra_job_factory("parse", LINK).id,
        "file": client.post("/parse/uploads", json={"fileName": "a.pdf", "size": 1}).json()["fileId"],
        "page": client.get(f"/crawl/{crawl.id}/pages").json()["pages"][0]["id"],
        "log": client.get("/scrape-logs").json()["data"]["logs"][0]["uuid"],
    }
    assert [one.seen for one in spidra_mock.exchanges] == [200, 200, 200]
    return found


def called(way, api_key, call, ids):
    """Call a method of the sync or the async client to its end."""
    if way == "sync":
        answer = call(spidra.Spidra(api_key=api_key), ids)
        return list(answer) if inspect.isgenerator(answer) else answer

    async def flow():
        async with spidra.AsyncSpidra(api_key=api_key) as sdk:
            answer = call(sdk, ids)
            return [one async for one in answer] if inspect.isasyncgen(answer) else await answer

    return asyncio.run(flow())


@pytest.mark.slow
@pytest.mark.parametrize("failure", ["none", *FAILURES])
@pytest.mark.parametrize("way", ["sync", "async"])
@pytest.mark.parametrize("method", METHODS)
def test_a_method_meets_a_failure(spidra_mock, ids, method, way, failure):
    endpoint, sent, call = METHODS[method]
    expected = None
    if failure != "none":
        family, _, name = endpoint.partition(".")
        step, *comes_to = FAILURES[failure]
        expected = comes_to[WAYS.index(sent)]
        getattr(getattr(spidra_mock, family), name).script(step)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        if expected is None:
            assert called(way, spidra_mock.api_key, call, ids) is not None
        else:
            if method == "an upload" and issubclass(expected, spidra.SpidraError):
                expected = spidra.SpidraError  # whatever went wrong
            with pytest.raises(expected):
                called(way, spidra_mock.api_key, call, ids)


@pytest.mark.parametrize("kind", [spidra.Spidra, spidra.AsyncSpidra])
def test_the_table_has_every_method_of_the_sdk_that_asks_the_api(kind):
    public = {name for name, value in vars(kind).items() if callable(value) and not name.startswith("_")}
    assert public - {"aclose", "close", "estimate_bulk"} == set(METHODS) - PARTS


def test_the_table_has_every_endpoint_that_the_sdk_asks():
    asked = {endpoint for endpoint, *_ in METHODS.values()}
    assert set(NAMES) - asked == {"storage.get", "search.cancel"}
