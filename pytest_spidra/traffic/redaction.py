"""Redaction: nothing secret gets into the log, and two different secrets can still be told apart in it."""

from __future__ import annotations

import base64
import json
import re
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from pytest_spidra.traffic.secret_names import (
    KEY_HEADERS,
    header_names_a_secret,
    is_placeholder,
    is_secret_for_its_name,
    looks_random,
    names_a_secret,
)
from pytest_spidra.traffic.secret_patterns import SHORTEST_KEY, fields_in, secrets_in

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from pytest_spidra.traffic.reply import Reply
    from pytest_spidra.traffic.request import Request

REDACTED = "[redacted]"

_APART = re.compile(r'[\s;,&"{}\[\]]+')
_KEY = re.compile(r"\bspd_[A-Za-z0-9_-]+")
_KEY_PARAMETER = re.compile(r"(?i)([?&](?:x-)?(?:api[_-]?)?(?:key|token)=)(?!\[redacted)[^&]+")


class Redaction:
    """Takes secrets out of what one test sends and sees. It remembers each, to number them.

    Args:
        secrets: Takes each of them, and what each is made of.
    """

    def __init__(self, secrets: set[str] | None = None) -> None:
        self._secrets = secrets
        self._keys: dict[str, str] = {}
        self._numbers: dict[str, dict[str, int]] = {}

    def headers(self, request: Request) -> dict[str, str]:
        """Return a request's headers without secrets; each key has a number."""
        for key in request.keys:
            self._keys.setdefault(key, f"[key {len(self._keys) + 1}]")
            self._remember(key)
        return {name: self._header(name, value, request.keys) for name, value in request.headers.items()}

    def _header(self, name: str, value: str, keys: list[str]) -> str:
        if name in KEY_HEADERS:
            self._remember(value)
            return next((self._keys[key] for key in keys if value.endswith(key)), REDACTED)
        if header_names_a_secret(name) and is_secret_for_its_name(name, value, sent=True):
            return self._numbered(name, value)
        return self._text(value, keys)

    def reply(self, reply: Reply) -> Reply:
        """Return a reply in which no secret stands, should the service have repeated one."""
        keys = list(self._keys)  # others may add to them meanwhile
        content = reply.content
        try:
            text = content.decode()
        except UnicodeDecodeError:
            for key in filter(_is_long, keys):
                content = content.replace(key.encode(), REDACTED.encode())
        else:
            clean = self._text(text, keys)
            content = content if clean is text else clean.encode()
        headers = {
            name: self._numbered(name, value) if name == "set-cookie" else self._text(value, keys)
            for name, value in reply.headers.items()
        }
        if content is reply.content and headers == reply.headers:
            return reply
        return replace(reply, content=content, headers=headers)

    def body(self, value: Any, keys: list[str]) -> Any:
        """Return JSON without secrets; two different ones can still be told apart."""
        if isinstance(value, dict):
            return {name: self._field(name, one, keys) for name, one in value.items()}
        if isinstance(value, list):
            return [self.body(one, keys) for one in value]
        return self._text(value, keys) if isinstance(value, str) else value

    def _field(self, name: str, value: Any, keys: list[str]) -> Any:
        if name == "cookies" and value:
            return self._numbered(name, json.dumps(value, sort_keys=True))
        if names_a_secret(name) and isinstance(value, str) and is_secret_for_its_name(name, value, sent=True):
            return self._numbered(name, value)
        return self.body(value, keys)

    def _text(self, text: str, keys: Collection[str]) -> str:
        return _redacted(text, keys, lambda secret: self._numbered("text", secret))

    def _numbered(self, kind: str, value: str) -> str:
        self._remember(value)
        numbers = self._numbers.setdefault(kind, {})
        number = numbers.setdefault(value, len(numbers) + 1)
        return REDACTED if number == 1 else f"{REDACTED[:-1]} {number}]"

    def _remember(self, secret: str) -> None:
        if self._secrets is not None:
            self._secrets.update(_made_of(secret))


def _made_of(secret: str) -> Iterator[str]:
    """Yield a secret and what it is made of, by which it may be known elsewhere: what follows a scheme or a name."""
    words = _APART.split(secret)
    parts = [secret, *words, *(word.partition("=")[2] for word in words)]
    for word in words:
        with suppress(ValueError):  # a user's name and password
            parts.append(base64.b64decode(word, validate=True).decode("latin-1"))
    parts += [part.partition(":")[2] for part in parts if "://" not in part]
    for part in dict.fromkeys([*parts, *map(unquote, parts)]):
        telling = len(part) > 4 and not part.isalpha() and not part.isdigit()
        if (telling or looks_random(part)) and part.isprintable() and not is_placeholder(part):
            yield part


def request_line(request: Request) -> str:
    """Return a request's method, path and query, without secrets."""
    return f"{request.method} {without_keys_in_url(request.target, request.keys)}"


def without_keys_in_url(target: str, keys: list[str]) -> str:
    """Return path and query without keys: those in headers, and what a URL may hold in place of one.

    The API has no path with a word that begins like a key, so here any such word is one.
    """
    return without_keys(_KEY.sub(REDACTED, _KEY_PARAMETER.sub(rf"\1{REDACTED}", target)), keys)


def without_keys(text: str, keys: Collection[str]) -> str:
    """Return text without secrets: keys, and what gives itself away."""
    return _redacted(text, keys, lambda secret: REDACTED if secret.startswith("spd_") else "[secret]")


def _redacted(text: str, keys: Collection[str], instead: Callable[[str], str]) -> str:
    for key in filter(_is_long, keys):
        text = text.replace(key, REDACTED)
    parts: list[str] = []
    last = 0
    for start, end, _ in sorted([*secrets_in(text), *fields_in(text, sent=False)]):
        secret = text[start:end]
        if start >= last and not is_placeholder(secret):
            parts += [text[last:start], instead(secret)]
            last = end
    return "".join([*parts, text[last:]]) if parts else text


def _is_long(key: str) -> bool:
    """Tell whether a key is one indeed: a shorter one would take other words with it."""
    return len(key) >= SHORTEST_KEY
