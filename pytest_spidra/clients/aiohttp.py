"""aiohttp: sessions, connectors and middlewares as they are.

The seam is where a connector makes a connection: the one that it is given for a request to the API leads nowhere. What
aiohttp writes to it is the request, and what it reads from it is the reply, by its own parser. Limits of a connector,
traces, redirects, timeouts and the second attempt that aiohttp allows itself really run.
"""

from __future__ import annotations

import errno
import functools
from itertools import chain
from typing import TYPE_CHECKING, Any

from pytest_spidra.clients.adapter import own_error
from pytest_spidra.clients.aiohttp_connection import AnsweredRequest, Answering
from pytest_spidra.clients.replaced import ReplacedFunction

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_spidra.clients.adapter import Attachment
    from pytest_spidra.traffic.pending import ConnectionLost


class AiohttpAdapter:
    """Brings the requests of every session to a handler.

    Args:
        attachment: The handler's.

        module: The library, as it was imported.
    """

    def __init__(self, attachment: Attachment, module: Any) -> None:
        self.attachment = attachment
        self.module = module
        self._protocol = _protocol(module)
        self._patched: list[tuple[type, str, Any, Any]] = []
        connector = module.BaseConnector
        self._patch(connector, "connect", self._connecting(vars(connector)["connect"]))
        for kind in _kinds(connector):
            if (below := vars(kind).get("_create_connection")) is not None:
                self._patch(kind, "_create_connection", self._creating(below))
        self._method = ReplacedFunction(attachment, module.ClientSession, "_request", _address)
        self.repatch()

    def repatch(self) -> None:
        """Stand before everybody who has replaced the library's own function since."""
        self._method.repatch()

    def close(self) -> None:
        """Put everything back; who has patched the same since keeps what he found, which only passes on now."""
        for owner, name, below, ours in reversed(self._patched):
            if vars(owner).get(name) is ours:
                setattr(owner, name, below)
        self._method.unpatch()

    def _patch(self, owner: type, name: str, ours: Any) -> None:
        self._patched.append((owner, name, vars(owner)[name], ours))
        setattr(owner, name, ours)

    def _connecting(self, below: Any) -> Any:
        @functools.wraps(below)
        async def connect(connector: Any, req: Any, traces: Any, timeout: Any) -> Any:  # noqa: ASYNC109 - aiohttp's
            __tracebackhide__ = True
            url = req.url
            answered = isinstance(req, AnsweredRequest)  # by another attachment, when tests run within a test
            if not answered and self.attachment.takes(
                url.scheme, url.raw_host or "", url.port, url.raw_path_qs
            ):

                async def ask() -> Any:
                    return await below(connector, req, traces, timeout)

                return await below(connector, AnsweredRequest(req, self.attachment, ask), traces, timeout)
            return await below(connector, req, traces, timeout)

        return connect

    def _creating(self, below: Any) -> Any:
        @functools.wraps(below)
        async def _create_connection(connector: Any, req: Any, traces: Any, timeout: Any) -> Any:  # noqa: ASYNC109 - aiohttp's
            if isinstance(req, AnsweredRequest) and req.attachment is self.attachment:
                return self._protocol(connector._loop, self, req, timeout)  # noqa: SLF001 - there is no other way to it
            return await below(connector, req, traces, timeout)

        return _create_connection

    def error(self, lost: ConnectionLost, request: Any) -> Exception:
        """Return the error that aiohttp raises."""
        module, message, key = self.module, lost.message, request.connection_key
        refused = OSError(errno.ECONNREFUSED, message)
        made: dict[str, Callable[[], Exception]] = {
            "ConnectError": lambda: module.ClientConnectorError(key, refused),
            "ConnectTimeout": lambda: module.ConnectionTimeoutError(
                f"Connection timeout to host {request.url}: {message}"
            ),
            "PoolTimeout": lambda: module.ConnectionTimeoutError(
                f"Connection timeout to host {request.url}: {message}"
            ),
            "WriteError": lambda: module.ClientOSError(errno.EPIPE, message),
            "WriteTimeout": lambda: module.SocketTimeoutError(message),
            "ReadError": lambda: module.ClientOSError(errno.ECONNRESET, message),
            "ReadTimeout": lambda: module.SocketTimeoutError(message),
            "CloseError": lambda: module.ClientConnectionError(message),
            "RemoteProtocolError": lambda: module.ServerDisconnectedError(message),
            "LocalProtocolError": lambda: module.ClientConnectionError(message),
            "ProxyError": lambda: module.ClientProxyConnectionError(key, refused),
        }
        return own_error(lost, "aiohttp", made) or made[lost.error]()


@functools.cache
def _protocol(module: Any) -> Any:
    return type("AnsweringProtocol", (Answering, module.client_proto.ResponseHandler), {})


def _kinds(kind: type) -> list[type]:
    return [kind, *chain.from_iterable(map(_kinds, kind.__subclasses__()))]


def _address(
    session: Any,
    method: str,  # noqa: ARG001 - a method's arguments
    str_or_url: Any,
    **_: Any,
) -> tuple[str, str, int | None, str] | None:
    try:
        url = session._build_url(str_or_url)  # noqa: SLF001 - as aiohttp itself makes it
    except (TypeError, ValueError):  # aiohttp says so
        return None
    return url.scheme, url.raw_host or "", url.port, url.raw_path_qs
