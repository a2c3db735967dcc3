"""Random walks through the fake: whatever a client does and however time passes, these things hold."""

import json

import pytest
from fake_client import NOW, Client, urls
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
)

from pytest_spidra.fake import serializers
from pytest_spidra.fake.outcomes import completed, failed, stuck

TERMINAL = {"completed", "failed", "cancelled"}
START_CREDITS = 60

whens = st.one_of(
    st.integers(0, 3).map(lambda polls: {"after_polls": polls}),
    st.sampled_from([0, 0.5, 1, 2, 3, 5]).map(lambda seconds: {"after_seconds": seconds}),
)
used = st.none() | st.integers(0, 5)
outcomes = st.one_of(
    st.builds(lambda credits_, when: completed(credits=credits_, **when), used, whens),
    st.builds(lambda when: failed("blocked", **when), whens),
    st.builds(lambda when: stuck(**when), whens),
)
scripts = st.dictionaries(st.sampled_from(urls(4)), st.lists(outcomes, min_size=1, max_size=3))
several_urls = st.lists(st.sampled_from(urls(4)), min_size=1, max_size=5)
waits = st.sampled_from([0, 0.25, 0.5, 1, 2, 5, 30])


def check_item(item):
    """Assert the rules for an item's fields in its state."""
    status = item["status"]
    started, finished = item["startedAt"], item["finishedAt"]
    assert status in {"pending", "running", *TERMINAL}
    assert (finished is not None) == (status in TERMINAL)
    assert (item["result"] is not None) == (status == "completed")
    assert (item["error"] is not None) == (status == "failed")
    assert (item["jobId"] is None) == (started is None)
    assert item["screenshotUrl"] is None
    if status != "completed":
        assert item["creditsUsed"] == 0
    if status == "pending":
        assert started is None
    if status in {"running", "completed"}:
        assert started is not None
    if started and finished:
        assert started <= finished


def check_batch(batch):
    """Assert what holds between a batch's fields and its items."""
    items = batch["items"]
    statuses = [item["status"] for item in items]
    assert batch["totalUrls"] == len(items)
    assert batch["completedCount"] == statuses.count("completed")
    assert batch["failedCount"] == statuses.count("failed")
    assert batch["completedCount"] + batch["failedCount"] <= batch["totalUrls"]
    assert (batch["finishedAt"] is not None) == (batch["status"] in TERMINAL)
    unfinished = [status for status in statuses if status not in TERMINAL]
    if batch["status"] == "pending":
        assert set(statuses) == {"pending"}
    if batch["status"] == "running":
        assert unfinished
    if batch["status"] in {"completed", "failed"}:
        assert not unfinished
    if batch["status"] == "cancelled":
        assert "pending" not in statuses
    for item in items:
        check_item(item)
        assert batch["createdAt"] <= (item["startedAt"] or item["finishedAt"] or batch["createdAt"])


def check_course(before, after, retried):
    """Assert what may have become of a batch between two moments."""
    for name in ("totalUrls", "createdAt"):
        assert after[name] == before[name]
    if before["status"] in TERMINAL and not retried:
        assert after["status"] == before["status"]
        assert after["finishedAt"] == before["finishedAt"]
    if before["status"] != "pending":
        assert after["status"] != "pending"
    for old, new in zip(before["items"], after["items"], strict=True):
        assert (new["uuid"], new["url"]) == (old["uuid"], old["url"])
        if old["status"] in {"completed", "cancelled"} or (old["status"] == "failed" and not retried):
            assert new == old
        if old["status"] == "running" and new["status"] == "running" and not retried:
            assert new == old
        if old["status"] != "pending" and not retried:
            assert new["status"] != "pending"


class Walk(RuleBasedStateMachine):
    """A client that does anything, and a service that has to keep its books meanwhile."""

    batches = Bundle("batches")
    strangers = Bundle("strangers")

    @initialize(price=st.integers(0, 3), concurrency=st.none() | st.integers(1, 3))
    def begin(self, price, concurrency):
        self.client = Client(
            credits=START_CREDITS,
            price_per_url=price,
            concurrency=concurrency,
            retry_of_cancelled="accept",
            timestamps="milliseconds",
        )
        self.start = START_CREDITS
        self.asked = {}
        self.seen = {}
        self.retried = None
        self.foreign = 0

    # -- what the machine knows ------------------------------------------------------------------------

    def shown(self, batch_id):
        """Return the batch as it stands, without a look at it and without the time moving it."""
        return serializers.batch(self.client.service.batches[batch_id], "milliseconds")

    def held(self):
        return sum(item.held for one in self.asked for item in self.client.service.batches[one].items)

    def books(self):
        return self.client.account.credits, self.client.ledger

    def catch_up(self):
        """Let time do its work now, so that what follows is the next request's doing."""
        for state in self.client.service.batches.values():
            state.advance(self.client.now)

    # -- what a client does ----------------------------------------------------------------------------

    @rule(target=batches, listed=several_urls, script=scripts)
    def submit(self, listed, script):
        self.client.service.script_outcomes(script)
        credits_, ledger = self.books()
        cost = len(listed) * self.client.account.price_per_url
        reply = self.client.submit(listed)
        if cost > credits_:
            assert reply.status == 403
            assert self.books() == (credits_, ledger)
            return multiple()
        assert reply.status == 202
        assert reply.json["total"] == len(listed)
        assert self.client.ledger["reserved"] == ledger["reserved"] + cost
        batch_id = reply.json["batchId"]
        assert batch_id not in self.asked
        self.asked[batch_id] = listed
        return batch_id

    @rule(batch_id=batches)
    def look(self, batch_id):
        reply = self.client.get(batch_id)
        assert reply.status == 200
        assert reply.json == self.shown(batch_id)
        assert reply.json["status"] != "pending"

    @rule(batch_id=batches)
    def look_often(self, batch_id):
        for _ in range(4):
            self.look(batch_id)
            self.hold()

    @rule()
    def look_at_the_list(self):
        body = self.client.list(limit=50).json
        assert [job["uuid"] for job in body["jobs"]] == list(self.asked)[::-1][:50]
        assert body["pagination"]["total"] == len(self.asked)
        for job in body["jobs"]:
            batch = self.shown(job["uuid"])
            assert {name: job[name] for name in batch if name != "items"} == {
                name: value for name, value in batch.items() if name != "items"
            }

    @rule(batch_id=batches)
    def retry(self, batch_id):
        self.catch_up()
        self.hold()
        before, (credits_, ledger) = self.shown(batch_id), self.books()
        broken = [place for place, item in enumerate(before["items"]) if item["status"] == "failed"]
        cost = len(broken) * self.client.account.price_per_url
        reply = self.client.retry(batch_id)
        after = self.shown(batch_id)
        if not broken or cost > credits_:
            assert reply.status == (403 if broken else 400)
            assert (after, *self.books()) == (before, credits_, ledger)
            return
        assert reply.status == 202
        assert reply.json == {"status": "queued", "retriedCount": len(broken)}
        assert self.client.ledger["reserved"] == ledger["reserved"] + cost
        for place, (old, new) in enumerate(zip(before["items"], after["items"], strict=True)):
            if place in broken:
                assert new["status"] in {"pending", "completed", "failed"}
                assert new["finishedAt"] is None or new["finishedAt"] == after["items"][place]["startedAt"]
            else:
                assert new == old
        if any(item["status"] in {"pending", "running"} for item in after["items"]):
            assert after["status"] == "running"
        else:
            assert after["status"] == "completed"
        self.retried = batch_id

    @rule(batch_id=batches)
    def cancel(self, batch_id):
        self.catch_up()
        self.hold()
        before, (credits_, ledger) = self.shown(batch_id), self.books()
        reply = self.client.cancel(batch_id)
        after = self.shown(batch_id)
        if before["status"] in TERMINAL:
            assert (reply.status, reply.json["code"]) == (409, "ALREADY_TERMINAL")
            assert (after, *self.books()) == (before, credits_, ledger)
            return
        stopped = [item for item in before["items"] if item["status"] == "pending"]
        refund = len(stopped) * self.client.account.price_per_url
        assert reply.json == {
            "status": "cancelled",
            "cancelledItems": len(stopped),
            "creditsRefunded": refund,
        }
        assert after["status"] == "cancelled"
        assert self.client.account.credits == credits_ + refund
        assert self.client.ledger["refunded"] == ledger["refunded"] + refund
        for old, new in zip(before["items"], after["items"], strict=True):
            assert new["status"] == ("cancelled" if old["status"] == "pending" else old["status"])

    # -- what happens to it ----------------------------------------------------------------------------

    @rule(seconds=waits)
    def wait(self, seconds):
        self.client.wait(seconds)

    @rule(status=st.sampled_from(["failed", "cancelled"]), when=whens, other=st.booleans())
    def script_an_end(self, status, when, other):
        unfinished = {"failed": "cancelled", "cancelled": "failed"}[status] if other else None
        self.client.ends(status, unfinished=unfinished, **when)

    @rule(credits_=st.integers(0, 40))
    def change_credits(self, credits_):
        self.start += credits_ - self.client.account.credits
        self.client.account.credits = credits_

    @rule(target=batches, count=st.integers(1, 3), status=st.sampled_from(["pending", "running"]))
    def place_mine(self, count, status):
        """It was paid for before, so what it holds was the account's."""
        listed = [f"https://placed.example/{number}" for number in range(count)]
        batch_id = self.client.place(listed, status=status)
        self.asked[batch_id] = listed
        self.start += sum(item.held for item in self.client.service.batches[batch_id].items)
        assert self.client.get(batch_id).json["status"] == status
        return batch_id

    @rule(target=strangers, status=st.sampled_from(["pending", "running", "completed", "failed"]))
    def place_a_strangers(self, status):
        reserved = self.client.ledger["reserved"]
        batch_id = self.client.place(2, status=status, failing=1, owner="someone else")
        self.foreign += self.client.ledger["reserved"] - reserved
        return batch_id

    @rule(batch_id=strangers)
    def ask_for_a_strangers(self, batch_id):
        before, books = self.shown(batch_id), self.books()
        for ask in (self.client.get, self.client.retry, self.client.cancel):
            assert ask(batch_id).status == 404
        assert self.shown(batch_id) == before
        assert self.books() == books

    # -- what holds ------------------------------------------------------------------------------------

    @invariant()
    def hold(self):
        everything = {batch_id: self.shown(batch_id) for batch_id in self.asked}
        for batch_id, batch in everything.items():
            check_batch(batch)
            assert [item["url"] for item in batch["items"]] == self.asked[batch_id]
            if batch_id in self.seen:
                check_course(self.seen[batch_id], batch, batch_id == self.retried)
            limit = self.client.account.concurrency
            if limit is not None:
                assert [item["status"] for item in batch["items"]].count("running") <= limit
        ids = [*everything, *(item["uuid"] for batch in everything.values() for item in batch["items"])]
        assert len(ids) == len(set(ids))
        self.balance(everything)
        self.seen, self.retried = everything, None

    def balance(self, everything):
        """What is left is start - charged - held, and every credit reserved is held, charged or given back."""
        left, ledger, held = self.client.account.credits, self.client.ledger, self.held()
        assert left == self.start - ledger["charged"] - held
        price = self.client.account.price_per_url
        items = [item for batch in everything.values() for item in batch["items"]]
        charged = [item["creditsUsed"] for item in items if item["status"] == "completed"]
        assert ledger["charged"] == sum(charged)
        over = sum(max(one - price, 0) for one in charged)
        assert ledger["reserved"] - self.foreign == held + ledger["refunded"] + ledger["charged"] - over


TestWalk = Walk.TestCase
TestWalk.settings = settings(deadline=None, derandomize=True, max_examples=120, stateful_step_count=30)


# -- time ----------------------------------------------------------------------------------------------


@settings(deadline=None, derandomize=True, max_examples=100)
@given(
    several_urls,
    scripts,
    st.none() | st.integers(1, 3),
    st.lists(st.sampled_from([0.25, 0.5, 1, 3]), min_size=2, max_size=6),
    st.none() | st.sampled_from([0, 0.5, 1, 2]),
)
def test_what_time_does_is_the_same_in_one_leap_and_in_steps(listed, script, concurrency, steps, end):
    """Asking what it will cost lets time do its work, and changes nothing."""
    seen = []
    for often in (True, False):
        client = Client(concurrency=concurrency, timestamps="milliseconds")
        client.service.script_outcomes(script)
        if end is not None:
            client.ends("failed", after_seconds=end)
        batch_id = client.submitted(listed)
        for step in steps:
            client.wait(step)
            if often:
                client.service.bill(client.now)
        seen.append((client.list().json, client.seen(batch_id), client.ledger))
    assert seen[0] == seen[1]


@pytest.mark.parametrize("polls", [0, 1, 2])
def test_the_same_requests_at_the_same_times_get_the_same_replies(polls):
    """Nothing is random, not even an id."""
    runs = []
    for _ in range(2):
        client = Client()
        client.will(failed(after_polls=polls), completed())
        batch_id = client.submitted(3)
        replies = [client.get(batch_id), client.get(batch_id), client.retry(batch_id), client.list()]
        runs.append(json.dumps([reply.json for reply in replies]))
        assert client.now == NOW
    assert runs[0] == runs[1]
