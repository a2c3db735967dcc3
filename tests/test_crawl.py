"""Crawls as users of the fixtures meet them: scripts, the SDK, signed URLs, rules, a port."""

from __future__ import annotations

import io
import zipfile

import httpx
import pytest
import spidra

from pytest_spidra import completed, failed, ok, reply_lost, stuck
from pytest_spidra.fixtures.job_endpoints import CrawlEndpoints
from pytest_spidra.scripting.scripts import Scripts
from pytest_spidra.verdicts.messages import rules_report
from pytest_spidra.verdicts.rules.judge import judge

SITE = "https://shop.example"


@pytest.fixture
def sdk(spidra_mock):
    return spidra.Spidra(api_key=spidra_mock.api_key)


def many(count):
    return [f"{SITE}/{number}" for number in range(count)]


# -- the SDK -------------------------------------------------------------------------------------------


def test_the_sdk_crawls_a_site(sdk, spidra_mock):
    spidra_mock.crawl.finds({SITE: completed({"price": 7}), f"{SITE}/x": failed("blocked")})
    job = sdk.crawl(SITE, transform_instruction="the price")
    assert [(page.url, page.status, page.data) for page in job.result] == [
        (SITE, "success", {"price": 7}),
        (f"{SITE}/x", "failed", None),
    ]
    spidra_mock.assert_credits(reserved=5, charged=1, refunded=4)
    spidra_mock.assert_rules()


def test_a_large_crawl_is_read_to_the_end(sdk, spidra_mock):
    spidra_mock.crawl.finds(many(250))
    spidra_mock.account.crawl_page_limit = 100
    job = sdk.crawl(SITE, max_pages=250)
    assert len(job.result) == 250
    assert spidra_mock.exchanges.calls("crawl.pages")


def test_one_lost_look_at_the_pages_throws_a_paid_crawl_away(sdk, spidra_mock):
    """The SDK tolerates errors while it polls, and none while it reads the pages."""
    spidra_mock.crawl.finds(many(150))
    spidra_mock.crawl.pages.script(500)
    with pytest.raises(spidra.SpidraServerError):
        sdk.crawl(SITE, max_pages=150)
    spidra_mock.assert_credits(charged=150)


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_a_crawl_that_ends_badly_is_the_sdks_job_failed_error(sdk, spidra_mock, status):
    spidra_mock.crawl.ends(status)
    with pytest.raises(spidra.SpidraJobFailedError) as raised:
        sdk.crawl(SITE)
    assert raised.value.job_status == status


def test_a_crawl_on_purpose_cancelled_looks_finished(sdk, spidra_mock):
    spidra_mock.crawl.finds({SITE: completed(), f"{SITE}/x": stuck()})
    job_id = sdk.start_crawl(SITE).job_id
    sdk.get_crawl(job_id)
    spidra_mock.clock.advance(5)
    sdk.get_crawl(job_id)
    assert sdk.cancel_crawl(job_id).status == "cancelled"
    spidra_mock.clock.advance(5)
    assert sdk.get_crawl(job_id).status == "running"
    spidra_mock.clock.advance(5)
    assert sdk.get_crawl(job_id).status == "completed"
    assert len(sdk.crawl_pages(job_id).pages) == 1


async def test_watching_a_crawl_yields_its_pages(spidra_mock):
    spidra_mock.account.crawl_progress = "pages"
    spidra_mock.crawl.finds({url: completed(after_polls=place) for place, url in enumerate(many(3), 1)})
    async with spidra.AsyncSpidra(api_key=spidra_mock.api_key) as sdk:
        job = await sdk.start_crawl(SITE)
        seen = [(page.url, spidra_mock.clock.elapsed) async for page in sdk.watch_crawl(job.job_id)]
    assert seen == [(url, 3.0 * place) for place, url in enumerate(many(3), 1)]


async def test_with_a_message_only_nothing_is_streamed(spidra_mock):
    spidra_mock.crawl.finds({url: completed(after_polls=place) for place, url in enumerate(many(3), 1)})
    async with spidra.AsyncSpidra(api_key=spidra_mock.api_key) as sdk:
        job = await sdk.start_crawl(SITE)
        seen = [spidra_mock.clock.elapsed async for _ in sdk.watch_crawl(job.job_id)]
    assert seen == [9.0] * 3


async def test_everything_else_that_the_sdk_asks_of_a_crawl(spidra_mock):
    spidra_mock.crawl.finds([SITE], skipped={f"{SITE}/robots": "robots_txt"})
    async with spidra.AsyncSpidra(api_key=spidra_mock.api_key) as sdk:
        job = await sdk.crawl(SITE, transform_instruction="the price")
        (row,) = (await sdk.crawl_history()).jobs
        (page,) = await sdk.crawl_all_pages(row.id)
        assert (job.result[0].url, row.pages_crawled, page.url) == (SITE, 1, SITE)
        assert (await sdk.crawl_stats()).total == 1
        assert (await sdk.get_crawl_job_details(row.id)).base_url == SITE
        assert (await sdk.crawl_report(row.id)).report.skipped_urls[0].reason == "robots_txt"
        assert (await sdk.retry_crawl_page(row.id, page.id)).credits_used == 1
        archive = zipfile.ZipFile(io.BytesIO(await sdk.download_crawl_results(row.id, include=["data"])))
        assert archive.namelist() == ["0001.json"]
        new = await sdk.crawl_extract(row.id, "the title")
        assert new.job_id != row.id
        assert (await sdk.get_crawl(new.job_id)).status == "running"


def test_a_refused_retry_of_a_page_hides_its_reason_in_the_details(sdk, spidra_job_factory):
    job = spidra_job_factory("crawl")
    with pytest.raises(spidra.SpidraNotFoundError) as raised:
        sdk.retry_crawl_page(job.id, "x")
    assert raised.value.details["error"] == "Page not found"


# -- words ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["waiting", "running", "completed", "failed"])
def test_the_factory_makes_a_crawl_that_is_found_just_so(spidra_job_factory, client, status):
    job = spidra_job_factory("crawl", many(6), status=status)
    assert (job.status, job.urls) == (status, many(6))
    assert client.get(f"/crawl/{job.id}").json()["status"] == status


def test_a_signed_url_is_opened_by_any_client_without_a_key(client, spidra_mock, spidra_job_factory):
    job = spidra_job_factory("crawl", [SITE])
    (page, *_) = client.get(f"/crawl/{job.id}/pages").json()["pages"]
    assert page["html"].startswith(f"{spidra_mock.base_url}/storage/")
    assert "<h1>" in httpx.get(page["html"]).text
    spidra_mock.clock.advance(3601)
    assert httpx.get(page["html"]).status_code == 403
    spidra_mock.storage.get.script(503)
    assert httpx.get(page["markdown"]).status_code == 503
    spidra_mock.assert_rules()


def test_finds_takes_a_list_and_no_text(spidra_mock):
    with pytest.raises(TypeError, match="takes a list of URLs"):
        spidra_mock.crawl.finds(SITE)


def test_an_end_that_never_came_fails_the_test(run_tests):
    result = run_tests("def test_it(spidra_mock):\n    spidra_mock.crawl.ends('failed')\n")
    assert 'crawl.ends("failed"): no crawl was submitted after it' in result.stdout.str()


def test_what_belongs_to_the_fake_is_told(spidra_mock):
    with pytest.raises(AttributeError, match=r"crawl\.finds belongs to the fake service"):
        CrawlEndpoints(Scripts()).finds  # noqa: B018 - reading it is what is tested
    assert len(spidra_mock.exchanges) == 0


async def test_a_crawl_through_a_port(spidra_server):
    spidra_server.crawl.finds([SITE])
    settings = {"api_key": spidra_server.api_key, "api_url": spidra_server.base_url}
    async with spidra.AsyncSpidra(**settings) as sdk, httpx.AsyncClient() as browser:
        job = await sdk.crawl(SITE, poll_interval=0.01)
        assert "<h1>" in (await browser.get(job.result[0].html)).text
        (row,) = (await sdk.crawl_history()).jobs
        assert zipfile.ZipFile(io.BytesIO(await sdk.download_crawl_results(row.id))).namelist()


# -- rules ---------------------------------------------------------------------------------------------


def crawl(client, path="/crawl", **body):
    try:
        return client.post(path, json=body or {"baseUrl": SITE})
    except httpx.TransportError:
        return None


def found(api):
    return [one.rule for one in judge(api.exchanges)]


@pytest.mark.spidra(rules="off")
def test_a_lost_crawl_that_is_sent_again_pays_twice(client, spidra_mock):
    spidra_mock.crawl.submit.script(reply_lost())
    crawl(client)
    crawl(client)
    assert found(spidra_mock) == ["double-submission"]
    told = " ".join(rules_report(judge(spidra_mock.exchanges), spidra_mock.exchanges).split())
    assert "the same crawl twice" in told
    assert "GET /crawl/history" in told


def test_who_looks_into_the_history_first_may_send_it_again(client, spidra_mock):
    spidra_mock.crawl.submit.script(reply_lost())
    crawl(client)
    assert len(client.get("/crawl/history").json()["jobs"]) == 1
    crawl(client)
    spidra_mock.assert_rules()


@pytest.mark.spidra(rules="off")
@pytest.mark.parametrize("lost", [reply_lost(), ok(body="empty")])
def test_a_lost_extraction_and_a_lost_retry_of_a_page_are_paid_again(
    client, spidra_mock, spidra_job_factory, lost
):
    job = spidra_job_factory("crawl", transformInstruction="x")
    (page, *_) = client.get(f"/crawl/{job.id}/pages").json()["pages"]
    spidra_mock.crawl.extract.script(lost)
    spidra_mock.crawl.retry_page.script(lost)
    for _ in range(2):
        crawl(client, f"/crawl/{job.id}/extract", transformInstruction="y")
    assert found(spidra_mock) == ["double-submission"]
    for _ in range(2):
        crawl(client, f"/crawl/{job.id}/retry/{page['id']}", again=True)
    assert found(spidra_mock) == ["double-submission"] * 2
    assert spidra_mock.credits.charged == 3 * 2 + 2


def test_two_pages_and_two_questions_are_four_wishes(client, spidra_mock, spidra_job_factory):
    job = spidra_job_factory("crawl", transformInstruction="x")
    for page in client.get(f"/crawl/{job.id}/pages").json()["pages"][:2]:
        for _ in range(2):
            assert crawl(client, f"/crawl/{job.id}/retry/{page['id']}", again=True).status_code == 200
    for told in ("y", "z"):
        crawl(client, f"/crawl/{job.id}/extract", transformInstruction=told)
    spidra_mock.assert_rules()
