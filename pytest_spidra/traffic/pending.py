"""A request under way, between a client's library and whoever answers.

Client adapters hand requests to a `RequestHandler` and upstreams answer them; both speak in plain values, so
neither needs to know the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pytest_spidra.traffic.reply import Reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_spidra.traffic.request import Request


@dataclass(frozen=True)
class ConnectionLost:
    """A broken connection as the client sees it.

    Args:
        error: The error's name as httpx has it: ``ReadTimeout``.

        message: The error's text.

        exception: The very exception to raise, when there is one already.

        partial: What came before it broke: a reply whose headers promise more body than it has. None: nothing.
    """

    error: str
    message: str
    exception: Exception | None = None
    partial: Reply | None = None


class UnanswerableError(Exception):
    """An upstream has no answer, and nothing may be taken for one: the test has failed."""


Resolution = tuple[float, Reply | ConnectionLost]


class PendingRequest:
    """A request that was handed in and whose result the client has not seen yet.

    The result is known already, unless the request is to pass through: then the adapter sends it itself, in its
    library's own way, and says with `set_result` what came of it. The adapter waits `delay` seconds on the client's
    side, and takes the result with `finish`.

    Args:
        note: Called with what the client saw in the end: a reply, an error's name or ``"cancelled"``.

        resolution: The delay in seconds, and what the client is to see; None when the request passes through.

        set_result: For a request that passes through: turns what came of it into its resolution.
    """

    def __init__(
        self,
        note: Callable[[Reply | str], None],
        resolution: Resolution | None = None,
        set_result: Callable[[Reply | Exception], Resolution] | None = None,
    ) -> None:
        self._note = note
        self._resolution = resolution
        self._set_result = set_result

    @property
    def passthrough(self) -> bool:
        """Whether the adapter has to send the request itself."""
        return self._set_result is not None

    def set_result(self, what: Reply | Exception) -> None:
        """Say what came of a request that passed through: a reply, or the library's error."""
        __tracebackhide__ = True
        if self._set_result is not None:
            self._resolution = self._set_result(what)

    @property
    def delay(self) -> float:
        """Seconds that the client waits before it sees anything."""
        return self._resolution[0] if self._resolution else 0.0

    def finish(
        self, seen: Callable[[ConnectionLost], str] = lambda lost: lost.error
    ) -> Reply | ConnectionLost:
        """Return what the client is to see now: a reply, or a broken connection.

        Args:
            seen: Returns the name of the error that the client sees, where the way to it has fewer than scripts.
        """
        if self._resolution is None:
            msg = "a request that passes through is finished after `set_result`"
            raise RuntimeError(msg)
        _, result = self._resolution
        self._note(seen(result) if isinstance(result, ConnectionLost) else result)
        return result

    def cancel(self, seen: str = "cancelled") -> None:
        """The client stopped waiting; `seen` is the error's name when a timeout of its own was over."""
        self._note(seen)


class RequestHandler(Protocol):
    """Where client adapters hand requests in."""

    @property
    def prefix(self) -> str:
        """The path of the base URL, to be taken off a request's path."""

    def takes(self, scheme: str, host: str, port: int | None, path: str) -> bool:
        """Whether a request to this address belongs here."""

    def send(self, request: Request) -> PendingRequest:
        """Take a request from an adapter."""
