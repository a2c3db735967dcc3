"""Searches as users of the fixtures meet them: scripts, factory, the SDK, rules, a port, a recording."""

from __future__ import annotations

import httpx
import pytest
import spidra
from spidra.types.search import SearchScrapeOptions

from pytest_spidra import completed, failed, ok, reply_lost, stuck
from pytest_spidra.verdicts.messages import rules_report
from pytest_spidra.verdicts.rules.judge import judge


@pytest.fixture
def sdk(spidra_mock):
    return spidra.Spidra(api_key=spidra_mock.api_key)


def test_the_sdk_searches_in_one_request(sdk, spidra_mock):
    result = sdk.search("cats", sources=["web", "news"], limit=3)
    assert [len(result.data.web), len(result.data.news), result.data.images] == [3, 3, None]
    assert [one.endpoint for one in spidra_mock.exchanges] == ["search.submit"]
    spidra_mock.assert_credits(charged=2)


def test_a_slow_search_is_waited_for_and_then_polled(sdk, spidra_mock):
    spidra_mock.search.outcomes({"cats": completed(after_seconds=25)})
    assert sdk.search("cats").success
    assert [(one.endpoint, one.seen) for one in spidra_mock.exchanges] == [
        ("search.submit", 202),
        *[("search.get", 200)] * 4,
    ]
    assert spidra_mock.clock.elapsed == 20 + 3 * 2
    spidra_mock.assert_rules()


def test_a_search_that_ends_within_the_wait_takes_its_time(sdk, spidra_mock):
    spidra_mock.search.outcomes({"cats": completed(after_seconds=7)})
    assert sdk.search("cats").stats.duration_ms == 7000
    assert spidra_mock.clock.elapsed == 7


def test_a_client_with_less_patience_than_the_wait_sees_a_timeout(spidra_mock):
    spidra_mock.search.outcomes({"cats": completed(after_seconds=15)})
    headers = {"x-api-key": spidra_mock.api_key}
    with httpx.Client(base_url=spidra_mock.base_url, headers=headers, timeout=5) as client:
        with pytest.raises(httpx.ReadTimeout):
            client.post("/search", json={"query": "cats", "wait": True})
    assert spidra_mock.clock.elapsed == 5
    spidra_mock.assert_credits(charged=1)


@pytest.mark.parametrize("polls", [0, 1, 3])
def test_a_failed_search_is_the_sdks_job_failed_error(sdk, spidra_mock, polls):
    spidra_mock.search.outcomes({"cats": failed("all engines blocked", after_polls=polls)})
    with pytest.raises(spidra.SpidraJobFailedError, match="all engines blocked") as raised:
        sdk.search("cats")
    assert raised.value.job_id == spidra_mock.jobs[0].id


async def test_the_async_sdk_starts_and_looks(spidra_mock):
    async with spidra.AsyncSpidra(api_key=spidra_mock.api_key) as sdk:
        job = await sdk.start_search(
            "cats", scrape_options=SearchScrapeOptions(formats=["markdown"], max_results=1)
        )
        assert (await sdk.get_search(job.job_id)).status == "active"
        result = (await sdk.get_search(job.job_id)).result
    assert result.data.web[0].markdown
    assert result.data.web[1].markdown is None


@pytest.mark.parametrize("status", ["waiting", "cancelled"])
def test_words_that_the_sdk_does_not_expect_crash_it(sdk, spidra_mock, status):
    """A submit that answers waiting, a look that answers cancelled: AttributeError, and no job id."""
    if status == "waiting":
        spidra_mock.router["search.submit"].respond(200, json={"status": status, "jobId": "x"})
    else:
        spidra_mock.search.outcomes({"cats": stuck()})
        spidra_mock.router["search.get"].respond(200, json={"status": status})
    with pytest.raises(AttributeError):
        sdk.search("cats")


def test_an_unsuccessful_search_is_returned_without_a_word(sdk, spidra_mock):
    spidra_mock.search.outcomes({"cats": completed(unsuccessful=True)})
    assert sdk.search("cats").success is False


@pytest.mark.parametrize("result", [[1], "text", {"web": 5}])
def test_a_result_that_is_none_is_refused(spidra_mock, result):
    with pytest.raises(ValueError, match="the result of a search is"):
        spidra_mock.search.outcomes({"cats": completed(result)})


@pytest.mark.spidra(rules="off")
def test_the_factory_makes_searches(spidra_job_factory, spidra_mock, sdk):
    job = spidra_job_factory("search", "cats", status="completed", sources=["news"])
    assert (job.kind, job.urls) == ("search", ["cats"])
    assert sdk.get_search(job.id).result.data.news
    waiting = spidra_job_factory("search", "dogs", status="waiting")
    assert [sdk.get_search(waiting.id).status for _ in range(3)] == ["waiting", "active", "completed"]


async def test_a_search_through_a_port(spidra_server):
    spidra_server.search.outcomes(
        {"cats": completed({"web": [{"title": "one", "url": "https://a.example"}]})}
    )
    settings = {"api_key": spidra_server.api_key, "api_url": spidra_server.base_url}
    async with spidra.AsyncSpidra(**settings) as sdk:
        assert (await sdk.search("cats")).data.web[0].title == "one"


# -- rules ---------------------------------------------------------------------------------------------


@pytest.mark.spidra(rules="off")
@pytest.mark.parametrize("lost", [reply_lost(), ok(body="empty")])
def test_a_search_whose_reply_was_lost_and_that_is_sent_again_pays_twice(client, spidra_mock, lost):
    spidra_mock.search.submit.script(lost)
    for wait in (True, False):
        try:
            client.post("/search", json={"query": "cats", "wait": wait})
        except httpx.TransportError:
            continue
    (found,) = judge(spidra_mock.exchanges)
    assert found.rule == "double-submission"
    assert "the same search twice" in found.claim
    assert "there is no list of searches" in " ".join(rules_report([found], spidra_mock.exchanges).split())
    spidra_mock.assert_credits(charged=2)


@pytest.mark.spidra(rules="off")
def test_who_gives_up_a_search_and_starts_it_anew_pays_for_both(sdk, spidra_mock):
    spidra_mock.search.outcomes({"cats": [stuck(), completed()]})
    with pytest.raises(spidra.SpidraTimeoutError):
        sdk.search("cats", timeout=30)
    sdk.search("cats")
    assert [one.rule for one in judge(spidra_mock.exchanges)] == ["resubmitted-unfinished"]


def test_the_same_search_later_and_its_next_page_are_new_wishes(sdk, spidra_mock):
    """News are searched again and again: nobody is accused of that."""
    for _ in range(3):
        sdk.search("cats")
        spidra_mock.clock.advance(60)
    sdk.search("cats", page=2)
    spidra_mock.assert_rules()


def test_the_timeline_shows_queries_in_short(client, spidra_mock):
    for query in ("cats", "a long question about cats"):
        client.post("/search", json={"query": query})
    assert "search cats " in str(spidra_mock.exchanges)
    assert "search a long q… " in str(spidra_mock.exchanges)
