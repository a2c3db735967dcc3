"""A request under way, between a client's library and whoever answers.

Client adapters hand requests in at a `Door` and upstreams answer them; both speak in plain values, so neither
needs to know the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pytest_spidra.traffic.reply import Reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_spidra.traffic.request import Request


@dataclass(frozen=True)
class Lost:
    """A broken connection as the client sees it.

    Args:
        error: The error's name as httpx has it: ``ReadTimeout``.

        message: The error's text.

        exception: The very exception to raise, when there is one already.
    """

    error: str
    message: str
    exception: Exception | None = None


class UnanswerableError(Exception):
    """An upstream has no answer, and nothing may be taken for one: the test has failed."""


Outlook = tuple[float, Reply | Lost]


class Flight:
    """A request under way.

    What the client is to see is decided already, unless the flight goes `outward`: then the adapter sends the
    request itself, in its library's own way, and says with `came` what came of it. It waits `delay` seconds on
    the client's side, and lands.

    Args:
        note: Called with what the client saw in the end: a reply, an error's name or ``"cancelled"``.

        outlook: The delay in seconds, and what the client is to see; None when nobody inside answers.

        came: For a flight outward: turns what came of the request into its outlook.
    """

    def __init__(
        self,
        note: Callable[[Reply | str], None],
        outlook: Outlook | None = None,
        came: Callable[[Reply | Exception], Outlook] | None = None,
    ) -> None:
        self._note = note
        self._outlook = outlook
        self._came = came

    @property
    def outward(self) -> bool:
        """Whether the adapter has to send the request itself."""
        return self._came is not None

    def came(self, what: Reply | Exception) -> None:
        """Say what came of a request that went outward: a reply, or the library's error."""
        __tracebackhide__ = True
        if self._came is not None:
            self._outlook = self._came(what)

    @property
    def delay(self) -> float:
        """Seconds that the client waits before it sees anything."""
        return self._outlook[0] if self._outlook else 0.0

    def land(self) -> Reply | Lost:
        """Return what the client is to see now: a reply, or a broken connection."""
        if self._outlook is None:
            msg = "a flight that goes outward lands after `came`"
            raise RuntimeError(msg)
        _, sight = self._outlook
        self._note(sight.error if isinstance(sight, Lost) else sight)
        return sight

    def abandon(self) -> None:
        """The client stopped waiting."""
        self._note("cancelled")


class Door(Protocol):
    """Where client adapters hand requests in."""

    @property
    def prefix(self) -> str:
        """The path of the base URL, to be taken off a request's path."""

    def takes(self, scheme: str, host: str, port: int | None, path: str) -> bool:
        """Whether a request to this address belongs here."""

    def send(self, request: Request) -> Flight:
        """Let a request take off."""
