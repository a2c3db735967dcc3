"""Several threads, pools, sockets: who is waited for, who is not, and what never hangs."""

from __future__ import annotations

import asyncio
import contextvars
import multiprocessing
import queue
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import (
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    as_completed,
    wait,
)
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import pytest
from real_waits import REAL_MONOTONIC, REAL_SLEEP, jumps_only, work_for

from pytest_spidra.clock import thread_state
from pytest_spidra.clock.virtual import VirtualClock

if TYPE_CHECKING:
    from collections.abc import Callable


def in_threads(*functions: Callable[[], Any]) -> None:
    """Run them side by side and wait for all."""
    threads = [threading.Thread(target=function) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


async def naps(seconds: float, times: int) -> None:
    """Sleep several times."""
    for _ in range(times):
        await asyncio.sleep(seconds)


def test_threads_sleep_side_by_side(clock: VirtualClock) -> None:
    """Three threads and this one sleep 3 s each: 3 s in all."""
    threads = [threading.Thread(target=time.sleep, args=(3,)) for _ in range(3)]
    with jumps_only(clock):
        for thread in threads:
            thread.start()
        time.sleep(3)
        for thread in threads:
            thread.join()
    assert clock.elapsed == 3


def test_threads_and_loops_sleep_side_by_side(clock: VirtualClock) -> None:
    """600 s in plain sleeps, in a loop in a thread, and in this thread's loop: 600 s in all."""

    async def main() -> None:
        workers = [
            threading.Thread(target=lambda: [time.sleep(3) for _ in range(200)]),
            threading.Thread(target=lambda: asyncio.run(naps(2, 300))),
        ]
        for worker in workers:
            worker.start()
        await naps(5, 120)
        while any(worker.is_alive() for worker in workers):
            await asyncio.sleep(0)

    with jumps_only(clock):
        asyncio.run(main())
    assert clock.elapsed == 600


def test_sleeps_end_in_the_order_of_their_deadlines(clock: VirtualClock) -> None:
    """Across threads and tasks, and everyone sees its own deadline."""
    seen: list[float] = []

    def nap(seconds: float) -> None:
        time.sleep(seconds)
        seen.append(clock.elapsed)

    async def async_nap(seconds: float) -> None:
        await asyncio.sleep(seconds)
        seen.append(clock.elapsed)

    in_threads(
        lambda: nap(0.5),
        lambda: nap(0.3),
        lambda: asyncio.run(async_nap(0.4)),
        lambda: asyncio.run(async_nap(0.2)),
        lambda: nap(0.1),
    )
    assert seen == [0.1, 0.2, 0.3, 0.4, 0.5]


def test_a_thread_that_was_there_before_stays_in_real_time(daemon: list[float]) -> None:
    """It neither drags the clock along nor polls any faster."""
    with VirtualClock() as clock:
        polls_before = len(daemon)
        started = REAL_MONOTONIC[0]()
        for _ in range(100):
            time.sleep(3)
        work_for(0.3)
        polls, taken = len(daemon) - polls_before, REAL_MONOTONIC[0]() - started
        assert clock.elapsed == 300
    assert 0 < polls <= taken / 0.01 + 1
    assert all(abs(poll - REAL_MONOTONIC[0]()) < 60 for poll in daemon)


def test_threads_outside_read_the_virtual_now(clock: VirtualClock) -> None:
    """`now` and `elapsed` are attributes, not patched functions: a server thread may use them."""
    asked, answers = queue.SimpleQueue[None](), queue.SimpleQueue[tuple[int, float]]()

    def serve() -> None:
        asked.get()
        answers.put((clock.now, clock.elapsed))

    clock.stop()
    thread = threading.Thread(target=serve)
    thread.start()
    with clock:
        begun = clock.now
        time.sleep(100)
        asked.put(None)
        assert answers.get() == (begun + 100_000_000, 100.0)
    thread.join()


def test_real_work_in_an_executor_is_waited_for(clock: VirtualClock) -> None:
    """A deadline of 5 s does not fire while 0.3 s of real work are done, and nothing is charged."""
    assert asyncio.run(asyncio.wait_for(asyncio.to_thread(work_for, 0.3), 5)) == "done"
    assert clock.elapsed == 0


def test_a_sleep_in_an_executor_is_virtual(clock: VirtualClock) -> None:
    """time.sleep(3) inside to_thread costs 3 s; a deadline of 2 s fires at 2 s."""

    async def main() -> None:
        await asyncio.to_thread(time.sleep, 3)
        assert clock.elapsed == 3
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.to_thread(time.sleep, 3), 2)
        assert clock.elapsed == 5

    with jumps_only(clock):
        asyncio.run(main())


@pytest.mark.parametrize("busy_before", [False, True])
def test_a_pool_older_than_the_clock_works_on_it(*, busy_before: bool) -> None:
    """Its workers live on the clock while they do the test's work, and only then."""
    with ThreadPoolExecutor(2) as pool:
        wait([pool.submit(REAL_SLEEP[0], 0.05) for _ in range(2)])
        if busy_before:
            pool.submit(REAL_SLEEP[0], 0.2)
        with VirtualClock() as clock, jumps_only(clock):

            async def main() -> None:
                loop = asyncio.get_running_loop()
                work = loop.run_in_executor(pool, work_for, 0.3)
                assert await asyncio.wait_for(work, 5) == "done"
                assert clock.elapsed == 0
                await loop.run_in_executor(pool, time.sleep, 3)

            asyncio.run(main())
            assert clock.elapsed == 3
            pool.submit(time.sleep, 4).result()
            assert clock.elapsed == 7
        started = REAL_MONOTONIC[0]()
        pool.submit(time.sleep, 0.1).result()
        assert REAL_MONOTONIC[0]() - started >= 0.1


def test_a_pool_older_than_the_clock_does_others_work_in_real_time() -> None:
    """What a foreign thread hands in runs on real time, on a worker that has worked for the test."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()
        go = threading.Event()
        taken: list[float] = []

        def foreign() -> None:
            go.wait()
            started = REAL_MONOTONIC[0]()
            pool.submit(time.sleep, 0.2).result()
            taken.append(REAL_MONOTONIC[0]() - started)

        thread = threading.Thread(target=foreign)
        thread.start()
        with VirtualClock() as clock:
            pool.submit(time.sleep, 3).result()
            go.set()
            thread.join()
            assert clock.elapsed == 3
        assert taken[0] >= 0.2


def test_a_pool_takes_as_long_as_its_workers_need(clock: VirtualClock) -> None:
    """Six sleeps of 3 s on two workers are 9 s, whoever else sleeps meanwhile."""
    with ThreadPoolExecutor(2) as pool, jumps_only(clock):
        futures = [pool.submit(time.sleep, 3) for _ in range(6)]
        ends = []
        for future in as_completed(futures):
            future.result()
            ends.append(clock.elapsed)
        assert clock.elapsed == 9
        time.sleep(10)
    assert clock.elapsed == 19


def test_closing_a_loop_with_a_default_executor_costs_nothing(clock: VirtualClock) -> None:
    """asyncio gives the pool 300 s to end; ending it is work, not a wait to jump over."""
    for _ in range(20):
        asyncio.run(asyncio.to_thread(int))
    assert clock.elapsed == 0


def test_a_message_of_a_thread_that_has_just_ended_comes_before_a_jump() -> None:
    """It may be left after the loop looked for it, and before the clock counts the threads."""
    loop = asyncio.new_event_loop()
    done = asyncio.Event()
    look = loop._selector.select

    def look_and_be_left_a_message(timeout: float | None) -> object:
        events = look(timeout)
        if sys._getframe(2).f_code.co_name == "select" and not done.is_set():
            loop.call_soon_threadsafe(done.set)
        return events

    loop._selector.select = look_and_be_left_a_message
    with VirtualClock() as clock:
        loop.run_until_complete(asyncio.wait_for(done.wait(), 300))
        assert clock.elapsed == 0
    loop.close()


def test_a_worker_told_to_end_does_not_count_as_idle() -> None:
    """A worker on its way out looks as if it waited for work, but the pool knows better."""
    with ThreadPoolExecutor(1) as pool:
        seen = {"executor_reference": lambda: pool, "work_queue": queue.SimpleQueue()}
        assert thread_state._in_pool_worker(seen) == thread_state.WAITS
    assert thread_state._in_pool_worker(seen) == thread_state.RUNS


def test_a_failing_or_cancelled_job_leaves_nothing_open(clock: VirtualClock) -> None:
    """Afterwards the clock jumps again."""
    with ThreadPoolExecutor(1) as pool, jumps_only(clock):
        release = threading.Event()
        first = pool.submit(release.wait)
        cancelled = pool.submit(int)
        assert cancelled.cancel()
        release.set()
        first.result()
        with pytest.raises(ZeroDivisionError):
            pool.submit(lambda: 1 / 0).result()
        time.sleep(100)
    with pytest.raises(RuntimeError):
        pool.submit(int)
    with jumps_only(clock):
        time.sleep(100)
    assert clock.elapsed == 200


class SlowExecutor(Executor):
    """An executor that is no thread pool; it finishes its only job after some real time."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Do it in a thread the clock is not told about."""
        future: Future[Any] = Future()
        timer = threading.Timer(0.2, lambda: future.set_result(fn(*args, **kwargs)))
        timer.start()
        return future


@pytest.mark.parametrize(("make", "takes"), [(SlowExecutor, 0.2), (lambda: ProcessPoolExecutor(1), 0)])
def test_other_executors_are_waited_for(clock: VirtualClock, make: Any, takes: float) -> None:
    """Whatever it runs its work in, run_in_executor's future tells when it is done; its timers are virtual."""

    async def main() -> str:
        with make() as executor:
            loop = asyncio.get_running_loop()
            return await asyncio.wait_for(loop.run_in_executor(executor, work_for, 0.1), 30)

    assert asyncio.run(main()) == "done"
    assert clock.elapsed == takes


def test_anyio_threads_are_waited_for(clock: VirtualClock) -> None:
    """anyio has its own worker threads: work is waited for, sleeps are virtual."""

    async def main() -> None:
        with anyio.fail_after(5):
            assert await anyio.to_thread.run_sync(work_for, 0.2) == "done"
        assert clock.elapsed == 0
        await anyio.to_thread.run_sync(time.sleep, 3)

    anyio.run(main)
    assert clock.elapsed == 3


def test_call_soon_threadsafe_comes_before_a_jump(clock: VirtualClock) -> None:
    """What a thread hands to a loop before it falls asleep is done at that time, not after."""
    seen: list[float] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()

        def feed() -> None:
            for _ in range(50):
                loop.call_soon_threadsafe(lambda: seen.append(clock.elapsed))
                time.sleep(1)

        thread = threading.Thread(target=feed)
        thread.start()
        await asyncio.sleep(100)
        thread.join()

    with jumps_only(clock):
        asyncio.run(main())
    assert seen == [float(second) for second in range(50)]
    assert clock.elapsed == 100


def test_a_queue_hands_over_before_a_jump(clock: VirtualClock) -> None:
    """A consumer that was just given something runs before the producer's sleep is over."""
    items: queue.Queue[float | None] = queue.Queue()
    delays: list[float] = []

    def consume() -> None:
        while (sent := items.get()) is not None:
            delays.append(clock.elapsed - sent)
            time.sleep(0.25)

    consumer = threading.Thread(target=consume)
    consumer.start()
    with jumps_only(clock):
        for _ in range(100):
            items.put(clock.elapsed)
            time.sleep(1)
    items.put(None)
    consumer.join()
    assert delays == [0.0] * 100


def test_a_lock_held_through_a_sleep_is_no_obstacle(clock: VirtualClock) -> None:
    """A rate limiter that sleeps inside `with lock:`: five threads, 1 s each, 5 s."""
    lock = threading.Lock()
    ends: list[float] = []

    def limited() -> None:
        with lock:
            time.sleep(1)
            ends.append(clock.elapsed)

    with jumps_only(clock):
        in_threads(*[limited] * 5)
    assert ends == [1, 2, 3, 4, 5]


def test_a_future_with_a_timeout_gets_its_result(clock: VirtualClock) -> None:
    """future.result(timeout=30) waits for real, and lets the worker's 3 s pass at once."""
    with ThreadPoolExecutor(1) as pool, jumps_only(clock):
        pool.submit(time.sleep, 3).result(timeout=30)
    assert clock.elapsed == 3


def test_a_wait_with_a_timeout_ends_at_its_second_beside_a_poller(clock: VirtualClock) -> None:
    """A poller in another thread gets as far as the waiter's timeout."""
    over = threading.Event()
    polls: list[float] = []

    def poll() -> None:
        while not over.is_set():
            polls.append(clock.elapsed)
            time.sleep(0.2)

    thread = threading.Thread(target=poll)
    thread.start()
    assert not threading.Event().wait(0.5)
    over.set()
    thread.join()
    assert polls == [0, 0.2, 0.4]
    assert clock.elapsed == 0.6


def test_a_lock_that_looks_like_work_costs_real_time_only(clock: VirtualClock) -> None:
    """lock.acquire() cannot be told from running: the sleep ends after as long in real time."""
    lock = threading.Lock()
    lock.acquire()
    blocked = threading.Thread(target=lock.acquire)
    blocked.start()
    started = REAL_MONOTONIC[0]()
    time.sleep(0.2)
    assert REAL_MONOTONIC[0]() - started >= 0.2
    assert clock.elapsed == 0.2
    assert clock.schedule.followed == 200_000
    lock.release()
    blocked.join()


@pytest.mark.slow
@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", ["monotonic", "time"])
def test_a_busy_loop_ends(clock: VirtualClock, name: str) -> None:
    """Code that watches a clock that stands still is helped after some seconds."""
    watch = getattr(time, name)
    deadline = watch() + 0.1
    while watch() < deadline:
        pass
    assert clock.elapsed == pytest.approx(0.1, abs=0.05)


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_a_loop_of_waits_the_clock_does_not_know_ends(clock: VirtualClock) -> None:
    """A lock with a timeout in a loop over time.monotonic: helped after a few rounds."""
    never = threading.Lock()
    never.acquire()
    deadline = time.monotonic() + 0.5
    rounds = 0
    while time.monotonic() < deadline:
        never.acquire(timeout=0.2)
        rounds += 1
    assert 3 < rounds < 20


def test_real_sockets_run_at_real_pace(clock: VirtualClock) -> None:
    """A reply that takes 0.2 real seconds costs about 0.2, and a deadline of 5 s does not fire."""

    async def main() -> bytes:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readexactly(2)
            writer.write(b"pong")
            await writer.drain()
            writer.close()

        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=ours)

        def serve() -> None:
            theirs.recv(10)
            work_for(0.2)
            theirs.send(b"pong")

        thread = threading.Thread(target=serve)
        thread.start()
        writer.write(b"hi")
        async with asyncio.timeout(5):
            reply = await reader.readexactly(4)
        elapsed = clock.elapsed
        assert elapsed > 0.15
        assert clock.schedule.followed == round(elapsed * 1_000_000)
        await asyncio.sleep(0.1)
        assert round(clock.elapsed - elapsed, 6) == 0.1
        writer.close()
        theirs.close()
        thread.join()
        del answer
        return reply

    assert asyncio.run(main()) == b"pong"


def test_a_listening_server_in_the_loop_is_a_real_socket(clock: VirtualClock) -> None:
    """Requests over loopback in one loop work; nothing jumps while the server is open."""

    async def main() -> bytes:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readexactly(2)
            await asyncio.sleep(0.05)
            writer.write(b"pong")
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"hi")
        reply = await asyncio.wait_for(reader.readexactly(4), 60)
        writer.close()
        server.close()
        return reply

    assert asyncio.run(main()) == b"pong"
    assert 0.05 <= clock.elapsed < 5


def test_a_thread_ident_used_again_is_not_mistaken() -> None:
    """A thread is known by itself: a new one with the ident of a foreign one is the test's."""
    for _ in range(20):
        over = threading.Event()
        old = threading.Thread(target=over.wait)
        old.start()
        with VirtualClock() as clock:
            over.set()
            old.join()
            with jumps_only(clock):
                in_threads(lambda: time.sleep(3))
            assert clock.elapsed == 3


def test_contextvars_and_results_pass_through_pools(clock: VirtualClock) -> None:
    """Wrapping the work changes nothing about it."""
    variable = contextvars.ContextVar("variable", default=0)
    variable.set(7)
    assert asyncio.run(asyncio.to_thread(variable.get)) == 7
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(dict, a=1).result() == {"a": 1}
        assert list(pool.map(str, range(3))) == ["0", "1", "2"]


@pytest.mark.timeout(60)
def test_many_threads_that_wait_for_each_other_stay_exact(clock: VirtualClock) -> None:
    """Sixteen threads, loops and pools at random: every sleep lasts exactly as long as it says."""
    wrong: list[tuple[float, float]] = []

    def check(seconds: float, begun: float) -> None:
        if round(clock.elapsed - begun, 6) != seconds:
            wrong.append((seconds, clock.elapsed - begun))

    def plain(number: int) -> None:
        for step in range(20):
            begun, seconds = clock.elapsed, ((number * 7 + step * 3) % 10 + 1) / 10
            time.sleep(seconds)
            check(seconds, begun)

    async def looped(number: int) -> None:
        for step in range(20):
            begun, seconds = clock.elapsed, ((number * 5 + step * 7) % 10 + 1) / 10
            if step % 5 == 4:
                await asyncio.to_thread(time.sleep, seconds)
            else:
                await asyncio.sleep(seconds)
            check(seconds, begun)

    with jumps_only(clock):
        in_threads(
            *[lambda n=n: plain(n) for n in range(8)],
            *[lambda n=n: asyncio.run(looped(n)) for n in range(8)],
        )
    assert wrong == []


def test_a_thread_that_enters_a_lock_is_recognised() -> None:
    """By what the interpreter does there; a Python that does it otherwise makes this fail, and locks slow."""
    lock = threading.Lock()

    def limited() -> None:
        with lock:
            pass

    with lock:
        thread = threading.Thread(target=limited)
        thread.start()
        REAL_SLEEP[0](0.05)
        frame = sys._current_frames()[thread.ident or 0]
        assert frame.f_code is limited.__code__
        assert thread_state.is_entering_a_lock(frame)
        assert not thread_state.is_entering_a_lock(sys._getframe())
        assert thread_state.state_of(frame) == thread_state.SEEMS_TO_WAIT
    thread.join()


def test_a_thread_that_takes_the_lock_of_a_condition_again_is_recognised(clock: VirtualClock) -> None:
    """Its wait is over, but whoever holds the lock sleeps."""
    condition = threading.Condition()
    ends: list[float] = []

    def waiter() -> None:
        with condition:
            condition.wait(1)
            ends.append(clock.elapsed)

    thread = threading.Thread(target=waiter)
    thread.start()
    time.sleep(0.5)
    with jumps_only(clock), condition:
        time.sleep(30)
    thread.join()
    assert ends == [30.5]


WAITS: dict[str, Callable[[], Any]] = {
    "Event": lambda: threading.Event().wait(5),
    "Condition": lambda: _hold(threading.Condition(), lambda it: it.wait(5)),
    "Condition.wait_for": lambda: _hold(threading.Condition(), lambda it: it.wait_for(bool, 5)),
    "Semaphore": lambda: threading.Semaphore(0).acquire(timeout=5),
    "Barrier": lambda: _raised(threading.BrokenBarrierError, threading.Barrier(2).wait, 5),
    "Queue.get": lambda: _raised(queue.Empty, queue.Queue().get, True, 5),
    "Queue.put": lambda: _raised(queue.Full, _full().put, 1, True, 5),
    "PriorityQueue": lambda: _raised(queue.Empty, queue.PriorityQueue().get, True, 5),
    "SimpleQueue": lambda: _raised(queue.Empty, queue.SimpleQueue().get, True, 5),
    "Future.result": lambda: _raised(TimeoutError, Future().result, 5),
    "Future.exception": lambda: _raised(TimeoutError, Future().exception, 5),
    "wait": lambda: wait([Future()], timeout=5).done,
    "as_completed": lambda: _raised(TimeoutError, list, as_completed([Future()], timeout=5)),
    "Thread.join": lambda: _sleeper().join(5),
}


def _hold(condition: threading.Condition, use: Callable[[Any], Any]) -> Any:
    with condition:
        return use(condition)


def _raised(kind: type[Exception], function: Callable[..., Any], *args: Any) -> None:
    with pytest.raises(kind):
        function(*args)


def _full() -> queue.Queue[int]:
    full: queue.Queue[int] = queue.Queue(1)
    full.put(0)
    return full


def _sleeper() -> threading.Thread:
    thread = threading.Thread(target=time.sleep, args=(100,), daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("kind", WAITS)
@pytest.mark.parametrize("company", [False, True], ids=["alone", "beside others"])
def test_a_wait_on_another_thread_ends_at_its_second(
    clock: VirtualClock, kind: str, *, company: bool
) -> None:
    """Nobody comes, and exactly five seconds are over."""
    if company:
        for seconds in (3, 7, 50):
            threading.Thread(target=time.sleep, args=(seconds,), daemon=True).start()
    with jumps_only(clock):
        assert not WAITS[kind]()
    assert clock.elapsed == 5


def test_a_wait_on_another_thread_ends_when_it_is_done(clock: VirtualClock) -> None:
    """Each at the moment at which the other thread did it."""
    event, box = threading.Event(), queue.SimpleQueue[int]()

    def work() -> None:
        time.sleep(2)
        event.set()
        time.sleep(2)
        box.put(7)
        time.sleep(2)

    thread = threading.Thread(target=work)
    with jumps_only(clock):
        thread.start()
        assert event.wait(5)
        assert clock.elapsed == 2
        assert box.get(timeout=5) == 7
        assert clock.elapsed == 4
        thread.join(5)
        assert not thread.is_alive()
        assert clock.elapsed == 6


def test_wrong_timeouts_raise_what_they_raise_in_real_life(clock: VirtualClock) -> None:
    """The same errors, and no time passes."""
    with pytest.raises(RuntimeError, match="un-acquired"):
        threading.Condition().wait(5)
    with pytest.raises(OverflowError):
        threading.Event().wait(1e12)
    with pytest.raises(OverflowError):
        _sleeper().join(1e12)
    with pytest.raises(RuntimeError, match="before it is started"):
        threading.Thread().join(5)
    assert not threading.Event().wait(-1)
    assert clock.elapsed == 0


@pytest.mark.parametrize("how", ["subprocess", "multiprocessing"])
def test_a_living_child_is_work(clock: VirtualClock, how: str) -> None:
    """Polls beside it take their real time, so there are only as many as fit into its life."""
    if how == "subprocess":
        command = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(0.5)"])
        lives: Callable[[], bool] = lambda: command.poll() is None  # noqa: E731 - one name for two ways to ask
    else:
        process = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(0.5,))
        process.start()
        lives = process.is_alive
    polls = 0
    while lives():
        time.sleep(0.25)
        polls += 1
    assert 1 <= polls < 80
    with jumps_only(clock):
        time.sleep(100)
    assert clock.elapsed == 0.25 * polls + 100


def test_a_child_that_has_ended_is_no_work_even_if_nobody_has_asked_for_it(clock: VirtualClock) -> None:
    """And the news of its end stays for whoever does."""
    command = subprocess.Popen([sys.executable, "-c", "raise SystemExit(7)"], stdout=subprocess.PIPE)
    assert command.stdout is not None
    command.stdout.read()  # until it has gone
    time.sleep(100)
    with jumps_only(clock):
        time.sleep(100)
    assert command.wait() == 7
    command.stdout.close()
    assert clock.elapsed == 200


def test_a_pool_of_processes_is_waited_for(clock: VirtualClock) -> None:
    """Its work takes real time and no virtual time; when it is idle, the clock jumps."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(work_for, 0.2).result(timeout=100) == "done"
        assert clock.elapsed == 0
        with jumps_only(clock):
            time.sleep(100)
    assert clock.elapsed == 100


def test_a_thread_that_computes_holds_the_clock_up(clock: VirtualClock) -> None:
    """However long it takes: a wait beside it ends when it is done, at its own second."""
    ends: list[float] = []

    def compute() -> None:
        until = time.perf_counter() + 0.4
        while time.perf_counter() < until:
            pass
        ends.append(clock.elapsed)

    thread = threading.Thread(target=compute)
    thread.start()
    time.sleep(0.05)
    assert ends == [0]
    thread.join()
    assert clock.elapsed == 0.05
