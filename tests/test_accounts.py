"""Several customers, each with a key and an account of its own."""

from __future__ import annotations

import httpx
import pytest
import spidra

from pytest_spidra import RateLimit, completed, failed

ALICE, BOB = "spd_of_alice", "spd_of_bob"
URLS = ["https://shop.example/1", "https://shop.example/2"]


def client_of(key):
    return spidra.Spidra(api_key=key)


def test_credits_are_each_customer_s_own(spidra_mock):
    spidra_mock.account_of(ALICE).credits = 1
    with pytest.raises(spidra.SpidraForbiddenError):
        client_of(ALICE).start_batch_scrape(URLS)
    client_of(BOB).batch_scrape(URLS)
    client_of(ALICE).batch_scrape(URLS[:1])
    assert (spidra_mock.account_of(ALICE).credits, spidra_mock.account.credits) == (0, 9_998)
    spidra_mock.assert_credits(reserved=2, charged=2)  # of whoever has no account of their own


def test_nobody_sees_the_batches_of_another(spidra_mock):
    spidra_mock.account_of(ALICE)
    of_alice = client_of(ALICE).start_batch_scrape(URLS).batch_id
    of_bob = client_of(BOB).start_batch_scrape(URLS).batch_id
    assert [job.uuid for job in client_of(ALICE).list_batch_scrapes().jobs] == [of_alice]
    assert [job.uuid for job in client_of(BOB).list_batch_scrapes().jobs] == [of_bob]
    with pytest.raises(spidra.SpidraError):
        client_of(ALICE).get_batch_scrape(of_bob)
    assert [batch.id for batch in spidra_mock.batches] == [of_alice, of_bob]


@pytest.mark.spidra(rules="off")
def test_the_quota_is_each_customer_s_own(spidra_mock):
    spidra_mock.account_of(ALICE).rate_limit = RateLimit(requests=1)
    url = f"{spidra_mock.base_url}/batch/scrape"
    seen = {
        key: [httpx.get(url, headers={"x-api-key": key}).status_code for _ in range(3)]
        for key in (ALICE, BOB)
    }
    assert seen == {ALICE: [200, 429, 429], BOB: [200, 200, 200]}


def test_an_account_begins_as_a_copy_and_stays_the_same(spidra_mock):
    spidra_mock.account.price_per_url = 3
    alice = spidra_mock.account_of(ALICE)
    spidra_mock.account.price_per_url = 5
    assert (alice.price_per_url, spidra_mock.account_of(ALICE)) == (3, alice)
    assert spidra_mock.account_of(BOB) is not alice


def test_what_is_scripted_holds_for_all(spidra_mock):
    spidra_mock.account_of(ALICE)
    spidra_mock.batch.outcomes({URLS[0]: [failed("Timeout"), completed()]})
    batch = client_of(ALICE).batch_scrape(URLS)
    assert batch.failed_count == 1
    client_of(ALICE).retry_batch_scrape(spidra_mock.batches[0].id)
    spidra_mock.batch.ends("failed")
    assert client_of(ALICE).batch_scrape(["https://other.example/"]).status == "failed"


def test_a_changed_account_is_reason_to_try_again(spidra_mock):
    """As is the first one's."""
    alice = spidra_mock.account_of(ALICE)
    alice.payment_overdue = True
    with pytest.raises(spidra.SpidraError):
        client_of(ALICE).start_batch_scrape(URLS)
    alice.payment_overdue = False
    client_of(ALICE).start_batch_scrape(URLS)
    spidra_mock.assert_rules()


def test_a_chapter_is_one_for_all_customers(spidra_mock):
    alice = spidra_mock.account_of(ALICE)
    client_of(ALICE).batch_scrape(URLS)
    spidra_mock.reset()
    assert alice.credits == 9_998
    assert spidra_mock.account_of(ALICE) is alice


@pytest.mark.parametrize("wrong", [None, "", 5, b"spd_of_alice"], ids=repr)
def test_what_is_no_key_has_no_account(spidra_mock, wrong):
    with pytest.raises(TypeError, match="takes an API key, not"):
        spidra_mock.account_of(wrong)
