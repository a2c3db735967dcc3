"""The interceptor: on the client's side of everything else.

It asks the script, forwards what the script lets through, and logs. It sits above any recorder, so a scripted
503 never enters a recording and the same script works whatever answers.
"""

from __future__ import annotations

import functools
import threading
from typing import TYPE_CHECKING, NoReturn, cast
from urllib.parse import urlsplit

import pytest

from pytest_spidra.interception import messages, timeouts
from pytest_spidra.interception.upstreams import LocalUpstream, RemoteUpstream
from pytest_spidra.scripting.scripts import Scripts
from pytest_spidra.scripting.steps import ok
from pytest_spidra.traffic import endpoints
from pytest_spidra.traffic.describe import subjects_in
from pytest_spidra.traffic.pending import ConnectionLost, PendingRequest, UnanswerableError
from pytest_spidra.traffic.statuses import TERMINAL

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_spidra.interception.upstreams import RemoteCall
    from pytest_spidra.scripting.steps import Step
    from pytest_spidra.traffic.clock import Clock
    from pytest_spidra.traffic.log import ExchangeLog
    from pytest_spidra.traffic.pending import Resolution
    from pytest_spidra.traffic.reply import Reply
    from pytest_spidra.traffic.request import Request

DEFAULT_PORTS = {"http": 80, "https": 443}

HEALTHY = ok()

LEAST_PROGRESS = 1.0
"""Seconds that are progress towards what is scripted to happen in time."""

MOST_SWALLOWED = 10_000
"""How often who is told that the test has failed may go on all the same: far more than tasks are started at once."""

UNHEARD = "unheard"
"""What comes of a request whose client would wait for ever: no error, the test fails."""


class Interceptor:
    """Takes the requests to one base URL.

    Args:
        base_url: Scheme, host, port and path below which the API lives.

        upstream: Who answers.

        log: Where exchanges are noted.

        clock: The test's time.

        limit: Most requests without progress; one more fails the test. None: any number.

        silence: For clients whose timeouts nobody here knows: seconds after which one that is to time out, and waits
            on, is hung up on. None: they are known.

        awaits_time: Tells whether something is scripted to happen when some more time has passed.
    """

    def __init__(
        self,
        *,
        base_url: str,
        upstream: LocalUpstream | RemoteUpstream,
        log: ExchangeLog,
        clock: Clock,
        limit: int | None,
        silence: float | None = None,
        awaits_time: Callable[[], bool] = bool,
    ) -> None:
        parts = urlsplit(base_url)
        self.origin = (parts.scheme, parts.hostname or "", parts.port or DEFAULT_PORTS.get(parts.scheme))
        self.prefix = parts.path.rstrip("/")
        self.failures: list[str] = []
        self.end_process: Callable[[str], None] | None = None
        """Ends this process with a message, for who swallows whatever is raised and goes on for ever."""
        self._told = 0
        self.scripts = Scripts()
        self._upstream = upstream
        self._outside = upstream if isinstance(upstream, RemoteUpstream) else None
        self._log = log
        self._clock = clock
        self._silence = silence
        self._progress = Progress(limit, awaits_time)
        self._endless = ""
        self.lock = threading.RLock()  # one request at a time; who reads the service meanwhile takes it, too

    def takes(self, scheme: str, host: str, port: int | None, path: str) -> bool:
        """Whether a request to this address is ours."""
        if (scheme, host, port or DEFAULT_PORTS.get(scheme)) != self.origin:
            return False
        return path == self.prefix or path.startswith(f"{self.prefix}/")

    def send(self, request: Request) -> PendingRequest:
        """Take a request from an adapter.

        Args:
            request: Its path is the one below the base URL.

        Raises:
            pytest.fail.Exception: No endpoint knows the request, or the client goes round in circles. It is
                no `Exception`, so retry code does not catch it, and it is kept in `failures` in case
                something else does.
        """
        with self.lock:
            found = endpoints.match(request.method, request.path)
            if not self._upstream.knows(request):
                self.fail(messages.unknown_request(request, routable=self._upstream.routable))
            name, kind, batch_id = (found[0].name, found[0].kind, found[1]) if found else ("", "", None)
            now = self._now()
            if not self._progress.allows(kind, request, now):
                self._endless = self._endless or messages.endless(self._progress.limit, self._log, now)
                self._clock.end_waits(self._endless)
                self.fail(self._endless)
            scripted = self.scripts.take(name, batch_id, now)
            step = scripted or HEALTHY
            label = scripted.label if scripted else None
            number = self._log.begin(request, name, batch_id, now, label)
            if not step.processed:
                return PendingRequest(self._noting(number, step), self._resolution(request, step))
            if self._outside:
                call = self._outside.begin(request, self._clock)
                return PendingRequest(
                    self._noting(number, step, call),
                    set_result=functools.partial(self._set_result, number, request, step, call),
                )
            inside = cast(LocalUpstream, self._upstream)
            return PendingRequest(self._noting(number, step), self._inside(number, request, step, inside))

    def forget_progress(self) -> None:
        """Count requests without progress from now on."""
        self._progress = self._progress.anew()

    def _now(self) -> float:
        """Return the seconds since the test began; fail the test where its clock cannot tell."""
        try:
            return self._clock.elapsed
        except RuntimeError as error:  # an event loop that the clock cannot drive
            refused = str(error)
        self.fail(refused)
        return None

    def fail(self, message: str) -> NoReturn:
        """Fail the test, now and again at its end."""
        __tracebackhide__ = True
        known = next((failure for failure in self.failures if failure.startswith(message)), None)
        if known is None:
            where = messages.origin_of_request()
            known = f"{message}\n\nSent from {where}." if where else message
            self.failures.append(known)
        self._told += 1
        if self._told > MOST_SWALLOWED and self.end_process:
            self.end_process(f"{known}\n\n{messages.unstoppable(MOST_SWALLOWED)}")
        # Whatever was being handled is in the message, or has nothing to do with it.
        raise pytest.fail.Exception(known, pytrace=False) from None

    def _inside(self, number: int, request: Request, step: Step, upstream: LocalUpstream) -> Resolution:
        """Let an upstream in this process do its work."""
        try:
            answer = upstream.answer(request)
        except UnanswerableError as refusal:
            self.fail(str(refusal))
        except Exception as error:  # noqa: BLE001 - a user's respx route may raise any error, and the client is to get that one
            return step.after or 0.0, ConnectionLost(type(error).__name__, str(error), error)
        return self._answered(number, request, step, answer)

    def _set_result(
        self, number: int, request: Request, step: Step, call: RemoteCall, what: Reply | Exception
    ) -> Resolution:
        """Take in what came of a request that went outside."""
        __tracebackhide__ = True
        with self.lock:
            try:
                answer = call.received(what)
            except UnanswerableError as refusal:
                self._log.seen(number, type(what).__name__, self._clock.elapsed)
                self.fail(str(refusal))
            return self._answered(number, request, step, answer, passed=call.took)

    def _answered(
        self, number: int, request: Request, step: Step, answer: Reply, *, passed: float = 0.0
    ) -> Resolution:
        self._log.answered(number, answer)
        self._progress.note(request, answer)
        return self._resolution(request, step, answer, passed=passed)

    def _resolution(
        self, request: Request, step: Step, answer: Reply | None = None, *, passed: float = 0.0
    ) -> Resolution:
        """Return after how long the client sees what."""
        resolution = timeouts.resolve(request, step, answer, passed=passed)
        if resolution:
            return resolution
        if self._silence is not None:
            return self._silence, ConnectionLost("RemoteProtocolError", "the connection was closed")
        return self._clock.longest_silence, ConnectionLost(UNHEARD, "")

    def _noting(
        self, number: int, step: Step, call: RemoteCall | None = None
    ) -> Callable[[Reply | str], None]:
        def note(result: Reply | str) -> None:
            if result == UNHEARD:
                self.fail(messages.waits_for_ever(step, self._log, self._clock.longest_silence))
            if not self._log.is_open(number):
                return  # the test failed on the way, and that is what the client saw
            if result == "cancelled" and step.after is None and self._silence is not None:
                result = step.error or result  # it has hung up, and nothing else is known of its timeout
            self._log.seen(number, result, self._clock.elapsed)
            if call and result == "cancelled":
                call.cancelled()

        return note


class Progress:
    """Tells a client that gets on from one that goes round in circles.

    Progress is a URL that is submitted for the first time, or a URL or job seen to have ended for the first time. There
    are only so many of either, so no endless loop makes progress for ever. So is time that passes towards something
    that is scripted to happen, a second at least, until it has happened.
    """

    def __init__(self, limit: int | None, awaits_time: Callable[[], bool]) -> None:
        self.limit = limit
        self._awaits_time = awaits_time
        self._without = 0
        self._since = 0.0
        self._submitted: set[str] = set()
        self._ended: set[str] = set()

    def allows(self, kind: str, request: Request, now: float) -> bool:
        """Count a request; tell whether it is within the limit. `now` are the seconds since the test began."""
        self._without += 1
        if kind == "submit":
            self._add(self._submitted, set(subjects_in(request.described)))
        if self.limit is None or self._without <= self.limit:
            return True
        # Asked only here: it looks at every page of every batch.
        if now - self._since < LEAST_PROGRESS or not self._awaits_time():
            return False
        self._without, self._since = 1, now
        return True

    def anew(self) -> Progress:
        """Return one that has seen nothing yet."""
        return Progress(self.limit, self._awaits_time)

    def note(self, request: Request, reply: Reply) -> None:
        """Look at what was answered: items that have ended, or a job that has none and has ended."""
        body = reply.json
        items = body.get("items") if isinstance(body, dict) else None
        if items is None and isinstance(body, dict) and body.get("status") in TERMINAL:
            self._add(self._ended, {request.path})
        if isinstance(items, list):
            done = {
                str(item.get("url"))
                for item in items
                if isinstance(item, dict) and item.get("status") in TERMINAL
            }
            self._add(self._ended, done)

    def _add(self, known: set[str], urls: set[str]) -> None:
        if not urls <= known:
            known |= urls
            self._without = 0
