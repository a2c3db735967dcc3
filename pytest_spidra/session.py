"""The wiring of one test: who stands behind the fixtures, and the last word at the end."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from pytest_spidra import timeline, words
from pytest_spidra.clients import httpx as httpx_client
from pytest_spidra.clients import wall
from pytest_spidra.clock import Clock, RealClock
from pytest_spidra.log import ExchangeLog
from pytest_spidra.rules import judge
from pytest_spidra.stage import Stage
from pytest_spidra.verdicts import accused, charges, paragraph
from pytest_spidra.virtual_time.clock import VirtualClock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_spidra.rules import Accusation

LOCAL = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Settings:
    """What ini options and the marker say for one test.

    Args:
        base_url: The URL below which requests are answered.

        request_limit: Most requests without progress.

        allow_unused_steps: Whether scripted steps may stay unused.

        clock: ``"virtual"`` or ``"real"``.

        rules: What an accusation does: ``"warn"``, ``"error"`` or ``"off"``.

        rule_names: Which rules judge; None: all.
    """

    base_url: str
    request_limit: int
    allow_unused_steps: bool = False
    clock: Literal["virtual", "real"] = "virtual"
    rules: Literal["warn", "error", "off"] = "warn"
    rule_names: frozenset[str] | None = None


class Session:
    """Everything that one test with `spidra_mock` needs."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        virtual = settings.clock == "virtual"
        clock: Clock = VirtualClock() if virtual else RealClock()
        self._clock = clock
        self._stage = Stage(
            base_url=settings.base_url.rstrip("/"),
            clock=clock,
            limit=settings.request_limit,
            log=ExchangeLog(virtual=virtual),
        )
        self._service = self._stage.service
        self._scripts = self._stage.scripts
        self._log = self._stage.log
        self.interceptor = self._stage.interceptor
        self.mock = self._stage.api
        self.factory = self._stage.factory

    def open(self) -> ExitStack:
        """Stand between every client and the API until the returned stack is closed.

        Raises:
            RuntimeError: Something else in this process fakes the time already.
        """
        host = urlsplit(self._settings.base_url).hostname or ""
        hosts = {wall.REAL_HOST} if host in LOCAL else {wall.REAL_HOST, host}
        with ExitStack() as stack:
            self._clock.start()
            stack.callback(self._clock.stop)
            self._log.began_at = self._clock.now
            stack.enter_context(wall.walled(hosts, self.interceptor.fail))
            stack.enter_context(httpx_client.shared_tls())
            self._attachment = httpx_client.Attachment(self.interceptor)
            stack.callback(self._attachment.close)
            return stack.pop_all()

    def to_front(self) -> None:
        """Stand before other patches that came after ours."""
        self._attachment.to_front()

    def sweep(self) -> None:
        """Leave nothing behind in httpx, whoever put us back there after the session was closed."""
        httpx_client.sweep()

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
        unused = [*self._scripts.unused, *self._unused_of_service()]
        if not unused or self._settings.allow_unused_steps:
            return None
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

    def _unused_of_service(self) -> Iterator[str]:
        asked_for = {url for exchange in self._log for url in words.urls_of(exchange)}
        for url in self._service.unused_outcomes:
            if url not in asked_for:
                yield f"batch.outcomes: no batch had the URL {url}"
        for ending in self._service.ends:
            yield f'batch.ends("{ending.status}"): no batch was submitted after it'
