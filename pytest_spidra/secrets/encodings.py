r"""Encodings: an API key, however it is spelt.

A key is looked for as it stands, escaped (``\u0073``, ``%73``, ``&#115;``, one in the other and several times
over), in base64 or hex, broken over lines, in UTF-16, and in archives. For that a text is read in several
*decoded texts*, each a plainer spelling of the same text that knows where each of its characters came from: what is
found in a decoded_text can be replaced in the text.
"""

from __future__ import annotations

import base64
import json
import re
import string
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from pytest_spidra.secrets.compression import DECODERS, DEEPEST, UnsearchableError, as_text
from pytest_spidra.traffic.redaction import REDACTED, SHORTEST_KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

REDACTED_IN_URLS = "redacted"  # brackets in a host are no URL, and vcrpy parses the URLs it reads

_ESCAPE = re.compile(
    r"""
      (?<!\\)\\++ (?: u(?P<u>[0-9a-fA-F]{4}) | x(?P<x>[0-9a-fA-F]{2}) | (?P<named>[/"'nrt]) )
    | % (?P<percent>[0-9a-fA-F]{2})
    | &\#(?: [xX](?P<hex>[0-9a-fA-F]{1,4}) | (?P<decimal>[0-9]{1,5}) );
    """,
    re.VERBOSE,
)
_BLANK = re.compile(r"[\s\0]+")
NULS = re.compile(r"\0+")
_STANDS_FOR = {"n": "\n", "r": "\r", "t": "\t"}
_BASE64 = frozenset(string.ascii_letters + string.digits + "+/-_")


# KeyForms: how a key can be spelt ------------------------------------------------------------------------------


class KeyForm(NamedTuple):
    """A text that gives a key away.

    Args:
        text: It.

        what: What it is, for people.

        encoded: Whether it is base64 or hex, which may be broken over lines.

        before: Whether the character before it, too, holds a part of the key: base64 does not end with a byte.

        after: The same of the character after it.
    """

    text: str
    what: str
    encoded: bool = False
    before: bool = False
    after: bool = False


def forms_of(keys: Collection[str]) -> tuple[KeyForm, ...]:
    """Return what gives keys away.

    Args:
        keys: The keys; one that is part of the placeholder itself is no secret, and left out.

    Raises:
        ValueError: A key is too short to be told from other text.
    """
    return _forms_of(frozenset([keys] if isinstance(keys, str) else keys))


@lru_cache(maxsize=16)  # a key is looked for in thousands of requests, one scrubber each
def _forms_of(keys: frozenset[str]) -> tuple[KeyForm, ...]:
    if any(len(key) < SHORTEST_KEY for key in keys):
        msg = f"An API key with fewer than {SHORTEST_KEY} characters cannot be told from other text."
        raise ValueError(msg)
    found: dict[str, KeyForm] = {}
    for key in sorted(keys):
        if key.lower() in REDACTED:
            continue
        for form in _spellings(key):
            found.setdefault(form.text, form)
    return tuple(found.values())


def _spellings(key: str) -> Iterator[KeyForm]:
    yield KeyForm(key, "an API key")
    # Bytes that are no UTF-8 are read as Latin-1, and so are percent-encoded ones.
    raw = key.encode("utf-8", "surrogatepass")
    yield KeyForm(raw.decode("latin-1"), "an API key")
    for inner in (raw, quote(raw, safe="").encode(), json.dumps(key)[1:-1].encode()):
        yield KeyForm(inner.hex(), "an API key in hex", encoded=True)
        yield KeyForm(inner.hex().upper(), "an API key in hex", encoded=True)
        for shift in range(3):
            bits = 8 * (shift + len(inner))
            # Whole characters that come of the key alone: what stands before and after it is not known.
            first, last = -(-8 * shift // 6), bits // 6
            text = base64.b64encode(bytes(shift) + inner).decode()[first:last]
            for spelling in (text, text.replace("+", "-").replace("/", "_")):
                what = "an API key in base64"
                yield KeyForm(spelling, what, encoded=True, before=shift > 0, after=bits % 6 > 0)


# Decoded texts: plainer spellings of a text ---------------------------------------------------------------------------


class DecodedText(NamedTuple):
    """A text, and of each of its characters the place in the original: from `starts` to `ends`."""

    text: str
    starts: Sequence[int]
    ends: Sequence[int]

    def without(self, pattern: re.Pattern[str], instead: Callable[[re.Match[str]], str]) -> DecodedText:
        """Return a decoded_text in which each match is replaced, by one character or by none."""
        texts: list[str] = []
        starts: list[int] = []
        ends: list[int] = []
        last = 0
        for match in pattern.finditer(self.text):
            start, end = match.span()
            texts.append(self.text[last:start])
            starts += self.starts[last:start]
            ends += self.ends[last:start]
            if character := instead(match):
                texts.append(character)
                starts.append(self.starts[start])
                ends.append(self.ends[end - 1])
            last = end
        texts.append(self.text[last:])
        starts += self.starts[last:]
        ends += self.ends[last:]
        return DecodedText("".join(texts), starts, ends)


def undecoded(text: str) -> DecodedText:
    """Return a text as it is, as a decoded_text."""
    return DecodedText(text, range(len(text)), range(1, len(text) + 1))


def _unescaped(match: re.Match[str]) -> str:
    kind = match.lastgroup or ""
    value = match[kind]
    if kind == "named":
        return _STANDS_FOR.get(value, value)
    return chr(int(value, 10 if kind == "decimal" else 16))


def nothing(_: re.Match[str]) -> str:
    """Say that nothing takes a match's place."""
    return ""


def has_escapes(text: str) -> bool:
    """Tell quickly whether a text could have escapes."""
    return "\\" in text or "%" in text or "&#" in text


def plain_text(text: str) -> str:
    """Return a text without escapes, without knowing where its characters came from: that is fast."""
    for _ in range(DEEPEST):
        if not has_escapes(text) or (plainer := _ESCAPE.sub(_unescaped, text)) == text:
            break
        text = plainer
    return text


def decoded(text: str) -> DecodedText:
    """Return the same as a decoded_text."""
    decoded_text = undecoded(text)
    for _ in range(DEEPEST):
        if (
            not has_escapes(decoded_text.text)
            or (plainer := decoded_text.without(_ESCAPE, _unescaped)).text == decoded_text.text
        ):
            break
        decoded_text = plainer
    return decoded_text


# Pieces: what to replace --------------------------------------------------------------------------------------


class Match(NamedTuple):
    """A part of a text that is a secret, what stands there instead, and what it is, for people."""

    start: int
    end: int
    instead: str
    what: str


def key_matches(text: str, forms: Sequence[KeyForm], *, fold: bool) -> list[Match]:
    """Return where keys stand in a text, in order, overlaps merged.

    Args:
        text: The text.

        forms: What gives the keys away.

        fold: Whether keys are keys in upper and lower case alike: hosts and headers' names are spelt anew.
    """
    if not forms:
        return []
    plain = plain_text(text)
    matches = _found_in(undecoded(text), forms, fold=fold) if _may_hold(text, forms, fold=fold) else []
    if plain is not text and _may_hold(plain, forms, fold=fold):
        matches += _found_in(decoded(text), forms, fold=fold)
    encoded = [form for form in forms if form.encoded]
    if (joined := "".join(plain.split())) != plain and _may_hold(joined, encoded, fold=False):
        matches += _found_in(decoded(text).without(_BLANK, nothing), encoded, fold=False)
    if "\0" in plain and _may_hold(plain.replace("\0", ""), forms, fold=fold):
        matches += _found_in(decoded(text).without(NULS, nothing), forms, fold=fold)
    return merged(matches)


def _may_hold(text: str, forms: Iterable[KeyForm], *, fold: bool) -> bool:
    return any(form.text in text for form in forms) or (
        fold and any(form.text.lower() in text.lower() for form in forms if not form.encoded)
    )


def _found_in(decoded_text: DecodedText, forms: Iterable[KeyForm], *, fold: bool) -> list[Match]:
    found = []
    text = decoded_text.text
    # A lower-case text that is longer than the text would have other places.
    group_repeats = text.lower() if fold and text.isascii() else text
    for form in forms:
        searched, wanted = text, form.text
        if group_repeats is not text and not form.encoded:
            searched, wanted = group_repeats, wanted.lower()
        at = searched.find(wanted)
        while at >= 0:
            first, last = at, at + len(wanted) - 1
            if form.before and first > 0 and text[first - 1] in _BASE64:
                first -= 1
            if form.after and last + 1 < len(text) and text[last + 1] in _BASE64:
                last += 1
            found.append(Match(decoded_text.starts[first], decoded_text.ends[last], REDACTED, form.what))
            at = searched.find(wanted, at + 1)
    return found


def match_of(decoded_text: DecodedText, span: tuple[int, int], instead: str, what: str) -> Match:
    """Return the match of the original text that a part of a decoded_text, not empty, stands for."""
    return Match(decoded_text.starts[span[0]], decoded_text.ends[span[1] - 1], instead, what)


def merged(matches: list[Match]) -> list[Match]:
    """Return matches in order; of two that overlap, one."""
    apart: list[Match] = []
    for match in sorted(matches):
        if apart and match.start < apart[-1].end:
            last = apart[-1]
            # A signature is replaced as a whole, whatever was found within.
            instead = REDACTED_IN_URLS if REDACTED_IN_URLS in (last.instead, match.instead) else last.instead
            apart[-1] = last._replace(end=max(last.end, match.end), instead=instead)
        else:
            apart.append(match)
    return apart


def key_in_bytes(body: bytes, forms: Sequence[KeyForm], depth: int = 0) -> str | None:
    """Return what is found in bytes, and in what they decompress to in any way known here."""
    for match in key_matches(as_text(body)[0], forms, fold=False):
        return match.what
    if depth < DEEPEST:
        for unpack in dict.fromkeys(DECODERS.values()):
            with suppress(UnsearchableError):
                inner = unpack(body)
                if inner != body and (what := key_in_bytes(inner, forms, depth + 1)):
                    return f"{what}, compressed"
    return None
