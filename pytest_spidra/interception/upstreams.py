"""Upstreams: what stands behind the interceptor and answers what the script lets through.

One `LocalUpstream` answers in this process: the fake service, with respx's router in front of it once a test asks for
``spidra_mock.router``, or a cassette. `RemoteUpstream` stands for the real one, which the client's own library asks.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from pytest_spidra.traffic.endpoints import ENDPOINTS, match
from pytest_spidra.traffic.reply import Reply
from pytest_spidra.traffic.request import Request

if TYPE_CHECKING:
    import httpx
    import respx

    from pytest_spidra.traffic.clock import Clock


class LocalUpstream(Protocol):
    """Answers requests in this process."""

    routable: bool
    """Whether a test can add routes of its own."""

    def knows(self, request: Request) -> bool:
        """Whether there is an answer to this request at all."""

    def answer(self, request: Request) -> Reply:
        """Do what is asked and return the reply.

        Raises:
            UnanswerableError: The test has failed.

            Exception: What the client is to see in place of a reply.
        """


class RemoteCall(Protocol):
    """One request on its way outside."""

    took: float
    """Seconds that its reply was under way, on the test's clock, once it is back."""

    def received(self, what: Reply | Exception) -> Reply:
        """Take in what came of it.

        Raises:
            UnanswerableError: Nothing that the test can go on with.
        """

    def cancelled(self) -> None:
        """The client stopped waiting for it."""


@runtime_checkable
class RemoteUpstream(Protocol):
    """Stands for a service elsewhere; the client's own library sends the requests there."""

    routable: bool

    def knows(self, request: Request) -> bool:
        """Whether the request may go there."""

    def begin(self, request: Request, clock: Clock) -> RemoteCall:
        """Let a request go."""


class PureService(Protocol):
    """A service that takes requests and answers them, and has no time of its own."""

    def answer(self, request: Request, now: int) -> Reply:
        """Answer a request that comes `now`, in microseconds since the epoch."""

    def awaits_time(self, now: int) -> bool:
        """Whether something is going to happen when some more time has passed."""


class FakeUpstream:
    """The fake service, and in front of it respx's router when a test uses one.

    Args:
        service: The fake service.

        clock: The test's time.

        base_url: The URL below which it lives.

        answers_unknown: Whether it answers 404 where it knows no endpoint, as a server does.
    """

    routable = True

    def __init__(
        self, service: PureService, clock: Clock, base_url: str, *, answers_unknown: bool = False
    ) -> None:
        self._answers_unknown = answers_unknown
        self._service = service
        self._clock = clock
        self._base_url = base_url
        self._router: respx.Router | None = None

    def knows(self, request: Request) -> bool:
        """Whether an endpoint or, failing that, a route that the test added takes this request."""
        if self._answers_unknown or match(request.method, request.path):
            return True
        return self._routed(request)

    def _routed(self, request: Request) -> bool:
        """Whether a route takes this request."""
        if self._router is None:
            return False
        wanted = self._to_httpx(request)
        # Not route.match: that does what the route does, and it would be done twice.
        return any(not route.pattern or route.pattern.match(wanted) for route in self._router.routes)

    def answer(self, request: Request) -> Reply:
        """Let the router answer when there is one, else the service."""
        if self._router is None or (self._answers_unknown and not self._routed(request)):
            return self._service.answer(request, self._clock.now)
        response = self._router.handler(self._to_httpx(request))
        response.read()
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Reply(response.status_code, response.content, headers)

    def awaits_time(self) -> bool:
        """Whether something is scripted to happen when some more time has passed."""
        return self._service.awaits_time(self._clock.now)

    def router(self) -> respx.Router:
        """Return the router, with one route for each endpoint, named like it; built when it is first asked for."""
        if self._router is None:
            import respx

            router = respx.Router(assert_all_called=False)
            base = self._base_url.rstrip("/")
            for endpoint in ENDPOINTS:
                pattern = f"^{re.escape(base)}{endpoint.pattern.pattern}(?:[?]|$)"
                route = router.route(method=endpoint.method, url__regex=pattern, name=endpoint.name)
                route.mock(side_effect=self._serve)
            self._router = router
        return self._router

    def _serve(self, request: httpx.Request, **_: str) -> httpx.Response:
        """Answer a routed request from the service."""
        import httpx

        known = Request(
            method=request.method,
            path=str(request.url.copy_with(query=None)).removeprefix(self._base_url.rstrip("/")),
            query=request.url.query.decode(),
            headers={name.lower(): value for name, value in request.headers.items()},
            content=request.read(),
        )
        reply = self._service.answer(known, self._clock.now)
        return httpx.Response(reply.status, headers=dict(reply.headers), content=reply.content)

    def _to_httpx(self, request: Request) -> httpx.Request:
        import httpx

        return httpx.Request(
            request.method,
            self._base_url.rstrip("/") + request.target,
            headers=dict(request.headers),
            content=request.content,
        )
