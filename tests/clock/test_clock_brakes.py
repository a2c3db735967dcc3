"""Loops that never end, end; patience stays legal."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from real_waits import REAL_SLEEP
from still_waits import STILL

from pytest_spidra.clock import brakes
from pytest_spidra.clock.brakes import EndlessWaitError
from pytest_spidra.clock.virtual import VirtualClock


@pytest.fixture
def few(monkeypatch):
    """A thousand jumps with nothing but the same wait, as a hundred thousand take a second."""
    monkeypatch.setattr(brakes, "SAME_WAITS", 1_000)


def in_a_loop(seconds, times):
    async def main():
        for _ in range(times):
            await asyncio.sleep(seconds)

    asyncio.run(main())


ENDLESS = {
    "sleep": lambda: [time.sleep(1) for _ in range(5_000)],
    "asyncio": lambda: in_a_loop(1, 5_000),
    "event": lambda: [threading.Event().wait(1) for _ in range(5_000)],
    "a loop that logs": lambda: [
        (time.sleep(1), __import__("logging").getLogger("a").warning("b")) for _ in range(5_000)
    ],
}


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("kind", ENDLESS)
def test_a_thousand_times_the_same_wait_and_nothing_else_is_endless(clock, kind):
    """It says how often, for how long, and where."""
    with pytest.raises(
        EndlessWaitError, match=r"waited 1,000 times in a row for 1 s, and nothing else"
    ) as ended:
        ENDLESS[kind]()
    assert clock.jumps < 1_200
    assert re.search(r"MainThread: .*test_clock_brakes\.py:\d+, in ", str(ended.value))
    assert max(len(line) for line in str(ended.value).splitlines() if not line.startswith("    ")) <= 72
    clock.stop()


def test_a_worker_that_has_died_is_not_waited_for_for_ever(clock):
    done = []
    thread = threading.Thread(target=lambda: time.sleep(5))
    thread.start()
    with pytest.raises(EndlessWaitError):
        while not done:
            time.sleep(1)
    assert brakes.SAME_WAITS <= clock.jumps < brakes.SAME_WAITS + 100


def long_worker():
    thread = threading.Thread(target=time.sleep, args=(3_600,))
    thread.start()
    while thread.is_alive():
        time.sleep(0.1)


def many_sleepers():
    async def main():
        await asyncio.gather(*(asyncio.sleep(0.001 * number) for number in range(10_000)))

    asyncio.run(main())


def deadline():
    end = time.monotonic() + 600
    while time.monotonic() < end:
        time.sleep(0.1)


def other_lengths():
    for number in range(5_000):
        time.sleep(1 + number)


PATIENCE = {
    "a week": lambda: time.sleep(7 * 86_400),
    "a worker of an hour, looked at ten times a second": long_worker,
    "ten thousand sleepers": many_sleepers,
    "a deadline": deadline,
    "waits of different lengths": other_lengths,
}


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("kind", PATIENCE)
def test_patience_is_legal(clock, kind):
    PATIENCE[kind]()
    assert clock.elapsed >= 9


@pytest.mark.usefixtures("few")
def test_requests_are_progress_of_a_kind(clock):
    """Three hours of polling: the interceptor asks the clock for each request."""
    for _ in range(2_160):
        time.sleep(5)
        assert clock.elapsed
    assert clock.elapsed == 10_800


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", STILL)
def test_a_wait_that_nothing_can_end_is_ended(kind):
    """Nothing is left that could: no timer, no socket, no child, and no thread of anybody else."""
    command = [sys.executable, Path(__file__).with_name("still_waits.py"), kind]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=50)  # noqa: S603 - our own code
    assert "This wait never ends" in done.stdout
    assert "MainThread: " in done.stdout


@pytest.mark.timeout(60)
def test_a_thread_of_somebody_else_may_come(monkeypatch):
    """Then nothing is proved, and the wait goes on."""
    monkeypatch.setattr(brakes, "_STILL_FOR", 10_000)
    monkeypatch.setattr(brakes, "_STILL_FOR_NATIVE", 10_000)
    event = threading.Event()
    thread = threading.Thread(target=lambda: (REAL_SLEEP[0](0.5), event.set()))
    thread.start()
    with VirtualClock() as clock:
        assert event.wait()
        assert clock.elapsed == 0
    thread.join()


@pytest.mark.timeout(60)
def test_an_alarm_may_come(monkeypatch):
    import signal  # noqa: PLC0415 - Windows has no alarm

    monkeypatch.setattr(brakes, "_STILL_FOR", 10_000)
    event = threading.Event()
    before = signal.signal(signal.SIGALRM, lambda *_: event.set())
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        with VirtualClock():
            assert event.wait()
    finally:
        signal.signal(signal.SIGALRM, before)


class ToldError(BaseException):
    pass


def tell(message):
    raise ToldError(message)


def test_who_is_to_be_told_is_told(clock):
    """In the thread that waits, so that what it raises comes out there."""
    clock.on_endless = tell
    clock.end_waits("enough")
    for wait in (lambda: time.sleep(1), lambda: in_a_loop(1, 1), lambda: threading.Event().wait(1)):
        with pytest.raises(ToldError, match="enough"):
            wait()
    clock.stop()


def test_a_wait_that_has_begun_is_ended_too(clock):
    ended = []

    def wait():
        try:
            threading.Event().wait()
        except EndlessWaitError as error:
            ended.append(str(error))

    thread = threading.Thread(target=wait)
    thread.start()
    REAL_SLEEP[0](0.1)
    clock.end_waits("enough")
    clock.stop()
    thread.join()
    assert ended == ["enough"]
