"""YAML that can be read line by line: text over several lines as such, and what ends no reader's line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

_DUMPER: type = getattr(yaml, "CDumper", yaml.Dumper)  # libyaml is several times as fast
_WIDE = 1_000_000  # a line is a line


class _OneLine(dict[str, Any]):
    """A mapping that stands on one line."""


class _Dumper(_DUMPER):  # type: ignore[misc]  # which of the two it is, is known when it runs
    """PyYAML's, with block text."""


def _text(dumper: Any, text: str) -> Any:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


def _one_line(dumper: Any, mapping: _OneLine) -> Any:
    return dumper.represent_mapping("tag:yaml.org,2002:map", mapping, flow_style=True)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(_OneLine, _one_line)


def serialize(cassette: Mapping[str, Any]) -> str:
    """Return a cassette as text; a serialiser of vcrpy reads it."""
    interactions = [
        {**one, "response": {name: _line(name, part) for name, part in one["response"].items()}}
        for one in cassette["interactions"]
    ]
    text: str = yaml.dump({**cassette, "interactions": interactions}, Dumper=_Dumper, width=_WIDE)
    return text


def _line(name: str, part: Any) -> Any:
    return _OneLine(part) if name == "recorded" and isinstance(part, dict) else part
