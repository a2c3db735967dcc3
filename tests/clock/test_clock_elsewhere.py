"""Where the operating system does not tell about threads, and in threads that are not the test's."""

from __future__ import annotations

import datetime as dt
import queue
import threading
import time

import pytest
import time_machine
from real_waits import REAL_SLEEP, jumps_only

from pytest_spidra.clock import activity, os_threads
from pytest_spidra.clock.real import RealClock
from pytest_spidra.clock.virtual import VirtualClock


@pytest.fixture
def nothing_known(monkeypatch):
    """A system that says nothing of its threads, as all but Linux do."""
    monkeypatch.setattr(activity, "os_thread", lambda _: None)


@pytest.mark.usefixtures("nothing_known")
def test_a_lock_held_through_a_sleep_is_recognised_there_too(clock):
    """By being found in the same place for a while."""
    lock = threading.Lock()

    def limited():
        with lock:
            time.sleep(30)

    threads = [threading.Thread(target=limited) for _ in range(3)]
    with jumps_only(clock):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert clock.elapsed == 90


@pytest.mark.usefixtures("nothing_known")
def test_a_thread_that_computes_holds_the_clock_up_there_too(clock):
    ends = []

    def compute():
        until = time.perf_counter() + 0.4
        while time.perf_counter() < until:
            pass
        ends.append(clock.elapsed)

    thread = threading.Thread(target=compute)
    thread.start()
    time.sleep(0.05)
    assert ends == [0]
    thread.join()


@pytest.mark.usefixtures("nothing_known")
def test_a_blocked_thread_costs_real_time_only_there_too(clock):
    lock = threading.Lock()
    lock.acquire()
    thread = threading.Thread(target=lock.acquire)
    thread.start()
    time.sleep(0.3)
    assert clock.elapsed == 0.3
    assert clock.schedule.followed == 300_000
    lock.release()
    thread.join()


def test_a_thread_that_computes_for_ever_is_not_waited_for(clock, monkeypatch):
    """After a while a wait beside it takes its real time."""
    monkeypatch.setattr(activity, "_SPINS", 100_000)
    over = []

    def spin():
        while not over:
            pass

    thread = threading.Thread(target=spin)
    thread.start()
    time.sleep(0.2)
    assert clock.schedule.followed == 200_000
    over.append(1)
    thread.join()
    assert clock.elapsed == 0.2


def test_of_a_thread_that_is_gone_nothing_is_known():
    assert os_threads.os_thread(None) is None
    assert os_threads.os_thread(2**31 - 1) is None


def test_without_its_folder_no_threads_are_known(monkeypatch):
    monkeypatch.setattr(os_threads, "HOME", "/nowhere")
    assert os_threads.native_ids() is None
    assert os_threads.os_thread(threading.get_native_id()) is None


def test_a_thread_of_somebody_else_can_advance_the_clock():
    """It does not wait, and wakes who does."""
    asked, woken = queue.SimpleQueue(), []
    go = threading.Event()

    def foreign():
        clock = asked.get()
        clock.advance(10)
        go.set()

    thread = threading.Thread(target=foreign)
    thread.start()
    with VirtualClock() as clock:
        lock = threading.Lock()
        lock.acquire()
        blocked = threading.Thread(target=lock.acquire)  # so that the clock does not jump by itself
        sleeper = threading.Thread(target=lambda: (time.sleep(4), woken.append(clock.elapsed)))
        blocked.start()
        sleeper.start()
        while not clock.schedule.waiters:
            REAL_SLEEP[0](0.01)
        asked.put(clock)
        assert go.wait()
        sleeper.join()
        lock.release()
        blocked.join()
    thread.join()
    assert clock.elapsed == 10
    assert woken == [10]


def test_threads_of_others_see_the_trip_that_the_test_is_on():
    """As they would without the clock."""
    asked, told = threading.Event(), []

    def foreign():
        asked.wait()
        told.append(dt.datetime.now(dt.UTC))

    thread = threading.Thread(target=foreign)
    thread.start()
    new_year = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
    with time_machine.travel(new_year, tick=False), VirtualClock():
        time.sleep(60)
        asked.set()
        thread.join()
        assert dt.datetime.now(dt.UTC) == new_year + dt.timedelta(seconds=60)
    assert told == [new_year]


def test_what_is_left_of_a_deadline_costs_nothing_whatever_its_length(clock):
    """Three hundred deadlines that no float tells exactly, by the clock that starts at zero."""
    for number in range(1, 301):
        end = time.monotonic() + number / 1_000 + 0.1
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 0.033))
    assert round(clock.elapsed * 1_000_000) == sum(number * 1_000 + 100_000 for number in range(1, 301))


def test_a_wait_of_none_lets_a_trace_of_time_pass_once(clock):
    """So that who looks whether a deadline is over, and not only reached, comes to an end."""
    before = time.monotonic()
    threading.Event().wait(0)
    after = time.monotonic()
    threading.Event().wait(0)
    assert before < after == time.monotonic()
    assert clock.elapsed == 0


def test_a_real_clock_goes_on_from_later():
    clock = RealClock()
    clock.advance(3600)
    assert 3600 <= clock.elapsed < 3700
    with pytest.raises(ValueError, match="forward only"):
        clock.advance(-1)
