"""A connection of aiohttp's that leads nowhere: what is written to it is a request, what is read from it the reply."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

from pytest_spidra.clients.adapter import (
    OF_THE_WIRE,
    Original,
    async_result_of,
    header_values,
    reply_headers,
)
from pytest_spidra.traffic.pending import ConnectionLost
from pytest_spidra.traffic.reply import Reply

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pytest_spidra.clients.adapter import Attachment

SENT_ANEW = frozenset({"content-length", "transfer-encoding"})
BODILESS = frozenset({204, 304})
INTERIM = range(100, 200)
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
PHRASES = {status.value: status.phrase for status in HTTPStatus}


class AnsweredRequest:
    """A request that is answered here, as a connector sees it.

    Args:
        request: aiohttp's.

        attachment: Whose adapter answers it.

        connect: Returns a real connection for it.
    """

    answered_in_process = True
    """For the network guard: it goes nowhere."""

    def __init__(self, request: Any, attachment: Attachment, connect: Any) -> None:
        self.request = request
        self.attachment = attachment
        self.connect = connect

    def __getattr__(self, name: str) -> Any:
        return getattr(self.request, name)

    @property
    def connection_key(self) -> Any:
        """A key of its own: a real connection that is kept alive is none for it."""
        key = self.request.connection_key  # a named tuple, or a class of attrs before aiohttp 3.12
        fields = {name: getattr(key, name) for name in type(key).__match_args__}
        return type(key)(**{**fields, "proxy_headers_hash": id(self.attachment)})


if TYPE_CHECKING:

    class Handler:
        """What is used of aiohttp's `ResponseHandler`, which is imported by users only."""

        def __init__(self, loop: Any) -> None: ...

        def set_exception(self, *args: Any, **kwargs: Any) -> None:
            """Let whoever waits see an error."""

        async def read(self) -> Any:
            """Return the head of the next reply, and its body."""

        def __getattr__(self, name: str) -> Any: ...
else:
    Handler = object  # the adapter puts aiohttp's own behind it


class Answering(Handler):
    """A connection's protocol that leads nowhere: made into a subclass of aiohttp's own.

    It answers when the reply is waited for, which is when the request is whole and in the task that sends it.
    """

    should_close = True  # nothing of it is kept for a next request

    def __init__(self, loop: Any, adapter: Any, asked: AnsweredRequest, timeout: Any) -> None:
        super().__init__(loop)
        self._adapter: Any = adapter
        self._asked = asked
        self._timeouts = timeout
        self._began = loop.time()
        self._written = asyncio.Event()
        self._continued = self._answered = False
        self._wire = _Wire(self)
        self.connection_made(self._wire)

    def start_timeout(self) -> None:
        """The request is written; how long the reply may take is reckoned elsewhere."""
        self._written.set()

    def set_exception(self, *args: Any, **kwargs: Any) -> None:
        """The request could not be written."""
        super().set_exception(*args, **kwargs)
        self._written.set()

    async def read(self) -> Any:
        """Return the head of the reply, and its body to be read."""
        __tracebackhide__ = True
        asked = self._asked.request
        if not self._continued and "100-continue" in asked.headers.get("Expect", ""):
            self._continued = True
            self.data_received(CONTINUE)
        elif not self._answered:
            await self._written.wait()
            self._answered = True
            if self.exception() is None:
                await self._answer(asked)
        return await super().read()

    async def _answer(self, asked: Any) -> None:
        __tracebackhide__ = True
        given = self._timeouts
        total = given.total and max(given.total - (self._loop.time() - self._began), 0.0)
        limits = {
            "Connect": _shorter(_shorter(given.sock_connect, given.connect)[0], total),
            "Pool": _shorter(given.connect, total),
            "Read": _shorter(given.sock_read, total),
        }
        pending = self._adapter.attachment.send(
            asked.method,
            asked.url.raw_path_qs,
            header_values(asked.headers),
            self._wire.body(asked.headers),
            **{f"{name.lower()}_timeout": seconds for name, (seconds, _) in limits.items()},
        )
        timer = asked._timer  # noqa: SLF001 - it tells aiohttp's own timeout from a cancelled task

        def given_up() -> str:
            return "ReadTimeout" if getattr(timer, "_cancelled", False) else "cancelled"

        result = await async_result_of(pending, self._ask, asyncio.sleep, given_up)
        if isinstance(result, Original):
            self.data_received(result.response)
            return
        lost = result if isinstance(result, ConnectionLost) else None
        reply = lost.partial if lost else cast(Reply, result)
        if reply is None:
            error = cast(ConnectionLost, lost).error
            if limits.get(error.removesuffix("Timeout"), (None, False))[1]:
                raise TimeoutError  # as asyncio ends the wait for the whole request
            raise self._adapter.error(cast(ConnectionLost, lost), asked)
        bodiless = reply.status in BODILESS or asked.method == "HEAD"
        headers = reply_headers(reply).items()
        self.data_received(_serialized(reply.status, headers, b"" if bodiless else reply.content))
        if lost:
            self._loop.call_soon(self.connection_lost, None)

    async def _ask(self) -> Original[bytes]:
        """Send what was written over a real connection."""
        connection = await self._asked.connect()
        try:
            protocol = connection.protocol
            self._expect_reply(protocol, auto_decompress=False, read_timeout=self._timeouts.sock_read)
            protocol.transport.write(bytes(self._wire.written))
            while (head := await protocol.read())[0].code in INTERIM:
                pass
            message, payload = head
            content = await payload.read()
        finally:
            connection.close()
        reply = Reply(message.code, content, header_values(message.headers))
        whole = [("content-length", str(len(content)))]  # in one piece, however it came
        whole += [pair for pair in message.headers.items() if pair[0].lower() not in SENT_ANEW]
        response = _serialized(message.code, whole, content)
        plain = await self._decompressed(response, content)
        if plain != content:
            headers = {name: value for name, value in reply.headers.items() if name not in OF_THE_WIRE}
            reply = Reply(message.code, plain, headers)
        return Original(reply, response)

    async def _decompressed(self, response: bytes, sent: bytes) -> bytes:
        """Return a reply's body as aiohttp's own parser makes it; as it was sent where that fails."""
        module = self._adapter.module
        protocol = module.client_proto.ResponseHandler(self._loop)
        self._expect_reply(protocol, auto_decompress=True)
        protocol.data_received(response)
        _, payload = await protocol.read()
        try:
            content: bytes = await payload.read()
        except module.ClientPayloadError:
            return sent
        return content

    def _expect_reply(self, protocol: Any, **params: Any) -> None:
        skip = self._asked.request.method == "HEAD"
        protocol.set_response_params(skip_payload=skip, read_until_eof=True, **params)


class _Wire(asyncio.Transport):
    """What a request is written to."""

    def __init__(self, protocol: Any) -> None:
        super().__init__()
        self._protocol = protocol
        self._closing = False
        self.written = bytearray()

    def write(self, data: Any) -> None:
        """Keep it."""
        self.written += data

    def is_closing(self) -> bool:
        """Whether it was closed."""
        return self._closing

    def close(self) -> None:
        """End it, as a socket's transport does: the protocol hears of it in a moment."""
        if not self._closing:
            self._closing = True
            loop = self._protocol._loop  # noqa: SLF001 - aiohttp's protocol has no other name for it
            if not loop.is_closed():
                loop.call_soon(self._protocol.connection_lost, None)

    def abort(self) -> None:
        """End it."""
        self.close()

    def get_write_buffer_size(self) -> int:
        """Return 0: what is written has gone."""
        return 0

    def pause_reading(self) -> None:
        """What is read comes at once."""

    def resume_reading(self) -> None:
        """What is read comes at once."""

    def body(self, headers: Mapping[str, str]) -> bytes:
        """Return the body of the request that was written."""
        content = bytes(self.written.partition(b"\r\n\r\n")[2])
        return b"".join(_chunks(content)) if "chunked" in headers.get("Transfer-Encoding", "") else content


def _chunks(content: bytes) -> Iterator[bytes]:
    while content:
        size, _, rest = content.partition(b"\r\n")
        length = int(size.partition(b";")[0], 16)
        yield rest[:length]
        content = rest[length + 2 :]


def _serialized(status: int, headers: Iterable[tuple[str, str]], content: bytes) -> bytes:
    """Return a reply as it goes over the wire."""
    lines = [f"HTTP/1.1 {status} {PHRASES.get(status, '')}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape") + content


def _shorter(one: float | None, other: float | None) -> tuple[float | None, bool]:
    """Return the shorter of two timeouts, of which None and 0 are none; and whether it is the second."""
    if other and (not one or other < one):
        return other, True
    return one or None, False
