"""What waits, and how far the clock moves."""

from __future__ import annotations

import asyncio
import signal
import time
from decimal import Decimal
from time import monotonic as early_monotonic
from time import sleep as early_sleep
from typing import Any

import anyio
import httpx
import pytest
import stamina
import tenacity
from httpx_retries import Retry, RetryTransport
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from real_waits import REAL_SLEEP, jumps_only
from spidra import AsyncSpidra, Spidra
from spidra.lib.http import SpidraTimeoutError

from pytest_spidra.clock.virtual import VirtualClock


def spidra_session(clock: VirtualClock, *, done_after: float) -> httpx.AsyncClient:
    """Return an HTTP client that answers as Spidra does; the batch is done after so many seconds."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return httpx.Response(202, json={"status": "queued", "batchId": "b", "total": 1})
        status = "completed" if clock.elapsed >= done_after else "running"
        return httpx.Response(
            200,
            json={
                "status": status,
                "totalUrls": 1,
                "completedCount": 0,
                "failedCount": 0,
                "items": [],
                "createdAt": "",
                "finishedAt": None,
            },
        )

    return httpx.AsyncClient(transport=httpx.MockTransport(answer))


def test_the_sync_sdk_polls_for_600_seconds_at_once(clock: VirtualClock) -> None:
    """batch_scrape in plain code: asyncio.run on this thread."""
    client = Spidra(api_key="k", session=spidra_session(clock, done_after=600))
    with jumps_only(clock):
        assert client.batch_scrape(["https://a.test"]).status == "completed"
    assert clock.elapsed == 600


def test_the_sync_sdk_inside_a_running_loop_polls_at_once(clock: VirtualClock) -> None:
    """batch_scrape in a coroutine: a new thread with its own loop, this one blocked in join."""
    client = Spidra(api_key="k", session=spidra_session(clock, done_after=600))

    async def main() -> str:
        return client.batch_scrape(["https://a.test"]).status

    with jumps_only(clock):
        assert asyncio.run(main()) == "completed"
    assert clock.elapsed == 600


def test_the_async_sdk_gives_up_at_the_right_second(clock: VirtualClock) -> None:
    """The SDK's timeout goes by loop.time: the last poll that fits into 62 s is at 60 s."""
    client = AsyncSpidra(api_key="k", session=spidra_session(clock, done_after=1e9))
    with jumps_only(clock), pytest.raises(SpidraTimeoutError):
        asyncio.run(client.batch_scrape(["https://a.test"], timeout=62))
    assert clock.elapsed == 60


def test_the_sync_watcher_polls_at_once(clock: VirtualClock) -> None:
    """watch_batch uses time.sleep and time.monotonic."""
    client = Spidra(api_key="k", session=spidra_session(clock, done_after=300))
    with jumps_only(clock):
        assert list(client.watch_batch("b")) == []
    assert clock.elapsed == 300


@pytest.mark.parametrize("sleep", ["time.sleep", "from time import sleep"])
def test_a_sleep_is_virtual(clock: VirtualClock, sleep: str) -> None:
    """Also under a name that was imported before the clock started."""
    function = time.sleep if sleep == "time.sleep" else early_sleep
    with jumps_only(clock):
        for _ in range(200):
            function(3)
    assert clock.elapsed == 600


def test_all_clocks_move_alike(clock: VirtualClock) -> None:
    """time, monotonic and their nanoseconds advance by what was slept."""
    readings: list[Any] = [
        time.time,
        time.time_ns,
        time.monotonic,
        time.monotonic_ns,
        early_monotonic,
    ]
    before = [read() for read in readings] + [clock.now]
    time.sleep(2.5)
    after = [read() for read in readings] + [clock.now]
    moved = [b - a for a, b in zip(before, after, strict=True)]
    assert moved == [2.5, 2_500_000_000, 2.5, 2_500_000_000, 2.5, 2_500_000]


def test_time_stands_still_while_code_runs(clock: VirtualClock) -> None:
    """Work costs no virtual time, so a test measures the same on every machine."""
    before = time.monotonic(), time.time()
    sum(range(1_000_000))
    assert (time.monotonic(), time.time()) == before
    assert clock.elapsed == 0


def test_the_clocks_continue_from_the_real_ones() -> None:
    """At the start nothing jumps, and monotonic time does not step back."""
    before = time.time(), time.monotonic()
    with VirtualClock() as clock:
        begun = time.time(), time.monotonic()
        assert clock.now == time.time_ns() // 1_000
    after = time.time(), time.monotonic()
    assert before[0] - 1e-5 <= begun[0] <= after[0] + 1
    assert before[1] <= begun[1] <= after[1] + 1


def test_a_loop_that_watches_a_deadline_ends_on_time(clock: VirtualClock) -> None:
    """Sleep until time.time() says enough: as many rounds as arithmetic says."""
    rounds = 0
    deadline = time.time() + 30
    while time.time() < deadline:
        time.sleep(5)
        rounds += 1
    assert rounds == 6
    assert clock.elapsed == 30


def test_asyncio_deadlines_fire_at_their_second(clock: VirtualClock) -> None:
    """timeout, wait_for and call_later, each to the microsecond."""

    async def main() -> list[float]:
        fired: list[float] = []
        asyncio.get_running_loop().call_later(1.25, lambda: fired.append(clock.elapsed))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2.5):
                await asyncio.sleep(100)
        fired.append(clock.elapsed)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 0.000_007)
        fired.append(clock.elapsed)
        return fired

    assert asyncio.run(main()) == [1.25, 2.5, 2.500007]


def test_concurrent_tasks_sleep_concurrently(clock: VirtualClock) -> None:
    """Three sleeps of three seconds take three, and shorter ones end earlier."""

    async def main() -> list[str]:
        order: list[str] = []

        async def nap(name: str, seconds: float) -> None:
            await asyncio.sleep(seconds)
            order.append(f"{name} {clock.elapsed}")

        await asyncio.gather(nap("c", 3), nap("a", 1), nap("b", 2), nap("d", 3))
        return order

    assert asyncio.run(main()) == ["a 1.0", "b 2.0", "c 3.0", "d 3.0"]


def test_a_wait_longer_than_a_day_is_exact(clock: VirtualClock) -> None:
    """Asyncio cuts it into pieces of 24 hours."""
    asyncio.run(asyncio.sleep(100 * 3600))
    time.sleep(30 * 86_400)
    assert clock.elapsed == 100 * 3600 + 30 * 86_400


@settings(max_examples=60, suppress_health_check=list(HealthCheck), deadline=None)
@given(waits=st.lists(st.integers(1, 10**10), max_size=8))
def test_waits_add_up_to_the_microsecond(waits: list[int]) -> None:
    """Rounding of floats neither loses nor adds anything, in threads' time and in loops'."""
    with VirtualClock() as clock:
        for microseconds in waits:
            time.sleep(microseconds / 1_000_000)

        async def main() -> None:
            for microseconds in waits:
                await asyncio.sleep(microseconds / 1_000_000)

        asyncio.run(main())
        assert round(clock.elapsed * 1_000_000) == 2 * sum(waits)


def test_waits_are_exact_on_a_machine_that_has_been_up_for_years(clock: VirtualClock) -> None:
    """There the rounding of loop.time() is more than the nanosecond asyncio allows for."""
    clock._loops.monotonic_base += 3 * 10**14

    async def nap(seconds: float) -> None:
        for _ in range(100):
            await asyncio.sleep(seconds)

    async def main() -> None:
        await asyncio.gather(nap(0.1), nap(0.3), nap(0.7))

    asyncio.run(main())
    assert clock.elapsed == 70


def test_waiting_for_the_rest_never_spins(clock: VirtualClock) -> None:
    """Sleeping what remains, in steps that are no microseconds, comes to an end."""

    async def main() -> int:
        rounds = 0
        loop = asyncio.get_running_loop()
        deadline = loop.time() + 1
        while (left := deadline - loop.time()) > 0:
            await asyncio.sleep(left / 3)
            rounds += 1
        return rounds

    with jumps_only(clock):
        assert asyncio.run(main()) < 60
    assert clock.elapsed == pytest.approx(1, abs=3e-5)


def test_anyio_on_asyncio_is_virtual(clock: VirtualClock) -> None:
    """anyio.sleep and move_on_after."""

    async def main() -> bool:
        await anyio.sleep(3)
        with anyio.move_on_after(4) as scope:
            await anyio.sleep_forever()
        return scope.cancelled_caught

    with jumps_only(clock):
        assert anyio.run(main)
    assert clock.elapsed == 7


def test_tenacity_and_stamina_wait_virtually(clock: VirtualClock) -> None:
    """Their waits are exact: 2 + 4 + 8 s, then 3 s."""

    @tenacity.retry(wait=tenacity.wait_exponential(multiplier=2), stop=tenacity.stop_after_attempt(4))
    def fail() -> None:
        raise ValueError

    calls: list[float] = []

    @stamina.retry(on=KeyError, attempts=2, wait_initial=3, wait_jitter=0, wait_max=3)
    async def fail_once() -> None:
        calls.append(clock.elapsed)
        if len(calls) == 1:
            raise KeyError

    with jumps_only(clock):
        with pytest.raises(tenacity.RetryError):
            fail()
        assert clock.elapsed == 14
        asyncio.run(fail_once())
    assert calls == [14, 17]


def test_httpx_retries_waits_virtually(clock: VirtualClock) -> None:
    """RetryTransport obeys Retry-After, sync and async."""
    answers = iter([503, 503, 200, 503, 200])
    mock = httpx.MockTransport(lambda _: httpx.Response(next(answers), headers={"Retry-After": "20"}))
    transport = RetryTransport(transport=mock, retry=Retry(total=3))
    with jumps_only(clock):
        with httpx.Client(transport=transport) as client:
            assert client.get("https://a.test").status_code == 200
        assert clock.elapsed == 40

        async def main() -> None:
            async with httpx.AsyncClient(transport=transport) as client:
                await client.get("https://a.test")

        asyncio.run(main())
    assert clock.elapsed == 60


@pytest.mark.parametrize(
    "wrong", [-1, -0.5, "1", None, Decimal(1), float("nan"), float("inf"), 1e11, 10**12, -(10**30)]
)
def test_wrong_durations_raise_what_time_sleep_raises(clock: VirtualClock, wrong: Any) -> None:
    """The same exception with the same words."""
    with pytest.raises(Exception) as real:
        REAL_SLEEP[0](wrong)
    with pytest.raises(real.type) as ours:
        time.sleep(wrong)
    assert str(ours.value) == str(real.value)
    assert clock.elapsed == 0


def test_a_wrong_call_raises_what_time_sleep_raises(clock: VirtualClock) -> None:
    """No argument, two, or one by name."""
    for args, kwargs in [((), {}), ((1, 2), {}), ((), {"secs": 1})]:
        with pytest.raises(TypeError) as real:
            REAL_SLEEP[0](*args, **kwargs)
        with pytest.raises(TypeError) as ours:
            time.sleep(*args, **kwargs)
        assert str(ours.value) == str(real.value)


def test_odd_but_right_durations_are_taken(clock: VirtualClock) -> None:
    """True, zero, and whatever has __index__."""

    class Two:
        def __index__(self) -> int:
            return 2

    time.sleep(True)
    time.sleep(0)
    time.sleep(Two())
    assert clock.elapsed == 3


def test_a_signal_handler_may_sleep_too(clock: VirtualClock) -> None:
    """A sleep inside a sleep: the handler's ends, then the outer one, if it is not over."""
    seen: list[float] = []

    def handler(*_: object) -> None:
        time.sleep(1)
        seen.append(clock.elapsed)

    previous = signal.signal(signal.SIGALRM, handler)
    try:

        async def main() -> None:
            # Open work keeps the clock from jumping until the signal has come.
            work = asyncio.get_running_loop().run_in_executor(None, REAL_SLEEP[0], 0.3)
            nap = asyncio.create_task(asyncio.sleep(5))
            await asyncio.sleep(0)
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            await asyncio.gather(work, nap)

        asyncio.run(main())
    finally:
        signal.signal(signal.SIGALRM, previous)
    assert seen == [1.0]
    assert clock.elapsed == 5


def test_a_timer_in_asyncio_debug_mode_is_exact(clock: VirtualClock) -> None:
    """Debug mode reads the clock around every callback."""
    asyncio.run(asyncio.sleep(3), debug=True)
    assert clock.elapsed == 3
