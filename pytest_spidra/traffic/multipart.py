"""Bodies of several parts: options as text beside files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from pytest_spidra.traffic.strict_json import json_or_none

_BOUNDARY = re.compile(r'^multipart/form-data\b.*?;\s*boundary="?([^";,]+)"?', re.IGNORECASE)
_NAME = re.compile(rb'\bname="([^"]*)"')
_FILE_NAME = re.compile(rb'\bfilename="([^"]*)"')


@dataclass(frozen=True)
class Part:
    """One part: its name, the name of its file if it is one, and its bytes."""

    name: str
    file_name: str | None
    content: bytes


def parts_of(content_type: str, content: bytes) -> list[Part] | None:
    """Return the parts of a body, None when it is of another type or breaks off."""
    found = _BOUNDARY.match(content_type)
    if found is None:
        return None
    line = b"--" + found[1].encode("latin-1", "replace")
    before, *pieces = content.split(line)
    if before.strip() or not pieces or not pieces[-1].startswith(b"--"):
        return None
    parts = []
    for piece in pieces[:-1]:
        head, blank, body = piece.partition(b"\r\n\r\n")
        name = _NAME.search(head)
        if not blank or name is None or not body.endswith(b"\r\n"):
            return None
        file_name = _FILE_NAME.search(head)
        parts.append(
            Part(
                name[1].decode("utf-8", "replace"),
                file_name[1].decode("utf-8", "replace") if file_name else None,
                body[:-2],
            )
        )
    return parts


def form_of(content_type: str, content: bytes) -> dict[str, Any] | None:
    """Return a body of several parts as it is logged and compared, files by name, size and digest."""
    parts = parts_of(content_type, content)
    if parts is None:
        return None
    form: dict[str, Any] = {}
    for part in parts:
        value: Any = json_or_none(part.content)
        if part.file_name is not None:
            value = f"{part.file_name} ({len(part.content)} bytes, {sha256(part.content).hexdigest()[:12]})"
        elif value is None:
            value = part.content.decode("utf-8", "replace")
        if part.name in form and part.file_name is not None:
            form[part.name] = f"{form[part.name]}, {value}"
        else:
            form[part.name] = value
    return form
