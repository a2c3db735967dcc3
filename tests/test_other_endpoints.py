"""Maps, logs, usage and account as users of the fixtures meet them."""

from __future__ import annotations

import httpx
import pytest
import spidra

from pytest_spidra import completed, http_error, reply_lost
from pytest_spidra.verdicts.messages import rules_report
from pytest_spidra.verdicts.rules.judge import judge

SITE = "https://shop.example"


@pytest.fixture
def sdk(spidra_mock):
    return spidra.Spidra(api_key=spidra_mock.api_key)


def test_the_sdk_maps_a_site(sdk, spidra_mock):
    spidra_mock.map.finds([f"{SITE}/1", f"{SITE}/2"], site=SITE)
    result = sdk.map(SITE, search="2")
    assert ([one.url for one in result.links], result.total, result.scanned) == ([f"{SITE}/2"], 1, 2)
    spidra_mock.assert_credits(charged=1)


def test_finds_takes_a_list_and_no_text(spidra_mock):
    with pytest.raises(TypeError, match="takes a list of URLs"):
        spidra_mock.map.finds(SITE)


def test_an_error_in_a_200_goes_unnoticed_by_the_sdk(sdk, spidra_mock):
    """``{"status": "error"}`` becomes an empty result."""
    spidra_mock.router["map.submit"].respond(200, json={"status": "error", "message": "no"})
    assert sdk.map(SITE).links == []


async def test_the_sdk_reads_logs_usage_and_account(spidra_mock):
    spidra_mock.scrape.outcomes({SITE: completed({"price": 7})})
    async with spidra.AsyncSpidra(api_key=spidra_mock.api_key) as sdk:
        await sdk.scrape(SITE, prompt="the price", output="json")
        (log,) = (await sdk.scrape_logs(search_term="shop", status="success", channel="api")).logs
        assert (await sdk.get_scrape_log(log.uuid)).result_data == {"price": 7}
        rows = await sdk.usage("7d")
        assert (len(rows), rows[-1].requests, rows[-1].credits) == (7, 1, 1)
        summary = await sdk.account()
    assert (summary.credits.used, summary.credits.remaining) == (1, 9_999)
    assert (summary.plan.name, summary.subscription_status) == ("Free", "active")


def test_each_of_them_can_be_scripted(sdk, spidra_mock):
    for script in (
        spidra_mock.logs.list,
        spidra_mock.logs.get,
        spidra_mock.usage.get,
        spidra_mock.account.get,
        spidra_mock.map.submit,
    ):
        script.script(http_error(402))
    for ask in (
        sdk.scrape_logs,
        lambda: sdk.get_scrape_log("x"),
        sdk.usage,
        sdk.account,
        lambda: sdk.map(SITE),
    ):
        with pytest.raises(spidra.SpidraPaymentRequiredError):
            ask()


def scrape(client):
    try:
        return client.post("/scrape", json={"urls": [{"url": SITE}]})
    except httpx.TransportError:
        return None


def test_who_has_found_a_lost_scrape_in_the_logs_may_send_it_again(client, spidra_mock):
    spidra_mock.scrape.submit.script(reply_lost())
    scrape(client)
    (row,) = client.get("/scrape-logs").json()["data"]["logs"]
    assert client.get(f"/scrape-logs/{row['uuid']}").json()["data"]["urls"] == [{"url": SITE}]
    scrape(client)
    spidra_mock.assert_rules()


@pytest.mark.spidra(rules="off")
def test_who_looked_for_another_page_in_the_logs_has_not_looked(client, spidra_mock):
    spidra_mock.scrape.submit.script(reply_lost())
    scrape(client)
    client.get("/scrape-logs?searchTerm=other")
    scrape(client)
    assert [one.rule for one in judge(spidra_mock.exchanges)] == ["double-submission"]


@pytest.mark.spidra(rules="off")
def test_a_lost_map_that_is_sent_again_pays_twice(client, spidra_mock):
    spidra_mock.map.submit.script(reply_lost())
    for _ in range(2):
        try:
            client.post("/map", json={"url": SITE})
        except httpx.TransportError:
            continue
    found = judge(spidra_mock.exchanges)
    assert [one.rule for one in found] == ["double-submission"]
    assert "be ready to wait longer for a map" in " ".join(rules_report(found, spidra_mock.exchanges).split())


def test_the_same_map_again_is_a_wish_of_its_own(client, spidra_mock):
    for _ in range(3):
        assert client.post("/map", json={"url": SITE}).status_code == 200
    spidra_mock.assert_rules()


async def test_all_of_it_through_a_port(spidra_server):
    settings = {"api_key": spidra_server.api_key, "api_url": spidra_server.base_url}
    async with spidra.AsyncSpidra(**settings) as sdk:
        assert (await sdk.map(SITE)).total == 3
        assert (await sdk.account()).credits.used == 1
        assert len(await sdk.usage("30d")) == 30
        assert (await sdk.scrape_logs()).total == 0
