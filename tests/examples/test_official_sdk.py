"""The official SDK under scripted failures, sync and async."""

import pytest
import spidra

from pytest_spidra import completed, failed, rate_limited, reply_lost, service_busy

URLS = ["https://shop.example/1", "https://shop.example/2", "https://shop.example/3"]


def test_the_sync_client_waits_out_a_busy_service(spidra_mock):
    """A 503 with a hint is sent again after just that time."""
    spidra_mock.batch.submit.script(service_busy(retry_after=20))

    batch = spidra.Spidra(api_key=spidra_mock.api_key).batch_scrape(URLS)

    assert batch.completed_count == 3
    (submit,) = spidra_mock.exchanges.calls("batch.submit")
    assert submit.outcomes == [503, 202]
    assert submit.waits == [20.0]


async def test_the_async_client_backs_off(spidra_mock):
    """Without a hint the waits double: 1, 2, 4 seconds."""
    spidra_mock.batch.submit.script(502, 503, 502)

    async with spidra.AsyncSpidra(api_key=spidra_mock.api_key) as client:
        await client.batch_scrape(URLS)

    (submit,) = spidra_mock.exchanges.calls("batch.submit")
    assert submit.waits == [1.0, 2.0, 4.0]


def test_polling_survives_a_rate_limit(spidra_mock):
    """A 429 in the middle of polling costs its time and nothing else."""
    spidra_mock.batch.get.script(rate_limited(retry_after=60))

    batch = spidra.Spidra(api_key=spidra_mock.api_key).batch_scrape(URLS, poll_interval=5)

    assert batch.status == "completed"
    assert spidra_mock.clock.elapsed == 60 + 5


def test_the_failed_item_is_retried_and_healed(spidra_mock):
    """The SDK retries on demand: only the failed item, in the same batch."""
    spidra_mock.batch.outcomes({URLS[1]: [failed("Timeout"), completed({"title": "Two"})]})
    client = spidra.Spidra(api_key=spidra_mock.api_key)
    queued = client.start_batch_scrape(URLS)
    items = list(client.watch_batch(queued.batch_id))
    assert [item.url for item in items if item.status == "failed"] == [URLS[1]]

    assert client.retry_batch_scrape(queued.batch_id) == 1

    healed = [item for item in client.watch_batch(queued.batch_id) if item.url == URLS[1]]
    assert [item.result for item in healed] == [{"title": "Two"}]


def test_a_lost_reply_leaves_a_batch_that_the_list_shows(spidra_mock):
    """The submit timed out, yet the batch is queued and paid for: look before you send it again."""
    spidra_mock.batch.submit.script(reply_lost())
    client = spidra.Spidra(api_key=spidra_mock.api_key)

    with pytest.raises(Exception, match="reply_lost"):
        client.start_batch_scrape(URLS)

    (job,) = client.list_batch_scrapes().jobs
    assert job.uuid == spidra_mock.batches[0].id
    assert spidra_mock.credits.reserved == 3 * spidra_mock.account.price_per_url


def test_a_batch_that_was_there_before(spidra_batch_factory, spidra_mock):
    """The factory makes the batch that the code under test is about to clean up."""
    batch = spidra_batch_factory(urls=5, failed=2)
    client = spidra.Spidra(api_key=spidra_mock.api_key)

    assert client.get_batch_scrape(batch.id).failed_count == 2
    assert client.retry_batch_scrape(batch.id) == 2

    list(client.watch_batch(batch.id))
    assert batch.failed_urls == []
