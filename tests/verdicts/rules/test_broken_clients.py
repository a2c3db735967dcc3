"""The table: each broken client is accused by exactly the rules that its row names, its careful twin by none."""

from __future__ import annotations

import asyncio
import inspect
from dataclasses import dataclass, field

import pytest
import written_clients as clients

from pytest_spidra import (
    completed,
    failed,
    http_error,
    ok,
    payment_overdue,
    rate_limited,
    reply_lost,
    request_lost,
    service_busy,
    stuck,
    too_many_pending,
)
from pytest_spidra.verdicts.rules.judge import RULES, judge

URLS = ["https://shop.example/1", "https://shop.example/2"]

# The table judges on its own, so that an accusation is a result and no warning. A twin may need fewer steps.
pytestmark = pytest.mark.spidra(rules="off", allow_unused_steps=True)


@dataclass
class Row:
    """One broken client, what it meets, which rules accuse it, and a twin that meets the same."""

    broken: object
    accused: list[str]
    twin: object
    meets: dict[str, list] = field(default_factory=dict)
    items: object = None
    others: object = None
    ends: str | None = None
    account: dict[str, object] = field(default_factory=dict)


LOST = {"submit": [reply_lost()]}
LOST_RETRY = {"retry": [reply_lost()]}
ONE_FAILS = [failed(), completed()]
NOT_AT_ONCE = completed(after_polls=4)

ROWS = {
    "a lost submit, sent again": Row(
        clients.resends_a_lost_submit,
        ["double-submission"],
        clients.looks_in_the_list_first,
        LOST,
    ),
    "a submit that never arrived, sent again": Row(
        clients.resends_a_lost_submit,
        ["blind-resend"],
        clients.looks_in_the_list_first,
        {"submit": [request_lost("ReadTimeout")]},
    ),
    "a slow submit, sent again, async": Row(
        clients.resends_a_slow_submit,
        ["double-submission"],
        clients.waits_for_a_slow_submit,
        {"submit": [ok(after=30)]},
    ),
    "a 504 after the work, repeated by a retry transport": Row(
        clients.retries_every_post_by_transport,
        ["double-submission"],
        clients.retries_reads_by_transport,
        {"submit": [http_error(504, processed=True)]},
    ),
    "a submit whose reply was cut off, sent again": Row(
        clients.resends_what_it_could_not_read,
        ["double-submission"],
        clients.reports_what_it_could_not_read,
        {"submit": [ok(body="truncated")]},
    ),
    "a submit whose reply was empty, sent again": Row(
        clients.resends_what_it_could_not_read,
        ["double-submission"],
        clients.reports_what_it_could_not_read,
        {"submit": [ok(body="empty")]},
    ),
    "a lost retry, sent again": Row(
        clients.resends_a_lost_retry,
        ["blind-resend"],
        clients.looks_after_a_lost_retry,
        LOST_RETRY,
        ONE_FAILS,
    ),
    "the SDK called again after a lost reply": Row(
        clients.sends_the_sdk_s_lost_submit_again,
        ["double-submission"],
        clients.asks_the_sdk_for_the_list,
        LOST,
    ),
    "the SDK's own repetition of a 502 after the work": Row(
        clients.lets_the_sdk_back_off,
        ["double-submission"],
        clients.careful,
        {"submit": [http_error(502, processed=True)]},
    ),
    "everything submitted again": Row(
        clients.submits_everything_again, ["paid-again"], clients.submits_what_failed, items=ONE_FAILS
    ),
    "everything submitted again with the SDK": Row(
        clients.lets_the_sdk_submit_everything_again,
        ["paid-again"],
        clients.lets_the_sdk_retry,
        items=ONE_FAILS,
    ),
    "started over after the SDK's timeout": Row(
        clients.starts_over_after_the_sdk_s_timeout,
        ["resubmitted-unfinished"],
        clients.cancels_after_the_sdk_s_timeout,
        items=stuck(),
        others=stuck(),
    ),
    "started over when it takes long, async": Row(
        clients.starts_over_when_it_takes_long,
        ["resubmitted-unfinished"],
        clients.goes_on_when_it_takes_long,
        items=NOT_AT_ONCE,
        others=NOT_AT_ONCE,
    ),
    "a retry in the middle": Row(
        clients.retries_as_soon_as_one_failed,
        ["retry-before-terminal"],
        clients.retries_at_the_end,
        items=ONE_FAILS,
        account={"concurrency": 1},
    ),
    "a retry in the middle with the SDK": Row(
        clients.lets_the_sdk_retry_at_once,
        ["retry-before-terminal"],
        clients.lets_the_sdk_retry,
        items=[failed(after_polls=0), completed()],
    ),
    "a retry for good measure, async": Row(
        clients.always_retries_once, ["nothing-to-retry"], clients.goes_on_when_it_takes_long
    ),
    "a retry for good measure with the SDK": Row(
        clients.lets_the_sdk_always_retry, ["nothing-to-retry"], clients.lets_the_sdk_retry
    ),
    "a retry of a batch that somebody cancelled": Row(
        clients.retries_whatever_is_not_completed,
        ["retry-of-cancelled"],
        clients.careful,
        items=[failed(after_polls=0)],
        ends="cancelled",
    ),
    "a retry of a batch that it cancelled itself": Row(
        clients.retries_what_it_cancelled, ["retry-of-cancelled"], clients.submits_anew_after_a_cancel
    ),
    "a backoff of its own in place of Retry-After": Row(
        clients.backs_off_in_its_own_time,
        ["retry-after-ignored"],
        clients.waits_as_it_is_told,
        {"submit": [service_busy(20), service_busy(20)]},
    ),
    "retry_after in the body alone, ignored": Row(
        clients.backs_off_in_its_own_time,
        ["retry-after-ignored"],
        clients.careful,
        {"submit": [service_busy(10, header=False)]},
    ),
    "the SDK called again a second after a 429": Row(
        clients.calls_the_sdk_again_when_limited,
        ["retry-after-ignored"],
        clients.waits_with_the_sdk_when_limited,
        {"submit": [rate_limited(15)]},
    ),
    "polled on through a 429, async": Row(
        clients.polls_on_while_limited,
        ["retry-after-ignored"],
        clients.rests_while_limited,
        {"get": [rate_limited(20)]},
    ),
    "a 422 sent again": Row(
        clients.retries_every_error,
        ["permanent-error-resent"],
        clients.stops_at_a_refusal,
        {"submit": [422, 422, 422]},
    ),
    "a 402 sent again": Row(
        clients.retries_every_error,
        ["permanent-error-resent"],
        clients.stops_at_a_refusal,
        {"submit": [payment_overdue()] * 3},
    ),
    "credits that ran out, asked again": Row(
        clients.retries_every_error,
        ["permanent-error-resent"],
        clients.stops_at_a_refusal,
        account={"credits": 1},
    ),
    "a batch that is not there, async": Row(
        clients.asks_for_a_batch_that_is_not_there,
        ["permanent-error-resent"],
        clients.asks_once_for_a_batch_that_is_not_there,
    ),
    "the documented loop after a refused submit": Row(
        clients.polls_undefined,
        ["permanent-error-resent"],
        clients.stops_at_a_refusal,
        {"submit": [too_many_pending()]},
    ),
    "a broken batch polled for ever": Row(
        clients.waits_for_completed_alone, ["poll-after-terminal"], clients.waits_for_any_end, ends="failed"
    ),
    "a cancelled batch polled for ever": Row(
        clients.waits_for_completed_alone,
        ["poll-after-terminal"],
        clients.waits_for_any_end,
        ends="cancelled",
    ),
    "failed items awaited without a retry, async": Row(
        clients.polls_until_nothing_failed,
        ["poll-after-terminal"],
        clients.goes_on_when_it_takes_long,
        items=failed(),
    ),
    "polled five times a second": Row(
        clients.polls_five_times_a_second,
        ["busy-polling"],
        clients.polls_every_two_seconds,
        items=NOT_AT_ONCE,
    ),
    "polled without a pause, async": Row(
        clients.polls_without_a_pause,
        ["busy-polling"],
        clients.goes_on_when_it_takes_long,
        items=NOT_AT_ONCE,
    ),
    "the SDK told to poll ten times a second": Row(
        clients.lets_the_sdk_poll_without_a_pause,
        ["busy-polling"],
        clients.lets_the_sdk_back_off,
        items=NOT_AT_ONCE,
    ),
    "a 503 repeated without a pause": Row(
        clients.hammers, ["no-backoff"], clients.lets_the_sdk_back_off, {"submit": [503] * 3}
    ),
    "the SDK told not to back off": Row(
        clients.lets_the_sdk_hammer, ["no-backoff"], clients.lets_the_sdk_back_off, {"submit": [503] * 3}
    ),
    "a dead connection hammered, async": Row(
        clients.hammers_a_dead_connection,
        ["no-backoff"],
        clients.backs_off_from_a_dead_connection,
        {"list": [request_lost()] * 4},
    ),
    "a URL twice in one submit": Row(
        clients.submits_a_url_twice, ["duplicate-urls"], clients.takes_duplicates_out
    ),
    "no key": Row(clients.forgets_the_key, ["missing-key"], clients.sends_a_bearer_token),
    "basic auth in place of a key": Row(
        clients.sends_basic_auth, ["missing-key"], clients.sends_the_key_in_a_header
    ),
    "the key in header and URL": Row(
        clients.sends_the_key_twice, ["key-in-url"], clients.sends_the_key_in_a_header
    ),
    "the key in the URL alone": Row(
        clients.sends_the_key_in_the_url, ["missing-key", "key-in-url"], clients.sends_the_key_in_a_header
    ),
}


@pytest.fixture
def judged(spidra_mock):
    """Let a client of the table run and return the names of the rules that accuse it."""

    def judged(row, client):
        for name, steps in row.meets.items():
            getattr(spidra_mock.batch, name).script(*steps)
        if row.items is not None:
            spidra_mock.batch.outcomes({URLS[0]: row.items})
        if row.others is not None:
            spidra_mock.batch.outcomes({URLS[1]: row.others})
        if row.ends:
            spidra_mock.batch.ends(row.ends)
        for name, value in row.account.items():
            setattr(spidra_mock.account, name, value)
        result = client(spidra_mock, URLS)
        if inspect.iscoroutine(result):
            asyncio.run(result)
        assert len(spidra_mock.exchanges) > 0
        return list(dict.fromkeys(one.rule for one in judge(spidra_mock.exchanges)))

    return judged


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_a_broken_client_is_accused_by_the_rules_of_its_row_and_no_other(judged, row):
    assert judged(row, row.broken) == row.accused


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_the_careful_twin_is_accused_of_nothing(judged, row):
    assert judged(row, row.twin) == []


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_has_a_row(rule):
    assert any(rule in row.accused for row in ROWS.values())


def test_an_accusation_names_exchanges_of_the_log(judged, spidra_mock):
    """What is marked in the timeline is there."""
    row = ROWS["a lost submit, sent again"]
    judged(row, row.broken)
    found = judge(spidra_mock.exchanges)
    assert [(one.rule, one.numbers, one.deeds) for one in found] == [("double-submission", [1, 2], {2})]


def test_one_deed_is_one_accusation_and_names_the_other_remedy(judged, spidra_mock):
    """A submit sent again at once and blindly is charged once, by the graver rule."""
    judged(Row(clients.hammers, [], None, {"submit": [500] * 3}), clients.hammers)
    (found,) = judge(spidra_mock.exchanges)
    assert (found.rule, found.also) == ("blind-resend", [RULES["no-backoff"].fix])


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_judges_alone(judged, spidra_mock, rule):
    """Of a client that breaks several rules, the one that is asked for speaks."""
    row = next(row for row in ROWS.values() if rule in row.accused)
    judged(row, row.broken)
    assert {one.rule for one in judge(spidra_mock.exchanges, {rule})} == {rule}


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_says_why_and_how_to_fix_it(rule):
    """In whole sentences that fit their message."""
    told = RULES[rule]
    assert told.name == rule
    assert told.why.endswith(".")
    assert told.fix.endswith(".")
    assert told.why != told.fix
