"""What stands between a client's library and whoever answers, put together for one test or one server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from pytest_spidra.fake.service import Service
from pytest_spidra.fixtures.api import SpidraApi
from pytest_spidra.fixtures.chapters import Chapters
from pytest_spidra.fixtures.factory import BatchFactory
from pytest_spidra.fixtures.handles import Handles
from pytest_spidra.fixtures.job_factory import JobFactory
from pytest_spidra.fixtures.mock import SpidraMock
from pytest_spidra.interception.interceptor import Interceptor
from pytest_spidra.interception.upstreams import FakeUpstream
from pytest_spidra.verdicts.messages import MARK

if TYPE_CHECKING:
    from pytest_spidra.interception.upstreams import LocalUpstream, RemoteUpstream
    from pytest_spidra.traffic.clock import Clock
    from pytest_spidra.traffic.log import ExchangeLog

API_KEY = "spd_mock"

Mock = TypeVar("Mock", bound=SpidraMock)


@dataclass(frozen=True)
class Wiring:
    """What a test needs, whoever answers it.

    Args:
        api: What the test holds.

        interceptor: Where requests come in.

        log: The exchanges.

        clock: The test's time.
    """

    api: SpidraApi
    interceptor: Interceptor
    log: ExchangeLog
    clock: Clock


@dataclass(frozen=True)
class FakeWiring(Wiring, Generic[Mock]):
    """The same with the fake service behind it."""

    api: Mock
    service: Service
    factory: BatchFactory
    chapters: Chapters
    job_factory: JobFactory


def wire(
    upstream: LocalUpstream | RemoteUpstream,
    *,
    base_url: str,
    clock: Clock,
    log: ExchangeLog,
    limit: int | None,
    mode: str,
    api_key: str,
) -> Wiring:
    """Put an interceptor before an upstream, and what a test holds before that.

    Args:
        upstream: Who answers.

        base_url: The URL below which requests are answered, without a slash at its end.

        clock: The test's time.

        log: Where exchanges are noted.

        limit: Most requests without progress; None: any number.

        mode: What `SpidraApi.mode` says.

        api_key: The key that users are given.
    """
    interceptor = Interceptor(base_url=base_url, upstream=upstream, log=log, clock=clock, limit=limit)
    api = SpidraApi(
        base_url=base_url, api_key=api_key, exchanges=log, clock=clock, scripts=interceptor.scripts, mode=mode
    )
    return Wiring(api=api, interceptor=interceptor, log=log, clock=clock)


def wire_fake(
    kind: type[Mock],
    *,
    base_url: str,
    clock: Clock,
    log: ExchangeLog,
    limit: int | None,
    mode: str = "mock",
    answers_unknown: bool = False,
    as_recorded: bool = False,
    api_key: str = API_KEY,
    seed: str = "",
    silence: float | None = None,
    way: str = MARK,
) -> FakeWiring[Mock]:
    """Put an interceptor before a fake service of its own, and what a test holds before that.

    Args:
        kind: What users hold.

        base_url: The URL below which requests are answered, without a slash at its end.

        clock: The time of the service and of the log.

        log: Where exchanges are noted.

        limit: Most requests without progress; None: any number.

        mode: What `SpidraApi.mode` says.

        answers_unknown: Whether an unknown endpoint gets a 404, as from a server, or fails the test.

        as_recorded: Whether the factory can only make what can be ordered of the real service.

        api_key: The key that users are given.

        seed: Makes the ids of batches differ from another test's.

        silence: For clients elsewhere: seconds after which one that is to time out, and waits on, is hung up on.

        way: How a setting is given, in words.
    """
    service = Service(seed=seed)
    service.jobs.files.base_url = base_url
    service.account.watch(log.changed)
    service.account.invalid_hosts_fail = as_recorded or answers_unknown
    upstream = FakeUpstream(service, clock, base_url, answers_unknown=answers_unknown)
    interceptor = Interceptor(
        base_url=base_url,
        upstream=upstream,
        log=log,
        clock=clock,
        limit=limit,
        silence=silence,
        awaits_time=upstream.awaits_time,
    )
    handles = Handles(service, clock, interceptor.lock)
    factory = BatchFactory(handles, unresolvable=as_recorded)
    chapters = Chapters(
        interceptor.lock,
        [*interceptor.scripts.scripted, *service.scripted],
        log.clear,
        interceptor.forget_progress,
        lambda: service.begin_chapter(clock.now),
    )
    api = kind(
        base_url=base_url,
        api_key=api_key,
        exchanges=log,
        clock=clock,
        scripts=interceptor.scripts,
        handles=handles,
        router=upstream.router,
        factory=factory,
        chapters=chapters,
        way=way,
        mode=mode,
    )
    return FakeWiring(
        api=api,
        interceptor=interceptor,
        log=log,
        clock=clock,
        service=service,
        factory=factory,
        chapters=chapters,
        job_factory=JobFactory(handles),
    )
