"""urllib3, version 2, and so requests and whatever else is built on it.

The seam is where a pool sends one request on a connection, below `urlopen`: its `Retry` with ``Retry-After`` and
backoff, its redirects and all of requests stand above it and really run.
"""

from __future__ import annotations

import errno
import functools
import http.client
import inspect
import io
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from pytest_spidra.clients.adapter import (
    OF_THE_WIRE,
    Original,
    header_values,
    own_error,
    reply_headers,
    result_of,
)
from pytest_spidra.traffic.pending import ConnectionLost
from pytest_spidra.traffic.reply import Reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_spidra.clients.adapter import Attachment

HTTP_1_1 = 11
BODILESS = frozenset({204, 304})


class Urllib3Adapter:
    """Brings the requests of every connection pool to a handler.

    Args:
        attachment: The handler's.

        module: The library, as it was imported.
    """

    def __init__(self, attachment: Attachment, module: Any) -> None:
        self._attachment = attachment
        self._module = module
        self._version = _version(module)
        self._patched: list[tuple[type, str, Any, Any]] = []
        pools = module.connectionpool
        if is_answered(module):
            self._patch(pools.HTTPConnectionPool, "_make_request", self._sending)
            # Before a request is sent, a proxy is asked for a tunnel, and its path is not known then.
            self._patch(pools.HTTPConnectionPool, "_prepare_proxy", self._preparing)
            self._patch(pools.HTTPSConnectionPool, "_prepare_proxy", self._preparing)

    def repatch(self) -> None:
        """Nobody replaces what is patched here."""

    def close(self) -> None:
        """Put everything back; who has patched the same since keeps what he found, which only passes on now."""
        for owner, name, below, ours in reversed(self._patched):
            if vars(owner).get(name) is ours:
                setattr(owner, name, below)

    def _patch(self, owner: type, name: str, make: Callable[[Any], Any]) -> None:
        below = vars(owner)[name]
        ours = make(below)
        setattr(owner, name, ours)
        self._patched.append((owner, name, below, ours))

    def _preparing(self, below: Any) -> Any:
        @functools.wraps(below)
        def _prepare_proxy(pool: Any, conn: Any) -> None:
            if self._attachment.takes_any_of(pool.scheme, pool.host, pool.port):
                conn.prepare_proxy = below
            else:
                below(pool, conn)

        return _prepare_proxy

    def _sending(self, below: Any) -> Any:
        @functools.wraps(below)
        def _make_request(pool: Any, conn: Any, method: str, url: str, **options: Any) -> Any:
            __tracebackhide__ = True

            def send(over: Any = conn, **changed: Any) -> Any:
                if prepare := vars(conn).pop("prepare_proxy", None):
                    prepare(pool, over)
                return below(pool, over, method, url, **{**options, **changed})

            parts = urlsplit(url) if "://" in url else None  # for a proxy
            scheme, host, port = (
                (parts.scheme, parts.hostname or "", parts.port)
                if parts
                else (pool.scheme, pool.host, pool.port)
            )
            target = (parts._replace(scheme="", netloc="", fragment="").geturl() or "/") if parts else url
            if not self._attachment.takes(scheme, host, port, target):
                return send()
            return self._answer(pool, conn, method, url, target, options, send)

        return _make_request

    def _answer(
        self, pool: Any, conn: Any, method: str, url: str, target: str, options: dict[str, Any], send: Any
    ) -> Any:
        __tracebackhide__ = True
        content = self._content(options.get("body"), method)
        limits = pool._get_timeout(options.get("timeout"))  # noqa: SLF001 - who sends a request has to ask there
        limits.start_connect()
        resolved = self._module.Timeout.resolve_default_timeout
        connect_timeout, read_timeout = resolved(limits.connect_timeout), resolved(limits.read_timeout)
        pending = self._attachment.send(
            method,
            target,
            {"host": pool.host, **header_values(options.get("headers") or {})},
            content,
            connect_timeout=connect_timeout,
            read_timeout=read_timeout,
            write_timeout=connect_timeout,  # it is the socket's until the request is sent
        )

        def ask() -> Original[tuple[int, Any, bytes]]:
            body = content if options.get("body") is not None else None
            over = getattr(conn, "real_connection", conn)  # vcrpy puts its own in its place
            raw = send(over, body=body, response_conn=None, preload_content=False, decode_content=False)
            sent = raw.read()
            headers = header_values(raw.headers)
            plain = self._plain(raw, sent)
            if plain != sent:
                headers = {name: value for name, value in headers.items() if name not in OF_THE_WIRE}
            return Original(Reply(raw.status, plain, headers), (raw.status, raw.headers, sent))

        result = result_of(pending, ask)
        if isinstance(result, Original):
            came = result.response
        else:
            reply = result.partial if isinstance(result, ConnectionLost) else result
            if reply is None:
                raise self._error(
                    cast(ConnectionLost, result), pool, conn, url, (connect_timeout, read_timeout)
                )
            came = reply.status, reply_headers(reply), reply.content
        response = self._response(*came, method, url, options)
        response.retries = options.get("retries")
        if (held := options.get("response_conn")) is not None:
            pool._put_conn(held)  # noqa: SLF001 - the reply is here, and needs no connection
        return response

    def _content(self, body: Any, method: str) -> bytes:
        chunks = self._module.util.request.body_to_chunks(body, method=method, blocksize=16384).chunks
        return b"".join(part.encode() if isinstance(part, str) else bytes(part) for part in chunks or ())

    def _plain(self, raw: Any, sent: bytes) -> bytes:
        """Return a body without its compression, as far as urllib3 can undo it."""
        again = self._module.HTTPResponse(io.BytesIO(sent), headers=raw.headers, preload_content=False)
        try:
            plain: bytes = again.read(decode_content=True)
        except self._module.exceptions.HTTPError:
            return sent
        return plain

    def _response(
        self, status: int, headers: Any, content: bytes, method: str, url: str, options: dict[str, Any]
    ) -> Any:
        """Return a response as urllib3 makes it of what a connection gives; one that is cut off fails as it is read."""
        headers = self._module.HTTPHeaderDict(headers)
        headers.pop("transfer-encoding", None)  # the body comes in one piece
        promised = 0 if method == "HEAD" or status in BODILESS else int(headers.get("content-length") or 0)
        return self._module.HTTPResponse(
            body=_Body(content, promised),
            headers=headers,
            status=status,
            **self._version,
            reason=http.client.responses.get(status, ""),
            preload_content=options.get("preload_content", True),
            decode_content=options.get("decode_content", True),
            enforce_content_length=options.get("enforce_content_length", True),
            original_response=_HttpClients(headers),
            request_method=method,
            request_url=url,
        )

    def _error(
        self,
        lost: ConnectionLost,
        pool: Any,
        conn: Any,
        url: str,
        timeouts: tuple[float | None, float | None],
    ) -> Exception:
        """Return what urllib3's own code raises here, before `urlopen` makes of it what users see."""
        connect, read = timeouts
        errors = self._module.exceptions
        message = lost.message
        made: dict[str, Callable[[], Exception]] = {
            "ConnectError": lambda: errors.NewConnectionError(
                conn, f"Failed to establish a new connection: {message}"
            ),
            "ConnectTimeout": lambda: errors.ConnectTimeoutError(
                conn, f"Connection to {pool.host} timed out. (connect timeout={connect}): {message}"
            ),
            "PoolTimeout": lambda: errors.EmptyPoolError(pool, f"Pool is empty: {message}"),
            "ReadTimeout": lambda: errors.ReadTimeoutError(
                pool, url, f"Read timed out. (read timeout={read}): {message}"
            ),
            "WriteTimeout": lambda: TimeoutError(message),
            "WriteError": lambda: BrokenPipeError(errno.EPIPE, message),
            "ReadError": lambda: ConnectionResetError(errno.ECONNRESET, message),
            "CloseError": lambda: OSError(errno.EIO, message),
            "RemoteProtocolError": lambda: http.client.RemoteDisconnected(message),
            "LocalProtocolError": lambda: errors.ProtocolError(message),
            "ProxyError": lambda: errors.ProxyError(message, OSError(errno.ECONNREFUSED, message)),
        }
        if (own := own_error(lost, "urllib3", made)) is not None:
            return own
        if lost.error == "PoolTimeout":
            pool._put_conn(conn)  # noqa: SLF001 - urlopen believes that there was none
        return made[lost.error]()


@functools.cache
def _version(module: Any) -> dict[str, Any]:
    """Return how a response is told that it came by HTTP/1.1."""
    known = inspect.signature(module.HTTPResponse).parameters
    return {"version": HTTP_1_1} | ({"version_string": "HTTP/1.1"} if "version_string" in known else {})


@functools.cache
def is_answered(module: Any) -> bool:
    """Whether this is a urllib3 that is answered: one before version 2, and urllib3-future, send in other ways."""
    pool = module.connectionpool.HTTPConnectionPool
    names = inspect.signature(pool._make_request).parameters  # noqa: SLF001 - the seam
    return "response_conn" in names and not hasattr(module, "AsyncPoolManager")


class _Body(io.BytesIO):
    """A body as http.client reads it: one that is shorter than was promised fails when all of it is asked for."""

    def __init__(self, content: bytes, promised: int) -> None:
        super().__init__(content)
        self._missing = promised - len(content)

    def read(self, size: int | None = -1) -> bytes:
        """Return so many bytes, or all that are left."""
        content = super().read(size)
        if self._missing > 0 and (size is None or size < 0):
            raise http.client.IncompleteRead(content, self._missing)
        return content


class _HttpClients:
    """What is asked of the response of http.client's below urllib3's: requests reads cookies there."""

    def __init__(self, headers: Any) -> None:
        self._headers = headers

    @property
    def msg(self) -> Any:
        """The headers, as http.client has them."""
        message = http.client.HTTPMessage()
        for name, value in self._headers.iteritems():
            message[name] = value
        return message

    def isclosed(self) -> bool:
        """Whether its connection is needed no more."""
        return True

    def close(self) -> None:
        """Nothing is open."""
