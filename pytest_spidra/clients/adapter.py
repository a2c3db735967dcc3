"""What the files of all HTTP libraries share: how a request gets to a handler, and what comes of it to the client.

A client's file says what is its library's own: where its requests pass, and what its responses and errors look like.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar
from urllib.parse import unquote

from pytest_spidra.traffic.request import Request

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from pytest_spidra.traffic.pending import ConnectionLost, PendingRequest, RequestHandler
    from pytest_spidra.traffic.reply import Reply

Response = TypeVar("Response")

OF_THE_WIRE = frozenset({"content-encoding", "content-length", "transfer-encoding"})
"""Headers that say how a body was sent, and nothing of what it is."""


class Adapter(Protocol):
    """One HTTP library, patched."""

    def repatch(self) -> None:
        """Stand before everybody who has replaced the library's own functions since."""

    def close(self) -> None:
        """Put everything back."""


class Attachment:
    """Where the adapters of one test hand requests in, as long as they are its own, until it is closed.

    What others put back after that, and has been ours, only passes on.

    Args:
        handler: Takes the requests.
    """

    def __init__(self, handler: RequestHandler) -> None:
        self._handler = handler
        self._bypass = threading.local()
        self.closed = False

    @property
    def bypassed(self) -> bool:
        """Whether a request of this thread's is one of our own."""
        return getattr(self._bypass, "now", False)

    @contextmanager
    def bypass(self) -> Iterator[None]:
        """Let requests of this thread's pass by the handler."""
        self._bypass.now = True
        try:
            yield
        finally:
            self._bypass.now = False

    def takes(self, scheme: str, host: str, port: int | None, target: str) -> bool:
        """Whether a request is for the handler; `target` is path and query, as on the request line."""
        if self.closed or self.bypassed:
            return False
        return self._handler.takes(scheme, host, port, _path(target))

    def takes_any_of(self, scheme: str, host: str, port: int | None) -> bool:
        """Whether a request to this address may be for the handler: its path is not known yet."""
        return self.takes(scheme, host, port, self._handler.prefix)

    def send(
        self, method: str, target: str, headers: Mapping[str, str], content: bytes, **timeouts: float | None
    ) -> PendingRequest:
        """Hand a request in.

        Args:
            method: Upper-case HTTP method.

            target: Path and query, as on the request line.

            headers: Lower-case names to values.

            content: The whole body.

            timeouts: What the library knows of them, by their names in `Request`.
        """
        __tracebackhide__ = True
        path, query = _path(target), target.partition("?")[2]
        return self._handler.send(
            Request(method, path.removeprefix(self._handler.prefix), query, headers, content, **timeouts)
        )


def _path(target: str) -> str:
    return unquote(target.partition("?")[0])


@dataclass(frozen=True)
class Original(Generic[Response]):
    """A reply from outside.

    Args:
        reply: The plain value that it stands for.

        response: What the client is given: the reply in its library's own terms, not read yet.
    """

    reply: Reply
    response: Response


def result_of(
    pending: PendingRequest, ask: Callable[[], Original[Response]]
) -> Reply | ConnectionLost | Original[Response]:
    """Return what the client is to see, after as long as it takes; `ask` sends a request that passes through."""
    __tracebackhide__ = True
    original: Original[Response] | None = None
    with _cancelling(pending):
        if pending.passthrough:
            try:
                original = ask()
            except Exception as error:  # noqa: BLE001 - not only the library's: plugins that block sockets raise their own; each ends the recording
                pending.set_result(error)
            else:
                pending.set_result(original.reply)
        if pending.delay:
            time.sleep(pending.delay)
    return _shown(pending, original)


async def async_result_of(
    pending: PendingRequest,
    ask: Callable[[], Awaitable[Original[Response]]],
    sleep: Callable[[float], Awaitable[Any]],
    given_up: Callable[[], str] = lambda: "cancelled",
) -> Reply | ConnectionLost | Original[Response]:
    """Return what the client is to see, as `result_of` does.

    Args:
        pending: The request.

        ask: Sends it, when it passes through.

        sleep: That of the library's event loop.

        given_up: Says what the client saw when its task is cancelled: the library's own timeout may have done that.
    """
    __tracebackhide__ = True
    original: Original[Response] | None = None
    with _cancelling(pending, given_up):
        if pending.passthrough:
            try:
                original = await ask()
            except Exception as error:  # noqa: BLE001 - as above
                pending.set_result(error)
            else:
                pending.set_result(original.reply)
        if pending.delay:
            await sleep(pending.delay)
    return _shown(pending, original)


@contextmanager
def _cancelling(pending: PendingRequest, given_up: Callable[[], str] = lambda: "cancelled") -> Iterator[None]:
    """Note it when the client stops waiting: a cancelled task, an interrupted thread."""
    try:
        yield
    except BaseException:
        pending.cancel("cancelled" if pending.passthrough else given_up())
        raise


def _shown(
    pending: PendingRequest, original: Original[Response] | None
) -> Reply | ConnectionLost | Original[Response]:
    __tracebackhide__ = True
    result = pending.finish()
    return original if original and result is original.reply else result


def own_error(lost: ConnectionLost, library: str, errors: Mapping[str, Any]) -> Exception | None:
    """Return the error that somebody has made already and the client is to see as it is, or None.

    A route of respx's may raise one of httpx's. A client of another library sees its own in its place, where it has
    one of that name.
    """
    made = lost.exception
    if made is None or (type(made).__module__.partition(".")[0] != library and lost.error in errors):
        return None
    return made


def header_values(headers: Mapping[Any, Any]) -> dict[str, str]:
    """Return headers with lower-case names, of a repeated one the last value, whatever a library keeps them in."""
    return {_text(name).lower(): _text(value) for name, value in headers.items()}


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def reply_headers(reply: Reply) -> dict[str, str]:
    """Return the headers by which a reply is brought to a client, whole or broken off."""
    headers = {"content-length": str(len(reply.content)), **reply.headers}
    headers.pop("transfer-encoding", None)  # the body comes in one piece
    return headers
