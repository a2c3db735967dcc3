"""The documented retry loop, in plain httpx, under scripted failures."""

import pytest
from retry_loop import BatchRefusedError, scrape

from pytest_spidra import completed, failed


def test_three_of_fifty_pages_heal_over_three_rounds(spidra_mock):
    """Two of the failed pages heal in the second round, the last one in the third, and no page is paid twice."""
    urls = [f"https://shop.example/page/{number}" for number in range(1, 51)]
    spidra_mock.batch.outcomes(
        {
            urls[7]: [failed("Timeout"), completed()],
            urls[23]: [failed("Blocked"), completed()],
            urls[41]: [failed("Timeout"), failed("Timeout"), completed({"price": 12})],
        }
    )

    items = scrape(urls, base_url=spidra_mock.base_url, api_key=spidra_mock.api_key)

    assert [item["url"] for item in items] == urls
    assert {item["status"] for item in items} == {"completed"}
    assert items[41]["result"] == {"price": 12}
    retried = [
        call.exchanges[-1].seen_json["retriedCount"] for call in spidra_mock.exchanges.calls("batch.retry")
    ]
    assert retried == [3, 1]
    assert spidra_mock.credits.charged == 50 * spidra_mock.account.price_per_url


def test_what_still_fails_after_the_last_round_is_reported(spidra_mock):
    """Three rounds are two retries; then the item comes back as failed, and it cost nothing."""
    urls = ["https://shop.example/good", "https://shop.example/gone"]
    spidra_mock.batch.outcomes({urls[1]: failed("Timeout")})

    items = scrape(urls, base_url=spidra_mock.base_url, api_key=spidra_mock.api_key, max_attempts=3)

    assert [item["status"] for item in items] == ["completed", "failed"]
    assert len(spidra_mock.exchanges.calls("batch.retry")) == 2
    assert spidra_mock.credits.charged == spidra_mock.account.price_per_url


def test_credits_run_out_between_two_rounds(spidra_mock):
    """Two URLs use up the credits, a retry would need more: the loop says so, and what was scraped is charged."""
    urls = ["https://shop.example/good", "https://shop.example/flaky"]
    price = spidra_mock.account.price_per_url
    spidra_mock.account.credits = 2 * price
    spidra_mock.batch.outcomes(
        {urls[0]: completed(credits=2 * price), urls[1]: [failed("Timeout"), completed()]}
    )

    with pytest.raises(BatchRefusedError, match="credit limit"):
        scrape(urls, base_url=spidra_mock.base_url, api_key=spidra_mock.api_key)

    (retry,) = spidra_mock.exchanges.calls("batch.retry")
    assert retry.outcomes == [403]
    assert spidra_mock.credits.charged == 2 * price
    assert spidra_mock.batches[0].failed_urls == [urls[1]]
