"""A request as the service sees it, whatever library sent it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from pytest_spidra.traffic.multipart import form_of
from pytest_spidra.traffic.strict_json import json_or_none

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Request:
    """One request as the service sees it.

    Args:
        method: Upper-case HTTP method.

        path: The path below the base URL, without a query: ``/batch/scrape``.

        query: The raw query string, without the question mark.

        headers: Lower-case names to values; of a repeated header the last value.

        content: The body as it was sent.

        connect_timeout: Seconds the client waits for a connection, None without a limit.

        read_timeout: Seconds it waits for a reply, or the next part of it, None without a limit.

        write_timeout: Seconds it waits until a part of the request is sent, None without a limit. 0 where its
            library knows no such timeout: a scripted one comes at once.

        pool_timeout: Seconds it waits for a free connection of its pool; likewise.
    """

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""
    connect_timeout: float | None = None
    read_timeout: float | None = None
    write_timeout: float | None = 0.0
    pool_timeout: float | None = 0.0

    @property
    def target(self) -> str:
        """Path and query, as on the request line."""
        return f"{self.path}?{self.query}" if self.query else self.path

    @cached_property
    def json(self) -> Any:
        """The body as JSON, None when it is empty or no JSON."""
        return json_or_none(self.content)

    @cached_property
    def described(self) -> Any:
        """The body as it is logged and compared: JSON, or of a body of several parts their values and its files' digests."""
        return form_of(self.headers.get("content-type", ""), self.content) if self.json is None else self.json

    @cached_property
    def parameters(self) -> dict[str, str]:
        """The query's parameters; of a repeated one the last value."""
        return {name: values[-1] for name, values in parse_qs(self.query).items()}

    @cached_property
    def keys(self) -> list[str]:
        """The API keys it carries: the ``x-api-key`` header's first, then the bearer token.

        Docs name the first, the SDKs since 0.4 send the second; the service takes either.
        """
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        given = (self.headers.get("x-api-key", ""), token if scheme.lower() == "bearer" else "")
        return [key for key in map(str.strip, given) if key]
