"""One table: how code waits or keeps its deadline x where it runs. Free, exact, and with the outcome of real life."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import functools
import queue
import sched
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from concurrent.futures import wait as wait_for_futures
from time import monotonic as early_monotonic
from time import sleep as early_sleep
from unittest import mock

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest
from real_waits import jumps_only


class BoomError(Exception):
    pass


def library(name):
    """Import a library; where it is not installed, as with the lowest versions, its rows are skipped."""
    return pytest.importorskip(name)


def fail():
    raise BoomError


# -- waits of plain code: each takes ten seconds ---------------------------------------------------


def deadline(now, pause=lambda seconds: time.sleep(seconds)):  # noqa: PLW0108 - the name is looked up when it is called
    def loop():
        end = now() + 10
        rounds = 0
        while now() < end:
            pause(2.5)
            rounds += 1
        assert rounds == 4

    return loop


def rest_of_a_deadline(now):
    def loop():
        end = now() + 10
        while (left := end - now()) > 0:
            time.sleep(min(left, 0.7))

    return loop


def date_deadline(now):
    def loop():
        end = now() + dt.timedelta(seconds=10)
        while now() < end:
            time.sleep(2.5)

    return loop


def raising(kind, function, *args, **kwargs):
    def run():
        with pytest.raises(kind):
            function()(*args, **kwargs)

    return run


def on_condition():
    condition = threading.Condition()
    with condition:
        assert not condition.wait_for(lambda: False, 10)


def full_queue():
    full = queue.Queue(1)
    full.put(0)
    return full.put


def sleeper():
    thread = threading.Thread(target=time.sleep, args=(25,), daemon=True)
    thread.start()
    return thread


def join_that_times_out():
    thread = sleeper()
    thread.join(10)
    assert thread.is_alive()


def result_that_times_out():
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(time.sleep, 10)
        with pytest.raises(TimeoutError):
            future.result(timeout=4)


def event_that_comes():
    event = threading.Event()
    threading.Timer(10, event.set).start()
    assert event.wait(100)


def queue_that_is_fed():
    items = queue.Queue()
    threading.Timer(10, items.put, (1,)).start()
    assert items.get(timeout=100) == 1


def worker_with_a_stop_event():
    stop, polls = threading.Event(), []

    def work():
        while not stop.wait(2.5):
            polls.append(time.monotonic())

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(10 - 1e-6)
    stop.set()
    thread.join()
    assert len(polls) == 3
    time.sleep(1e-6)


def three_at_once():
    threads = [threading.Thread(target=time.sleep, args=(10,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def with_a_lock():
    lock = threading.Lock()

    def limited():
        with lock:
            time.sleep(5)

    threads = [threading.Thread(target=limited) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def by_default(sleep=time.sleep):
    sleep(10)


def scheduler():
    events = sched.scheduler()
    events.enter(10, 1, lambda: None)
    events.run()


# -- libraries ---------------------------------------------------------------------------------------


def tenacity_attempts():
    tenacity = library("tenacity")
    policy = tenacity.retry(wait=tenacity.wait_fixed(5), stop=tenacity.stop_after_attempt(3), reraise=True)
    with pytest.raises(BoomError):
        policy(fail)()


def tenacity_delay():
    tenacity = library("tenacity")
    policy = tenacity.retry(wait=tenacity.wait_fixed(2.5), stop=tenacity.stop_after_delay(10), reraise=True)
    with pytest.raises(BoomError):
        policy(fail)()


def stamina_attempts():
    stamina = library("stamina")
    policy = stamina.retry(on=BoomError, attempts=3, timeout=None, wait_initial=5, wait_max=5, wait_jitter=0)
    with pytest.raises(BoomError):
        policy(fail)()


def stamina_timeout():
    stamina = library("stamina")
    policy = stamina.retry(
        on=BoomError, attempts=None, timeout=10, wait_initial=2.5, wait_max=2.5, wait_jitter=0
    )
    with pytest.raises(BoomError):
        policy(fail)()


def backoff_tries():
    backoff = library("backoff")
    with pytest.raises(BoomError):
        backoff.on_exception(backoff.constant, BoomError, interval=5, max_tries=3, jitter=None)(fail)()


def backoff_time():
    backoff = library("backoff")
    with pytest.raises(BoomError):
        backoff.on_exception(backoff.constant, BoomError, interval=2.5, max_time=10, jitter=None)(fail)()


def retrying_attempts():
    retrying = library("retrying")
    with pytest.raises(BoomError):
        retrying.retry(wait_fixed=5_000, stop_max_attempt_number=3)(fail)()


def retrying_delay():
    retrying = library("retrying")
    with pytest.raises(BoomError):
        retrying.retry(wait_fixed=2_500, stop_max_delay=10_000)(fail)()


def opnieuw_window():
    opnieuw = library("opnieuw")
    policy = opnieuw.retry(
        retry_on_exceptions=BoomError, max_calls_total=3, retry_window_after_first_call_in_seconds=15
    )
    begun, calls = time.monotonic(), []

    def call():
        calls.append(time.monotonic() - begun)
        raise BoomError

    with pytest.raises(BoomError):
        policy(call)()
    assert len(calls) == 3
    assert 0 < calls[-1] <= 15
    time.sleep(20 - calls[-1])  # it draws its waits: to twenty seconds in all


def google_deadline():
    retry = library("google.api_core.retry")
    policy = retry.Retry(
        predicate=retry.if_exception_type(BoomError), initial=2.5, maximum=2.5, multiplier=1, timeout=10
    )
    calls = []

    def call():
        calls.append(1)
        raise BoomError

    with mock.patch("random.uniform", lambda _, most: most):  # it draws its waits from 0 to this
        with pytest.raises(Exception, match=r"(?i)timeout of 10"):
            policy(call)()
    assert len(calls) == 5


def polling2_timeout():
    polling2 = library("polling2")
    with pytest.raises(polling2.TimeoutException):
        polling2.poll(lambda: False, step=2.5, timeout=10)


def ratelimit_waits():
    ratelimit = library("ratelimit")
    calls = []
    limited = ratelimit.sleep_and_retry(
        ratelimit.limits(calls=1, period=10)(lambda: calls.append(time.monotonic()))
    )
    limited()
    limited()
    assert calls[1] - calls[0] == pytest.approx(10, abs=2e-6)


def pyrate_waits():
    pyrate = library("pyrate_limiter")
    limiter = pyrate.Limiter(pyrate.Rate(1, pyrate.Duration.SECOND * 10))
    acquire = functools.partial(limiter.try_acquire, "a")
    acquire()
    asked, sleep = [], pyrate.limiter.sleep

    def noted(seconds):
        asked.append(seconds)
        sleep(seconds)

    with mock.patch.object(pyrate.limiter, "sleep", noted), contextlib.suppress(Exception):
        acquire()
    # A window, and what versions of it add to that; the table sees that it took as long as was asked.
    assert 9.9 <= sum(asked) <= 10.1
    time.sleep(20 - sum(asked))


async def aiolimiter_waits():
    limiter = library("aiolimiter").AsyncLimiter(1, 10)
    for _ in range(2):
        async with limiter:
            pass


PLAIN = {
    "time.sleep": lambda: time.sleep(10),
    "from time import sleep": lambda: early_sleep(10),
    "a default argument": by_default,
    "sched": scheduler,
    "time.monotonic": deadline(lambda: time.monotonic()),  # noqa: PLW0108 - see above
    "time.monotonic_ns": deadline(lambda: time.monotonic_ns() / 1e9),
    "from time import monotonic": deadline(lambda: early_monotonic()),  # noqa: PLW0108 - see above
    "time.time": deadline(lambda: time.time()),  # noqa: PLW0108 - see above
    "time.time_ns": deadline(lambda: time.time_ns() / 1e9),
    "what is left of time.monotonic": rest_of_a_deadline(lambda: time.monotonic()),  # noqa: PLW0108 - see above
    "what is left of time.time": rest_of_a_deadline(lambda: time.time()),  # noqa: PLW0108 - see above
    "datetime.now": date_deadline(dt.datetime.now),
    "datetime.now(UTC)": date_deadline(lambda: dt.datetime.now(dt.UTC)),
    "Event.wait": lambda: threading.Event().wait(10),
    "Event.wait in a loop": deadline(time.monotonic, lambda seconds: threading.Event().wait(seconds)),
    "an event that comes": event_that_comes,
    "Condition.wait_for": on_condition,
    "Semaphore.acquire": lambda: threading.Semaphore(0).acquire(timeout=10),
    "Barrier.wait": raising(threading.BrokenBarrierError, lambda: threading.Barrier(2).wait, 10),
    "Queue.get": raising(queue.Empty, lambda: queue.Queue().get, timeout=10),
    "Queue.put": raising(queue.Full, full_queue, 1, timeout=10),
    "SimpleQueue.get": raising(queue.Empty, lambda: queue.SimpleQueue().get, timeout=10),
    "a queue that is fed": queue_that_is_fed,
    "Future.result": raising(TimeoutError, lambda: Future().result, 10),
    "Future.result of a sleeper": result_that_times_out,
    "wait": lambda: wait_for_futures([Future()], timeout=10),
    "as_completed": raising(TimeoutError, lambda: lambda: list(as_completed([Future()], timeout=10))),
    "Thread.join": join_that_times_out,
    "a worker with a stop event": worker_with_a_stop_event,
    "three threads": three_at_once,
    "a lock held through a sleep": with_a_lock,
    "tenacity, attempts": tenacity_attempts,
    "tenacity, delay": tenacity_delay,
    "stamina, attempts": stamina_attempts,
    "stamina, timeout": stamina_timeout,
    "backoff, tries": backoff_tries,
    "backoff, time": backoff_time,
    "retrying, attempts": retrying_attempts,
    "retrying, delay": retrying_delay,
    "opnieuw": opnieuw_window,
    "google-api-core": google_deadline,
    "polling2": polling2_timeout,
    "ratelimit": ratelimit_waits,
    "pyrate-limiter": pyrate_waits,
}
TAKES = {"opnieuw": 20, "pyrate-limiter": 20}


# -- waits of coroutines -----------------------------------------------------------------------------


async def timeout_of_asyncio():
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(10):
            await asyncio.Event().wait()


async def wait_for():
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.Event().wait(), 10)


async def asyncio_wait():
    task = asyncio.create_task(asyncio.sleep(100))
    _, pending = await asyncio.wait([task], timeout=10)
    assert pending
    task.cancel()


async def call_later():
    done = asyncio.Event()
    asyncio.get_running_loop().call_later(10, done.set)
    await done.wait()


async def loop_time():
    loop = asyncio.get_running_loop()
    end = loop.time() + 10
    while loop.time() < end:
        await asyncio.sleep(2.5)


async def left_of_loop_time():
    loop = asyncio.get_running_loop()
    end = loop.time() + 10
    while (left := end - loop.time()) > 0:
        await asyncio.sleep(min(left, 0.7))


async def queue_of_asyncio():
    items = asyncio.Queue()
    asyncio.get_running_loop().call_later(10, items.put_nowait, 1)
    assert await items.get() == 1


async def gathered():
    await asyncio.gather(*(asyncio.sleep(seconds) for seconds in (10, 3, 10)))


async def in_a_thread():
    await asyncio.to_thread(time.sleep, 10)


async def in_a_thread_with_a_deadline():
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.to_thread(time.sleep, 10), 4)
    await asyncio.sleep(6)


async def anyio_sleep():
    await anyio.sleep(10)


async def anyio_move_on():
    with anyio.move_on_after(10):
        await anyio.sleep_forever()


async def anyio_fail():
    with pytest.raises(TimeoutError):
        with anyio.fail_after(10):
            await anyio.sleep_forever()


async def anyio_thread():
    await anyio.to_thread.run_sync(time.sleep, 10)


async def tenacity_coroutine():
    tenacity = library("tenacity")

    @tenacity.retry(wait=tenacity.wait_fixed(2.5), stop=tenacity.stop_after_delay(10), reraise=True)
    async def call():
        raise BoomError

    with pytest.raises(BoomError):
        await call()


async def stamina_coroutine():
    stamina = library("stamina")

    @stamina.retry(on=BoomError, attempts=3, timeout=None, wait_initial=5, wait_max=5, wait_jitter=0)
    async def call():
        raise BoomError

    with pytest.raises(BoomError):
        await call()


async def backoff_coroutine():
    backoff = library("backoff")

    @backoff.on_exception(backoff.constant, BoomError, interval=2.5, max_time=10, jitter=None)
    async def call():
        raise BoomError

    with pytest.raises(BoomError):
        await call()


COROUTINES = {
    "asyncio.sleep": lambda: asyncio.sleep(10),
    "asyncio.timeout": timeout_of_asyncio,
    "asyncio.wait_for": wait_for,
    "asyncio.wait": asyncio_wait,
    "call_later": call_later,
    "loop.time": loop_time,
    "what is left of loop.time": left_of_loop_time,
    "asyncio.Queue": queue_of_asyncio,
    "gather": gathered,
    "to_thread": in_a_thread,
    "a deadline for to_thread": in_a_thread_with_a_deadline,
    "anyio.sleep": anyio_sleep,
    "anyio.move_on_after": anyio_move_on,
    "anyio.fail_after": anyio_fail,
    "anyio.to_thread": anyio_thread,
    "tenacity": tenacity_coroutine,
    "stamina": stamina_coroutine,
    "backoff": backoff_coroutine,
    "aiolimiter": aiolimiter_waits,
}


# -- where it runs -----------------------------------------------------------------------------------


def in_thread(function):
    raised = []

    def run():
        try:
            function()
        except BaseException as error:  # noqa: BLE001 - also a skip; it is raised again
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if raised:
        raise raised[0]


def in_executor(function):
    with ThreadPoolExecutor(1) as pool:
        pool.submit(function).result()


def in_loop_s_executor(function):
    async def main():
        await asyncio.get_running_loop().run_in_executor(None, function)

    asyncio.run(main())


def in_anyio_s_thread(function):
    async def main():
        await anyio.to_thread.run_sync(function)

    anyio.run(main)


async def whole(make):
    await make()


WHERE_PLAIN = {
    "here": lambda function: function(),
    "in a thread": in_thread,
    "in an executor": in_executor,
    "in a loop's executor": in_loop_s_executor,
    "in anyio's thread": in_anyio_s_thread,
}
WHERE_COROUTINES = {
    "asyncio.run": lambda make: asyncio.run(whole(make)),
    "asyncio.run in a thread": lambda make: in_thread(lambda: asyncio.run(whole(make))),
    "asyncio.run in an executor": lambda make: in_executor(lambda: asyncio.run(whole(make))),
    "anyio.run": lambda make: anyio.run(whole, make),
}
ROWS = [
    *((how, where, WHERE_PLAIN[where], PLAIN[how]) for how in PLAIN for where in WHERE_PLAIN),
    *(
        (how, where, WHERE_COROUTINES[where], COROUTINES[how])
        for how in COROUTINES
        for where in WHERE_COROUTINES
    ),
]


@pytest.mark.filterwarnings("ignore:'asyncio.iscoroutinefunction':DeprecationWarning")  # backoff asks for it
@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("how", "where", "run", "wait"), ROWS, ids=[f"{how}-{where}" for how, where, *_ in ROWS]
)
def test_a_wait_is_free_and_exact(clock, how, where, run, wait):
    """To the microsecond, on every machine."""
    with jumps_only(clock):
        run(wait)
    assert round(clock.elapsed * 1_000_000) == TAKES.get(how, 10) * 1_000_000


def test_the_table_has_its_rows():
    assert len(ROWS) >= 60
