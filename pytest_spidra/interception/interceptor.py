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

from pytest_spidra.interception import messages
from pytest_spidra.interception.upstreams import LocalUpstream, RemoteUpstream
from pytest_spidra.scripting.steps import ok
from pytest_spidra.traffic import endpoints
from pytest_spidra.traffic.describe import subjects_in
from pytest_spidra.traffic.pending import ConnectionLost, PendingRequest, UnanswerableError
from pytest_spidra.traffic.statuses import TERMINAL

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_spidra.clock.real import Clock
    from pytest_spidra.interception.upstreams import RemoteCall
    from pytest_spidra.scripting.scripts import Scripts
    from pytest_spidra.scripting.steps import Step
    from pytest_spidra.traffic.log import ExchangeLog
    from pytest_spidra.traffic.pending import Resolution
    from pytest_spidra.traffic.reply import Reply
    from pytest_spidra.traffic.request import Request

DEFAULT_PORTS = {"http": 80, "https": 443}

HEALTHY = ok()


class Interceptor:
    """Takes the requests to one base URL.

    Args:
        base_url: Scheme, host, port and path below which the API lives.

        scripts: What happens to requests.

        upstream: Who answers.

        log: Where exchanges are noted.

        clock: The test's time.

        limit: Most requests without progress; one more fails the test. None: any number.
    """

    def __init__(
        self,
        *,
        base_url: str,
        scripts: Scripts,
        upstream: LocalUpstream | RemoteUpstream,
        log: ExchangeLog,
        clock: Clock,
        limit: int | None,
    ) -> None:
        parts = urlsplit(base_url)
        self.origin = (parts.scheme, parts.hostname or "", parts.port or DEFAULT_PORTS.get(parts.scheme))
        self.prefix = parts.path.rstrip("/")
        self.failures: list[str] = []
        self._scripts = scripts
        self._upstream = upstream
        self._outside = upstream if isinstance(upstream, RemoteUpstream) else None
        self._log = log
        self._clock = clock
        self._progress = Progress(limit)
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
            if not self._progress.allows(kind, request):
                self._endless = self._endless or messages.endless(
                    self._progress.limit, self._log, self._now()
                )
                self._clock.end_waits(self._endless)
                self.fail(self._endless)
            scripted = self._scripts.take(name, batch_id)
            step = scripted or HEALTHY
            label = scripted.label if scripted else None
            number = self._log.begin(request, name, batch_id, self._now(), label)
            if not step.processed:
                return PendingRequest(self._noting(number), self._resolution(request, step, None))
            if self._outside:
                call = self._outside.leave(request, self._clock)
                return PendingRequest(
                    self._noting(number, call),
                    set_result=functools.partial(self._set_result, number, request, step, call),
                )
            inside = cast(LocalUpstream, self._upstream)
            return PendingRequest(self._noting(number), self._inside(number, request, step, inside))

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
        # Whatever was being handled is in the message, or has nothing to do with it.
        raise pytest.fail.Exception(known, pytrace=False) from None

    def _inside(self, number: int, request: Request, step: Step, upstream: LocalUpstream) -> Resolution:
        """Let an upstream in this process do its work."""
        try:
            answer = upstream.answer(request)
        except UnanswerableError as refusal:
            self.fail(str(refusal))
        except Exception as error:  # noqa: BLE001 - a user's respx route may raise any error, and the client is to get that one
            return step.after, ConnectionLost(type(error).__name__, str(error), error)
        return self._answered(number, request, step, answer)

    def _set_result(
        self, number: int, request: Request, step: Step, call: RemoteCall, what: Reply | Exception
    ) -> Resolution:
        """Take in what came of a request that went outside."""
        __tracebackhide__ = True
        with self.lock:
            try:
                answer = call.back(what)
            except UnanswerableError as refusal:
                self._log.seen(number, type(what).__name__, self._clock.elapsed)
                self.fail(str(refusal))
            return self._answered(number, request, step, answer, call.took)

    def _answered(
        self, number: int, request: Request, step: Step, answer: Reply, waited: float = 0.0
    ) -> Resolution:
        self._log.answered(number, answer)
        self._progress.note(request, answer)
        return self._resolution(request, step, answer, waited)

    @staticmethod
    def _resolution(request: Request, step: Step, answer: Reply | None, waited: float = 0.0) -> Resolution:
        """Return after how long the client sees what, its own patience considered; some of it may have passed."""
        result = step.shown(answer)
        delay = step.after + (answer.took if answer else 0.0)
        read_timeout = request.read_timeout
        if read_timeout is not None and waited + delay > read_timeout:
            return max(read_timeout - waited, 0.0), ConnectionLost(
                "ReadTimeout", f"no reply within {read_timeout:g} s"
            )
        return delay, result

    def _noting(self, number: int, call: RemoteCall | None = None) -> Callable[[Reply | str], None]:
        def note(result: Reply | str) -> None:
            if self._log[number - 1].seen is not None:
                return  # the test failed on the way, and that is what the client saw
            self._log.seen(number, result, self._clock.elapsed)
            if call and result == "cancelled":
                call.cancelled()

        return note


class Progress:
    """Tells a client that gets on from one that goes round in circles.

    Progress is a URL that is submitted for the first time, or a URL or job seen to have ended for the first time. There are
    only so many of either, so no endless loop makes progress for ever.
    """

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self._without = 0
        self._submitted: set[str] = set()
        self._ended: set[str] = set()

    def allows(self, kind: str, request: Request) -> bool:
        """Count a request; tell whether it is within the limit."""
        self._without += 1
        if kind == "submit":
            self._add(self._submitted, set(subjects_in(request.described)))
        return self.limit is None or self._without <= self.limit

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
