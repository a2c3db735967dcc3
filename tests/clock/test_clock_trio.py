"""trio on a clock that follows ours."""

from __future__ import annotations

import threading
import time

import anyio
import pytest
import trio
import trio.testing
from real_waits import jumps_only, work_for

from pytest_spidra.clock.virtual import VirtualClock


def test_trio_sleeps_move_the_clock(clock: VirtualClock) -> None:
    """600 s of polling cost no real time, and both clocks agree."""

    async def main() -> float:
        begun = trio.current_time()
        for _ in range(120):
            await trio.sleep(5)
        return trio.current_time() - begun

    with jumps_only(clock):
        assert trio.run(main, clock=clock.trio_clock()) == 600
    assert clock.elapsed == 600


def test_trio_deadlines_fire_at_their_second(clock: VirtualClock) -> None:
    """move_on_after, fail_after and tasks side by side."""

    async def main() -> list[float]:
        seen: list[float] = []

        async def nap(seconds: float) -> None:
            await trio.sleep(seconds)
            seen.append(clock.elapsed)

        async with trio.open_nursery() as nursery:
            for seconds in (0.3, 0.1, 0.2, 0.3):
                nursery.start_soon(nap, seconds)
        with trio.move_on_after(0.7):
            await trio.sleep_forever()
        seen.append(clock.elapsed)
        with pytest.raises(trio.TooSlowError), trio.fail_after(1):
            await trio.sleep(5)
        seen.append(clock.elapsed)
        return seen

    assert trio.run(main, clock=clock.trio_clock()) == [0.1, 0.2, 0.3, 0.3, 1, 2]


def test_trio_sees_the_thread_sleep(clock: VirtualClock) -> None:
    """time.sleep inside a coroutine moves trio's time too."""

    async def main() -> float:
        begun = trio.current_time()
        time.sleep(3)
        await trio.sleep(2)
        return trio.current_time() - begun

    assert trio.run(main, clock=clock.trio_clock()) == 5
    assert clock.elapsed == 5


def test_trio_threads_are_waited_for(clock: VirtualClock) -> None:
    """Real work in to_thread does not let a deadline fire; time.sleep in it is virtual."""

    async def main() -> None:
        with trio.fail_after(5):
            assert await trio.to_thread.run_sync(work_for, 0.3) == "done"
        assert clock.elapsed == 0
        await trio.to_thread.run_sync(time.sleep, 3)
        assert clock.elapsed == 3
        with trio.move_on_after(2) as scope:
            await trio.to_thread.run_sync(time.sleep, 9, abandon_on_cancel=True)
        assert scope.cancelled_caught
        assert clock.elapsed == 5

    with jumps_only(clock):
        trio.run(main, clock=clock.trio_clock())


def test_trio_and_threads_sleep_side_by_side(clock: VirtualClock) -> None:
    """A thread's 30 s and trio's 30 s take 30 s, and messages arrive before a jump."""
    seen: list[float] = []

    async def main() -> None:
        token = trio.lowlevel.current_trio_token()

        def feed() -> None:
            for _ in range(30):
                token.run_sync_soon(lambda: seen.append(clock.elapsed))
                time.sleep(1)

        thread = threading.Thread(target=feed)
        thread.start()
        await trio.sleep(30)
        await trio.to_thread.run_sync(thread.join)

    with jumps_only(clock):
        trio.run(main, clock=clock.trio_clock())
    assert seen == [float(second) for second in range(30)]
    assert clock.elapsed == 30


def test_waiting_for_idle_tasks_comes_before_a_jump(clock: VirtualClock) -> None:
    """trio.testing.wait_all_tasks_blocked returns at the same virtual time."""

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 60)
            await trio.testing.wait_all_tasks_blocked()
            assert clock.elapsed == 0

    trio.run(main, clock=clock.trio_clock())
    assert clock.elapsed == 60


def test_anyio_on_trio(clock: VirtualClock) -> None:
    """anyio hands the clock over as a backend option."""

    async def main() -> None:
        await anyio.sleep(3)
        with anyio.move_on_after(4):
            await anyio.sleep_forever()

    anyio.run(main, backend="trio", backend_options={"clock": clock.trio_clock()})
    assert clock.elapsed == 7


def test_real_sockets_in_trio_do_not_hang(clock: VirtualClock) -> None:
    """A reply over a socket pair arrives while nothing else can run."""

    async def main() -> bytes:
        ours, theirs = trio.socket.socketpair()

        def answer() -> None:
            work_for(0.2)
            theirs._sock.send(b"pong")

        thread = threading.Thread(target=answer)
        thread.start()
        reply = await ours.recv(4)
        ours.close()
        theirs.close()
        thread.join()
        return bytes(reply)

    assert trio.run(main, clock=clock.trio_clock()) == b"pong"


def test_a_trio_run_may_outlive_the_clock() -> None:
    """Then it goes on in real time."""
    clock = VirtualClock()

    async def main() -> float:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 100.1)
            await trio.sleep(100)
            clock.stop()
            begun = time.perf_counter()
        return time.perf_counter() - begun

    with clock:
        assert trio.run(main, clock=clock.trio_clock()) > 0.05
