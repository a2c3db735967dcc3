"""What travels between a client's library and whoever answers: a request, a reply or a broken connection.

Client adapters hand requests in at a `Door` and upstreams answer them; both speak in these plain values, so
neither needs to know the other.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def parse_json(content: bytes) -> Any:
    """Return the JSON value that `content` holds, as strictly as the service reads it.

    Raises:
        ValueError: It holds none.
    """
    try:
        return json.loads(content, parse_constant=_refuse)
    except RecursionError as error:
        msg = "nested too deeply"
        raise ValueError(msg) from error


def _refuse(constant: str) -> None:
    msg = f"{constant} is no JSON"
    raise ValueError(msg)


def _json(content: bytes) -> Any:
    try:
        return parse_json(content)
    except ValueError:
        return None


JSON_HEADERS = {"content-type": "application/json; charset=utf-8"}


@dataclass(frozen=True)
class Request:
    """One request as the service sees it.

    Args:
        method: Upper-case HTTP method.

        path: The path below the base URL, without a query: ``/batch/scrape``.

        query: The raw query string, without the question mark.

        headers: Lower-case names to values; of a repeated header the last value.

        content: The body as it was sent.

        read_timeout: Seconds the client will wait for a reply, or None for no limit.
    """

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""
    read_timeout: float | None = None

    @property
    def target(self) -> str:
        """Path and query, as on the request line."""
        return f"{self.path}?{self.query}" if self.query else self.path

    @cached_property
    def json(self) -> Any:
        """The body as JSON, None when it is empty or no JSON."""
        return _json(self.content)

    @cached_property
    def parameters(self) -> dict[str, str]:
        """The query's parameters; of a repeated one the last value."""
        return {name: values[-1] for name, values in parse_qs(self.query).items()}

    @property
    def keys(self) -> list[str]:
        """The API keys it carries: the ``x-api-key`` header's first, then the bearer token.

        Docs name the first, the SDKs since 0.4 send the second; the service takes either.
        """
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        given = (self.headers.get("x-api-key", ""), token if scheme.lower() == "bearer" else "")
        return [key for key in map(str.strip, given) if key]


@dataclass(frozen=True)
class Reply:
    """One reply: a status code, lower-case headers and the body's bytes.

    Args:
        status: HTTP status code.

        content: The body, decompressed.

        headers: Lower-case names to values.

        took: Seconds that it was under way, on the test's clock; 0 for the fake's, which answers at once.
    """

    status: int
    content: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    took: float = 0.0

    @classmethod
    def of(cls, status: int, value: Any, headers: Mapping[str, str] | None = None) -> Reply:
        """Return a JSON reply with `value` as its body."""
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        content = text.encode("utf-8", "backslashreplace")  # half a surrogate pair, as JSON escapes it
        return cls(status, content, {**JSON_HEADERS, **(headers or {})})

    @cached_property
    def json(self) -> Any:
        """The body as JSON, None when it is empty or no JSON."""
        return _json(self.content)


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
