"""A running clock, and a daemon that was there before it."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from pytest_spidra.clock.virtual import VirtualClock

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def clock() -> Iterator[VirtualClock]:
    """Return a running clock."""
    with VirtualClock() as running:
        yield running


@pytest.fixture
def daemon() -> Iterator[list[float]]:
    """Run a thread that polls every 10 ms and was there before the clock; return its polls."""
    polls: list[float] = []
    over = threading.Event()

    def poll() -> None:
        while not over.is_set():
            time.sleep(0.01)
            polls.append(time.monotonic())

    thread = threading.Thread(target=poll, daemon=True)
    thread.start()
    yield polls
    over.set()
    thread.join()
