"""JSON as text that can be read line by line, with equal values."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any


def parse(text: str) -> Any:
    """Return the object or list that a text holds.

    Raises:
        ValueError: It is none, or one that cannot be written again with equal values: a field that is there
            twice, a number that no float holds.
    """
    value = _parse(text)
    if not isinstance(value, dict | list):
        msg = "neither an object nor a list"
        raise ValueError(msg)  # noqa: TRY004 - of the text
    return value


def indented(value: Any) -> str:
    """Return a value as JSON, a line for each of its parts; of ASCII, for vcrpy opens files in any encoding."""
    return json.dumps(value, indent=2)


def readable(text: str) -> str:
    """Return JSON a line for each of its parts, and any other text as it is."""
    try:
        return indented(parse(text))
    except ValueError:
        return text


def _parse(text: str) -> Any:
    try:
        return json.loads(text, parse_float=_float, parse_constant=_refuse, object_pairs_hook=_object)
    except RecursionError as error:
        msg = "nested too deeply"
        raise ValueError(msg) from error


def _float(text: str) -> float:
    value = float(text)
    if Decimal(repr(value)) != Decimal(text):
        _refuse(text)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        _refuse("a field that is there twice")
    return value


def _refuse(what: str) -> None:
    msg = f"{what} would be lost"
    raise ValueError(msg)
