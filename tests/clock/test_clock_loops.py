"""Event loops of all kinds: driven, or refused with a sentence when they are first seen; never silently real."""

from __future__ import annotations

import asyncio
import selectors
import subprocess
import sys
import threading
import time

import anyio
import pytest
import trio
from real_waits import jumps_only

from pytest_spidra.clock.virtual import VirtualClock


async def naps():
    await asyncio.sleep(3)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.Event().wait(), 4)


def test_uvloop_is_refused_with_a_sentence():
    """However it is run; and it works again afterwards."""
    uvloop = pytest.importorskip("uvloop")
    loop = uvloop.new_event_loop()
    with VirtualClock():
        for run in (loop.run_until_complete, uvloop.run):
            coroutine = naps()
            with pytest.raises(
                RuntimeError, match=r"cannot drive the event loop uvloop\.Loop: .*clock=\"real\""
            ):
                run(coroutine)
            coroutine.close()
    assert loop.run_until_complete(asyncio.sleep(0, "works")) == "works"
    assert "run_until_complete" not in vars(uvloop.Loop)
    loop.close()


def test_uvloop_that_was_loaded_by_the_test_is_refused_by_the_runner(monkeypatch, clock):
    """The clock could not see it come."""
    uvloop = pytest.importorskip("uvloop")
    monkeypatch.setattr(uvloop, "Loop", type("Loop", (uvloop.Loop.__mro__[1],), {}))
    coroutine = naps()
    with asyncio.Runner(loop_factory=uvloop.Loop) as runner:
        with pytest.raises(RuntimeError, match="cannot drive the event loop"):
            runner.run(coroutine)
        clock.stop()
    coroutine.close()


def test_uvloop_that_runs_already_is_refused():
    uvloop = pytest.importorskip("uvloop")

    async def main():
        with pytest.raises(RuntimeError, match="cannot drive the event loop"):
            VirtualClock().start()

    uvloop.run(main())


def test_uvloop_that_was_loaded_by_the_test_is_refused_at_its_first_request(run_tests):
    """The clock could not see it come, but is asked what the time is; nobody can swallow what it says."""
    pytest.importorskip("uvloop")
    result = run_tests(
        """
        import sys
        import httpx, uvloop

        def test_it(monkeypatch, request):
            monkeypatch.delitem(sys.modules, "uvloop")
            spidra_mock = request.getfixturevalue("spidra_mock")

            async def main():
                try:
                    async with httpx.AsyncClient(headers={"x-api-key": "k"}) as client:
                        await client.get(f"{spidra_mock.base_url}/batch/scrape")
                except Exception:
                    pass

            loop = uvloop.new_event_loop()
            loop.run_until_complete(main())
        """
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*cannot drive the event loop*"])


NESTED = """
import asyncio, nest_asyncio
from pytest_spidra.clock.virtual import VirtualClock

async def naps():
    await asyncio.sleep(3)
    asyncio.get_running_loop().run_until_complete(asyncio.sleep(5))

WHEN
with VirtualClock() as clock:
    LATER
    asyncio.run(naps())
    print(clock.elapsed)
"""


@pytest.mark.parametrize("when", ["WHEN", "LATER"])
def test_loops_of_nest_asyncio_are_driven(when):
    """It gives the loop's class a way of its own to run, for the rest of the process."""
    pytest.importorskip("nest_asyncio")
    source = (
        NESTED.replace(when, "nest_asyncio.apply(asyncio.new_event_loop())")
        .replace("WHEN", "")
        .replace("LATER", "pass")
    )
    command = [sys.executable, "-c", source]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603 - our own source
    assert (done.stdout.strip(), done.returncode) == ("8.0", 0), done.stderr


class OwnTime(asyncio.SelectorEventLoop):
    def time(self):
        return 5.0


class NoSelector(asyncio.SelectorEventLoop):
    def __init__(self):
        super().__init__()
        self._kept, self._selector = self._selector, None


class Slotted:
    __slots__ = ("real",)

    def __init__(self):
        self.real = selectors.DefaultSelector()

    def __getattr__(self, name):
        return getattr(self.real, name)


class OwnSelector(selectors.DefaultSelector):
    """A selector of the user's."""

    def select(self, timeout=None):
        return super().select(timeout)


@pytest.mark.parametrize("make", [OwnTime, NoSelector, lambda: asyncio.SelectorEventLoop(Slotted())])
def test_a_loop_that_cannot_follow_is_refused(clock, make):
    loop = make()
    coroutine = naps()
    with pytest.raises(RuntimeError, match=r"the virtual clock cannot (drive|sit on) the"):
        loop.run_until_complete(coroutine)
    coroutine.close()
    if hasattr(loop, "_kept"):
        loop._selector = loop._kept
    loop.close()


def test_a_selector_of_the_user_is_driven(clock):
    loop = asyncio.SelectorEventLoop(OwnSelector())
    loop.run_until_complete(naps())
    assert clock.elapsed == 7
    loop.close()


async def trio_naps():
    await trio.sleep(3)
    with trio.move_on_after(4):
        await trio.sleep_forever()


def test_trio_follows_without_being_told(clock):
    """It is given our clock where it would make one of its own."""
    with jumps_only(clock):
        trio.run(trio_naps)
        anyio.run(trio_naps, backend="trio")
        thread = threading.Thread(target=trio.run, args=(trio_naps,))
        thread.start()
        thread.join()
    assert clock.elapsed == 21
    clock.stop()
    assert isinstance(trio._core._run.SystemClock, type)


def test_a_thread_that_is_not_the_test_s_has_trio_s_own_clock():
    go, kinds = threading.Event(), []

    async def main():
        kinds.append(type(trio.lowlevel.current_clock()).__name__)

    def foreign():
        go.wait()
        trio.run(main)

    thread = threading.Thread(target=foreign)
    thread.start()
    with VirtualClock():
        go.set()
        thread.join()
    assert kinds == ["SystemClock"]


def test_trio_on_another_clock_is_refused_with_the_line_that_helps(run_tests):
    result = run_tests(
        """
        import httpx, trio

        def test_it(spidra_mock):
            async def main():
                async with httpx.AsyncClient(headers={"x-api-key": "k"}) as client:
                    await client.get(f"{spidra_mock.base_url}/batch/scrape")

            trio.run(main, clock=trio._core._run.__dict__["SystemClock"].__closure__[1].cell_contents())
        """
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*trio.run(main, clock=spidra_mock.clock.trio_clock())*"])


@pytest.mark.parametrize("seconds", [0, 2.5, 3600])
def test_advance_lets_time_pass_at_once(clock, seconds):
    """For this thread, and for others that sleep meanwhile."""
    woken = []
    thread = threading.Thread(target=lambda: (time.sleep(2), woken.append(clock.elapsed), time.sleep(1)))
    thread.start()
    clock.advance(seconds)
    assert clock.elapsed == seconds
    thread.join()
    assert woken == [2]


@pytest.mark.parametrize("wrong", [-1, float("inf"), float("nan")])
def test_time_goes_forward_only(clock, wrong):
    with pytest.raises(ValueError, match="time goes forward only"):
        clock.advance(wrong)
