"""Search: which secrets stand in a cassette, and where."""

from __future__ import annotations

import base64
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from pytest_spidra.secrets.compression import UnsearchableError, as_text
from pytest_spidra.secrets.encodings import forms_of, key_in, key_in_bytes
from pytest_spidra.secrets.scrubber import Scrubber

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from pytest_spidra.secrets.encodings import KeyForms


@dataclass(frozen=True)
class Finding:
    """A secret that was found.

    Args:
        where: ``line 12``, or ``interaction 3, response body``.

        what: What it is, in words; never the secret itself.
    """

    where: str
    what: str


def find_secrets(number: int, request: dict[str, Any], response: dict[str, Any]) -> list[Finding]:
    """Return the secrets in an interaction that can be told without knowing any key.

    These are what a `Scrubber` would replace. A body that cannot be decompressed is one, too.

    Args:
        number: The interaction's number, for people.

        request: It, as vcrpy serialises it.

        response: It, as vcrpy serialises it.
    """
    scrubber = Scrubber()
    for one, scrub in ((request, scrubber.request), (response, scrubber.response)):
        try:
            scrub(one)
        except UnsearchableError as error:
            scrubber.note(str(error))
    return [Finding(f"interaction {number}, {place}", what) for place, what in dict.fromkeys(scrubber.found)]


def find_keys(file: str | bytes, keys: Collection[str], *, by_line: bool = False) -> list[Finding]:
    """Return where in a finished cassette keys stand, in any encoding, by line.

    The file is searched as it is, and once more as YAML: YAML breaks words over lines and keeps bytes in base64.
    One that is no YAML is searched as it is only.

    Args:
        file: The whole file. JSON will do, as YAML.

        keys: The API keys to look for.

        by_line: Whether no word in it is broken over lines, so that only one with bytes is looked into as YAML, which
            takes as long as writing it.

    Raises:
        ValueError: A key is too short to be told from other text.
    """
    forms = forms_of(keys)
    if not forms.plain:
        return []
    text = file if isinstance(file, str) else as_text(file)[0]
    found = dict(_lines_with_keys(text, forms))
    if by_line and "!!binary" not in text:
        return [Finding(f"line {line}", found[line]) for line in sorted(found)]
    with suppress(yaml.YAMLError, ValueError, RecursionError):
        for first, last, what in _scalars_with_keys(text, forms):
            # A value over several lines: one of them is known already, or the first will do.
            if not any(line in found for line in range(first, last + 1)):
                found[first] = what
    return [Finding(f"line {line}", found[line]) for line in sorted(found)]


def _lines_with_keys(text: str, forms: KeyForms) -> Iterator[tuple[int, str]]:
    if key_in(text, forms):
        for number, line in enumerate(text.split("\n"), 1):
            if how := key_in(line, forms):
                yield number, _in_words(how)


def _in_words(how: str) -> str:
    return "an API key" if how == "as it is" else f"an API key {how}"


def _scalars_with_keys(text: str, forms: KeyForms) -> Iterator[tuple[int, int, str]]:
    """Yield the first line, the last line and the finding of each value of a YAML document that holds a key."""
    loader: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml is eight times as fast
    waiting = list(yaml.compose_all(text, Loader=loader))
    seen = set()
    harmless = set()  # most values stand in every interaction
    while waiting:
        node = waiting.pop()
        if node is None or id(node) in seen:  # an alias stands for a node that has been searched
            continue
        seen.add(id(node))
        if not isinstance(node, yaml.ScalarNode):
            waiting += [
                part for pair in node.value for part in (pair if isinstance(pair, tuple) else (pair,))
            ]
            continue
        if node.tag.endswith(":binary"):
            how = key_in_bytes(_unbase64(node.value), forms)
        elif node.value in harmless:
            continue
        else:
            how = key_in(node.value, forms)
        if how:
            yield node.start_mark.line + 1, node.end_mark.line + 1, _in_words(how)
        elif not node.tag.endswith(":binary"):
            harmless.add(node.value)


def _unbase64(text: str) -> bytes:
    try:
        return base64.b64decode(text)
    except ValueError:
        return text.encode("utf-8", "replace")
