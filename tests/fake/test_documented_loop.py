"""The retry loop of Spidra's documentation, put to the fake: what it does there it does with the service."""

import pytest
from fake_client import BATCHES, Client

from pytest_spidra.fake.outcomes import completed, failed, stuck

ENDLESS = 50


class Endless(Exception):  # noqa: N818 - it is a finding, no error
    """The loop polled without end."""


class Loop:
    """The documented loop; statuses of replies are never looked at, only bodies."""

    def __init__(self, client):
        self.client = client
        self.sent = []
        self.polls = self.waits = 0

    def ask(self, method, path, operation):
        self.sent.append(operation)
        reply = self.client.send(method, path)
        return reply.json

    @property
    def gets(self):
        return self.sent.count("get")

    @property
    def retries(self):
        return self.sent.count("retry")

    def poll(self, path):
        while True:
            batch = self.ask("GET", path, "get")
            if batch["status"] in {"completed", "failed", "cancelled"}:
                return batch
            if self.waits == ENDLESS:
                raise Endless
            self.waits += 1
            self.client.wait(3)

    def run(self, submitted, attempts=3):
        path = f"{BATCHES}/{submitted.get('batchId', 'undefined')}"
        for attempt in range(1, attempts + 1):
            batch = self.poll(path)
            if batch["failedCount"] == 0:
                break
            if attempt < attempts:
                self.ask("POST", f"{path}/retry", "retry")
        return self.ask("GET", path, "get")["items"]


@pytest.fixture
def loop(client):
    return Loop(client)


def run(loop, count=1, attempts=3):
    items = loop.run(loop.client.submit(count).json, attempts)
    return [item["status"] for item in items]


@pytest.mark.parametrize("polls", [1, 2, 5])
def test_a_batch_that_is_done_after_k_looks_takes_one_get_more(loop, polls):
    loop.client.will(completed(after_polls=polls - 1))
    assert run(loop) == ["completed"]
    assert loop.gets == polls + 1
    assert loop.retries == 0


def test_three_failed_items_of_five_are_retried_and_complete(loop):
    for place in (2, 3, 5):
        loop.client.will(failed(), completed(), place=place)
    assert run(loop, 5) == ["completed"] * 5
    assert loop.retries == 1


def test_items_that_fail_for_ever_end_at_once_with_four_gets_and_two_retries(loop):
    loop.client.will(failed(after_polls=0))
    assert run(loop) == ["failed"]
    assert loop.gets == 4
    assert loop.retries == 2
    assert loop.waits == 0


@pytest.mark.parametrize("attempts", [1, 2, 3, 5])
def test_n_rounds_make_one_retry_less(loop, attempts):
    loop.client.will(failed())
    assert run(loop, attempts=attempts) == ["failed"]
    assert loop.retries == attempts - 1


def test_no_round_at_all_returns_what_one_look_shows(loop):
    assert run(loop, 2, attempts=0) == ["running", "running"]
    assert loop.sent == ["get"]


def test_a_refused_submit_makes_it_poll_an_undefined_batch_for_ever(loop):
    """An error body has the status "error", which ends no batch."""
    loop.client.account.credits = 0
    refused = loop.client.submit(1).json
    with pytest.raises(Endless):
        loop.run(refused)


def test_a_batch_that_does_not_exist_is_polled_for_ever(loop):
    with pytest.raises(Endless):
        loop.run({"batchId": loop.client.place(owner="someone else")})


def test_a_key_that_went_bad_is_polled_for_ever(loop):
    submitted = loop.client.submit(1).json
    loop.client.account.keys = ["another"]
    with pytest.raises(Endless):
        loop.run(submitted)


def test_an_item_that_hangs_is_polled_for_ever(loop):
    loop.client.will(stuck())
    with pytest.raises(Endless):
        run(loop)


def test_refused_retries_burn_the_rounds_without_a_wait(loop):
    batch_id = loop.client.place(3, failing=1)
    loop.client.account.credits = 1
    items = loop.run({"batchId": batch_id})
    assert [item["status"] for item in items] == ["completed", "completed", "failed"]
    assert loop.sent == ["get", "retry", "get", "retry", "get", "get"]
    assert loop.waits == 0


def test_a_cancelled_batch_without_failed_items_passes_for_done(loop):
    batch_id = loop.client.place(3, status="cancelled")
    items = loop.run({"batchId": batch_id})
    assert [item["status"] for item in items] == ["cancelled"] * 3
    assert loop.sent == ["get", "get"]


def test_a_broken_batch_without_failed_items_passes_for_done(loop):
    loop.client.ends("failed", after_polls=0, unfinished="cancelled")
    assert run(loop, 2) == ["cancelled", "cancelled"]
    assert loop.sent == ["get", "get"]


def test_a_broken_batch_with_failed_items_is_retried(loop):
    loop.client.ends("failed", after_polls=0)
    assert run(loop, 2) == ["completed", "completed"]
    assert loop.retries == 1


def test_a_retry_is_seen_by_the_next_get(loop):
    """A stale "completed" would end the loop with items that have not ended."""
    loop.client.will(failed(), completed(after_polls=4))
    assert run(loop) == ["completed"]
    assert loop.gets == 2 + 5 + 1


def test_cookies_are_not_sent_again_and_not_asked_for():
    client = Client()
    client.will(failed(), completed())
    loop = Loop(client)
    items = loop.run(client.submit(1, cookies="session=1").json)
    assert [item["status"] for item in items] == ["completed"]
