"""Tests that the fake service answers: in this process, or on a port."""

from __future__ import annotations

import functools
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pytest_spidra.clock.real import RealClock
from pytest_spidra.clock.units import MICROSECONDS
from pytest_spidra.clock.virtual import VirtualClock
from pytest_spidra.fixtures.mock import SpidraMock
from pytest_spidra.sessions.conclusion import end_chapter
from pytest_spidra.sessions.session import Session, unreached
from pytest_spidra.sessions.wiring import wire_fake
from pytest_spidra.traffic.log import ExchangeLog

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_spidra.settings import Settings
    from pytest_spidra.traffic.clock import Clock


class FakeSession(Session):
    """A test with the fake service, in this process."""

    def __init__(self, settings: Settings) -> None:
        clock: Clock = VirtualClock() if settings.virtual else RealClock()
        wiring = wire_fake(
            SpidraMock,
            base_url=settings.base_url,
            clock=clock,
            log=ExchangeLog(virtual=settings.virtual),
            limit=settings.request_limit,
            # What is to be recorded as well has only what the real service has.
            as_recorded=settings.fixture == "spidra_api",
            seed=settings.test,
            way=settings.way,
        )
        self.chapters = wiring.chapters
        self.chapters.judge = functools.partial(end_chapter, self)
        super().__init__(settings, wiring, wiring.factory, wiring.job_factory)
        self.mock = wiring.api
        self.service = wiring.service

    def to_whole_second(self) -> datetime:
        """Let the test's time go on to a whole second, and return it: HTTP dates have no more than that."""
        clock = self.mock.clock
        if beyond := clock.now % MICROSECONDS:
            clock.advance((MICROSECONDS - beyond) / MICROSECONDS)
        return datetime.fromtimestamp(clock.now / MICROSECONDS, UTC)

    def _unreached(self) -> Iterable[str]:
        return unreached(self.service, self.wiring.log)


class ServerSession(Session):
    """A test with the fake service on a loopback port. Its clients may be anywhere, so time is real."""

    def __init__(self, settings: Settings, *, host: str = "127.0.0.1", port: int = 0) -> None:
        try:
            from pytest_spidra.sessions.server import Server
        except ModuleNotFoundError as error:
            msg = f"{error}: pip install 'pytest-spidra[server]'"
            raise RuntimeError(msg) from None
        self._server = Server(host=host, port=port, way=settings.way)
        wiring = self._server.wiring
        self.chapters = wiring.chapters
        self.chapters.judge = functools.partial(end_chapter, self)
        super().__init__(settings, wiring, wiring.factory, wiring.job_factory)
        self.server = wiring.api
        self.service = wiring.service

    def open(self) -> None:
        """Serve until `close`.

        Raises:
            RuntimeError: There can be no server here.
        """
        self._server.start()
        self._opened.callback(self._server.stop)

    @property
    def failures(self) -> list[str]:
        """What has failed the test already, and what went wrong in the server."""
        return [*super().failures, *map(repr, self._server.errors)]

    def _unreached(self) -> Iterable[str]:
        return unreached(self.service, self.wiring.log)
