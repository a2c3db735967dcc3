"""JSON as strictly as the service reads it."""

from __future__ import annotations

import json
from typing import Any


def parse_json(content: bytes) -> Any:
    """Return the JSON value that `content` holds, as strictly as the service reads it.

    Raises:
        ValueError: It holds none.
    """
    try:
        return json.loads(content, parse_constant=_refuse)
    except RecursionError as error:
        msg = "nested too deeply"
        raise ValueError(msg) from error


def _refuse(constant: str) -> None:
    msg = f"{constant} is no JSON"
    raise ValueError(msg)


def json_or_none(content: bytes) -> Any:
    """Return the JSON value that `content` holds, None when it holds none."""
    try:
        return parse_json(content)
    except ValueError:
        return None
