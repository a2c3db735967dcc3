"""The stage: the fake service, wired to its interceptor and to what users hold, for a test or for a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_spidra.factory import BatchFactory
from pytest_spidra.fake.service import Service
from pytest_spidra.interceptor import Interceptor
from pytest_spidra.mock import SpidraMock
from pytest_spidra.scripts import Scripts
from pytest_spidra.upstreams import FakeUpstream

if TYPE_CHECKING:
    from pytest_spidra.clock.real import Clock
    from pytest_spidra.log import ExchangeLog

API_KEY = "spd_mock"


class Stage:
    """Everything that stands between a client's adapter and the fake.

    Args:
        base_url: The URL below which requests are answered, without a slash at its end.

        clock: The time of the service and of the log.

        log: Where exchanges are noted.

        limit: Most requests without progress; None: any number.

        kind: What users hold.

        knows_all: Whether an unknown endpoint gets a 404, as from a server, or fails the test.

        api_key: The key that users are given.
    """

    def __init__(
        self,
        *,
        base_url: str,
        clock: Clock,
        log: ExchangeLog,
        limit: int | None,
        kind: type[SpidraMock] = SpidraMock,
        knows_all: bool = False,
        api_key: str = API_KEY,
    ) -> None:
        self.log = log
        self.scripts = Scripts()
        self.service = Service()
        self.service.account.watch(log.changed)
        upstream = FakeUpstream(self.service, clock, base_url, knows_all=knows_all)
        self.interceptor = Interceptor(
            base_url=base_url, scripts=self.scripts, upstream=upstream, log=log, clock=clock, limit=limit
        )
        self.api = kind(
            service=self.service,
            upstream=upstream,
            scripts=self.scripts,
            lock=self.interceptor.lock,
            base_url=base_url,
            api_key=api_key,
            exchanges=log,
            clock=clock,
        )
        self.factory = BatchFactory(self.api, self.service)
