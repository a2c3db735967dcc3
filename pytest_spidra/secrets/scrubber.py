"""The scrubber: nothing that opens a door gets into a cassette.

What a key can look like is in `encodings`, what is secret without a known key in `tokens`.
"""

from __future__ import annotations

import gzip
import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pytest_spidra.secrets.compression import (
    DEEPEST,
    GZIP,
    UnsearchableError,
    as_text,
    decompressed,
    gunzipped,
)
from pytest_spidra.secrets.encodings import (
    NULS,
    REDACTED_IN_URLS,
    decoded,
    forms_of,
    has_escapes,
    key_matches,
    merged,
    nothing,
    plain_text,
    undecoded,
)
from pytest_spidra.secrets.tokens import token_matches
from pytest_spidra.traffic.redaction import REDACTED, SHORTEST_KEY
from pytest_spidra.traffic.secret_patterns import (
    HINTS,
    KEY_HEADERS,
    KEY_PARAMETERS,
    SECRET_FIELDS,
    SECRET_HEADERS,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from pytest_spidra.secrets.encodings import KeyForm

_SENT_SECRETS = KEY_HEADERS | SECRET_HEADERS
_SEEN_SECRETS = frozenset({"set-cookie"})
_SIGNED_FIELD = "screenshotUrl"

_JSON_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|-?[0-9][0-9.eE+-]*', re.DOTALL)
_JSON_COLON = re.compile(r"\s*:\s*")
_JSON_FIELD = re.compile(rf'"({"|".join([*SECRET_FIELDS, _SIGNED_FIELD])})"\s*:\s*')
# Most are null, and most of the others look like this afterwards.
_SIGNED_STRING = re.compile(rf'"{_SIGNED_FIELD}"\s*:\s*"(?!"|[^"?]*\?{REDACTED_IN_URLS}")')
_JSON = json.JSONDecoder()
_JSON_REDACTED = json.dumps(REDACTED)


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
        self._forms = forms_of(keys)

    def request(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return a request, as vcrpy serialises it, without secrets; the one given is left alone.

        Headers that carry keys and cookies are there still, with a placeholder; one that carries nothing
        (``Bearer`` and no token) says so still. Of bodies the same holds as in `response`.

        Raises:
            UnsearchableError: The body is compressed in a way that cannot be undone here, or is no text and no bytes.
        """
        return Scrubbing(self._forms).request(request)

    def response(self, response: dict[str, Any]) -> dict[str, Any]:
        """Return a response, as vcrpy serialises it, without secrets; the one given is left alone.

        A body with a ``content-encoding`` is stored as what it decompresses to, without that header. One that is
        compressed without saying so stays compressed: with a secret in it, it is packed anew. A
        ``content-length`` follows the body; ``set-cookie`` is dropped.

        Raises:
            UnsearchableError: The body is compressed in a way that cannot be undone here, or is no text and no bytes.
        """
        return Scrubbing(self._forms).response(response)


# Scrubbing ----------------------------------------------------------------------------------------------------


class Scrubbing:
    """One request or response being scrubbed; it notes what it replaces, and where."""

    def __init__(self, forms: Sequence[KeyForm]) -> None:
        self.found: list[tuple[str, str]] = []
        self._forms = forms
        self._place = ""
        self._fields: Collection[str] = ()

    def note(self, what: str) -> None:
        """Note what was found in the place that is looked at."""
        self.found.append((self._place, what))

    def request(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return a request without secrets."""
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
        """Return a response without secrets."""
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
        return self._string(uri, instead=REDACTED_IN_URLS, fold=True, names=KEY_PARAMETERS)

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
        if any(form.text in scrubbed for form in self._forms):
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
        return bool(key_matches(text, self._forms, fold=False))

    @staticmethod
    def _hinted(text: str) -> bool:
        if "\0" in text:
            text = text.replace("\0", "")
        lower = text.lower()
        return any(hint in lower for hint in HINTS)

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
            matches = key_matches(text, self._forms, fold=fold)
            if self._hinted(text):
                matches += token_matches(undecoded(text), names)
            if has_escapes(text) and (plain := plain_text(text)) != text and self._hinted(plain):
                matches += token_matches(decoded(text), names)
            if "\0" in text and self._hinted(text):
                matches += token_matches(undecoded(text).without(NULS, nothing), names)
            if not matches:
                break
            parts = []
            last = 0
            for match in merged(matches):
                self.note(match.what)
                word = match.instead if instead == REDACTED else instead
                # UTF-16 has a NUL beside each letter, and what stands there instead must have, too.
                word = "\0".join(word) if "\0" in text[match.start : match.end] else word
                parts += [text[last : match.start], word]
                last = match.end
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
