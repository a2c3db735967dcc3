"""The scrubber: takes secrets out of what goes into a cassette, and notes what it found."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pytest_spidra.secrets import json_text
from pytest_spidra.secrets.compression import (
    DEEPEST,
    UnsearchableError,
    as_text,
    decoded,
    each_value,
    values_of,
)
from pytest_spidra.secrets.encodings import HiddenKeyError, key_in_bytes
from pytest_spidra.secrets.texts import TextScrubber
from pytest_spidra.traffic.secret_names import (
    header_names_a_secret,
    is_secret_for_its_name,
    names_a_secret,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

_PARAMETER = re.compile(r"(?:^|[?&;])([^=&#;?]{1,64})=([^&#;]+)")
_SCHEME = re.compile(r"(?i)(?:bearer|basic|digest|token|apikey)(?:\s+|$)")


class Scrubber(TextScrubber):
    """Takes secrets out of the interactions of one cassette.

    A secret's place is taken by a placeholder: each value has a number, so different ones stay different. What
    is a secret is said by `pytest_spidra.traffic.secret_patterns`: the value of a known key wherever it stands,
    values whose names say so, and what gives itself away.

    Bodies that are JSON come back as text that can be read line by line, with equal values.
    """

    def request(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return a request, as vcrpy serialises it, without secrets; the one given is left alone.

        Headers that carry keys and cookies are there still, with a placeholder; one that carries nothing
        (``Bearer`` and no token) says so still.

        Raises:
            UnsearchableError: The body is compressed in a way that cannot be undone here, or is no text and no bytes.

            HiddenKeyError: A key stands in it in a way that cannot be replaced.
        """
        self._sent = True
        self._place = "request URI"
        uri = self._uri(request["uri"])
        headers = self._headers(request.get("headers") or {}, "request")
        self._place = "request body"
        body, headers = self._body(request.get("body"), headers)
        changed = {"uri": uri, "headers": headers, "body": body}
        return {**self._others(request, "request", changed), **changed}

    def response(self, response: dict[str, Any]) -> dict[str, Any]:
        """Return a response, as vcrpy serialises it, without secrets; the one given is left alone.

        A body with a ``content-encoding`` is stored as what it decompresses to, without that header. A
        ``content-length`` follows the body; ``set-cookie`` is dropped.

        Raises:
            UnsearchableError: As for a request.

            HiddenKeyError: As for a request.
        """
        self._sent = False
        headers = self._headers(response.get("headers") or {}, "response")
        self._place = "response body"
        given = response.get("body") or {}
        string, headers = self._body(given.get("string"), headers)
        body = {name: string if name == "string" else self._anything(one) for name, one in given.items()}
        changed = {"headers": headers, "body": body}
        return {**self._others(response, "response", changed), **changed}

    def _others(self, message: dict[str, Any], side: str, known: Collection[str]) -> dict[str, Any]:
        others = {}
        for name, value in message.items():
            self._place = f"{side} {name}"
            others[name] = None if name in known else self._anything(value)
        return others

    def _anything(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {self._anything(name): self._anything(one) for name, one in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self._anything(one) for one in value)
        if isinstance(value, bytes):
            return self._bytes(value)
        return self._checked(self._string(value)) if isinstance(value, str) else value

    # URIs and headers

    def _uri(self, uri: str) -> str:
        before, mark, query = uri.partition("?")
        return self._checked(
            self._string(before, in_url=True) + mark + self._parameters(query, in_url=True), fold=True
        )

    def _parameters(self, text: str, *, in_url: bool) -> str:
        """Return a query or a form without values whose names say that they are secret."""

        def replaced(found: re.Match[str]) -> str:
            name, value = found[1], found[2]
            named = names_a_secret(name) or name.lower() == "key"
            if not named or not is_secret_for_its_name(name, value, sent=self._sent):
                return found[0]
            return found[0][: -len(value)] + self._instead(value, f"{name} in a URL", in_url=in_url)

        return self._string(_PARAMETER.sub(replaced, text), in_url=in_url)

    def _headers(self, headers: dict[str, Any], side: str) -> dict[str, Any]:
        scrubbed: dict[str, Any] = {}
        named = header_names_a_secret if self._sent else names_a_secret
        for name, given in headers.items():
            self._place = f"a header's name in the {side}"
            clean = self._checked(self._string(name, in_url=True), fold=True)
            self._place = f"{side} header {clean}"
            scrub = self._secret_header(name) if named(name) else self._header
            value = each_value(given, scrub)
            if name.lower() == "set-cookie":
                continue  # noted, and dropped
            if clean in scrubbed and isinstance(value, list):  # two names that differed in the key alone
                value = [*scrubbed[clean], *value]
            scrubbed[clean] = value
        return scrubbed

    def _header(self, value: str) -> str:
        return self._checked(self._string(value))

    def _secret_header(self, name: str) -> Callable[[str], str]:
        def scrub(value: str) -> str:
            scheme = _SCHEME.match(value)
            rest = value[scheme.end() :] if scheme else value
            if not rest.strip() or not is_secret_for_its_name(name, rest, sent=True):
                return self._header(value)
            return value[: len(value) - len(rest)] + self._instead(rest.strip(), f"{name} not redacted")

        return scrub

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
        plain, headers = decoded(body, headers)
        form = any("x-www-form-urlencoded" in value.lower() for value in values_of(headers, "content-type"))
        scrubbed = self._text(plain, form=form) if isinstance(plain, str) else self._bytes(plain, form=form)
        if scrubbed != body:
            size = len(scrubbed.encode("utf-8", "surrogatepass") if isinstance(scrubbed, str) else scrubbed)
            headers = {
                name: each_value(value, lambda _: str(size)) if name.lower() == "content-length" else value
                for name, value in headers.items()
            }
        return scrubbed, headers

    def _bytes(self, body: bytes, *, form: bool = False) -> bytes:
        text, charset = as_text(body)
        scrubbed = self._text(text, form=form).encode(charset, "xmlcharrefreplace")
        if how := key_in_bytes(scrubbed, self._forms):
            raise HiddenKeyError(self._place, how)
        return scrubbed

    def _text(self, text: str, *, form: bool = False) -> str:
        """Return the text of a body without secrets: JSON, a form, or anything else."""
        try:
            scrubbed = json_text.indented(self._json(json_text.parse(text), DEEPEST))
        except (ValueError, RecursionError):
            scrubbed = self._parameters(text, in_url=False) if form else self._string(text, sent=self._sent)
        return self._checked(scrubbed)

    def _json(self, value: Any, depth: int, *, names: bool = True) -> Any:
        """Return a value of JSON without secrets.

        Args:
            value: The value.

            depth: How many strings that are JSON themselves are opened on the way down.

            names: Whether fields' names count: those of a schema say what is to be found.
        """
        if isinstance(value, dict):
            return {
                self._string(name): self._field(name, one, depth)
                if names
                else self._json(one, depth, names=False)
                for name, one in value.items()
            }
        if isinstance(value, list):
            return [self._json(one, depth, names=names) for one in value]
        if not isinstance(value, str):
            text = str(value)  # a number can be a key
            clean = self._string(text)
            return value if isinstance(value, bool) or clean == text else clean
        if depth and value[:1] in {"{", "["}:
            try:
                inner = json_text.parse(value)
            except ValueError:
                pass
            else:
                scrubbed = self._json(inner, depth - 1)
                return value if scrubbed == inner else json_text.indented(scrubbed)
        return self._string(value, sent=False)

    def _field(self, name: str, value: Any, depth: int) -> Any:
        if self._sent and name == "schema":
            return self._json(value, depth, names=False)
        if names_a_secret(name):
            if isinstance(value, str) and value and is_secret_for_its_name(name, value, sent=self._sent):
                return self._instead(value, f"{name} not redacted")
            if self._sent and name == "cookies" and value and not isinstance(value, str):
                return self._instead(json_text.indented(value), "cookies not redacted")
        return self._json(value, depth)
