"""The account's settings, the ledger of credits and the quota of requests."""

import dataclasses

import pytest
from fake_client import NOW
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_spidra.fake.account import Account
from pytest_spidra.fake.credits import CreditAccounting
from pytest_spidra.fake.quota import Quota, RateLimit
from pytest_spidra.traffic.reply import Reply

SECOND = 1_000_000
INFINITY = float("inf")
NAN = float("nan")

WRONG = [
    *[("credits", value) for value in ("5", 5.0, None, True, [])],
    *[("price_per_url", value) for value in (-1, 1.5, "2", None, True)],
    *[("keys", value) for value in ("spd_key", b"spd_key", [1], 5, True)],
    *[("invalid_key_status", value) for value in (400, 404, "401", None, True, 401.0, [], {})],
    *[("payment_overdue", value) for value in (1, 0, None, "yes", [])],
    *[("pending_cap", value) for value in (-1, 1.5, "50", False, [])],
    *[("rate_limit", value) for value in (300, (300, 900), {"requests": 300}, True, RateLimit)],
    *[
        (f"retry_of_{state}", value)
        for state in ("running", "failed", "cancelled")
        for value in ("refuse", 200, 399, 600, None, True, 409.0, [])
    ],
    *[("concurrency", value) for value in (0, -1, 1.5, "2", True, [])],
    *[("outputs", value) for value in ("json", None, [1], 5)],
    *[("schema_warnings", value) for value in ("a warning", 5, [1])],
    *[("crawl_pending_cap", value) for value in (-1, "5", True)],
    *[("crawl_max_pages", value) for value in (0, None, "5")],
    *[("crawl_cancel", value) for value in ("failed", None)],
    *[("crawl_progress", value) for value in ("both", None)],
    *[("crawl_data", value) for value in ("xml", None)],
    *[("crawl_page_limit", value) for value in (0, 1001, None)],
    *[("price_per_extraction", value) for value in (-1, 1.5)],
    *[("plan", value) for value in (None, 5)],
    *[("parse_wait", value) for value in (-1, "50", None)],
    *[("parse_max_bytes", value) for value in (-1, 1.5)],
    *[("search_wait", value) for value in (-1, "20", True, None, float("inf"))],
    *[("scrape_pending_cap", value) for value in (-1, "10", True, 1.5)],
    *[("refuse_unknown_fields", value) for value in (1, None, "no")],
    *[("invalid_hosts_fail", value) for value in (1, None, "yes")],
    *[("timestamps", value) for value in ("microseconds", None, 3, [], {})],
]
RIGHT = [
    *[("credits", value) for value in (0, 1, -5, 10**12)],
    *[("price_per_url", value) for value in (0, 1, 2)],
    *[("keys", value) for value in (None, [], ["spd_a"], ("spd_a",), {"spd_a"}, {"spd_a": "mine"})],
    *[("invalid_key_status", value) for value in (401, 403)],
    *[("payment_overdue", value) for value in (True, False)],
    *[("pending_cap", value) for value in (None, 0, 50)],
    *[("rate_limit", value) for value in (None, RateLimit())],
    *[
        (f"retry_of_{state}", value)
        for state in ("running", "failed", "cancelled")
        for value in ("accept", 400, 599, Reply(409))
    ],
    *[("concurrency", value) for value in (None, 1, 5)],
    *[("outputs", value) for value in ([], ["json"], {"json"})],
    *[("schema_warnings", value) for value in (None, [], ["A warning."])],
    *[("crawl_pending_cap", value) for value in (None, 0, 5)],
    *[("crawl_max_pages", value) for value in (1, 50)],
    *[("crawl_cancel", value) for value in ("completed", "cancelled")],
    *[("crawl_progress", value) for value in ("message", "pages")],
    *[("crawl_data", value) for value in ("text", "object")],
    *[("crawl_page_limit", value) for value in (1, 1000)],
    *[("price_per_extraction", value) for value in (0, 1)],
    *[("plan", value) for value in ("Pro",)],
    *[("parse_wait", value) for value in (0, 50)],
    *[("parse_max_bytes", value) for value in (0, 100)],
    *[("search_wait", value) for value in (0, 1.5, 20)],
    *[("scrape_pending_cap", value) for value in (None, 0, 10)],
    *[("refuse_unknown_fields", value) for value in (True, False)],
    *[("invalid_hosts_fail", value) for value in (True, False)],
    *[("timestamps", value) for value in ("seconds", "milliseconds")],
]


# -- settings ------------------------------------------------------------------------------------------


def test_every_setting_is_tried_here():
    names = {field.name for field in dataclasses.fields(Account)}
    assert names == {name for name, _ in WRONG} == {name for name, _ in RIGHT}


@pytest.mark.parametrize(("name", "value"), RIGHT, ids=repr)
def test_a_setting_takes_this(name, value):
    account = Account()
    setattr(account, name, value)
    assert getattr(account, name) == value
    assert getattr(Account(**{name: value}), name) == value


@pytest.mark.parametrize(("name", "value"), WRONG, ids=repr)
def test_a_wrong_value_is_refused_naming_the_setting_and_the_value(name, value):
    account = Account()
    before = getattr(account, name)
    with pytest.raises(ValueError, match=rf"^account\.{name} takes .+, not ") as refused:
        setattr(account, name, value)
    assert str(refused.value).endswith(repr(value))
    assert getattr(account, name) == before
    with pytest.raises(ValueError, match=rf"^account\.{name} takes "):
        Account(**{name: value})


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("credit", "credits"),
        ("price", "price_per_url"),
        ("pending_caps", "pending_cap"),
        ("ratelimit", "rate_limit"),
        ("retry_of_canceled", "retry_of_cancelled"),
        ("key", "keys"),
        ("timestamp", "timestamps"),
    ],
)
def test_a_wrong_name_is_refused_naming_the_one_that_was_meant(wrong, meant):
    with pytest.raises(AttributeError) as refused:
        setattr(Account(), wrong, 1)
    assert repr(wrong) in str(refused.value)
    assert f"Did you mean {meant!r}?" in str(refused.value)


def test_a_name_like_no_other_is_refused_with_the_list_of_settings():
    with pytest.raises(AttributeError) as refused:
        Account().zzz = 1
    assert "Did you mean" not in str(refused.value)
    assert all(field.name in str(refused.value) for field in dataclasses.fields(Account))


def test_accounts_share_nothing():
    one, other = Account(), Account()
    one.credits = 5
    assert other.credits == 10_000


@pytest.mark.parametrize(
    ("keys", "good"), [(None, True), ([], False), (["spd_a"], True), ({"spd_b"}, False), (["spd_"], False)]
)
def test_a_key_is_good_if_it_is_one_of_them(keys, good):
    assert Account(keys=keys).accepts("spd_a") is good


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("requests", value) for value in (-1, 1.5, "300", None, True)],
        *[("per_seconds", value) for value in (0, -1, NAN, INFINITY, "900", None)],
        *[("reset", value) for value in ("epoch", None, 1, [])],
    ],
    ids=repr,
)
def test_a_wrong_rate_limit_is_refused_naming_the_argument_and_the_value(name, value):
    with pytest.raises((ValueError, TypeError)) as refused:
        RateLimit(**{name: value})
    assert f"RateLimit({name}=" in str(refused.value)
    assert repr(value) in str(refused.value)


@pytest.mark.parametrize(
    "limit",
    [{}, {"requests": 0}, {"per_seconds": 0.5}, {"reset": "timestamp"}, {"retry_after": False}],
    ids=str,
)
def test_a_rate_limit_takes_this(limit):
    made = RateLimit(**limit)
    assert {name: getattr(made, name) for name in limit} == limit


# -- ledger --------------------------------------------------------------------------------------------


@settings(deadline=None, derandomize=True, max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9)), max_size=8))
def test_no_credit_is_lost(attempts):
    """Whatever was reserved ends as charged or refunded; the account has paid what was charged."""
    book = CreditAccounting(Account(credits=100))
    for held, _ in attempts:
        book.reserve(held)
    reserved = sum(held for held, _ in attempts)
    assert book.account.credits == 100 - reserved
    for held, used in attempts:
        book.settle(held, used)
    assert book.account.credits == 100 - book.ledger.charged
    assert book.ledger.reserved == reserved
    assert book.ledger.charged == sum(used for _, used in attempts)
    assert book.ledger.refunded == sum(max(held - used, 0) for held, used in attempts)


# -- quota ---------------------------------------------------------------------------------------------


def counted(quota, *moments):
    """Count a request at each moment, in seconds; return (within, remaining, reset, retry-after) of each."""
    seen = []
    for moment in moments:
        headers, within = quota.count(NOW + round(moment * SECOND))
        seen.append(
            (
                within,
                int(headers["ratelimit-remaining"]),
                int(headers["ratelimit-reset"]),
                headers.get("retry-after"),
            )
        )
    return seen


def test_a_window_begins_with_its_first_request_and_is_fixed():
    quota = Quota(Account(rate_limit=RateLimit(requests=2, per_seconds=10)))
    assert counted(quota, 0, 4, 9.5, 10, 19.999_999, 25, 31) == [
        (True, 1, 10, None),
        (True, 0, 6, None),
        (False, 0, 1, "1"),
        (True, 1, 10, None),
        (True, 0, 1, None),
        (True, 1, 10, None),
        (True, 0, 4, None),
    ]


def test_waiting_as_long_as_retry_after_says_is_enough():
    quota = Quota(Account(rate_limit=RateLimit(requests=1, per_seconds=2.5)))
    quota.count(NOW)
    headers, within = quota.count(NOW + 1)
    assert not within
    _, within = quota.count(NOW + 1 + int(headers["retry-after"]) * SECOND)
    assert within


def test_a_limit_of_no_requests_lets_none_through():
    quota = Quota(Account(rate_limit=RateLimit(requests=0, per_seconds=10)))
    assert [within for within, *_ in counted(quota, 0, 5, 10, 20)] == [False] * 4


def test_a_limit_can_be_set_and_taken_off_at_any_time():
    account = Account()
    quota = Quota(account)
    assert quota.count(NOW) == ({}, True)
    account.rate_limit = RateLimit(requests=1, per_seconds=10)
    assert [within for within, *_ in counted(quota, 1, 2)] == [True, False]
    account.rate_limit = None
    assert quota.count(NOW + 3 * SECOND) == ({}, True)
    account.rate_limit = RateLimit(requests=1, per_seconds=10)
    assert counted(quota, 4) == [(True, 0, 10, None)]


@pytest.mark.parametrize(
    ("per_seconds", "shown"), [(900, "2;w=900"), (0.5, "2;w=0.5"), (86_400.0, "2;w=86400")]
)
def test_the_policy_names_requests_and_window(per_seconds, shown):
    headers, _ = Quota(Account(rate_limit=RateLimit(2, per_seconds))).count(NOW)
    assert headers["ratelimit-policy"] == shown
    assert headers["ratelimit-limit"] == "2"


def test_the_reset_as_a_timestamp_stays_the_same_within_a_window():
    quota = Quota(Account(rate_limit=RateLimit(requests=9, per_seconds=10, reset="timestamp")))
    end = NOW // SECOND + 10
    assert [reset for _, _, reset, _ in counted(quota, 0, 3.3, 9.9, 10)] == [end, end, end, end + 10]


@settings(deadline=None, derandomize=True, max_examples=50)
@given(st.integers(0, 4), st.integers(1, 20), st.lists(st.integers(0, 15), min_size=1, max_size=20))
def test_no_window_lets_more_requests_through_than_the_limit(requests, length, pauses):
    quota = Quota(Account(rate_limit=RateLimit(requests, length)))
    now, through = NOW, []
    for pause in pauses:
        now += pause * SECOND
        headers, within = quota.count(now)
        assert 1 <= int(headers["ratelimit-reset"]) <= length
        assert ("retry-after" in headers) is not within
        if within:
            through.append((now + int(headers["ratelimit-reset"]) * SECOND, headers["ratelimit-remaining"]))
    windows = [end for end, _ in through]
    assert all(windows.count(end) <= requests for end in windows)
    assert all(int(remaining) < requests for _, remaining in through)


STYLES = {
    "draft-6": {
        "ratelimit-policy": "2;w=60",
        "ratelimit-limit": "2",
        "ratelimit-remaining": "0",
        "ratelimit-reset": "60",
    },
    "draft-7": {"ratelimit-policy": "2;w=60", "ratelimit": "limit=2, remaining=0, reset=60"},
    "draft-8": {"ratelimit-policy": '"default";q=2;w=60', "ratelimit": '"default";r=0;t=60'},
}


@pytest.mark.parametrize("style", STYLES)
def test_the_quota_is_told_in_the_headers_of_the_three_drafts(style):
    """The SDK reads each of them."""
    quota = Quota(Account(rate_limit=RateLimit(2, 60, style=style, retry_after=False)))
    assert [quota.count(0) for _ in range(3)][2] == (STYLES[style], False)


def test_another_style_of_headers_is_refused():
    with pytest.raises(ValueError, match="draft-9"):
        RateLimit(style="draft-9")
