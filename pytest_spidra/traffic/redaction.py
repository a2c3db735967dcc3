"""Redaction: nothing secret gets into the log, and two different secrets can still be told apart in it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from pytest_spidra.traffic.secret_patterns import KEY_HEADERS, SECRET_FIELDS, SECRET_HEADERS, SECRET_PATTERNS

if TYPE_CHECKING:
    from pytest_spidra.traffic.reply import Reply
    from pytest_spidra.traffic.request import Request

REDACTED = "[redacted]"

SHORTEST_KEY = 8
_KEY_PARAMETER = re.compile(r"(?i)([?&](?:x-)?(?:api[_-]?)?(?:key|token)=)(?!\[redacted)[^&]+")


class Redaction:
    """Takes keys and cookies out of what one test sends and sees. It remembers each, to number them."""

    def __init__(self) -> None:
        self._keys: dict[str, str] = {}
        self._cookies: dict[str, int] = {}

    def headers(self, request: Request) -> dict[str, str]:
        """Return a request's headers without secrets; each key has a number."""
        for key in request.keys:
            self._keys.setdefault(key, f"[key {len(self._keys) + 1}]")
        return {name: self._header(name, value, request.keys) for name, value in request.headers.items()}

    def _header(self, name: str, value: str, keys: list[str]) -> str:
        if name in KEY_HEADERS:
            return next((self._keys[key] for key in keys if value.endswith(key)), REDACTED)
        return REDACTED if name in SECRET_HEADERS else without_keys(value, keys)

    def reply(self, reply: Reply) -> Reply:
        """Return a reply in which no key stands, should the service have repeated one."""
        known = list(self._keys)  # others may add to them meanwhile
        keys = [key for key in known if key.encode() in reply.content or key in str(reply.headers)]
        if not keys:
            return reply
        content, headers = reply.content, dict(reply.headers)
        for key in keys:
            content = content.replace(key.encode(), REDACTED.encode())
            headers = {name: value.replace(key, REDACTED) for name, value in headers.items()}
        return replace(reply, content=content, headers=headers)

    def body(self, value: Any, keys: list[str]) -> Any:
        """Return JSON with cookies and keys replaced; two different cookies can still be told apart."""
        if isinstance(value, dict):
            return {
                name: self._cookie(one) if name in SECRET_FIELDS else self.body(one, keys)
                for name, one in value.items()
            }
        if isinstance(value, list):
            return [self.body(one, keys) for one in value]
        return without_keys(value, keys) if isinstance(value, str) else value

    def _cookie(self, value: Any) -> str:
        number = self._cookies.setdefault(json.dumps(value, sort_keys=True), len(self._cookies) + 1)
        return REDACTED if number == 1 else f"{REDACTED[:-1]} {number}]"


def without_keys_in_url(target: str, keys: list[str]) -> str:
    """Return path and query without keys: those in headers, and what a URL may hold in place of one."""
    return _KEY_PARAMETER.sub(rf"\1{REDACTED}", without_keys(target, keys))


def without_keys(text: str, keys: list[str]) -> str:
    """Return text with keys replaced; a key too short to be one would take other words with it."""
    for key in keys:
        if len(key) >= SHORTEST_KEY:
            text = text.replace(key, REDACTED)
    lower = text.lower()
    for row in SECRET_PATTERNS:
        if any(hint in lower for hint in row.hints):
            text = row.pattern.sub(partial(_without, row.group), text)
    return text


def _without(group: int, match: re.Match[str]) -> str:
    """Return what a pattern matched with its secret replaced."""
    start, end = match.span(group)
    whole, offset = match[0], match.start()
    return whole[: start - offset] + REDACTED + whole[end - offset :]
