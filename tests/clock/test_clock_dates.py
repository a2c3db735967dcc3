"""Dates follow the clock in the test's threads, and nowhere else."""

from __future__ import annotations

import datetime as dt
import email.utils
import logging
import threading
import time
from datetime import date as early_date
from datetime import datetime as early_datetime
from time import time as early_time

import pytest
import time_machine

from pytest_spidra.clock.virtual import VirtualClock

SECONDS = {
    "datetime.now": lambda: dt.datetime.now().timestamp(),  # noqa: DTZ005 - as users do
    "datetime.now(UTC)": lambda: dt.datetime.now(dt.UTC).timestamp(),
    "datetime.utcnow": lambda: dt.datetime.utcnow().replace(tzinfo=dt.UTC).timestamp(),  # noqa: DTZ003 - as users do
    "datetime.today": lambda: dt.datetime.today().timestamp(),  # noqa: DTZ002 - as users do
    "from datetime import datetime": lambda: early_datetime.now(dt.UTC).timestamp(),
    "date.today": lambda: time.mktime(early_date.today().timetuple()),  # noqa: DTZ011 - as users do
    "time.time": time.time,
    "time.time_ns": lambda: time.time_ns() / 1e9,
    "from time import time": early_time,
    "time.localtime": lambda: time.mktime(time.localtime()),
    "time.gmtime": lambda: time.mktime(time.gmtime()),
    "time.strftime": lambda: time.mktime(
        time.strptime(time.strftime("%Y-%m-%d %H:%M:%S"), "%Y-%m-%d %H:%M:%S")
    ),
    "time.clock_gettime": lambda: time.clock_gettime(time.CLOCK_REALTIME),
    "email.utils.formatdate": lambda: email.utils.parsedate_to_datetime(email.utils.formatdate()).timestamp(),
    "the date of a log record": lambda: (
        logging.makeLogRecord({}).created or logging.LogRecord("a", 1, "b", 1, "c", (), None).created
    ),
}


@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")
@pytest.mark.parametrize("way", SECONDS)
def test_a_date_moves_by_what_was_slept(clock, way):
    """By two days, exactly."""
    before = SECONDS[way]()
    time.sleep(2 * 86_400)
    assert SECONDS[way]() - before == pytest.approx(2 * 86_400, abs=1e-6)


def test_a_deadline_kept_by_dates_fires_at_its_second(clock):
    rounds, end = 0, early_datetime.now(dt.UTC) + dt.timedelta(seconds=600)
    while early_datetime.now(dt.UTC) < end:
        time.sleep(3)
        rounds += 1
    assert (rounds, clock.elapsed) == (200, 600)


def test_a_date_and_the_clock_agree(clock):
    """To the microsecond, as the service's dates come from the clock."""
    time.sleep(1.234567)
    assert round(dt.datetime.now(dt.UTC).timestamp() * 1_000_000) == clock.now


def test_a_recording_begins_on_its_own_day():
    with VirtualClock(began_at=1_000_000_000_000_000):
        assert dt.datetime.now(dt.UTC) == dt.datetime(2001, 9, 9, 1, 46, 40, tzinfo=dt.UTC)
    assert dt.datetime.now(dt.UTC).year > 2020


def test_threads_of_others_keep_the_real_date():
    """A thread that was there before asks while the clock is a year ahead."""
    asked, answered = threading.Event(), threading.Event()
    told = []

    def foreign():
        asked.wait()
        told.append(dt.datetime.now(dt.UTC))
        told.append(time.time())
        answered.set()

    thread = threading.Thread(target=foreign)
    thread.start()
    begun = dt.datetime.now(dt.UTC)
    with VirtualClock():
        time.sleep(365 * 86_400)
        asked.set()
        thread.join()
        assert (dt.datetime.now(dt.UTC) - begun).days == 365
    assert (told[0] - begun).total_seconds() < 60
    assert told[1] - begun.timestamp() < 60


@pytest.mark.parametrize("tick", [True, False])
def test_a_trip_inside_keeps_its_say_and_is_moved_by_waits(clock, tick):
    """Begun, moved on and ended while the clock runs."""
    begun = dt.datetime.now(dt.UTC)
    new_year = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
    with time_machine.travel(new_year, tick=tick) as traveller:
        assert dt.datetime.now(dt.UTC) == new_year
        time.sleep(5)
        assert dt.datetime.now(dt.UTC) == new_year + dt.timedelta(seconds=5)
        traveller.shift(10)
        assert time.time() == new_year.timestamp() + 15
        assert clock.now == (new_year.timestamp() + 15) * 1_000_000
        traveller.move_to(new_year)
        time.sleep(5)
        assert time.time() == new_year.timestamp() + 5
    assert dt.datetime.now(dt.UTC) == begun + dt.timedelta(seconds=10)
    assert clock.elapsed == 10


def test_a_trip_that_ends_before_the_clock_does_leaves_nothing():
    """Not well nested, as fixtures can be."""
    trip = time_machine.travel(0, tick=False)
    trip.start()
    clock = VirtualClock()
    clock.start()
    trip.stop()
    time.sleep(5)
    clock.stop()
    assert time_machine.traveller_stack == []
    assert time.time() > 1e9


def test_a_trip_that_outlives_the_clock_stays():
    clock = VirtualClock()
    clock.start()
    trip = time_machine.travel(1_000, tick=False)
    trip.start()
    clock.stop()
    assert time.time() == 1_000
    trip.stop()
    assert time_machine.traveller_stack == []
    assert time.time() > 1e9


def test_a_deadline_by_the_date_needs_no_microsecond_more(clock):
    """Sleeping for what is left by a clock of floats ends exactly."""
    for _ in range(200):
        end = time.time() + 0.1
        while (left := end - time.time()) > 0:
            time.sleep(left)
    assert clock.elapsed == 20
