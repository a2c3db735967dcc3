"""Compression: bodies as they are before it."""

from __future__ import annotations

import importlib
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

DEEPEST = 8  # archives in archives, and escapes in escapes: an archive can hold itself

GZIP = b"\x1f\x8b\x08"


class UnsearchableError(ValueError):
    """A body that nobody can look into; the message says why, and what to install."""


def as_text(body: bytes) -> tuple[str, str]:
    """Return bytes as text, and the encoding that makes the same bytes of it."""
    try:
        return body.decode(), "utf-8"
    except UnicodeDecodeError:
        return body.decode("latin-1"), "latin-1"


def decompressed(body: bytes, encoding: str) -> bytes:
    """Return what a body decompresses to; text that is said to be compressed and is not, as it is.

    Raises:
        UnsearchableError: It does not decompress, or nothing here can do it.
    """
    decode = DECODERS.get(encoding)
    if decode is None:
        msg = (
            f"A body with content-encoding {encoding} cannot be searched for keys: ask for gzip, or for none."
        )
        raise UnsearchableError(msg)
    try:
        return decode(body)
    except _BrokenError:
        # Some libraries decompress and leave the header as it was.
        if body.startswith(GZIP) or as_text(body)[1] != "utf-8":
            raise
        return body


class _BrokenError(UnsearchableError):
    """A body that is not what its encoding says."""

    def __init__(self, encoding: str) -> None:
        super().__init__(
            f"A body with content-encoding {encoding} does not decompress: it cannot be searched for keys."
        )


def gunzipped(body: bytes) -> tuple[bytes, bool]:
    """Return what a gzip file, of one or more members, unpacks to as far as it goes, and whether that is all."""
    unpacked = []
    while body.startswith(GZIP):
        inflate = zlib.decompressobj(zlib.MAX_WBITS | 16)
        try:
            unpacked.append(inflate.decompress(body))
        except zlib.error:
            return b"".join(unpacked), False
        if not inflate.eof:
            return b"".join(unpacked), False
        body = inflate.unused_data
    return b"".join(unpacked), True


def _gzip(body: bytes) -> bytes:
    unpacked, whole = gunzipped(body)
    if not whole or not body.startswith(GZIP):
        raise _BrokenError(encoding="gzip")
    return unpacked


def _deflate(body: bytes) -> bytes:
    for window in (zlib.MAX_WBITS, -zlib.MAX_WBITS):  # with zlib's head as the standard says, and without
        inflate = zlib.decompressobj(window)
        with suppress(zlib.error):
            unpacked = inflate.decompress(body)
            if inflate.eof:
                return unpacked
    raise _BrokenError(encoding="deflate")


_LIBRARIES = {"br": ("brotli", "brotlicffi"), "zstd": ("compression.zstd", "zstandard")}


def _with_library(encoding: str) -> Callable[[bytes], bytes]:
    def decode(body: bytes) -> bytes:
        for name in _LIBRARIES[encoding]:
            try:
                library = importlib.import_module(name)
            except ImportError:
                continue
            decompress = (
                library.ZstdDecompressor().decompressobj().decompress
                if name == "zstandard"
                else library.decompress
            )
            try:
                return bytes(decompress(body))
            except Exception as error:  # each library has an error of its own
                raise _BrokenError(encoding=encoding) from error
        msg = (
            f"A body is compressed with {encoding} and cannot be searched for keys: "
            f"install {_LIBRARIES[encoding][-1 if encoding == 'zstd' else 0]}, or ask for gzip."
        )
        raise UnsearchableError(msg)

    return decode


DECODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "br": _with_library("br"),
    "zstd": _with_library("zstd"),
}


def values_of(headers: dict[str, Any], wanted: str) -> list[str]:
    """Return the values of a header, whatever the case of its name."""
    said = [value for name, value in headers.items() if name.lower() == wanted]
    values = [one for value in said for one in (value if isinstance(value, list | tuple) else [value])]
    return [one.decode("latin-1") if isinstance(one, bytes) else str(one) for one in values]


def each_value(given: Any, scrub: Callable[[str], str]) -> Any:
    """Return the values of a header, a list or one, text or bytes, each scrubbed."""
    if isinstance(given, list | tuple):
        return [each_value(value, scrub) for value in given]
    if isinstance(given, bytes):
        return scrub(given.decode("latin-1")).encode("latin-1")
    return scrub(given) if isinstance(given, str) else given


def decoded(body: str | bytes, headers: dict[str, Any]) -> tuple[str | bytes, dict[str, Any]]:
    """Return a decompressed body, and headers that do not call it compressed."""
    encodings = ",".join(values_of(headers, "content-encoding"))
    if not encodings or not body:  # the reply to a HEAD has no body to undo
        return body, headers
    if isinstance(body, bytes):  # text is what has been decompressed already
        for name in reversed([one.strip().lower() for one in encodings.split(",")]):
            if name not in {"", "identity"}:
                body = decompressed(body, name)
    return body, {name: value for name, value in headers.items() if name.lower() != "content-encoding"}
