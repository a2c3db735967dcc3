"""Which request is under way, as far as the libraries on the stack tell."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

# Libraries that users call, as they call them. Of several on the stack the outermost is the one that they see.
LIBRARIES = {
    "aiohttp": "aiohttp",
    "asyncio.streams": "asyncio",
    "curl_cffi": "curl_cffi",
    "http.client": "http.client",
    "httpcore": "httpcore",
    "httpcore2": "httpcore2",
    "httpx": "httpx",
    "httpx2": "httpx2",
    "niquests": "niquests",
    "requests": "requests",
    "urllib.request": "urllib.request",
    "urllib3": "urllib3",
    "urllib3_future": "urllib3-future",
    "websockets": "websockets",
}

HTTPS_PORT = 443


@dataclass(frozen=True)
class AskedRequest:
    """What was asked, as far as it is known.

    Args:
        method: Upper-case HTTP method, or empty.

        url: The URL without its query and without a user, or empty.

        library: The library that was asked, or empty.
    """

    method: str = ""
    url: str = ""
    library: str = ""


def asked_request() -> AskedRequest:
    """Return the request of the outermost HTTP library on this thread's stack."""
    library = ""
    for frame in _outermost_first():
        name = _library(frame.f_globals.get("__name__"))
        if not name or (library and name != library):
            continue
        library = name
        if (asked := _request_in(frame.f_locals)) is not None:
            return AskedRequest(*asked, library)
    return AskedRequest(library=library)


def _outermost_first() -> list[FrameType]:
    frames: list[FrameType] = []
    frame: FrameType | None = sys._getframe(2)  # noqa: SLF001 - the only way to look at the caller without building a traceback
    while frame:
        frames.append(frame)
        frame = frame.f_back
    return frames[::-1]


def _library(module: object) -> str:
    parts = module.split(".") if isinstance(module, str) else []
    return next((LIBRARIES[name] for name in _beginnings(parts) if name in LIBRARIES), "")


def _beginnings(parts: list[str]) -> Iterator[str]:
    for length in range(1, len(parts) + 1):
        yield ".".join(parts[:length])


def _request_in(names: dict[str, Any]) -> tuple[str, str] | None:
    """Return method and URL of the request that a frame's names hold, or None."""
    for holder in (names.get("request"), names.get("req"), names.get("fullurl")):
        method = getattr(holder, "method", None) or _called(holder, "get_method")
        url = getattr(holder, "url", None) or getattr(holder, "full_url", None)
        if method and url:
            return _text(method).upper(), plain_url(url)
    method, url = names.get("method"), names.get("url") or names.get("str_or_url")
    if not method or not url:
        return None
    if isinstance(url, str) and url.startswith("/"):
        url = _origin(names.get("self")) + url
    return _text(method).upper(), plain_url(url)


def _origin(connection: object) -> str:
    """Return where a connection of http.client's goes; a request on it has a path only."""
    host, port = getattr(connection, "host", None), getattr(connection, "default_port", None)
    return f"{'https' if port == HTTPS_PORT else 'http'}://{host}" if host and port else ""


def _called(holder: object, name: str) -> Any:
    method = getattr(holder, name, None)
    return method() if callable(method) else None


def _text(value: Any) -> str:
    return value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)


def plain_url(url: Any) -> str:
    """Return a URL, whatever class a library has for it, without what may be secret in it."""
    if not isinstance(url, str | bytes) and isinstance(getattr(url, "target", None), bytes):  # httpcore's
        port = f":{url.port}" if url.port else ""
        url = f"{_text(url.scheme)}://{_text(url.host)}{port}{_text(url.target)}"
    text = _text(url).partition("?")[0].partition("#")[0]
    authority = urlsplit(text).netloc
    return text.replace(authority, authority.rpartition("@")[2], 1) if "@" in authority else text
