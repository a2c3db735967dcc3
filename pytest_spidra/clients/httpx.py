"""httpx, and so the official SDK, sync and async.

The seam is `handle_request` of httpx's two transport classes: two public methods, one level below anything a
user wraps around them (a retry transport sees every attempt) and above httpcore, where respx works. Patching
the classes reaches every client, whichever thread or event loop made it.
"""

from __future__ import annotations

import functools
import inspect
import os
import ssl
import threading
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar, cast

import anyio
import httpx

from pytest_spidra.traffic.pending import ConnectionLost
from pytest_spidra.traffic.reply import Reply
from pytest_spidra.traffic.request import Request

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from pytest_spidra.traffic.pending import PendingRequest, RequestHandler


Send = TypeVar("Send", bound="Callable[..., Any]")


class Attachment:
    """Brings the requests of every httpx client to a handler, as long as they are its own, until it is closed.

    Others patch the same two methods (pytest-httpx does), and whoever comes last is asked first: `repatch`
    puts us before them. They may also put back, after we are gone, what they found when they came, which may
    have been us: what is closed only passes on, and `unpatch` takes it away.
    """

    def __init__(self, handler: RequestHandler) -> None:
        self._handler = handler
        self._bypass = threading.local()
        self.closed = False
        self.repatch()

    def repatch(self) -> None:
        """Stand before everybody who has patched httpx since."""
        for transport, name, make in _SEAMS:
            current = _unpatched(vars(transport)[name])
            if getattr(current, "__attachment__", None) is not self:
                current = make(current, self._handler, self)
                current.__attachment__ = self
            setattr(transport, name, current)

    def close(self) -> None:
        """Take no more requests."""
        self.closed = True
        unpatch()

    def takes(self, request: httpx.Request) -> bool:
        """Whether a request is for the handler."""
        if self.closed or getattr(self._bypass, "now", False):
            return False
        url = request.url
        return self._handler.takes(url.scheme, url.host, url.port, url.path)

    def unwrapped(self, send: Send) -> Send:
        """Return what sends a request that is not for the handler: one of ours goes outside, as it is."""
        return past_cassettes(send) if getattr(self._bypass, "now", False) else send

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


def past_cassettes(send: Send) -> Send:
    """Return what sends a request when vcrpy neither plays nor records it.

    What goes outside is recorded here. Another cassette beside would answer in the API's place, or keep a copy of
    what was sent, with the key in it.
    """

    def elsewhere(function: Any) -> bool:
        return getattr(function, "__globals__", {}).get("__name__") != "vcr.stubs.httpx_stubs"

    return cast(Send, inspect.unwrap(send, stop=elsewhere))


def unpatch() -> None:
    """Put back what stood there before attachments that are closed."""
    for transport, name, _ in _SEAMS:
        setattr(transport, name, _unpatched(vars(transport)[name]))


def _unpatched(function: Any) -> Any:
    while getattr(getattr(function, "__attachment__", None), "closed", False):
        function = function.__wrapped__
    return function


def _sync_seam(send: Callable[..., httpx.Response], handler: RequestHandler, attachment: Attachment) -> Any:
    @functools.wraps(send)
    def handle_request(self: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
        __tracebackhide__ = True
        if not attachment.takes(request):
            return attachment.unwrapped(send)(self, request)
        request.read()
        pending = handler.send(_request(handler, request))
        original: Original | None = None
        with _cancelling(pending):
            if pending.passthrough:
                try:
                    raw = past_cassettes(send)(self, request)
                    content = b"".join(cast(httpx.SyncByteStream, raw.stream))
                    raw.close()
                    original = Original(raw, content)
                except Exception as error:  # noqa: BLE001 - not only httpx's: plugins that block sockets raise their own; each ends the recording
                    pending.set_result(error)
                else:
                    pending.set_result(original.reply)
            if pending.delay:
                time.sleep(pending.delay)
        return _response(request, pending.finish(), original)

    return handle_request


def _async_seam(
    send: Callable[..., Awaitable[httpx.Response]], handler: RequestHandler, attachment: Attachment
) -> Any:
    @functools.wraps(send)
    async def handle_async_request(self: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        __tracebackhide__ = True
        if not attachment.takes(request):
            return await attachment.unwrapped(send)(self, request)
        await request.aread()
        pending = handler.send(_request(handler, request))
        original: Original | None = None
        with _cancelling(pending):
            if pending.passthrough:
                try:
                    raw = await past_cassettes(send)(self, request)
                    content = b"".join([part async for part in cast(httpx.AsyncByteStream, raw.stream)])
                    await raw.aclose()
                    await _hang_up(self)
                    original = Original(raw, content)
                except Exception as error:  # noqa: BLE001 - not only httpx's: plugins that block sockets raise their own; each ends the recording
                    pending.set_result(error)
                else:
                    pending.set_result(original.reply)
            if pending.delay:
                await anyio.sleep(pending.delay)
        return _response(request, pending.finish(), original)

    return handle_async_request


_SEAMS: tuple[tuple[Any, str, Callable[..., Any]], ...] = (
    (httpx.HTTPTransport, "handle_request", _sync_seam),
    (httpx.AsyncHTTPTransport, "handle_async_request", _async_seam),
)


@contextmanager
def shared_tls() -> Iterator[None]:
    """Let transports that want httpx's default TLS context share one.

    Making it is nearly all of what a client costs (some 30 ms), and the SDK's sync client makes one for each
    call. Only the default is shared: ``verify=True`` and no certificate. The rest of the key is what httpx
    makes the default from, and what httpcore sets on a context when it connects, so connections to other
    hosts are what they would have been.
    """
    transports = (httpx.HTTPTransport, httpx.AsyncHTTPTransport)
    with ExitStack() as stack:
        for transport in transports:
            stack.enter_context(_patched(transport, "__init__", _with_shared_tls(transport.__init__)))
        yield


@contextmanager
def _patched(owner: type, name: str, new: Callable[..., Any]) -> Iterator[None]:
    old = getattr(owner, name)
    setattr(owner, name, new)
    try:
        yield
    finally:
        setattr(owner, name, old)


def _request(handler: RequestHandler, request: httpx.Request) -> Request:
    """Return an httpx request as the plain value it stands for.

    Raises:
        httpx.LocalProtocolError: A header that no socket would take: ``Bearer`` with an empty key, say.
    """
    for value in (value for _, value in request.headers.raw if value != value.strip()):
        # h11 refuses it below us with these words, so a client with an empty key must fail here, too.
        msg = f"Illegal header value {value!r}"
        raise httpx.LocalProtocolError(msg, request=request)
    return Request(
        method=request.method,
        path=request.url.path.removeprefix(handler.prefix),
        query=request.url.query.decode(),
        headers={name.lower(): value for name, value in request.headers.items()},
        content=request.content,
        read_timeout=request.extensions.get("timeout", {}).get("read"),
    )


async def _hang_up(transport: Any) -> None:
    """Close connections that wait for a next request.

    The official SDK's sync client makes a client and an event loop for each call and closes neither; against
    the fake there is nothing to close, but a real connection would be left to the garbage collector, whose
    warning then fails some later test.
    """
    for connection in transport._pool.connections:  # noqa: SLF001 - httpx has no other way to the connections
        if connection.is_idle():
            await connection.aclose()


class Original:
    """A reply that came from outside, as it was on the wire and as the plain value it stands for."""

    def __init__(self, raw: httpx.Response, content: bytes) -> None:
        self._raw = raw
        self._content = content
        headers = {name.lower(): value for name, value in raw.headers.items()}
        try:
            # httpx undoes every compression that its client has said it takes.
            plain = httpx.Response(raw.status_code, headers=raw.headers.raw, content=content).content
        except httpx.DecodingError:
            plain = content
        if plain != content:
            headers = {name: value for name, value in headers.items() if name not in _OF_THE_WIRE}
        self.reply = Reply(raw.status_code, plain, headers)

    def again(self, request: httpx.Request) -> httpx.Response:
        """Return it as httpx's transport did, to be read once more."""
        return httpx.Response(
            self._raw.status_code,
            headers=self._raw.headers.raw,
            stream=httpx.ByteStream(self._content),
            request=request,
            extensions=self._raw.extensions,
        )


_OF_THE_WIRE = frozenset({"content-encoding", "content-length", "transfer-encoding"})


def _response(
    request: httpx.Request, result: Reply | ConnectionLost, original: Original | None
) -> httpx.Response:
    """Return or raise what the client is to see, in httpx's terms."""
    __tracebackhide__ = True
    if original and result is original.reply:
        return original.again(request)
    if isinstance(result, ConnectionLost):
        if result.exception is not None:
            raise result.exception
        raise getattr(httpx, result.error)(result.message, request=request)
    # A stream, as httpx's own transports return it: it is read by the client, or as the user streams it.
    return httpx.Response(
        result.status,
        headers={"content-length": str(len(result.content)), **result.headers},
        stream=httpx.ByteStream(result.content),
        request=request,
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


_CONTEXTS: dict[object, ssl.SSLContext] = {}


@functools.lru_cache
def _with_shared_tls(init: Callable[..., None]) -> Callable[..., None]:
    # httpx 0.28 moved its arguments, so they go by their names.
    signature = inspect.signature(init)

    @functools.wraps(init)
    def with_shared_tls(*args: Any, **kwargs: Any) -> None:
        given = signature.bind(*args, **kwargs)
        settings = given.arguments
        if settings.get("verify", True) is True and settings.get("cert") is None:
            trust_env, http2 = settings.get("trust_env", True), settings.get("http2", False)
            files = ("SSL_CERT_FILE", "SSL_CERT_DIR") if trust_env else ()
            made_from = tuple(os.environ.get(name) for name in (*files, "SSLKEYLOGFILE"))
            key = (ssl.SSLContext, trust_env, http2, made_from)
            if key not in _CONTEXTS:
                _CONTEXTS[key] = httpx.create_ssl_context(trust_env=trust_env)
            settings["verify"] = _CONTEXTS[key]
        init(*given.args, **given.kwargs)

    return with_shared_tls
