"""What costs virtual time, and what does not: computing never does, nor do the plugin's own readings."""

from __future__ import annotations

import time

import httpx
import pytest

from pytest_spidra.clock.busy_reads import BusyReadDetector


def compute(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def test_computing_between_requests_costs_nothing(spidra_mock):
    """Although the log reads the clock for each of them."""
    for number in range(6):
        httpx.post(
            f"{spidra_mock.base_url}/batch/scrape",
            json={"urls": [f"https://a.example/{number}"]},
            headers={"x-api-key": spidra_mock.api_key},
        )
        compute(0.15)
    assert spidra_mock.clock.elapsed == 0


@pytest.mark.parametrize("read", [time.time, lambda: time.monotonic()], ids=["date", "monotonic"])  # noqa: PLW0108 - the name is looked up when it is called
def test_computing_that_is_timed_costs_nothing(clock, read):
    """Code that measures its own steps is not somebody who waits for the clock."""
    for _ in range(8):
        begun = read()
        compute(0.15)
        assert read() - begun == 0
    assert clock.elapsed == 0


def test_a_detector_counts_reads_in_a_row():
    """However slow the machine is, a hundred thousand reads are let go; then the clock follows."""
    detector = BusyReadDetector()
    assert not any(detector.read(real) for real in range(0, 9_000_090, 90))
    assert detector.read(9_000_090) == 90
    detector.forget()
    assert detector.read(9_000_180) == 0


def test_a_detector_lets_long_gaps_go_in_which_something_was_computed(monkeypatch):
    computed = iter(range(0, 10**12, 50_000_000))  # 50 ms of each gap, in nanoseconds
    monkeypatch.setattr("pytest_spidra.clock.busy_reads.process_time_ns", lambda: next(computed))
    detector = BusyReadDetector()
    assert [detector.read(real) for real in range(0, 4_000_000, 400_000)] == [0] * 10


def test_a_detector_follows_after_idle_gaps(monkeypatch):
    monkeypatch.setattr("pytest_spidra.clock.busy_reads.process_time_ns", lambda: 5)
    detector = BusyReadDetector()
    assert [detector.read(real) for real in range(0, 2_400_000, 400_000)] == [0, 0, 0, 0, 400_000, 400_000]
