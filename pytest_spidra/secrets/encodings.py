r"""Encodings: an API key, however it is spelt.

A key that stands in a text plainly (as it is, or as a URL, JSON or HTML spells it) can be replaced there. In any
other spelling it is only found: escaped to the last letter (``\u0073``, ``%73``, ``&#115;``, one in the other),
in base64 or hex, broken over lines, in UTF-16, and in archives.
"""

from __future__ import annotations

import base64
import html
import json
import re
import zlib
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, quote_plus

from pytest_spidra.secrets.compression import DECODERS, DEEPEST, GZIP, UnsearchableError, as_text, gunzipped
from pytest_spidra.traffic.secret_names import is_placeholder
from pytest_spidra.traffic.secret_patterns import SHORTEST_KEY

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_ESCAPE = re.compile(
    r"""
      (?<!\\)\\++ (?: u(?P<u>[0-9a-fA-F]{4}) | x(?P<x>[0-9a-fA-F]{2}) | (?P<named>[/"'nrt]) )
    | % (?P<percent>[0-9a-fA-F]{2})
    | &\#(?: [xX](?P<hex>[0-9a-fA-F]{1,4}) | (?P<decimal>[0-9]{1,5}) );
    """,
    re.VERBOSE,
)
_STANDS_FOR = {"n": "\n", "r": "\r", "t": "\t"}
_PACKED = re.compile(r"(?:H4sI|eJ[w-z])[A-Za-z0-9+/_-]{16,}")  # gzip and zlib, in base64


class HiddenKeyError(ValueError):
    """An API key that cannot be taken out without breaking what is around it.

    Args:
        place: Where it stands: ``response body``.

        how: How it is spelt: ``in base64``.
    """

    def __init__(self, place: str, how: str) -> None:
        self.place = place
        self.how = how
        super().__init__(f"The {place} holds an API key {how}.")


class KeyForms(NamedTuple):
    """How a set of keys can be spelt.

    Args:
        plain: Each spelling that can be replaced, and the key that it spells; the longest go first.

        encoded: Texts that give a key away in an encoding, and what each is, for people.
    """

    plain: dict[str, str]
    encoded: dict[str, str]


def forms_of(keys: Collection[str]) -> KeyForms:
    """Return how keys can be spelt.

    Args:
        keys: The keys; one that reads like a placeholder is no secret, and left out.

    Raises:
        ValueError: A key is too short to be told from other text.
    """
    return _forms_of(frozenset([keys] if isinstance(keys, str) else keys))


@lru_cache(maxsize=16)  # a key is looked for in thousands of texts
def _forms_of(keys: frozenset[str]) -> KeyForms:
    if any(len(key) < SHORTEST_KEY for key in keys):
        msg = f"An API key with fewer than {SHORTEST_KEY} characters cannot be told from other text."
        raise ValueError(msg)
    secret = sorted(key for key in keys if not is_placeholder(key))
    plain = {text: key for key in secret for text in _plain_forms(key)}
    return KeyForms(
        dict(sorted(plain.items(), key=lambda form: -len(form[0]))),
        {text: what for key in secret for text, what in _encoded_forms(key)},
    )


def _plain_forms(key: str) -> Iterator[str]:
    yield key
    yield from (quote(key, safe=""), quote(key), quote_plus(key))
    escaped = json.dumps(key)[1:-1]
    yield from (escaped, escaped.replace("/", "\\/"), json.dumps(key, ensure_ascii=False)[1:-1])
    yield html.escape(key)
    # Bytes that are no UTF-8 are read as Latin-1.
    yield key.encode("utf-8", "surrogatepass").decode("latin-1")


def _encoded_forms(key: str) -> Iterator[tuple[str, str]]:
    raw = key.encode("utf-8", "surrogatepass")
    for inner in (raw, quote(raw, safe="").encode(), json.dumps(key)[1:-1].encode()):
        yield inner.hex(), "in hex"
        yield inner.hex().upper(), "in hex"
        for shift in range(3):
            # Whole characters that come of the key alone: what stands before and after it is not known.
            first, last = -(-8 * shift // 6), 8 * (shift + len(inner)) // 6
            text = base64.b64encode(bytes(shift) + inner).decode()[first:last]
            yield text, "in base64"
            yield text.replace("+", "-").replace("/", "_"), "in base64"


def unescaped(text: str) -> str:
    """Return a text without escapes, whatever they are, one in the other."""
    for _ in range(DEEPEST):
        if not ("\\" in text or "%" in text or "&#" in text):
            break
        plainer = _ESCAPE.sub(_unescaped, text)
        if plainer == text:
            break
        text = plainer
    return text


def _unescaped(match: re.Match[str]) -> str:
    kind = match.lastgroup or ""
    value = match[kind]
    if kind == "named":
        return _STANDS_FOR.get(value, value)
    return chr(int(value, 10 if kind == "decimal" else 16))


def key_in(text: str, forms: KeyForms, *, fold: bool = False, depth: int = 0) -> str | None:
    """Return how a key stands in a text, for people (``"in base64"``), or None.

    Args:
        text: The text.

        forms: How the keys are spelt.

        fold: Whether keys are keys in lower case, too: hosts and headers' names are spelt anew.

        depth: How many archives it came from.
    """
    if not forms.plain:
        return None
    if _plainly_in(text, forms, fold=fold):
        return "as it is"
    plain = unescaped(text)
    if plain is not text and _plainly_in(plain, forms, fold=fold):
        return "in escapes"
    if "\0" in plain and (what := key_in(plain.replace("\0", ""), forms, fold=fold, depth=depth)):
        return "in UTF-16" if what == "as it is" else what
    return _encoded_in("".join(plain.split()), forms, depth)


def _encoded_in(text: str, forms: KeyForms, depth: int) -> str | None:
    for form, what in forms.encoded.items():
        if form in text:
            return what
    for packed in _PACKED.finditer(text) if depth < DEEPEST else ():
        if _in_archive(packed[0].replace("-", "+").replace("_", "/"), forms, depth + 1):
            return "compressed, in base64"
    return None


def _plainly_in(text: str, forms: KeyForms, *, fold: bool) -> bool:
    if any(form in text for form in forms.plain):
        return True
    return fold and any(form.lower() in text.lower() for form in forms.plain)


def _in_archive(encoded: str, forms: KeyForms, depth: int) -> bool:
    raw = base64.b64decode(encoded[: len(encoded) // 4 * 4])
    inflate = zlib.decompressobj(zlib.MAX_WBITS | 32)  # either head
    with suppress(zlib.error):
        return key_in(as_text(inflate.decompress(raw))[0], forms, depth=depth) is not None
    return False


def key_in_bytes(body: bytes, forms: KeyForms, depth: int = 0) -> str | None:
    """Return how a key stands in bytes, or in what they decompress to in any way known here, or None."""
    text, charset = as_text(body)
    if what := key_in(text, forms, depth=depth):
        return what
    if depth == DEEPEST or charset == "utf-8" or not forms.plain:  # what is text is not compressed
        return None
    for unpacked in _unpacked(body):
        if what := key_in_bytes(unpacked, forms, depth + 1):
            return "compressed" if what == "as it is" else f"{what}, compressed"
    return None


def _unpacked(body: bytes) -> Iterator[bytes]:
    if body.startswith(GZIP):
        yield gunzipped(body)[0]  # as far as it goes
        return
    for unpack in dict.fromkeys(DECODERS.values()):
        with suppress(UnsearchableError):
            unpacked = unpack(body)
            if unpacked != body:
                yield unpacked
