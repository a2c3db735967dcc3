"""The wiring of one test: who stands behind the fixtures, and the last word at the end."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from pytest_spidra import timeline, words
from pytest_spidra.clients import httpx as httpx_client
from pytest_spidra.clients import network_guard
from pytest_spidra.clock import Clock, RealClock
from pytest_spidra.log import ExchangeLog
from pytest_spidra.rules import judge
from pytest_spidra.stage import Stage
from pytest_spidra.verdicts import accused, charges, paragraph
from pytest_spidra.virtual_time.clock import VirtualClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pytest_spidra.batches import Batch
    from pytest_spidra.fake.service import Service
    from pytest_spidra.interceptor import Interceptor
    from pytest_spidra.mock import SpidraApi
    from pytest_spidra.rules import Accusation
    from pytest_spidra.scripts import Scripts

LOCAL = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Settings:
    """What ini options and the marker say for one test.

    Args:
        base_url: The URL below which requests are answered, without a slash at its end.

        request_limit: Most requests without progress.

        allow_unused_steps: Whether scripted steps may stay unused.

        clock: ``"virtual"`` or ``"real"``.

        rules: What an accusation does: ``"warn"``, ``"error"`` or ``"off"``.

        rule_names: Which rules judge; None: all.

        fixture: What the test asked for: ``"spidra_mock"``, ``"spidra_api"`` or ``"spidra_server"``.
    """

    base_url: str
    request_limit: int
    allow_unused_steps: bool = False
    clock: Literal["virtual", "real"] = "virtual"
    rules: Literal["warn", "error", "off"] = "warn"
    rule_names: frozenset[str] | None = None
    fixture: str = "spidra_mock"

    @property
    def virtual(self) -> bool:
        """Whether the test's clock is the virtual one."""
        return self.clock == "virtual"


class Session:
    """What one test needs, whoever answers it.

    Args:
        settings: What was said for this test.

        api: What the test holds.

        interceptor: Where requests come in.

        log: The exchanges.

        clock: The test's time.

        scripts: What happens to requests.

        factory: Makes batches.
    """

    refusal: str | None = None
    """Why the test cannot even begin, or None."""

    passed = False
    """Whether the test has run and nothing was wrong, so far."""

    def __init__(
        self,
        settings: Settings,
        *,
        api: SpidraApi,
        interceptor: Interceptor,
        log: ExchangeLog,
        clock: Clock,
        scripts: Scripts,
        factory: Callable[..., Batch],
    ) -> None:
        self._settings = settings
        self.api = api
        self.interceptor = interceptor
        self._log = log
        self._clock = clock
        self._scripts = scripts
        self.factory = factory
        self._attachment: httpx_client.Attachment | None = None

    def open(self) -> ExitStack:
        """Stand between every client and the API until the returned stack is closed.

        Raises:
            RuntimeError: Something else in this process fakes the time already.
        """
        host = urlsplit(self._settings.base_url).hostname or ""
        hosts = {network_guard.REAL_HOST} if host in LOCAL else {network_guard.REAL_HOST, host}
        with ExitStack() as stack:
            self._clock.start()
            stack.callback(self._clock.stop)
            self._log.began_at = self._clock.now
            fail, fixture = self.interceptor.fail, self._settings.fixture
            stack.enter_context(network_guard.block_hosts(hosts, fail, fixture=fixture, allow=self._passes))
            stack.enter_context(httpx_client.shared_tls())
            self._attachment = httpx_client.Attachment(self.interceptor)
            stack.callback(self._attachment.close)
            return stack.pop_all()

    def _passes(self) -> bool:
        """Whether somebody may go to the real API just now."""
        return False

    def to_front(self) -> None:
        """Stand before other patches that came after ours."""
        if self._attachment:
            self._attachment.to_front()

    def sweep(self) -> None:
        """Leave nothing behind in httpx, whoever put us back there after the session was closed."""
        if self._attachment:
            httpx_client.sweep()

    def finish(self) -> str | None:
        """Do what is left when the test has passed; return why it fails all the same, or None."""
        return None

    def cleared_up(self) -> str | None:
        """Do what is left when the test has passed and its fixtures have cleared up; return what is wrong, or None."""
        return None

    @cached_property
    def accusations(self) -> list[Accusation]:
        """What the rules find, at the end of the test."""
        settings = self._settings
        return [] if settings.rules == "off" else judge(self._log, settings.rule_names)

    @property
    def verdict(self) -> str | None:
        """What the rules find, in words, or None."""
        return accused(self.accusations, self._log) if self.accusations else None

    @property
    def timeline(self) -> str:
        """The exchanges, guilty ones marked, and what they are guilty of; empty when there were none."""
        guilty = {number for accusation in self.accusations for number in accusation.numbers}
        parts = [timeline.render(self._log, guilty), charges(self.accusations)] if self._log else []
        return "\n\n".join(part for part in parts if part)

    @property
    def rules(self) -> str:
        """What an accusation does: ``"warn"``, ``"error"`` or ``"off"``."""
        return self._settings.rules

    @property
    def failures(self) -> list[str]:
        """What has failed the test already, in case the code under test swallowed it."""
        return self.interceptor.failures

    def last_word(self) -> str | None:
        """Return why a test that passed by itself fails all the same, rules aside, or None."""
        if self.failures:
            end = "Something swallowed this: the code under test went on, and the test fails all the same."
            return "\n\n".join([*self.failures, paragraph(end)])
        unused = [*self._scripts.unused, *self._unreached()]
        if not unused or self._settings.allow_unused_steps:
            return self._unplayed()
        what = "A scripted step was" if len(unused) == 1 else f"{len(unused)} scripted steps were"
        parts = [
            "\n".join([f"{what} never reached:", *(f"    {step}" for step in unused)]),
            paragraph("What this test is about did not happen, so the test shows nothing about it."),
            timeline.render(self._log) if self._log else "The client sent no request at all.",
            paragraph(
                "To fix it, let the client get there, or take the step out. To allow it, mark the test "
                "@pytest.mark.spidra(allow_unused_steps=True)."
            ),
        ]
        return "\n\n".join(parts)

    def _unreached(self) -> Iterable[str]:
        """Yield what else was scripted and never happened."""
        return ()

    def _unplayed(self) -> str | None:
        """Return what was to happen by a recording, and did not, or None."""
        return None


class FakeSession(Session):
    """A test with the fake service, in this process."""

    def __init__(self, settings: Settings) -> None:
        clock: Clock = VirtualClock() if settings.virtual else RealClock()
        stage = Stage(
            base_url=settings.base_url,
            clock=clock,
            limit=settings.request_limit,
            log=ExchangeLog(virtual=settings.virtual),
        )
        if settings.fixture == "spidra_api":
            # What is to be recorded as well has only what the real service has.
            stage.service.account.invalid_hosts_fail = stage.factory.unresolvable = True
        self.mock = stage.api
        super().__init__(settings, clock=clock, **staged(stage))
        self._service = stage.service

    def _unreached(self) -> Iterable[str]:
        return unreached(self._service, self._log)


class ServerSession(Session):
    """A test with the fake service on a loopback port. Its clients may be anywhere, so time is real."""

    def __init__(self, settings: Settings) -> None:
        try:
            from pytest_spidra.server import Server  # noqa: PLC0415 - only for those who serve: it needs h11
        except ModuleNotFoundError as error:
            msg = f"{error}: pip install 'pytest-spidra[server]'"
            raise RuntimeError(msg) from None
        self._server = Server()
        stage = self._server.stage
        self.server = self._server.api
        super().__init__(settings, clock=self.server.clock, **staged(stage))
        self._service = stage.service

    def open(self) -> ExitStack:
        """Serve until the returned stack is closed.

        Raises:
            RuntimeError: There can be no server here.
        """
        with ExitStack() as stack:
            self._server.start()
            stack.callback(self._server.stop)
            return stack.pop_all()

    @property
    def failures(self) -> list[str]:
        """What has failed the test already, and what went wrong in the server."""
        return [*super().failures, *map(repr, self._server.errors)]

    def _unreached(self) -> Iterable[str]:
        return unreached(self._service, self._log)


def staged(stage: Stage) -> dict[str, Any]:
    """Return what a session takes from a stage."""
    return {
        "api": stage.api,
        "interceptor": stage.interceptor,
        "log": stage.log,
        "scripts": stage.scripts,
        "factory": stage.factory,
    }


def unreached(service: Service, log: ExchangeLog) -> Iterator[str]:
    """Yield the outcomes and ends of batches that were scripted and never came to be."""
    asked_for = {url for exchange in log for url in words.urls_of(exchange)}
    for url in service.unused_outcomes:
        if url not in asked_for:
            yield f"batch.outcomes: no batch had the URL {url}"
    for ending in service.ends:
        yield f'batch.ends("{ending.status}"): no batch was submitted after it'
