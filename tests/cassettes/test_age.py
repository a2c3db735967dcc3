"""How old a recording may be."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from users_suite import failure

from pytest_spidra.cassettes.recording import Interaction, Recording, Times
from pytest_spidra.traffic.reply import Reply
from pytest_spidra.traffic.request import Request

DATE = "2026-11-01T12:00:00Z"
DAY = 86_400


def recording(times=None, headers=None):
    one = Interaction(1, None, Request("GET", "/batch/scrape"), Reply(200, b"", headers or {}), times)
    return Recording(Path("cassettes/a.yaml"), [one])


@pytest.mark.parametrize(
    "made",
    [recording(Times(0.0, 0.1, 1, DATE)), recording(headers={"date": "Sun, 01 Nov 2026 12:00:00 GMT"})],
)
@pytest.mark.parametrize(("age", "old"), [(0, False), (30, False), (30.5, True), (400, True)])
def test_a_recording_is_old_when_it_is_older_than_that(made, age, old):
    told = made.older_than(30, datetime.fromisoformat(DATE).timestamp() + age * DAY)
    assert (told is not None) == old
    if old:
        assert told.startswith(
            f"cassettes/a.yaml was recorded {age:.0f} days ago, and the ini option spidra_cassette_max_age takes 30:"
        )


def test_of_a_recording_without_a_date_nobody_knows():
    assert recording().older_than(0, 4e9) is None


OLD = """
def test_prices(spidra_api):
    with plain(spidra_api) as client:
        finish(client, submit(client))
"""


@pytest.fixture
def replay(suite, record, cassettes):
    """Record a test, make its recording forty days older, and return how it is replayed."""
    run = suite(OLD, ini="spidra_modes = replay\n")
    run(*record()).assert_outcomes(passed=1)
    file = cassettes["test_prices.yaml"]
    then = (datetime.now(UTC) - timedelta(days=40)).isoformat()
    file.write_text(re.sub(r"date: '[^']+'", f"date: '{then}'", file.read_text()))
    return run


def test_a_replay_warns_of_an_old_recording_and_says_how_to_record_it(replay):
    result = replay("-o", "spidra_cassette_max_age=30")
    result.assert_outcomes(passed=1, warnings=1)
    told = " ".join(result.stdout.str().split())
    assert "OldCassetteWarning: " in told
    assert (
        "test_prices.yaml was recorded 40 days ago, and the ini option spidra_cassette_max_age takes 30:"
        in told
    )
    assert 'pytest "test_shop.py::test_prices[replay]" --spidra-record=all' in told


def test_where_warnings_are_errors_it_fails_the_test(replay):
    result = replay("-o", "spidra_cassette_max_age=30", "-W", "error::pytest_spidra.OldCassetteWarning")
    result.assert_outcomes(failed=1)
    assert "test_prices.yaml was recorded 40 days ago" in failure(result)


@pytest.mark.parametrize("limit", [(), ("-o", "spidra_cassette_max_age=40.5")])
def test_nothing_is_said_of_a_recording_within_the_limit_nor_without_one(replay, limit):
    replay(*limit).assert_outcomes(passed=1, warnings=0)
