"""The clock together with other fakes of the time, and with pytest's plugins."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest
from real_waits import jumps_only

from pytest_spidra.clock.virtual import VirtualClock

if TYPE_CHECKING:
    from pathlib import Path

freezegun = pytest.importorskip("freezegun")
time_machine = pytest.importorskip("time_machine")

NEW_YEAR = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
NEW_YEAR_US = int(NEW_YEAR.timestamp()) * 1_000_000


@pytest.fixture
def subprocess_pytest(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Return a pytester whose runs find our modules."""
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope=function\n")
    pytester.makeconftest(
        """
        import pytest
        from pytest_spidra.clock.virtual import VirtualClock

        @pytest.fixture
        def clock():
            with VirtualClock() as running:
                yield running
        """
    )
    return pytester


@pytest.mark.parametrize("tick", [False, True])
def test_under_time_machine_the_wall_clock_starts_there(*, tick: bool) -> None:
    """Waits move it on from the destination; after the trip nothing is left."""
    with time_machine.travel(NEW_YEAR, tick=tick), VirtualClock() as clock, jumps_only(clock):
        time.sleep(30)
        asyncio.run(asyncio.sleep(30))
        assert clock.elapsed == 60
        assert time.time() == pytest.approx(NEW_YEAR.timestamp() + 60, abs=0.5)
        if not tick:
            assert clock.now == NEW_YEAR_US + 60_000_000
    assert time.time() < NEW_YEAR.timestamp()


def test_a_time_machine_trip_inside_moves_the_wall_clock() -> None:
    """Started, moved and ended while the clock runs; elapsed does not notice."""
    with VirtualClock() as clock:
        begun = clock.now
        time.sleep(10)
        with time_machine.travel(NEW_YEAR, tick=False) as traveller:
            assert time.time() == NEW_YEAR.timestamp()
            time.sleep(5)
            assert clock.now == NEW_YEAR_US + 5_000_000
            traveller.move_to(NEW_YEAR + dt.timedelta(days=1))
            assert clock.now == NEW_YEAR_US + 86_400_000_000
            asyncio.run(asyncio.sleep(5))
            assert clock.now == NEW_YEAR_US + 86_405_000_000
        assert clock.now == begun + 20_000_000
        assert clock.elapsed == 20


@pytest.mark.parametrize("real_asyncio", [False, True])
def test_under_freezegun_the_clock_refuses(*, real_asyncio: bool) -> None:
    """It says what is in the way and what to do."""
    with freezegun.freeze_time("2030-01-01", real_asyncio=real_asyncio):
        with pytest.raises(RuntimeError, match=r'freezegun.*clock="real"'):
            VirtualClock().start()
    with VirtualClock() as clock:
        time.sleep(1)
        assert clock.elapsed == 1


def test_freezegun_inside_is_told_where_it_would_hang() -> None:
    """asyncio timers never fire under freezegun; instead of hanging, the loop raises."""
    with VirtualClock() as clock:
        with freezegun.freeze_time("2030-01-01"):
            time.sleep(3)
            with pytest.raises(RuntimeError, match="freezegun"):
                asyncio.run(asyncio.sleep(3))
        assert clock.elapsed == 3
    assert type(time.monotonic) is type(len)


def test_freezegun_with_real_asyncio_inside_keeps_asyncio_real() -> None:
    """Then a loop takes real time, and the clock does not run away meanwhile."""
    with VirtualClock() as clock:
        with freezegun.freeze_time("2030-01-01", real_asyncio=True):
            begun = time.perf_counter()
            asyncio.run(asyncio.sleep(0.1))
        assert clock.elapsed < 1
    del begun
    assert type(time.monotonic) is type(len)


def test_a_replaced_function_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that already fakes time.sleep is told so, in one sentence."""
    monkeypatch.setattr(time, "sleep", lambda _: None)
    with pytest.raises(RuntimeError, match=r"time\.sleep is already replaced by test_clock_company\."):
        VirtualClock().start()


@pytest.mark.slow
@pytest.mark.skipif(
    find_spec("looptime") is None,
    reason="looptime has a tox environment of its own: it leaves loops unclosed",
)
def test_looptime_is_refused_or_left_alone(subprocess_pytest: pytest.Pytester) -> None:
    """In a test marked for looptime the clock does not start, whichever fixture comes first."""
    subprocess_pytest.makepyfile(
        """
        import asyncio, pytest, time
        from pytest_spidra.clock.virtual import VirtualClock

        @pytest.mark.asyncio
        @pytest.mark.looptime
        async def test_inside():
            with pytest.raises(RuntimeError, match="looptime"):
                VirtualClock().start()
            await asyncio.sleep(100)

        @pytest.mark.asyncio
        @pytest.mark.looptime
        async def test_fixture(clock):
            await asyncio.sleep(100)

        @pytest.mark.asyncio
        async def test_without_marker(clock):
            await asyncio.sleep(100)
            assert clock.elapsed == 100
        """
    )
    result = subprocess_pytest.runpytest_subprocess("-p", "looptime", "--timeout=60", timeout=100)
    result.stdout.fnmatch_lines(["*RuntimeError: the event loop of this test belongs to looptime*"])
    outcomes = result.parseoutcomes()
    assert outcomes["passed"] == 2
    assert outcomes.get("errors", 0) + outcomes.get("failed", 0) == 1


@pytest.mark.slow
def test_pytest_asyncio_and_anyio_tests_live_on_the_clock(
    subprocess_pytest: pytest.Pytester,
) -> None:
    """Their loops, of any scope, made before or after the clock, with a loop factory or not."""
    subprocess_pytest.makepyfile(
        """
        import asyncio, pytest, pytest_asyncio, time

        @pytest_asyncio.fixture(scope="session", loop_scope="session")
        async def background():
            ticks = []
            async def tick():
                while True:
                    await asyncio.sleep(10)
                    ticks.append(1)
            task = asyncio.create_task(tick())
            yield ticks
            task.cancel()

        @pytest.mark.asyncio(loop_scope="session")
        async def test_session_loop(background, clock):
            await asyncio.sleep(600)
            assert clock.elapsed == 600
            assert len(background) >= 59

        @pytest.mark.asyncio(loop_scope="session")
        async def test_session_loop_afterwards(background):
            begun = time.monotonic()
            await asyncio.sleep(0.05)
            assert time.monotonic() - begun > 0.04

        @pytest.mark.asyncio
        async def test_function_loop(clock):
            await asyncio.sleep(600)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    await asyncio.Event().wait()
            assert clock.elapsed == 601

        @pytest.mark.anyio
        @pytest.mark.parametrize("anyio_backend", ["asyncio"])
        async def test_anyio(anyio_backend, clock):
            await asyncio.sleep(600)
            assert clock.elapsed == 600
        """
    )
    subprocess_pytest.makepyfile(
        test_factories="""
        import asyncio, pytest

        class OwnLoop(asyncio.SelectorEventLoop):
            pass

        def pytest_asyncio_loop_factories(config, item):
            return {"own": OwnLoop}

        @pytest.mark.asyncio
        async def test_own_loop(clock):
            await asyncio.sleep(600)
            assert clock.elapsed == 600
        """
    )
    result = subprocess_pytest.runpytest_subprocess("--timeout=60", timeout=100)
    result.assert_outcomes(passed=5)


@pytest.mark.slow
@pytest.mark.usefixtures("xdist")
def test_durations_timeouts_and_workers_are_unharmed(subprocess_pytest: pytest.Pytester) -> None:
    """1,200 virtual seconds neither trip a timeout nor show in the report, under xdist too."""
    subprocess_pytest.makepyfile(
        """
        import time, asyncio, pytest

        @pytest.mark.parametrize("number", range(8))
        def test_long(clock, number):
            time.sleep(600)
            asyncio.run(asyncio.sleep(600))
            assert clock.elapsed == 1200
        """
    )
    for arguments in (["--timeout-method=thread"], ["--timeout-method=signal"], ["-n", "2"]):
        result = subprocess_pytest.runpytest_subprocess(
            "--timeout=60", "--session-timeout=300", "--durations=0", "-vv", *arguments, timeout=100
        )
        result.assert_outcomes(passed=8)
        for line in result.outlines:
            if "s call" in line:
                assert float(line.split("s call")[0]) < 60


@pytest.mark.slow
def test_a_real_timeout_still_strikes(
    subprocess_pytest: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pytest-timeout measures in real time: an endless virtual loop is stopped by it.

    Without coverage, whose tracer holds a lock of its own: if the signal comes then, its handler waits for that for ever.
    """
    for name in ("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    subprocess_pytest.makepyfile(
        """
        import itertools, time
        import pytest

        @pytest.mark.timeout(1, method="signal", func_only=True)
        def test_endless(clock):
            # Not a failure of this test: of where the signal comes, pytest cannot always show the line.
            with pytest.raises(pytest.fail.Exception, match="Timeout"):
                for seconds in itertools.count():  # the same wait again and again is ended by the clock
                    time.sleep(seconds / 1000)

        def test_next():
            begun = time.perf_counter()
            time.sleep(0.05)
            assert time.perf_counter() - begun >= 0.05
        """
    )
    result = subprocess_pytest.runpytest_subprocess(timeout=100)
    result.assert_outcomes(passed=2)


@pytest.mark.slow
def test_hypothesis_runs_on_the_clock(subprocess_pytest: pytest.Pytester) -> None:
    """Its deadline goes by perf_counter, so virtual waits do not make it flaky."""
    subprocess_pytest.makepyfile(
        """
        import time
        from hypothesis import given, settings, strategies as st
        from pytest_spidra.clock.virtual import VirtualClock

        @settings(deadline=100_000)  # milliseconds
        @given(st.integers(101, 1000))
        def test_any(seconds):
            with VirtualClock() as clock:
                time.sleep(seconds)
                assert clock.elapsed == seconds
        """
    )
    subprocess_pytest.runpytest_subprocess(timeout=100).assert_outcomes(passed=1)


def test_nothing_heavy_is_imported(subprocess_pytest: pytest.Pytester, tmp_path: Path) -> None:
    """Importing the module imports neither asyncio nor trio nor selectors nor time-machine."""
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\nbefore = set(sys.modules)\nimport pytest_spidra.clock.virtual\n"
        "print(sorted({'asyncio', 'trio', 'selectors', 'dis', 'inspect', 'time_machine'} & (set(sys.modules) - before)))\n"
    )
    result = subprocess_pytest.runpython(script)
    result.stdout.fnmatch_lines(["[[][]]"])
