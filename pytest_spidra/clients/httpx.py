"""httpx, and so the official SDK, sync and async.

The seam is the connection pool below each of httpx's two transport classes: what a transport's `handle_request` asks
for a reply. Whatever a user wraps around clients, transports or that method (retries, OpenTelemetry's spans) stands
above it and sees every attempt, put on before or during a test; respx works below it. A data descriptor on the class
reaches every transport, whichever thread or event loop made it.

Some replace `handle_request` instead of wrapping it (pytest-httpx, vcrpy), and then no pool is asked any more. Before
these we put a function of our own, which goes straight to httpx's.
"""

from __future__ import annotations

import functools
import threading
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import anyio
import httpcore
import httpx

from pytest_spidra.traffic.pending import ConnectionLost
from pytest_spidra.traffic.reply import Reply
from pytest_spidra.traffic.request import Request

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_spidra.traffic.pending import PendingRequest, RequestHandler

TRANSPORTS: tuple[tuple[Any, str], ...] = (
    (httpx.HTTPTransport, "handle_request"),
    (httpx.AsyncHTTPTransport, "handle_async_request"),
)
POOL = "_pool"  # where both transports keep it

_PUT_BEFORE: dict[int, tuple[Any, Attachment, Any]] = {}
"""Our functions before those of others, by their identity: a wrapper shows every attribute of what it wraps."""


class Attachment:
    """Brings the requests of every httpx client to a handler, as long as they are its own, until it is closed.

    Whoever comes last is asked first: `repatch` puts us before those that have replaced httpx's functions since. They
    may also put back, after we are gone, what they found when they came, which may have been us: what is closed only
    passes on, and `unpatch` takes it away.
    """

    def __init__(self, handler: RequestHandler) -> None:
        self._handler = handler
        self._bypass = threading.local()
        self.closed = False
        self._patched = ExitStack()
        for transport, _ in TRANSPORTS:
            below = vars(transport).get(POOL)  # another attachment's, when tests run within a test
            setattr(transport, POOL, _PoolOf(self, below))
            self._patched.callback(
                *((setattr, transport, POOL, below) if below else (delattr, transport, POOL))
            )
        self.repatch()

    def repatch(self) -> None:
        """Stand before everybody who has replaced httpx's own functions since."""
        for transport, name in TRANSPORTS:
            current = _unpatched(vars(transport)[name])
            own = _own_function(current)
            if own is not None and not _leads_to(current, own):
                current = self._put_before(current, own)
            setattr(transport, name, current)

    def _put_before(self, replaced: Any, own: Any) -> Any:
        @functools.wraps(replaced)
        def handle(transport: Any, request: httpx.Request) -> Any:
            url = request.url
            ours = not self.closed and (self.bypassed or self.takes(url.scheme, url.host, url.port, url.path))
            return (own if ours else replaced)(transport, request)

        _PUT_BEFORE[id(handle)] = (handle, self, replaced)
        return handle

    def close(self) -> None:
        """Take no more requests."""
        self.closed = True
        self._patched.close()
        unpatch()

    @property
    def bypassed(self) -> bool:
        """Whether a request of this thread's is one of our own."""
        return getattr(self._bypass, "now", False)

    def takes(self, scheme: str, host: str, port: int | None, path: str) -> bool:
        """Whether a request to this address is for the handler."""
        return not self.closed and not self.bypassed and self._handler.takes(scheme, host, port, path)

    def takes_below(self, url: httpcore.URL) -> bool:
        """Whether a request that a transport asks its pool for is for the handler."""
        return self.takes(url.scheme.decode(), url.host.decode(), url.port, _path(url))

    def send(self, request: httpcore.Request, content: bytes) -> PendingRequest:
        """Hand a request in."""
        return self._handler.send(_request(self._handler, request, content))

    def fetch(self, request: Request, base_url: str) -> Reply:
        """Send a request of our own past the handler and return its reply.

        Raises:
            httpx.HTTPError: There is none.
        """
        self._bypass.now = True
        try:
            with httpx.Client(timeout=60.0) as client:
                response = client.request(
                    request.method,
                    base_url + request.target,
                    headers=dict(request.headers),
                    content=request.content,
                )
        finally:
            self._bypass.now = False
        headers = {
            name.lower(): value for name, value in response.headers.items() if name not in _OF_THE_WIRE
        }
        return Reply(response.status_code, response.content, headers)


def unpatch() -> None:
    """Put back what stood there before attachments that are closed."""
    for transport, name in TRANSPORTS:
        setattr(transport, name, _unpatched(vars(transport)[name]))


def _unpatched(function: Any) -> Any:
    while (ours := _PUT_BEFORE.get(id(function))) and ours[1].closed:
        del _PUT_BEFORE[id(function)]
        function = ours[2]
    return function


def _leads_to(function: Any, own: Any) -> bool:
    """Tell whether a function is httpx's own, or one of ours, or a wrapper of such that calls it.

    vcrpy's functions say that they wrap httpx's, and answer in its place. What goes outside is recorded here: another
    cassette beside would answer for the API, or keep a copy of what was sent, with the key in it.
    """
    while True:
        ours = _PUT_BEFORE.get(id(function))
        if function is own or (ours and not ours[1].closed):
            return True
        if getattr(function, "__globals__", {}).get("__name__") == "vcr.stubs.httpx_stubs":
            return False
        function = getattr(function, "__wrapped__", None)
        if function is None:
            return False


def _own_function(function: Any) -> Any:
    """Return httpx's own function, which others have wrapped or keep in a closure, or None."""
    waiting, seen = [function], set()
    while waiting:
        one = waiting.pop(0)
        if id(one) in seen or not callable(one):
            continue
        seen.add(id(one))
        if getattr(one, "__wrapped__", None) is not None:
            waiting.append(one.__wrapped__)
        elif getattr(one, "__globals__", {}).get("__name__") == "httpx._transports.default":
            return one
        else:
            waiting += [
                cell.cell_contents for cell in getattr(one, "__closure__", None) or () if _filled(cell)
            ]
    return None


def _filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018 - asking for it is the only way to know
    except ValueError:
        return False
    return True


class _PoolOf:
    """Stands before the pool of each transport; a data descriptor, so it hides the one that the transport has."""

    def __init__(self, attachment: Attachment, below: _PoolOf | None) -> None:
        self._attachment = attachment
        self._below = below

    def __get__(self, transport: Any, owner: type) -> Any:
        if transport is None:
            return self
        try:
            pool = self._below.__get__(transport, owner) if self._below else vars(transport)[POOL]
        except KeyError:
            msg = f"{owner.__name__!r} object has no attribute {POOL!r}"
            raise AttributeError(msg) from None
        return _Pool(pool, self._attachment)

    def __set__(self, transport: Any, pool: Any) -> None:
        vars(transport)[POOL] = pool

    def __delete__(self, transport: Any) -> None:
        del vars(transport)[POOL]


class _Pool:
    """A transport's pool: answers what is for the handler, and leaves everything else to the real one."""

    def __init__(self, pool: Any, attachment: Attachment) -> None:
        vars(self).update(_below=pool, _attachment=attachment)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._below, name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._below, name, value)

    @property  # type: ignore[misc] # object's can be set
    def __class__(self) -> type:
        """That of the real one, for whoever asks which proxy it is for."""
        return type(self._below)

    def handle_request(self, request: httpcore.Request) -> httpcore.Response:
        """Return the reply to a request."""
        __tracebackhide__ = True
        if not self._attachment.takes_below(request.url):
            response: httpcore.Response = self._below.handle_request(request)
            return response
        content = b"".join(request.stream)  # type: ignore[arg-type]
        pending = self._attachment.send(request, content)
        original: Original | None = None
        with _cancelling(pending):
            if pending.passthrough:
                try:
                    raw = self._below.handle_request(_again(request, content))
                    original = Original(raw, b"".join(raw.stream))
                    raw.close()
                except Exception as error:  # noqa: BLE001 - not only httpcore's: plugins that block sockets raise their own; each ends the recording
                    pending.set_result(error)
                else:
                    pending.set_result(original.reply)
            if pending.delay:
                time.sleep(pending.delay)
        return _response(pending.finish(), original)

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        """Return the reply to a request."""
        __tracebackhide__ = True
        if not self._attachment.takes_below(request.url):
            response: httpcore.Response = await self._below.handle_async_request(request)
            return response
        content = b"".join([part async for part in request.stream])  # type: ignore[union-attr]
        pending = self._attachment.send(request, content)
        original: Original | None = None
        with _cancelling(pending):
            if pending.passthrough:
                try:
                    raw = await self._below.handle_async_request(_again(request, content))
                    original = Original(raw, b"".join([part async for part in raw.stream]))
                    await raw.aclose()
                    await _hang_up(self._below)
                except Exception as error:  # noqa: BLE001 - not only httpcore's: plugins that block sockets raise their own; each ends the recording
                    pending.set_result(error)
                else:
                    pending.set_result(original.reply)
            if pending.delay:
                await anyio.sleep(pending.delay)
        return _response(pending.finish(), original)


def _path(url: httpcore.URL) -> str:
    return unquote(url.target.partition(b"?")[0].decode("ascii"))


def _request(handler: RequestHandler, request: httpcore.Request, content: bytes) -> Request:
    """Return a request as the plain value it stands for.

    Raises:
        httpx.LocalProtocolError: A header that no socket would take: ``Bearer`` with an empty key, say.
    """
    for value in (value for _, value in request.headers if value != value.strip()):
        # h11 refuses it below us with these words, so a client with an empty key must fail here, too.
        msg = f"Illegal header value {value!r}"
        raise httpx.LocalProtocolError(msg)
    timeouts = request.extensions.get("timeout", {})
    return Request(
        method=request.method.decode("ascii"),
        path=_path(request.url).removeprefix(handler.prefix),
        query=request.url.target.partition(b"?")[2].decode("ascii"),
        headers={name.lower(): value for name, value in httpx.Headers(request.headers).items()},
        content=content,
        connect_timeout=timeouts.get("connect"),
        read_timeout=timeouts.get("read"),
        write_timeout=timeouts.get("write"),
        pool_timeout=timeouts.get("pool"),
    )


def _again(request: httpcore.Request, content: bytes) -> httpcore.Request:
    """Return a request whose body was read, to be sent."""
    return httpcore.Request(
        request.method, request.url, headers=request.headers, content=content, extensions=request.extensions
    )


async def _hang_up(pool: Any) -> None:
    """Close connections that wait for a next request.

    The official SDK's sync client makes a client and an event loop for each call and closes neither; against
    the fake there is nothing to close, but a real connection would be left to the garbage collector, whose
    warning then fails some later test.
    """
    for connection in pool.connections:
        if connection.is_idle():
            await connection.aclose()


class Original:
    """A reply that came from outside, as it was on the wire and as the plain value it stands for."""

    def __init__(self, raw: httpcore.Response, content: bytes) -> None:
        self._raw = raw
        self._content = content
        headers = {name.lower(): value for name, value in httpx.Headers(raw.headers).items()}
        try:
            # httpx undoes every compression that its client has said it takes.
            plain = httpx.Response(raw.status, headers=raw.headers, content=content).content
        except httpx.DecodingError:
            plain = content
        if plain != content:
            headers = {name: value for name, value in headers.items() if name not in _OF_THE_WIRE}
        self.reply = Reply(raw.status, plain, headers)

    def again(self) -> httpcore.Response:
        """Return it as the pool did, to be read once more."""
        return httpcore.Response(
            self._raw.status,
            headers=self._raw.headers,
            content=httpx.ByteStream(self._content),
            extensions=self._raw.extensions,
        )


_OF_THE_WIRE = frozenset({"content-encoding", "content-length", "transfer-encoding"})


def _response(result: Reply | ConnectionLost, original: Original | None) -> httpcore.Response:
    """Return or raise what the client is to see, in the terms of httpx's transports."""
    __tracebackhide__ = True
    if original and result is original.reply:
        return original.again()
    if isinstance(result, ConnectionLost):
        if result.exception is not None:
            raise result.exception
        raise getattr(httpx, result.error)(result.message)
    headers = httpx.Headers({"content-length": str(len(result.content)), **result.headers})
    return httpcore.Response(
        result.status,
        headers=headers.raw,
        # A stream, as pools return it: it is read by the client, or as the user streams it.
        content=httpx.ByteStream(result.content),
        extensions={"http_version": b"HTTP/1.1"},
    )


@contextmanager
def _cancelling(pending: PendingRequest) -> Iterator[None]:
    """Note it when the client stops waiting: a cancelled task, an interrupted thread."""
    try:
        yield
    except BaseException:
        pending.cancel()
        raise
