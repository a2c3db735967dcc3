"""The calls by which a request leaves this process, and how each says where it goes.

A way to a host passes at least one of them: a name is resolved, or a proxy is asked to; TLS is begun with the host's
name; bytes are written that begin a request. What a library written in C does by itself passes none, so libraries of
which that is known have rows of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from pytest_spidra.clients.asked_request import AskedRequest, plain_url
from pytest_spidra.clients.request_heads import read_heads

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Look = Callable[["Guard", tuple[Any, ...], Mapping[str, Any]], None]


class Guard(Protocol):
    """Who is told where a call goes, and raises where it must not."""

    def see_name(self, host: object, how: str, asked: AskedRequest | None = None) -> None:
        """Look at a host's name."""

    def see_address(self, address: object) -> None:
        """Look at what a socket is to be connected to."""


@dataclass(frozen=True)
class GuardedCall:
    """One function of a module.

    Args:
        module: The module, looked for in `sys.modules`: nothing is imported for its sake.

        path: The function's name in it, with that of its class: ``"SSLContext.wrap_bio"``.

        look: Reads from the arguments where the call goes.
    """

    module: str
    path: str
    look: Look


ADDRESS_ASKED = "it asked for the address of {host}"
CONNECTED = "it connected to {host}"
PROXY_ASKED = "it asked a proxy for {host}"
TLS_BEGUN = "it began TLS with {host}"
SENT = "it sent a request to {host}"

CURLOPT_URL = 10002


def argument(args: tuple[Any, ...], kwargs: Mapping[str, Any], place: int, name: str) -> Any:
    """Return an argument that was given by its place or by its name, or None."""
    return args[place] if len(args) > place else kwargs.get(name)


def _resolves(place: int) -> Look:
    def look(guard: Guard, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        guard.see_name(argument(args, kwargs, place, "host"), ADDRESS_ASKED)

    return look


def _connects(place: int) -> Look:
    def look(guard: Guard, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        guard.see_address(argument(args, kwargs, place, "address"))

    return look


def _writes(guard: Guard, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    data = args[1] if len(args) > 1 else kwargs.get("data", kwargs.get("item"))
    for head in read_heads(data):
        url = head.target if "://" in head.target else f"http://{head.host}{head.target}"
        asked = (
            None if head.by_proxy and "://" not in head.target else AskedRequest(head.method, plain_url(url))
        )
        guard.see_name(head.host, PROXY_ASKED if head.by_proxy else SENT, asked)


def _writes_many(guard: Guard, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    for buffer in argument(args, kwargs, 1, "buffers") or ():
        return _writes(guard, (args[0], buffer), {})
    return None


def _writes_by_tls(guard: Guard, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    guard.see_name(getattr(args[0], "server_hostname", None), SENT)
    _writes(guard, args, kwargs)


def _begins_tls(server_side: int, server_hostname: int) -> Look:
    def look(guard: Guard, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        if not argument(args, kwargs, server_side, "server_side"):
            guard.see_name(argument(args, kwargs, server_hostname, "server_hostname"), TLS_BEGUN)

    return look


def _asks_proxy(place: int, name: str) -> Look:
    def look(guard: Guard, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        asked = argument(args, kwargs, place, name)
        if isinstance(asked, str) and "://" in asked:
            asked = urlsplit(asked).hostname
        elif name == "url":
            return
        guard.see_name(asked, PROXY_ASKED)

    return look


def _opens_connection(guard: Guard, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Look at ``create_connection`` of a loop that resolves and connects in C."""
    host = argument(args, kwargs, 2, "host")
    guard.see_name(host, ADDRESS_ASKED)
    guard.see_name(kwargs.get("server_hostname"), TLS_BEGUN)
    guard.see_address((host, argument(args, kwargs, 3, "port")))


def _connects_for_aiohttp(guard: Guard, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    request = argument(args, kwargs, 1, "req")
    if getattr(request, "answered_in_process", False):
        return
    asked = AskedRequest(request.method, plain_url(request.url), "aiohttp")
    guard.see_name(request.url.raw_host, SENT, asked)


def _sets_url(library: str) -> Look:
    def look(guard: Guard, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:  # noqa: ARG001 - as all of them
        _, option, value = (*args, None, None)[:3]
        if option != CURLOPT_URL or not isinstance(value, str | bytes):
            return
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
        text = text if "://" in text else f"http://{text}"
        try:
            host = urlsplit(text).hostname
        except ValueError:
            return
        guard.see_name(host, SENT, AskedRequest("", plain_url(text), library))

    return look


CALLS = (
    GuardedCall("socket", "getaddrinfo", _resolves(0)),
    GuardedCall("socket", "gethostbyname", _resolves(0)),
    GuardedCall("socket", "gethostbyname_ex", _resolves(0)),
    GuardedCall("socket", "socket.connect", _connects(1)),
    GuardedCall("socket", "socket.connect_ex", _connects(1)),
    GuardedCall("socket", "socket.send", _writes),
    GuardedCall("socket", "socket.sendall", _writes),
    GuardedCall("socket", "socket.sendmsg", _writes_many),
    GuardedCall("http.client", "HTTPConnection.set_tunnel", _asks_proxy(1, "host")),
    GuardedCall("http.client", "HTTPConnection.putrequest", _asks_proxy(2, "url")),
    GuardedCall("ssl", "SSLContext.wrap_socket", _begins_tls(2, 5)),
    GuardedCall("ssl", "SSLContext.wrap_bio", _begins_tls(3, 4)),
    GuardedCall("ssl", "SSLSocket.send", _writes_by_tls),
    GuardedCall("ssl", "SSLSocket.write", _writes_by_tls),
    GuardedCall("ssl", "SSLObject.write", _writes_by_tls),
    # A loop resolves names in a thread of its own, where nobody knows who has asked: here it is still known.
    GuardedCall("asyncio.base_events", "BaseEventLoop.getaddrinfo", _resolves(1)),
    GuardedCall("asyncio.streams", "StreamWriter.write", _writes),
    GuardedCall("anyio._backends._asyncio", "SocketStream.send", _writes),
    GuardedCall("uvloop", "Loop.getaddrinfo", _resolves(1)),
    GuardedCall("uvloop", "Loop.create_connection", _opens_connection),
    GuardedCall("trio", "SocketStream.send_all", _writes),
    GuardedCall("aiohttp.connector", "BaseConnector.connect", _connects_for_aiohttp),
    GuardedCall("curl_cffi.curl", "Curl.setopt", _sets_url("curl_cffi")),
    GuardedCall("pycurl", "Curl.setopt", _sets_url("pycurl")),
)
