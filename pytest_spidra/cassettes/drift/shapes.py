"""JSON compared by its shape: the names of fields, and the types of what they hold."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

UUID = re.compile(r"(?i)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


@dataclass(frozen=True)
class Difference:
    """One thing in which a recording and the fake differ.

    Args:
        interaction: The number of the interaction in its file, from 1 on.

        where: A JSON path into the reply's body (``$.items[0].status``), ``status``, or the name of a header.

        what: What is recorded, and what the fake has.
    """

    interaction: int
    where: str
    what: str

    def __str__(self) -> str:
        return f"interaction {self.interaction}, {self.where}: {self.what}"


def kind_of(value: Any) -> str:
    """Return the JSON type of a value, whole numbers by themselves."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int):
        return "a whole number"
    if isinstance(value, float):
        return "a number"
    if isinstance(value, str):
        return "a string"
    return "an array" if isinstance(value, list) else "an object"


def differences(
    recorded: Any, expected: Any, path: str = "$", *, free: Collection[str] = (), exact: Collection[str] = ()
) -> Iterator[tuple[str, str]]:
    """Yield where two values differ in shape, and how.

    Args:
        recorded: What was recorded.

        expected: What the fake has in its place.

        path: Where both stand.

        free: Names of fields that hold anything, or are absent.

        exact: Names of fields whose values are equal.
    """
    if kind_of(recorded) != kind_of(expected):
        yield path, f"{_told(recorded)} was recorded, and the fake has {kind_of(expected)}"
        return
    if isinstance(recorded, dict):
        yield from _of_fields(recorded, expected, path, free, exact)
    elif isinstance(recorded, list):
        for number, (one, other) in enumerate(zip(recorded, expected, strict=False)):
            yield from differences(one, other, f"{path}[{number}]", free=free, exact=exact)
    elif isinstance(recorded, str):
        yield from _of_form(recorded, expected, path)


def _of_fields(
    recorded: dict[str, Any],
    expected: dict[str, Any],
    path: str,
    free: Collection[str],
    exact: Collection[str],
) -> Iterator[tuple[str, str]]:
    """Compare the fields of two objects."""
    for name in expected:
        if name not in recorded and name not in free:
            yield f"{path}.{name}", "the field is missing, and the fake has it"
    for name, value in recorded.items():
        if name in free:
            continue
        if name not in expected:
            yield f"{path}.{name}", "the fake has no such field"
        elif name in exact and value != expected[name] and kind_of(value) == kind_of(expected[name]):
            yield f"{path}.{name}", f"{value!r} was recorded, and the fake has {expected[name]!r}"
        else:
            yield from differences(value, expected[name], f"{path}.{name}", free=free, exact=exact)


def _of_form(recorded: str, expected: str, path: str) -> Iterator[tuple[str, str]]:
    """Compare the form of texts that have one."""
    for form, word in ((UUID, "a UUID"), (DATE, "an ISO 8601 date in UTC")):
        if form.fullmatch(expected) and not form.fullmatch(recorded):
            yield path, f"{recorded!r} was recorded, and the fake has {word}"


def _told(value: Any) -> str:
    kind = kind_of(value)
    if kind in ("null", "an object", "an array"):
        return kind
    text = repr(value)
    return f"{kind} ({text if len(text) <= 40 else text[:39] + '…'})"
