"""What stands behind a cassette's placeholders on replay: what the client itself sends in their places.

A cassette says ``[secret 2]`` where a secret was, and nobody knows what it was. A client that sends anything
in that place sends the right thing, as long as it sends the same wherever the cassette says ``[secret 2]``, and
something else wherever it says ``[secret 3]``. What it sent comes back to it in replies.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

from pytest_spidra.secrets import json_text
from pytest_spidra.secrets.placeholders import PLACEHOLDER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_spidra.traffic.request import Request

Values = dict[int, str]

# With what cassettes say where a secret stood that has no number: those of older versions of this plugin.
_ANY = re.compile(rf"{PLACEHOLDER.pattern}|\[redacted\]|(?<==)redacted(?=[&#]|$)")


def has_placeholders(request: Request) -> bool:
    """Tell whether a recorded request, its headers aside, has secrets that were taken out."""
    text = f"{request.target}\n{request.content.decode('latin-1')}"
    return _ANY.search(text) is not None


def parts(request: Request) -> list[Any]:
    """Return what two requests are compared by: path, query and body."""
    query = sorted(parse_qsl(request.query, keep_blank_values=True), key=lambda pair: pair[0])
    body = request.content.decode("latin-1") if request.json is None else request.json
    return [request.path.rstrip("/"), [list(pair) for pair in query], body]


def unified(recorded: Any, asked: Any, values: Values) -> Values | None:
    """Return what is known of the secrets once two requests are taken for the same; None when they are not.

    Args:
        recorded: A value of JSON, with placeholders.

        asked: A value of JSON, with what the client sends.

        values: What is known already.
    """
    known = dict(values)
    return known if _same(recorded, asked, known) else None


def learned(recorded: Request, asked: Request, values: Values) -> Values:
    """Return what is known of the secrets once headers are compared, which need not be the same."""
    known = dict(values)
    pairs = [*zip(recorded.keys, asked.keys, strict=False)]
    pairs += [
        (value, asked.headers[name]) for name, value in recorded.headers.items() if name in asked.headers
    ]
    for said, sent in pairs:
        trial = dict(known)
        if _same(said, sent, trial):
            known = trial
    return known


def restored(text: str, values: Mapping[int, str], *, in_json: bool = False) -> str:
    """Return a recorded text with the client's own values in their places; others are not known.

    Args:
        text: The text.

        values: What is known of the secrets.

        in_json: Whether the text is JSON.
    """

    def value(found: re.Match[str]) -> str:
        known = values.get(int(found[1] or found[2]))
        if known is None:
            return found[0]
        return json.dumps(known)[1:-1] if in_json else known

    return PLACEHOLDER.sub(value, text)


def _same(recorded: Any, asked: Any, values: Values) -> bool:
    if isinstance(recorded, dict):
        return (
            isinstance(asked, dict)
            and recorded.keys() == asked.keys()
            and all(_same(one, asked[name], values) for name, one in recorded.items())
        )
    if isinstance(recorded, list):
        return (
            isinstance(asked, list)
            and len(recorded) == len(asked)
            and all(_same(one, other, values) for one, other in zip(recorded, asked, strict=True))
        )
    if isinstance(recorded, str) and (pattern := _pattern(recorded)):
        text = asked if isinstance(asked, str) else json_text.indented(asked)
        found = pattern[0].fullmatch(text)
        return found is not None and all(map(_agrees, pattern[1], found.groups(), [values] * len(pattern[1])))
    return type(recorded) is type(asked) and bool(recorded == asked)


@lru_cache(maxsize=4096)  # asked for again and again by every request that is under way
def _pattern(text: str) -> tuple[re.Pattern[str], list[int]] | None:
    """Return what a text with placeholders stands for, and the numbers of its groups; None when it has none."""
    numbers, regex, last = [], [], 0
    for found in _ANY.finditer(text):
        regex += [re.escape(text[last : found.start()]), "(.+?)"]
        numbers.append(int(found[1] or found[2] or 0))
        last = found.end()
    return (re.compile("".join([*regex, re.escape(text[last:])]), re.DOTALL), numbers) if numbers else None


def _agrees(number: int, value: str, values: Values) -> bool:
    """Tell whether a secret can be this value, and note that it is."""
    if not number:
        return True
    if number in values:
        return unquote(values[number]) == unquote(value)
    if value in values.values():  # two numbers were two values
        return False
    values[number] = value
    return True
