"""httpx, and so the official SDK, and httpx2: sync and async.

httpx2 is httpx in all that matters here, under names of its own, on an httpcore of its own.

The seam is the connection pool below each of the two transport classes: what a transport's `handle_request` asks for a
reply. Whatever a user wraps around clients, transports or that method (retries, OpenTelemetry's spans) stands above it
and sees every attempt, put on before or during a test; respx works below it. A data descriptor on the class reaches
every transport, whichever thread or event loop made it. What a pool itself does about a connection that is not made,
``HTTPTransport(retries=2)``, is done here in its place.

Some replace `handle_request` instead of wrapping it (pytest-httpx, vcrpy), and then no pool is asked any more.
"""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from itertools import chain, count, islice
from typing import TYPE_CHECKING, Any

import anyio

from pytest_spidra.clients.adapter import (
    OF_THE_WIRE,
    Original,
    async_result_of,
    own_error,
    reply_headers,
    result_of,
)
from pytest_spidra.clients.httpx_tls import shared_tls
from pytest_spidra.clients.replaced import ReplacedFunction
from pytest_spidra.traffic.pending import ConnectionLost
from pytest_spidra.traffic.reply import Reply

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from pytest_spidra.clients.adapter import Attachment
    from pytest_spidra.traffic.pending import PendingRequest

CORES = {"httpx": "httpcore", "httpx2": "httpcore2"}
METHODS = {"HTTPTransport": "handle_request", "AsyncHTTPTransport": "handle_async_request"}
POOL = "_pool"  # where both transports keep it

RETRIED = ("ConnectError", "ConnectTimeout")  # what httpcore tries again, as often as `retries` says


class HttpxAdapter:
    """Brings the requests of every client of httpx or httpx2 to a handler.

    Args:
        attachment: The handler's.

        module: The library, as it was imported.
    """

    def __init__(self, attachment: Attachment, module: Any) -> None:
        self.attachment = attachment
        self.module = module
        self._patched = ExitStack()
        self._patched.enter_context(shared_tls(module))
        self._methods = []
        for kind, name in METHODS.items():
            transport = getattr(module, kind)
            self._methods.append(ReplacedFunction(attachment, transport, name, _address))
            below = vars(transport).get(POOL)  # another attachment's, when tests run within a test
            setattr(transport, POOL, _PoolOf(self, below))
            self._patched.callback(
                *((setattr, transport, POOL, below) if below else (delattr, transport, POOL))
            )
        self.repatch()

    @property
    def core(self) -> Any:
        """The library's httpcore, which it imports when the first transport is made."""
        return sys.modules[CORES[self.module.__name__]]

    def repatch(self) -> None:
        """Stand before everybody who has replaced the library's own functions since."""
        for method in self._methods:
            method.repatch()

    def close(self) -> None:
        """Put everything back; once more, when others have put us back meanwhile."""
        self._patched.close()
        for method in self._methods:
            method.unpatch()

    # -- requests, replies and errors in the library's terms -----------------------------------------------

    def takes(self, request: Any) -> bool:
        """Whether a request that a transport asks its pool for is for the handler."""
        url = request.url
        return self.attachment.takes(
            url.scheme.decode(), url.host.decode(), url.port, url.target.decode("ascii")
        )

    def send(self, request: Any, content: bytes) -> PendingRequest:
        """Hand a request in.

        Raises:
            httpx.LocalProtocolError: A header that no socket would take: ``Bearer`` with an empty key, say.
        """
        __tracebackhide__ = True
        for value in (value for _, value in request.headers if value != value.strip()):
            # h11 refuses it below us with these words, so a client with an empty key must fail here, too.
            msg = f"Illegal header value {value!r}"
            raise self.module.LocalProtocolError(msg)
        timeouts = request.extensions.get("timeout", {})
        return self.attachment.send(
            request.method.decode("ascii"),
            request.url.target.decode("ascii"),
            {name.lower(): value for name, value in self.module.Headers(request.headers).items()},
            content,
            **{f"{name}_timeout": timeouts.get(name) for name in ("connect", "read", "write", "pool")},
        )

    def again(self, request: Any, content: bytes) -> Any:
        """Return a request whose body was read, to be sent."""
        return self.core.Request(
            request.method,
            request.url,
            headers=request.headers,
            content=content,
            extensions=request.extensions,
        )

    def original(self, raw: Any, content: bytes) -> Original[Any]:
        """Return a reply that came from outside, whose body was read."""
        headers = {name.lower(): value for name, value in self.module.Headers(raw.headers).items()}
        try:
            # httpx undoes every compression that its client has said it takes.
            plain = self.module.Response(raw.status, headers=raw.headers, content=content).content
        except self.module.DecodingError:
            plain = content
        if plain != content:
            headers = {name: value for name, value in headers.items() if name not in OF_THE_WIRE}
        stream = self.module.ByteStream(content)
        response = self.core.Response(
            raw.status, headers=raw.headers, content=stream, extensions=raw.extensions
        )
        return Original(Reply(raw.status, plain, headers), response)

    def response(self, result: Reply | ConnectionLost | Original[Any]) -> Any:
        """Return or raise what the client is to see."""
        __tracebackhide__ = True
        if isinstance(result, Original):
            return result.response
        if isinstance(result, Reply):
            # A stream, as pools return it: it is read by the client, or as the user streams it.
            return self._head(result, self.module.ByteStream(result.content))
        if result.partial is not None:
            return self._head(result.partial, _Broken(self.module, result.partial.content, result))
        error = own_error(result, self.module.__name__, vars(self.module))
        raise error or getattr(self.module, result.error)(result.message)

    def _head(self, reply: Reply, stream: Any) -> Any:
        headers = self.module.Headers(reply_headers(reply))
        return self.core.Response(
            reply.status, headers=headers.raw, content=stream, extensions={"http_version": b"HTTP/1.1"}
        )


def _address(transport: Any, request: Any) -> tuple[str, str, int | None, str]:  # noqa: ARG001 - a method's arguments
    url = request.url
    return url.scheme, url.host, url.port, url.raw_path.decode("ascii")


class _PoolOf:
    """Stands before the pool of each transport; a data descriptor, so it hides the one that the transport has."""

    def __init__(self, adapter: HttpxAdapter, below: _PoolOf | None) -> None:
        self._adapter = adapter
        self._below = below

    def __get__(self, transport: Any, owner: type) -> Any:
        if transport is None:
            return self
        try:
            pool = self._below.__get__(transport, owner) if self._below else vars(transport)[POOL]
        except KeyError:
            msg = f"{owner.__name__!r} object has no attribute {POOL!r}"
            raise AttributeError(msg) from None
        return _Pool(pool, self._adapter)

    def __set__(self, transport: Any, pool: Any) -> None:
        vars(transport)[POOL] = pool

    def __delete__(self, transport: Any) -> None:
        del vars(transport)[POOL]


class _Pool:
    """A transport's pool: answers what is for the handler, and leaves everything else to the real one."""

    def __init__(self, pool: Any, adapter: HttpxAdapter) -> None:
        vars(self).update(_below=pool, _adapter=adapter)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._below, name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._below, name, value)

    # pytest-httpx asks whether it is an HTTPProxy. For mypy object.__class__ can be set as well; nobody sets it here.
    @property  # type: ignore[misc] # read-only, see above
    def __class__(self) -> type:
        """That of the real one, for whoever asks which proxy it is for."""
        return type(self._below)

    def handle_request(self, request: Any) -> Any:
        """Return the reply to a request."""
        __tracebackhide__ = True
        adapter = self._adapter
        if not adapter.takes(request):
            return self._below.handle_request(request)
        content = b"".join(request.stream)

        def ask() -> Original[Any]:
            raw = self._below.handle_request(adapter.again(request, content))
            original: Original[Any] = adapter.original(raw, b"".join(raw.stream))
            raw.close()
            return original

        for pause in self._pauses():
            result = result_of(adapter.send(request, content), ask)
            if pause is None or not _to_retry(result):
                break
            time.sleep(pause)
        return adapter.response(result)

    async def handle_async_request(self, request: Any) -> Any:
        """Return the reply to a request."""
        __tracebackhide__ = True
        adapter = self._adapter
        if not adapter.takes(request):
            return await self._below.handle_async_request(request)
        content = b"".join([part async for part in request.stream])

        async def ask() -> Original[Any]:
            raw = await self._below.handle_async_request(adapter.again(request, content))
            original: Original[Any] = adapter.original(raw, b"".join([part async for part in raw.stream]))
            await raw.aclose()
            await _hang_up(self._below)
            return original

        for pause in self._pauses():
            result = await async_result_of(adapter.send(request, content), ask, anyio.sleep)
            if pause is None or not _to_retry(result):
                break
            await anyio.sleep(pause)
        return adapter.response(result)

    def _pauses(self) -> list[float | None]:
        """Return the seconds between the attempts to connect, as httpcore has them, and None after the last."""
        backoff = chain([0.0], (0.5 * 2.0**number for number in count()))
        return [*islice(backoff, getattr(self._below, "_retries", 0)), None]


def _to_retry(result: Any) -> bool:
    return isinstance(result, ConnectionLost) and result.error in RETRIED


async def _hang_up(pool: Any) -> None:
    """Close connections that wait for a next request.

    The official SDK's sync client makes a client and an event loop for each call and closes neither; against
    the fake there is nothing to close, but a real connection would be left to the garbage collector, whose
    warning then fails some later test.
    """
    for connection in pool.connections:
        if connection.is_idle():
            await connection.aclose()


class _Broken:
    """A body that breaks off, sync and async."""

    def __init__(self, module: Any, content: bytes, lost: ConnectionLost) -> None:
        self._module = module
        self._content = content
        self._lost = lost

    def __iter__(self) -> Iterator[bytes]:
        yield self._content
        raise getattr(self._module, self._lost.error)(self._lost.message)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self:
            yield part
