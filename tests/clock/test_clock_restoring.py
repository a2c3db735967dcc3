"""What starting and stopping leave behind: nothing."""

from __future__ import annotations

import asyncio
import datetime as dt
import gc
import importlib
import logging
import multiprocessing
import os
import pickle
import queue
import selectors
import signal
import subprocess
import sys
import threading
import time
import types
import weakref
from concurrent.futures import ThreadPoolExecutor
from time import sleep as early_sleep
from typing import TYPE_CHECKING, Any

import pytest
import time_machine
from real_waits import REAL_MONOTONIC, REAL_SLEEP, jumps_only

from pytest_spidra.clock import stand_ins
from pytest_spidra.clock.aliases import AliasSweep
from pytest_spidra.clock.virtual import VirtualClock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAMES = ("sleep", "monotonic", "monotonic_ns")
REAL = {name: (getattr(time, name),) for name in NAMES}


untraced = pytest.mark.skipif(
    sys.gettrace() is not None,
    reason="a tracer (coverage's) keeps something of every thread that it has seen",
)


def patched_names() -> dict[str, int]:
    """Return the identity of everything a clock may replace, wherever it is known."""
    wanted = {id(real[0]) for real in REAL.values()} | {id(f) for f in stand_ins.STAND_INS}
    state = {
        f"{module_name}.{name}": id(value)
        for module_name, module in list(sys.modules.items())
        if issubclass(type(module), types.ModuleType) and module is not stand_ins
        for name, value in list(object.__getattribute__(module, "__dict__").items())
        if id(value) in wanted
    }
    for kind in {c for c in vars(selectors).values() if isinstance(c, type)}:
        state[f"{kind}.select"] = id(vars(kind).get("select"))
    state["_run_once"] = id(asyncio.BaseEventLoop._run_once)
    state["submit"] = id(ThreadPoolExecutor.submit)
    state["wait"] = id(threading.Condition.wait)
    state["join"] = id(threading.Thread.join)
    state["Popen"] = id(subprocess.Popen.__init__)
    state["time_ns"] = id(time_machine.Traveller.time_ns)
    state["SimpleQueue"] = id(queue.SimpleQueue)
    state["travellers"] = len(time_machine.traveller_stack)
    state["dates"] = hash((id(dt.datetime), id(dt.datetime.now.__self__), id(time.time), id(time.localtime)))
    state["run_in_executor"] = id(asyncio.BaseEventLoop.run_in_executor)
    return state


@pytest.fixture
def nothing_changes() -> Iterator[None]:
    """Fail unless every name is what it was, and is the real thing."""
    before = patched_names()
    ours = {id(function) for function in stand_ins.STAND_INS}
    yield
    assert patched_names() == before
    assert not ours & set(before.values())


@pytest.mark.usefixtures("nothing_changes")
@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt, SystemExit, "skip"])
def test_everything_is_put_back(error: Any) -> None:
    """After an error, an interrupt or a skip just as after a good end."""
    kind = pytest.skip.Exception if error == "skip" else error or ArithmeticError
    with pytest.raises(kind), VirtualClock():
        assert time.sleep is not REAL["sleep"][0]
        assert early_sleep is not REAL["sleep"][0]
        asyncio.run(asyncio.sleep(1))
        raise kind


@pytest.mark.usefixtures("nothing_changes")
def test_an_interrupt_in_the_middle_of_a_sleep_gets_through(clock: VirtualClock) -> None:
    """Ctrl-C while a sleep waits for another thread ends the sleep, and the next one works."""
    # A job in the background is born with the signal ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    lock = threading.Lock()
    lock.acquire()
    blocked = threading.Thread(target=lock.acquire, daemon=True)  # keeps the clock from jumping
    blocked.start()
    interrupt = threading.Timer(0.1, lambda: os.kill(os.getpid(), 2))
    interrupt.start()
    with pytest.raises(KeyboardInterrupt):
        time.sleep(60)
    interrupt.join()
    signal.signal(signal.SIGINT, before)
    lock.release()
    blocked.join()
    with jumps_only(clock):
        time.sleep(60)
    assert clock.elapsed == 60.1
    clock.stop()


@pytest.mark.usefixtures("nothing_changes")
def test_stop_goes_on_when_a_part_of_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other parts are done all the same, and the error is reported."""

    def fail(*_: object, **__: object) -> None:
        raise OSError

    clock = VirtualClock()
    clock.start()
    monkeypatch.setattr(clock._loops, "hand_back", fail)
    with pytest.raises(OSError):
        clock.stop()


@pytest.mark.usefixtures("nothing_changes")
def test_a_start_that_fails_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a start is undone."""
    clock = VirtualClock()
    with monkeypatch.context() as patch:
        patch.setattr(AliasSweep, "_look_at_changed_modules", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            clock.start()
    assert stand_ins.INSTALLED.clock is None
    clock.start()
    clock.stop()


def test_stop_is_harmless_twice_and_before_a_start() -> None:
    """And a stopped clock still says how far it got."""
    clock = VirtualClock()
    clock.stop()
    assert clock.elapsed == 0
    clock.start()
    time.sleep(5)
    clock.stop()
    clock.stop()
    assert clock.elapsed == 5


def test_a_clock_can_be_started_again_from_zero() -> None:
    """Its second run knows nothing of the first."""
    clock = VirtualClock()
    for _ in range(2):
        with clock:
            time.sleep(5)
        assert clock.elapsed == 5


def test_a_second_clock_is_refused(clock: VirtualClock) -> None:
    """There is one time module; the one that runs goes on running."""
    with pytest.raises(RuntimeError, match="already running"):
        VirtualClock().start()
    time.sleep(3)
    assert clock.elapsed == 3


def test_a_module_imported_during_the_test_is_repaired(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its `from time import sleep` got ours; afterwards it has the real one, also after a reload."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "fresh_module.py").write_text("from time import sleep, monotonic as m\n")
    with VirtualClock() as clock:
        fresh = importlib.import_module("fresh_module")
        fresh.sleep(3)
        assert clock.elapsed == 3
    assert (fresh.sleep, fresh.m) == (REAL["sleep"][0], REAL["monotonic"][0])
    with VirtualClock() as clock:
        fresh.sleep(4)
        assert clock.elapsed == 4
    assert importlib.reload(fresh).sleep is REAL["sleep"][0]
    del sys.modules["fresh_module"]
    (tmp_path / "fresh_module.py").write_text("from time import sleep as other_name\n")
    importlib.invalidate_caches()
    again = importlib.import_module("fresh_module")
    with VirtualClock() as clock:
        again.other_name(5)
        assert clock.elapsed == 5
    assert again.other_name is REAL["sleep"][0]
    del sys.modules["fresh_module"]


def test_the_sweep_loads_no_lazy_module() -> None:
    """A module of importlib.util.LazyLoader stays unloaded."""
    spec = importlib.util.find_spec("this")
    assert spec is not None
    assert spec.loader is not None
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules["this"] = module
    spec.loader.exec_module(module)
    with VirtualClock():
        pass
    assert "zen" not in str(object.__getattribute__(module, "__dict__").get("s", "")).lower()
    assert "s" not in object.__getattribute__(module, "__dict__")
    del sys.modules["this"]


def test_a_patch_of_the_test_wins_and_heals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Patching time.sleep on top works; undone too late it leaves one that works like the real one.

    The next clock repairs even that.
    """
    calls: list[float] = []
    with VirtualClock() as clock:
        with monkeypatch.context() as patch:
            patch.setattr(time, "sleep", calls.append)
            time.sleep(9)
            clock.stop()
        left_behind = time.sleep
        assert left_behind is not REAL["sleep"][0]
    assert calls == [9]
    begun = REAL_MONOTONIC[0]()
    left_behind(0.05)
    assert REAL_MONOTONIC[0]() - begun >= 0.05
    with VirtualClock():
        pass
    assert time.sleep is REAL["sleep"][0]


def test_a_function_kept_in_a_closure_works_like_the_real_one_afterwards() -> None:
    """Whoever captured ours during the test gets real time when no clock runs."""
    with VirtualClock():
        kept = [getattr(time, name) for name in NAMES]
    begun = REAL_MONOTONIC[0]()
    kept[0](0.05)
    assert REAL_MONOTONIC[0]() - begun >= 0.05
    assert time.monotonic() <= kept[1]() <= time.monotonic()
    assert time.monotonic_ns() <= kept[2]() <= time.monotonic_ns()
    with pytest.raises(ValueError, match="non-negative"):
        kept[0](-1)


def test_the_functions_can_be_pickled(clock: VirtualClock) -> None:
    """They go by the names of the originals, as multiprocessing wants."""
    for name in NAMES:
        assert pickle.loads(pickle.dumps(getattr(time, name))) is getattr(time, name)
    assert clock.elapsed == 0


@pytest.mark.slow
@pytest.mark.usefixtures("nothing_changes")
@untraced
def test_a_thousand_runs_leave_nothing_behind() -> None:
    """No thread, no object, no name more than before."""

    def run_once() -> None:
        with VirtualClock() as clock, ThreadPoolExecutor(1) as pool:
            pool.submit(int).result()
            loop.run_until_complete(asyncio.sleep(1))
            time.sleep(1)
            assert clock.elapsed == 2

    loop = asyncio.new_event_loop()
    for _ in range(10):
        run_once()
    gc.collect()
    threads, objects = threading.active_count(), len(gc.get_objects())
    places = sum(map(len, stand_ins._sweep._places.values()))
    for _ in range(1_000):
        run_once()
    gc.collect()
    assert threading.active_count() <= threads  # trio's idle threads may end meanwhile
    assert len(gc.get_objects()) - objects < 200
    assert sum(map(len, stand_ins._sweep._places.values())) == places
    loop.close()


@untraced
def test_a_stopped_clock_can_be_collected() -> None:
    """Nothing in the process keeps it."""
    clock = VirtualClock()
    with clock, ThreadPoolExecutor(1) as pool:
        pool.submit(time.sleep, 1).result()
        asyncio.run(asyncio.to_thread(time.sleep, 1))
    reference = weakref.ref(clock)
    del clock, pool
    gc.collect()
    assert reference() is None


def test_a_loop_made_before_the_clock_stays_usable_after_it() -> None:
    """A task that outlives the clock goes on after the rest of its sleep, not after what was jumped."""
    loop = asyncio.new_event_loop()
    resolution = loop._clock_resolution
    ticks: list[float] = []

    async def tick() -> None:
        while True:
            await asyncio.sleep(0.1)
            ticks.append(REAL_MONOTONIC[0]())

    background = loop.create_task(tick())
    loop.run_until_complete(asyncio.sleep(0.01))
    with VirtualClock() as clock:
        loop.run_until_complete(asyncio.sleep(1000))
        assert clock.elapsed == 1000
        assert len(ticks) >= 9_999
    ticks.clear()
    begun = REAL_MONOTONIC[0]()
    loop.run_until_complete(asyncio.sleep(0.35))
    assert REAL_MONOTONIC[0]() - begun > 0.3
    assert 2 <= len(ticks) <= 4
    assert loop._clock_resolution == resolution
    assert "select" not in vars(loop._selector)
    background.cancel()
    loop.close()


def test_a_clock_stopped_inside_a_running_loop_leaves_its_timers_right() -> None:
    """Also if the clock ran only for a part of a coroutine."""

    async def main() -> float:
        with VirtualClock():
            task = asyncio.create_task(asyncio.sleep(100.1))
            await asyncio.sleep(100)
        begun = REAL_MONOTONIC[0]()
        await task
        return REAL_MONOTONIC[0]() - begun

    assert asyncio.run(main()) > 0.05


def test_threads_left_over_are_woken_and_then_live_in_real_time() -> None:
    """A thread still asleep when the clock stops wakes at once; its next sleep is a real one."""
    naps: list[float] = []
    blocked = threading.Lock()
    blocked.acquire()

    def sleeper() -> None:
        for seconds in (1_000_000, 0.5):  # the first is cut short, or lasts for days
            begun = REAL_MONOTONIC[0]()
            time.sleep(seconds)
            naps.append(REAL_MONOTONIC[0]() - begun)

    async def looped() -> None:
        await asyncio.sleep(0.5)  # of it what remains is slept for real

    with VirtualClock():
        threads = [
            threading.Thread(target=sleeper),
            threading.Thread(target=lambda: asyncio.run(looped())),
        ]
        for thread in threads:
            thread.start()
        REAL_SLEEP[0](0.1)
    for thread in threads:
        thread.join()
    assert len(naps) == 2
    assert naps[1] >= 0.5


def test_a_sleeper_left_over_ends_even_if_the_clock_starts_again() -> None:
    """Its deadline belongs to the first run; the second does not know it."""
    naps: list[float] = []

    def sleeper() -> None:
        time.sleep(1_000_000)
        naps.append(REAL_MONOTONIC[0]())

    clock = VirtualClock()
    clock.start()
    thread = threading.Thread(target=sleeper)
    thread.start()
    REAL_SLEEP[0](0.05)
    with clock.schedule.lock:  # the sleeper cannot wake in between
        clock.stop()
        clock.start()
    thread.join()  # pytest-timeout's limit is the one for who waits for real
    assert naps
    clock.stop()


def nap_in_child() -> None:
    """Sleep as the test's own code would."""
    time.sleep(0.2)


def test_a_forked_child_lives_in_real_time(clock: VirtualClock) -> None:
    """A clock does not follow into another process."""
    if "fork" not in multiprocessing.get_all_start_methods():
        pytest.skip("no fork here")
    context = multiprocessing.get_context("fork")
    begun = REAL_MONOTONIC[0]()
    child = context.Process(target=nap_in_child)
    child.start()
    child.join()
    assert REAL_MONOTONIC[0]() - begun >= 0.2
    assert child.exitcode == 0
    assert clock.elapsed < 2


def test_logging_shows_virtual_time(clock: VirtualClock, caplog: pytest.LogCaptureFixture) -> None:
    """Records are dated by time.time, so logs read like the run they stand for."""
    logger = logging.getLogger("virtual")
    logger.warning("a")
    time.sleep(90)
    logger.warning("b")
    first, second = caplog.records
    assert second.created - first.created == pytest.approx(90)
    assert clock.elapsed == 90
