"""Secrets: nothing that opens a door gets into a cassette.

`Scrubber` takes them out of an interaction before it is saved, `find_keys` reads a finished file once more, and
`find_secrets` says what can be told without knowing any key. What a key can look like is in `disguises`.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
from bisect import bisect_right
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from pytest_spidra.cassettes.compression import (
    DEEPEST,
    GZIP,
    UnsearchableError,
    as_text,
    decompressed,
    gunzipped,
)
from pytest_spidra.cassettes.disguises import (
    NULS,
    REDACTED_IN_URLS,
    SHORTEST_KEY,
    has_escapes,
    key_in_bytes,
    key_pieces,
    merged,
    needles_for,
    nothing,
    piece_of,
    plain_text,
    plain_view,
    view_of,
)
from pytest_spidra.traffic.redaction import KEY_HEADERS, REDACTED, SECRET_FIELDS, SECRET_HEADERS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from pytest_spidra.cassettes.disguises import Needle, Piece, View

__all__ = ["Finding", "Scrubber", "UnsearchableError", "find_keys", "find_secrets"]

_SENT_SECRETS = KEY_HEADERS | SECRET_HEADERS
_SEEN_SECRETS = frozenset({"set-cookie"})
_SIGNED_FIELD = "screenshotUrl"

_TOKEN = re.compile(r"spd_[A-Za-z0-9_-]{8,}")
# "The bearer certificate" is prose: a token has a digit, or is longer than words are.
_BEARER = re.compile(
    r"(?i)\bbearer[\s+]++((?:(?=[A-Za-z._~+/-]*[0-9])|(?=[\w.~+/-]{24}))[\w.~+/-]{8,}=*)", re.ASCII
)
_QUERY = re.compile(r"[?&#][^\s\"'<>`\\)]*")
_PARAMETER = re.compile(r"[?&#](?:amp;)?([\w-]+)=([^&#?]*)")
_SIGNS = re.compile(
    r"(?i)x-(?:amz|goog)-[\w-]+|(?:aws|google)access(?:key)?id|signature|policy|key-pair-id|sig"
    r"|(?:x-)?api[_-]?key|(?:access_|auth_|id_|refresh_)?token"
)
_KEY_PARAMETERS = re.compile(r"(?i)(?:x-)?(?:api[_-]?)?key")
# Cheap to look for, in lower case: without one of them none of the patterns above matches.
_HINTS = (
    *("spd_", "bearer", "x-amz-", "x-goog-", "accessid", "keyid", "signature=", "policy=", "key-pair-id="),
    *("sig=", "key=", "token="),
)

_JSON_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|-?[0-9][0-9.eE+-]*', re.DOTALL)
_JSON_COLON = re.compile(r"\s*:\s*")
_JSON_FIELD = re.compile(rf'"({"|".join([*SECRET_FIELDS, _SIGNED_FIELD])})"\s*:\s*')
# Most are null, and most of the others look like this afterwards.
_SIGNED_STRING = re.compile(rf'"{_SIGNED_FIELD}"\s*:\s*"(?!"|[^"?]*\?{REDACTED_IN_URLS}")')
_JSON = json.JSONDecoder()
_JSON_REDACTED = json.dumps(REDACTED)


@dataclass(frozen=True)
class Finding:
    """A secret that was found.

    Args:
        where: ``line 12``, or ``interaction 3, response body``.

        what: What it is, in words; never the secret itself.
    """

    where: str
    what: str


class Scrubber:
    """Takes secrets out of what goes into a cassette.

    It remembers nothing between calls, and what is scrubbed already it leaves as it is: a recorded request and
    one that is asked for can both be scrubbed, and compared.

    A body without a secret stays as it is, to the byte. In one with a secret, only the strings that hold it are
    rewritten, apart from the cases that `response` names.

    Args:
        keys: API keys that must not get in. One that is part of the placeholder itself is no secret.

    Raises:
        ValueError: A key is too short to be told from other text.
    """

    def __init__(self, keys: Collection[str]) -> None:
        self._needles = needles_for(keys)

    def request(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return a request, as vcrpy serialises it, without secrets; the one given is left alone.

        Headers that carry keys and cookies are there still, with a placeholder; one that carries nothing
        (``Bearer`` and no token) says so still. Of bodies the same holds as in `response`.

        Raises:
            UnsearchableError: The body is compressed in a way that cannot be undone here, or is no text and no bytes.
        """
        return _Scrubbing(self._needles).request(request)

    def response(self, response: dict[str, Any]) -> dict[str, Any]:
        """Return a response, as vcrpy serialises it, without secrets; the one given is left alone.

        A body with a ``content-encoding`` is stored as what it decompresses to, without that header. One that is
        compressed without saying so stays compressed: with a secret in it, it is packed anew. A
        ``content-length`` follows the body; ``set-cookie`` is dropped.

        Raises:
            UnsearchableError: The body is compressed in a way that cannot be undone here, or is no text and no bytes.
        """
        return _Scrubbing(self._needles).response(response)


def find_secrets(number: int, request: dict[str, Any], response: dict[str, Any]) -> list[Finding]:
    """Return the secrets in an interaction that can be told without knowing any key.

    These are what a `Scrubber` would replace: headers with keys and cookies, tokens of Spidra and of bearers,
    signatures of URLs. A body that cannot be decompressed is one, too.

    Args:
        number: The interaction's number, for people.

        request: It, as vcrpy serialises it.

        response: It, as vcrpy serialises it.
    """
    scrubbing = _Scrubbing(needles_for(()))
    for one, scrub in ((request, scrubbing.request), (response, scrubbing.response)):
        try:
            scrub(one)
        except UnsearchableError as error:
            scrubbing.note(str(error))
    return [Finding(f"interaction {number}, {place}", what) for place, what in dict.fromkeys(scrubbing.found)]


def find_keys(file: str | bytes, keys: Collection[str]) -> list[Finding]:
    """Return where in a finished cassette keys stand, in any disguise, by line.

    The file is searched as it is, and once more as YAML: YAML breaks words over lines and keeps bytes in base64.
    One that is no YAML is searched as it is only.

    Args:
        file: The whole file. JSON will do, as YAML.

        keys: The API keys to look for.

    Raises:
        ValueError: A key is too short to be told from other text.
    """
    needles = needles_for(keys)
    if not needles:
        return []
    text = file if isinstance(file, str) else as_text(file)[0]
    found = dict(_lines_with_keys(text, needles))
    with suppress(yaml.YAMLError, ValueError, RecursionError):
        for first, last, what in _scalars_with_keys(text, needles):
            # A value over several lines: one of them is known already, or the first will do.
            if not any(line in found for line in range(first, last + 1)):
                found[first] = what
    return [Finding(f"line {line}", found[line]) for line in sorted(found)]


def _lines_with_keys(text: str, needles: Sequence[Needle]) -> Iterator[tuple[int, str]]:
    pieces = key_pieces(text, needles, fold=False)
    if pieces:
        breaks = [match.start() for match in re.finditer("\n", text)]
        yield from ((bisect_right(breaks, piece.start) + 1, piece.what) for piece in reversed(pieces))


def _scalars_with_keys(text: str, needles: Sequence[Needle]) -> Iterator[tuple[int, int, str]]:
    """Yield the first line, the last line and the finding of each value of a YAML document that holds a key."""
    loader: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml is eight times as fast
    waiting = list(yaml.compose_all(text, Loader=loader))
    seen = set()
    harmless = set()  # most values stand in every interaction
    while waiting:
        node = waiting.pop()
        if node is None or id(node) in seen:  # an alias stands for a node that has been searched
            continue
        seen.add(id(node))
        if not isinstance(node, yaml.ScalarNode):
            waiting += [
                part for pair in node.value for part in (pair if isinstance(pair, tuple) else (pair,))
            ]
            continue
        if node.tag.endswith(":binary"):
            what = key_in_bytes(_unbase64(node.value), needles)
        elif node.value in harmless:
            continue
        else:
            what = next((piece.what for piece in key_pieces(node.value, needles, fold=False)), None)
        if what:
            yield node.start_mark.line + 1, node.end_mark.line + 1, what
        elif not node.tag.endswith(":binary"):
            harmless.add(node.value)


def _unbase64(text: str) -> bytes:
    try:
        return base64.b64decode(text)
    except ValueError:
        return text.encode("utf-8", "replace")


# Tokens: secret without a known key ---------------------------------------------------------------------------


def _token_pieces(view: View, names: re.Pattern[str] | None) -> Iterator[Piece]:
    """Yield what is secret without a known key: tokens of Spidra and of bearers, and signatures of URLs.

    Args:
        view: A view of the text.

        names: Names of parameters that are secret here beside those that are secret everywhere.
    """
    for pattern, group, what in ((_TOKEN, 0, "a Spidra key"), (_BEARER, 1, "a bearer token")):
        for match in pattern.finditer(view.text):
            yield piece_of(view, match.span(group), REDACTED, what)
    for query in _QUERY.finditer(view.text):
        given = list(_PARAMETER.finditer(view.text, *query.span()))
        signs = [one for one in given if _SIGNS.fullmatch(one[1]) or (names and names.fullmatch(one[1]))]
        if signs:
            # When a URL expires is told beside its signature only; elsewhere it is nobody's secret.
            signs += [one for one in given if one[1].lower() == "expires"]
        for one in signs:
            if one[2] not in {"", REDACTED_IN_URLS, REDACTED}:
                yield piece_of(view, one.span(2), REDACTED_IN_URLS, f"{one[1]} in a URL")


# Scrubbing ----------------------------------------------------------------------------------------------------


class _Scrubbing:
    """One request or response being scrubbed; it notes what it replaces, and where."""

    def __init__(self, needles: Sequence[Needle]) -> None:
        self.found: list[tuple[str, str]] = []
        self._needles = needles
        self._place = ""
        self._fields: Collection[str] = ()

    def note(self, what: str) -> None:
        self.found.append((self._place, what))

    def request(self, request: dict[str, Any]) -> dict[str, Any]:
        self._fields = SECRET_FIELDS
        self._place = "request URI"
        uri = self._uri(request["uri"])
        headers = self._headers(request.get("headers") or {}, "request", _SENT_SECRETS)
        self._place = "request body"
        body, headers = self._body(request.get("body"), headers)
        others = self._others(request, "request", {"uri", "headers", "body"})
        return {
            name: {"uri": uri, "headers": headers, "body": body}.get(name, others.get(name))
            for name in request
        }

    def response(self, response: dict[str, Any]) -> dict[str, Any]:
        self._fields = ()
        headers = self._headers(response.get("headers") or {}, "response", _SEEN_SECRETS)
        self._place = "response body"
        given = response.get("body") or {}
        string, headers = self._body(given.get("string"), headers)
        body = {name: string if name == "string" else self._anything(one) for name, one in given.items()}
        others = self._others(response, "response", {"headers", "body"})
        return {name: {"headers": headers, "body": body}.get(name, others.get(name)) for name in response}

    def _others(self, message: dict[str, Any], side: str, known: set[str]) -> dict[str, Any]:
        others = {}
        for name, value in message.items():
            if name not in known:
                self._place = f"{side} {name}"
                others[name] = self._anything(value)
        return others

    def _anything(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {self._anything(name): self._anything(one) for name, one in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self._anything(one) for one in value)
        if isinstance(value, bytes):
            return self._bytes(value)
        return self._text(value) if isinstance(value, str) else value

    def _uri(self, uri: str) -> str:
        return self._string(uri, instead=REDACTED_IN_URLS, fold=True, names=_KEY_PARAMETERS)

    def _headers(self, headers: dict[str, Any], side: str, secret: frozenset[str]) -> dict[str, Any]:
        scrubbed: dict[str, Any] = {}
        for name, given in headers.items():
            self._place = f"a header's name in the {side}"
            clean = self._string(name, fold=True)
            self._place = f"{side} header {clean}"
            if name.lower() not in secret:
                value = self._each(given, self._header)
            elif secret is _SENT_SECRETS:
                value = self._each(given, self._secret_header)
            else:
                self._each(given, self._secret_header)  # for the notes
                continue
            if clean in scrubbed and isinstance(value, list):  # two names that differed in the key alone
                value = [*scrubbed[clean], *value]
            scrubbed[clean] = value
        return scrubbed

    @staticmethod
    def _each(given: Any, scrub: Callable[[Any], Any]) -> Any:
        return [scrub(value) for value in given] if isinstance(given, list | tuple) else scrub(given)

    def _header(self, value: Any) -> Any:
        if isinstance(value, bytes):
            return self._string(value.decode("latin-1")).encode("latin-1")
        return self._string(value) if isinstance(value, str) else value

    def _secret_header(self, value: Any) -> Any:
        text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
        if text.strip().lower() in {"", "bearer"} or text == REDACTED:
            return value
        self.note("not redacted")
        return REDACTED

    # Bodies

    def _body(self, body: Any, headers: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Return a body without secrets, and the headers that go with it."""
        if body is None:
            return None, headers
        if not isinstance(body, str | bytes):
            msg = (
                f"A body of type {type(body).__name__} cannot be searched for keys: read it into bytes first."
            )
            raise UnsearchableError(msg)
        plain, headers = self._decoded(body, headers)
        scrubbed = self._text(plain) if isinstance(plain, str) else self._bytes(plain)
        if scrubbed != body:
            length = str(
                len(scrubbed.encode("utf-8", "surrogatepass") if isinstance(scrubbed, str) else scrubbed)
            )
            headers = {
                name: ([length] if isinstance(value, list) else length)
                if name.lower() == "content-length"
                else value
                for name, value in headers.items()
            }
        return scrubbed, headers

    @staticmethod
    def _decoded(body: str | bytes, headers: dict[str, Any]) -> tuple[str | bytes, dict[str, Any]]:
        """Return a decompressed body, and headers that do not call it compressed."""
        said = [value for name, value in headers.items() if name.lower() == "content-encoding"]
        if not said or not body:  # the reply to a HEAD has no body to undo
            return body, headers
        values = [one for value in said for one in (value if isinstance(value, list | tuple) else [value])]
        text = ",".join(one.decode("latin-1") if isinstance(one, bytes) else one for one in values)
        if isinstance(body, bytes):  # text is what has been decompressed already
            for name in reversed([one.strip().lower() for one in text.split(",")]):
                if name not in {"", "identity"}:
                    body = decompressed(body, name)
        return body, {name: value for name, value in headers.items() if name.lower() != "content-encoding"}

    def _bytes(self, body: bytes, depth: int = 0) -> bytes:
        if body.startswith(GZIP) and depth < DEEPEST:
            return self._packed(body, depth)
        encoding = json.detect_encoding(body)
        if not encoding.startswith("utf-8"):
            # JSON in UTF-16 and UTF-32 is JSON to Python, and to whoever reads with Python.
            with suppress(ValueError, RecursionError):
                text = body.decode(encoding)
                json.loads(text)
                scrubbed = self._text(text)
                return body if scrubbed == text else scrubbed.encode(encoding)
        text, charset = as_text(body)
        scrubbed = self._text(text)
        return body if scrubbed == text else scrubbed.encode(charset)

    def _packed(self, body: bytes, depth: int) -> bytes:
        """Return a body that is an archive, with its contents scrubbed: the same bytes when there was nothing."""
        unpacked, whole = gunzipped(body)
        scrubbed = self._bytes(unpacked, depth + 1)
        if scrubbed == unpacked:
            text = body.decode("latin-1")
            return self._string(text).encode("latin-1")
        if not whole:
            msg = "A body is compressed with gzip, cut off, and holds a secret: it cannot be packed anew."
            raise UnsearchableError(msg)
        return gzip.compress(scrubbed, mtime=0)  # the same bytes every time

    def _text(self, text: str) -> str:
        """Return the text of a body without secrets: JSON, or anything else."""
        if not self._suspicious(text):
            return text
        mark = "\ufeff" if text.startswith("\ufeff") else ""
        content = text.removeprefix(mark)
        scrubbed = self._json(content) if _is_json(content) else self._nearly_json(content)
        # Whatever JSON made of it: a key that can be read in the file is a key in the file.
        if any(needle.text in scrubbed for needle in self._needles):
            scrubbed = self._string(scrubbed)
        return mark + scrubbed

    def _suspicious(self, text: str) -> bool:
        """Tell quickly whether anything in a text is worth a closer look; most texts have nothing."""
        plain = plain_text(text)
        if any(f'"{name}' in plain for name in self._fields):
            return True
        if f'"{_SIGNED_FIELD}' in plain and _SIGNED_STRING.search(plain):
            return True
        if self._hinted(plain) or (plain is not text and self._hinted(text)):
            return True
        return bool(key_pieces(text, self._needles, fold=False))

    @staticmethod
    def _hinted(text: str) -> bool:
        if "\0" in text:
            text = text.replace("\0", "")
        lower = text.lower()
        return any(hint in lower for hint in _HINTS)

    def _json(self, text: str) -> str:
        """Return JSON without secrets; strings without any, and all between them, stay as they are."""
        # Fields are most of what there is, and found without a closer look.
        text = self._tokens(text, deep=False)
        return self._tokens(text, deep=True) if self._suspicious(text) else text

    def _tokens(self, text: str, *, deep: bool) -> str:
        parts: list[str] = []
        last = at = 0
        while match := _JSON_TOKEN.search(text, at):
            token = match.group()
            at = match.end()
            parts += [text[last : match.start()], self._json_token(token) if deep else token]
            last = at
            if token[0] == '"' and (colon := _JSON_COLON.match(text, at)):
                at = colon.end()
                end, value = self._json_field(text, at, _json_string(token))
                if value is not None:
                    parts += [text[last:at], value]
                    last = at = end
        parts.append(text[last:])
        return "".join(parts)

    def _json_token(self, token: str) -> str:
        if token[0] != '"':
            return token if self._string(token) == token else _JSON_REDACTED
        value = _json_string(token)
        scrubbed = self._value(value)
        return token if scrubbed == value else json.dumps(scrubbed)

    def _json_field(self, text: str, at: int, name: str) -> tuple[int, str | None]:
        """Return where a field's value ends that is secret for its name, and the JSON that takes its place.

        None takes its place when it is not secret, or says so already.
        """
        if name in self._fields:
            try:
                value, end = _JSON.raw_decode(text, at)
            except (ValueError, RecursionError):  # cut off: nobody knows where it would end
                value, end = text[at:], len(text)
            if value and value != REDACTED:
                self.note(f"{name} not redacted")
                return end, _JSON_REDACTED
        elif name == _SIGNED_FIELD and (match := _JSON_TOKEN.match(text, at)) and match.group()[0] == '"':
            with suppress(ValueError):
                before, mark, query = _json_string(match.group()).partition("?")
                if mark and query not in {"", REDACTED_IN_URLS}:
                    self.note(f"the query of a {_SIGNED_FIELD}")
                    return match.end(), json.dumps(f"{self._string(before)}?{REDACTED_IN_URLS}")
        return at, None

    def _value(self, value: str) -> str:
        """Return a string of JSON without secrets; it may be JSON itself."""
        if value.lstrip()[:1] in {"{", "[", '"'} and self._suspicious(value) and _is_json(value):
            return self._json(value)
        return self._string(value)

    def _nearly_json(self, text: str) -> str:
        """Return a text that is not JSON without secrets; JSON in it, or JSON cut off, may name secret fields."""
        parts: list[str] = []
        last = at = 0
        while match := _JSON_FIELD.search(text, at):
            at = match.end()
            end, value = self._json_field(text, at, match[1])
            if value is not None:
                parts += [self._string(text[last:at]), value]
                last = at = end
        parts.append(self._string(text[last:]))
        return "".join(parts)

    def _string(
        self,
        text: str,
        *,
        instead: str = REDACTED,
        fold: bool = False,
        names: re.Pattern[str] | None = None,
    ) -> str:
        """Return a text without secrets, whatever it is.

        Args:
            text: The text.

            instead: What stands for a secret.

            fold: Whether keys are keys in upper and lower case alike.

            names: Names of a URL's parameters that are secret here.
        """
        if len(text) < SHORTEST_KEY:
            return text
        for _ in range(DEEPEST):  # what is replaced can, in theory, lay open something else
            pieces = key_pieces(text, self._needles, fold=fold)
            if self._hinted(text):
                pieces += _token_pieces(view_of(text), names)
            if has_escapes(text) and (plain := plain_text(text)) != text and self._hinted(plain):
                pieces += _token_pieces(plain_view(text), names)
            if "\0" in text and self._hinted(text):
                pieces += _token_pieces(view_of(text).without(NULS, nothing), names)
            if not pieces:
                break
            parts = []
            last = 0
            for piece in merged(pieces):
                self.note(piece.what)
                word = piece.instead if instead == REDACTED else instead
                # UTF-16 has a NUL beside each letter, and what stands there instead must have, too.
                word = "\0".join(word) if "\0" in text[piece.start : piece.end] else word
                parts += [text[last : piece.start], word]
                last = piece.end
            text = "".join([*parts, text[last:]])
        return text


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _json_string(token: str) -> str:
    return str(json.loads(token)) if "\\" in token else token[1:-1]
