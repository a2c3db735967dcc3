"""How old a recording may be."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

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
            f"cassettes/a.yaml was recorded {age:.0f} days ago, and spidra_cassette_max_age is 30:"
        )


def test_of_a_recording_without_a_date_nobody_knows():
    assert recording().older_than(0, 4e9) is None
