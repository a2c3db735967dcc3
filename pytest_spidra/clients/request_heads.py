"""What the first bytes of a request say about where it goes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

LONGEST_HEAD = 16 * 1024  # bytes; what comes after them is not looked at

_REQUEST_LINE = re.compile(rb"(?:\r\n)?([A-Z]{3,20}) ([^ \r\n]+) HTTP/1")
_HOST = re.compile(rb"(?i)\r\nhost:[ \t]*([^\r\n]+)")

SOCKS_4, SOCKS_5, SOCKS_CONNECT, SOCKS_NAME = 4, 5, 1, 3


@dataclass(frozen=True)
class Head:
    """Where a request goes.

    Args:
        host: The host that it asks for, as it was written.

        method: Its method; empty where it is not HTTP.

        target: What stands on its request line, without a query.

        by_proxy: Whether it asks whoever gets it to go there in its place.
    """

    host: str
    method: str = ""
    target: str = ""
    by_proxy: bool = False


def read_heads(data: Any) -> list[Head]:
    """Return where the request that these bytes begin goes, each host that it names; empty when they begin none.

    It may name two: one on the request line and one in its ``Host`` header.
    """
    try:
        head = bytes(memoryview(data).cast("B")[:LONGEST_HEAD])
    except (TypeError, ValueError):
        return []  # whoever sends it complains
    if head[:1] in {b"\x04", b"\x05"}:
        return [Head(host, by_proxy=True)] if (host := _socks_host(head)) else []
    line = _REQUEST_LINE.match(head)
    if line is None:
        return []
    method, raw = (part.decode("ascii", "replace") for part in line.groups())
    target = raw.partition("?")[0]
    found = []
    if method == "CONNECT":
        found.append(Head(_without_port(target), method, target, by_proxy=True))
    elif "://" in target:
        found.append(Head(urlsplit(target).hostname or "", method, target, by_proxy=True))
    fields = head[: end if (end := head.find(b"\r\n\r\n")) >= 0 else None]
    if named := _HOST.search(fields):
        found.append(Head(_without_port(named[1].decode("ascii", "replace").strip()), method, target))
    return found


def _without_port(authority: str) -> str:
    return authority.rpartition("@")[2].partition(":")[0]


def _socks_host(head: bytes) -> str | None:
    """Return the host's name in a request to a SOCKS proxy, or None."""
    if head[:2] == bytes([SOCKS_5, SOCKS_CONNECT]) and head[3:4] == bytes([SOCKS_NAME]) and len(head) > 4:
        return head[5 : 5 + head[4]].decode("ascii", "replace")
    if head[:2] == bytes([SOCKS_4, SOCKS_CONNECT]) and head[4:7] == bytes(3):
        parts = head[8:].split(b"\0")  # version 4a: the user's name, and the host's
        return parts[1].decode("ascii", "replace") if len(parts) > 1 else None
    return None
