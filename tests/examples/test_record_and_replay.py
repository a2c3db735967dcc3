"""The same tests mocked and replayed, and recorded with a key: ``pytest tests/examples --spidra-record=all``.

Their cassettes in ``cassettes/`` were recorded with the loopback server in the place of the real API.
"""

import httpx
import pytest
import spidra
from retry_loop import scrape

from pytest_spidra import reply_lost

pytestmark = pytest.mark.spidra(modes=("mock", "replay"))

URLS = ["https://example.com/", "https://www.iana.org/help/example-domains"]


def test_the_sdk_waits_for_a_batch_and_gets_over_a_503(spidra_api):
    """The scripted 503 lies over whatever answers, and stands in no cassette."""
    spidra_api.batch.get.script(503)
    client = spidra.Spidra(api_key=spidra_api.api_key, api_url=spidra_api.base_url)

    batch = client.batch_scrape(URLS, poll_interval=2.0)

    assert batch.status == "completed"
    assert [item.url for item in batch.items] == URLS
    assert spidra_api.exchanges.calls("batch.get")[0].outcomes == [503, 200]
    spidra_api.assert_submitted_once(URLS)


def test_the_documented_loop_retries_what_failed_and_nothing_else(spidra_api):
    """A host that cannot be resolved fails in every round; after the last one it is reported."""
    urls = [URLS[0], "https://unresolvable.invalid/"]

    items = scrape(urls, base_url=spidra_api.base_url, api_key=spidra_api.api_key, max_attempts=2)

    assert {item["url"]: item["status"] for item in items} == {urls[0]: "completed", urls[1]: "failed"}
    (call,) = spidra_api.exchanges.calls("batch.retry")
    assert call.exchanges[0].seen_json["retriedCount"] == 1
    spidra_api.assert_only_failed_items_retried(call.exchanges[0].batch_id)


async def test_a_batch_that_is_there_already_is_retried(spidra_api, spidra_batch_factory):
    """The factory's batch is really submitted while recording, and comes from the cassette afterwards."""
    batch = spidra_batch_factory(urls=2, failed=1)

    async with spidra.AsyncSpidra(api_key=spidra_api.api_key, api_url=spidra_api.base_url) as client:
        assert await client.retry_batch_scrape(batch.id) == 1
        seen = {item.url: item.status async for item in client.watch_batch(batch.id, poll_interval=2.0)}

    assert seen == {batch.urls[0]: "completed", batch.urls[1]: "failed"}
    spidra_api.assert_polled_until_done(batch)


def test_a_lost_submit_is_found_in_the_list(spidra_api):
    """The reply is lost on the client's side only, so the real API has the batch, too."""
    spidra_api.batch.submit.script(reply_lost())
    headers = {"x-api-key": spidra_api.api_key}

    with httpx.Client(base_url=spidra_api.base_url, headers=headers) as client:
        with pytest.raises(httpx.ReadTimeout):
            client.post("/batch/scrape", json={"urls": URLS})
        newest = client.get("/batch/scrape").json()["jobs"][0]
        client.delete(f"/batch/scrape/{newest['uuid']}")

    assert newest["totalUrls"] == 2
    spidra_api.assert_submitted_once(URLS)
