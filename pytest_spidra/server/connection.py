"""One connection of the server: one request after the other. HTTP itself is left to h11.

Nothing that a client sends makes it fail: what is no HTTP gets a 4xx and loses its connection. A 5xx is always
one that somebody scripted.
"""

from __future__ import annotations

import contextlib
import socket
import time
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote

import h11

from pytest_spidra.server.breaks import RESET, reset_at_the_end, seen_by_socket
from pytest_spidra.traffic.error_replies import error_reply
from pytest_spidra.traffic.pending import ConnectionLost, PendingRequest, RequestHandler
from pytest_spidra.traffic.request import Request

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_spidra.traffic.reply import Reply

LARGEST_HEAD = 16 * 1024  # bytes of request line and headers, as Node allows them
LARGEST_BODY = 16 * 1024 * 1024  # bytes; 50 URLs with a schema are far below
LINGER = 2.0  # seconds in which a client may read a reply after which the connection ends
LONGEST_WAIT = 3600.0  # seconds that a socket takes for a time-out; longer waits are made of several
CHUNK = 64 * 1024
PHRASES = {status.value: status.phrase for status in HTTPStatus}


# What a reply says of how it was sent; it is sent anew here.
_OF_THE_WIRE = frozenset(
    {"connection", "content-encoding", "content-length", "keep-alive", "transfer-encoding"}
)


class RefusedError(Exception):
    """The client broke the rules of HTTP; it is told so and its connection ends."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class HungUpError(Exception):
    """The client hung up, or the server stops."""


class Owner(Protocol):
    """Who accepts connections, and is told when one has ended."""

    idle_timeout: float
    errors: list[BaseException]

    def dismiss(self, connection: socket.socket) -> None:
        """Close a connection."""


class Connection:
    """One connection: one request after the other."""

    def __init__(self, listener: Owner, connection: socket.socket, handler: RequestHandler) -> None:
        self._listener = listener
        self._socket = connection
        self._handler = handler
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=LARGEST_HEAD)
        self._begun = False  # whether a part of a request has come
        self._bodiless = False  # whether the request wants a reply without a body

    def serve(self) -> None:
        """Answer until either side hangs up."""
        try:
            with contextlib.suppress(OSError):  # a connection that is gone already
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with contextlib.suppress(HungUpError):
                self._exchanges()
        except BaseException as error:  # noqa: BLE001 - pytest's failures are no Exception; kept in errors, which fail the test
            self._listener.errors.append(error)
        finally:
            self._listener.dismiss(self._socket)

    def _exchanges(self) -> None:
        try:
            while self._exchange():
                self._http.start_next_cycle()
                self._begun = bool(self._http.trailing_data[0])
                self._bodiless = False
        except RefusedError as refused:
            self._refuse(refused)

    def _exchange(self) -> bool:
        """Read a request and answer it; tell whether the connection goes on."""
        event = self._next_event()
        if not isinstance(event, h11.Request):
            return False  # the client is done
        self._bodiless = event.method == b"HEAD"
        request = self._read(event)
        if request is None:
            message = f"There is nothing here. The API lives below {self._handler.prefix or '/'}."
            self._send_reply(error_reply(404, message))
        else:
            result = self._result(request)
            if result is None:
                return False
            self._send_reply(result)
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            return True
        self._part()
        return False

    # -- the request -----------------------------------------------------------------------------------

    def _next_event(self) -> Any:
        """Return what the client sends next, in h11's words."""
        while True:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as error:
                # h11's own hints hold a 501, and a client is to see no 5xx that nobody scripted.
                status = 431 if error.error_status_hint == 431 else 400
                raise RefusedError(status, f"This is no HTTP: {error}.") from error
            except ValueError as error:
                # h11 before 0.15 hands a length of any number of digits to int().
                raise RefusedError(400, f"This is no HTTP: {error}.") from error
            if event is not h11.NEED_DATA:
                return event
            if self._http.they_are_waiting_for_100_continue:
                self._send(self._http.send(h11.InformationalResponse(status_code=100, headers=[])))
            data = self._receive(self._listener.idle_timeout if self._begun else None)
            if data is None:
                if not self._begun:
                    continue
                msg = f"Nothing came for {self._listener.idle_timeout:g} seconds in the middle of a request."
                raise RefusedError(408, msg)
            self._begun = True
            self._http.receive_data(data)

    def _read(self, head: h11.Request) -> Request | None:
        """Return the whole request as a plain value; None when it is not for the API."""
        if head.http_version not in {b"1.0", b"1.1"}:
            raise RefusedError(400, f"This server speaks HTTP/1.1, not HTTP/{head.http_version.decode()}.")
        size = (
            len(head.method)
            + len(head.target)
            + sum(len(name) + len(value) + 4 for name, value in head.headers)
        )
        if size > LARGEST_HEAD:
            raise RefusedError(431, f"Request line and headers are longer than {LARGEST_HEAD} bytes.")
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers}
        if "transfer-encoding" not in headers and int(headers.get("content-length", "0")) > LARGEST_BODY:
            raise RefusedError(413, f"The body is longer than {LARGEST_BODY} bytes.")
        content = bytearray()
        while isinstance(event := self._next_event(), h11.Data):
            content += event.data
            if len(content) > LARGEST_BODY:
                raise RefusedError(413, f"The body is longer than {LARGEST_BODY} bytes.")
        path, _, query = _origin_form(head.target.decode("latin-1")).partition("?")
        path, prefix = unquote(path), self._handler.prefix
        if path != prefix and not path.startswith(f"{prefix}/"):
            return None
        return Request(
            method=head.method.decode("latin-1"),
            path=path.removeprefix(prefix),
            query=query,
            headers=headers,
            content=bytes(content),
            connect_timeout=0.0,  # it has connected; how long it waits for the reply, only the client knows
        )

    # -- the answer ------------------------------------------------------------------------------------

    def _result(self, request: Request) -> Reply | None:
        """Return the reply that the client is to see; None when the connection is over without one."""
        try:
            pending = self._handler.send(request)
        except RecursionError as error:
            raise RefusedError(400, "The body is nested too deeply.") from error
        try:
            stays = self._wait(pending)
        except BaseException:
            pending.cancel()
            raise
        if not stays:
            pending.cancel()
            return None
        result = pending.finish(seen_by_socket)
        if isinstance(result, ConnectionLost):
            if result.partial is not None:
                self._send_reply(result.partial, promised=int(result.partial.headers["content-length"]))
            elif seen_by_socket(result) == RESET:
                reset_at_the_end(self._socket)
            return None
        return result

    def _wait(self, pending: PendingRequest) -> bool:
        """Wait as long as the reply takes; tell whether the client is still there.

        A client that has closed its half of the connection has hung up: on the wire it looks the same.
        """
        due = time.perf_counter() + pending.delay  # never virtual, whatever the test does to the time
        early = 0
        while (left := due - time.perf_counter()) > 0:
            data = self._receive(left)
            if data == b"":
                return False
            if data is not None:  # the next request, sent before this one was answered
                early += len(data)
                if early > LARGEST_BODY:
                    return False
                self._http.receive_data(data)
        return True

    def _send_reply(self, reply: Reply, *more: tuple[str, str], promised: int | None = None) -> None:
        """Send a reply; h11 knows when it has no body and when the connection ends with it.

        One that promises more bytes than it has is not ended: what follows is the end of the connection.
        """
        given = {name.lower(): value.strip() for name, value in reply.headers.items()}
        headers = [(name, value) for name, value in given.items() if name not in _OF_THE_WIRE]
        if "date" not in given:
            headers.append(("date", formatdate(usegmt=True)))
        never = reply.status in {204, 304}
        if not never:
            headers.append(("content-length", str(len(reply.content) if promised is None else promised)))
        # A name or a value that no client could read is an error of the script's, and h11 says so.
        reason = PHRASES.get(reply.status, "").encode()
        head = h11.Response(status_code=reply.status, headers=_encoded([*headers, *more]), reason=reason)
        parts = [self._http.send(head)]
        if not never and not self._bodiless:
            parts.append(self._http.send(h11.Data(data=reply.content)))
        if promised is None:
            parts.append(self._http.send(h11.EndOfMessage()))
        self._send(b"".join(part for part in parts if part))

    def _refuse(self, refused: RefusedError) -> None:
        """Tell the client what is wrong, if it can still be told, and let it read that."""
        if self._http.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            self._send_reply(error_reply(refused.status, refused.message), ("connection", "close"))
            self._part()

    # -- the socket ------------------------------------------------------------------------------------

    def _receive(self, idle_timeout: float | None) -> bytes | None:
        """Return what came, empty at the end, None when nothing came for `idle_timeout` seconds."""
        try:
            self._socket.settimeout(LONGEST_WAIT if idle_timeout is None else min(idle_timeout, LONGEST_WAIT))
            return self._socket.recv(CHUNK)
        except TimeoutError:
            return None
        except OSError as error:
            raise HungUpError from error

    def _send(self, data: bytes | None) -> None:
        try:
            self._socket.settimeout(self._listener.idle_timeout)
            self._socket.sendall(data or b"")
        except OSError as error:
            raise HungUpError from error

    def _part(self) -> None:
        """Say goodbye, and read on for a while.

        To close a socket with bytes unread is to reset the connection, which may take the reply from a client
        that has not read it yet.
        """
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise HungUpError from error
        until = time.perf_counter() + LINGER
        while (left := until - time.perf_counter()) > 0 and self._receive(left):
            pass


def _origin_form(target: str) -> str:
    """Return path and query of a request line's target, also of one that names the server, as proxies are sent."""
    if target.startswith("/"):
        return target
    scheme, marked, rest = target.partition("://")
    return f"/{rest.partition('/')[2]}" if marked and scheme.lower() in {"http", "https"} else target


def _encoded(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("utf-8")) for name, value in headers]
