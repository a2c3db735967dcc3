"""Wait for what nothing can bring, in a process where nobody else's thread lives: ``python still_waits.py KIND``."""

from __future__ import annotations

import asyncio
import queue
import sys
import threading

from pytest_spidra.clock import brakes
from pytest_spidra.clock.brakes import EndlessWaitError
from pytest_spidra.clock.virtual import VirtualClock


def forever_in_a_queue():
    async def main():
        async def produce():
            raise ValueError

        task = asyncio.create_task(produce())
        await asyncio.wait([task])
        task.exception()
        await asyncio.Queue().get()

    asyncio.run(main())


def forever_in_a_join():
    threading.Thread(target=(never := threading.Event()).wait, daemon=True).start()
    thread = threading.Thread(target=never.wait, daemon=True)
    thread.start()
    thread.join()


STILL = {
    "asyncio.Queue": forever_in_a_queue,
    "queue.Queue": lambda: queue.Queue().get(),
    "Event": lambda: threading.Event().wait(),
    "join": forever_in_a_join,
}

if __name__ == "__main__":
    brakes._STILL_FOR_NATIVE = brakes._STILL_FOR
    try:
        with VirtualClock():
            STILL[sys.argv[1]]()
    except EndlessWaitError as error:
        print(error)
