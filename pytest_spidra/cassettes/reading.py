"""Reading cassettes: a file that is not whole is never taken for a shorter one."""

from __future__ import annotations

from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import vcr
import yaml
from vcr.serialize import CASSETTE_FORMAT_VERSION
from vcr.serializers.compat import convert_to_bytes

from pytest_spidra.cassettes.conversion import from_dict
from pytest_spidra.cassettes.errors import CassetteError, MissingCassetteError

if TYPE_CHECKING:
    from collections.abc import Iterator


class Reading:
    """vcrpy's persister for reading: what it cannot make out is an error, never an empty cassette.

    Attributes:
        test: The id of the test whose recording it is; empty when the file does not say.
    """

    test = ""

    def load_cassette(self, path: str, serializer: Any) -> tuple[list[Any], list[Any]]:
        """Return requests and responses."""
        data = _parsed(Path(path), serializer)
        requests, responses = [], []
        for number, (request, response) in enumerate(_whole(Path(path), data), 1):
            with told_as(Path(path), number):
                requests.append(from_dict(request))
                responses.append(convert_to_bytes(response))
        self.test = str(data.get("test") or "")
        return requests, responses


def stored_interactions(path: Path) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return the requests and responses of a file as they are written there.

    Raises:
        MissingCassetteError: There is no such file.

        CassetteError: It is no cassette, or not a whole one.
    """
    serializers = vcr.VCR().serializers
    return _whole(path, _parsed(path, serializers["json" if path.suffix == ".json" else "yaml"]))


def _parsed(path: Path, serializer: Any) -> Any:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        msg = f"there is no cassette {path}"
        raise MissingCassetteError(msg) from None
    except OSError as error:
        msg = f"{path} cannot be read: {error}"
        raise CassetteError(msg) from None
    if not data.strip():
        msg = f"{path} is empty. A cassette ends with `version: {CASSETTE_FORMAT_VERSION}`."
        raise CassetteError(msg)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        number = data[: error.start].count(b"\n") + 1
        msg = f"{path} is no UTF-8 text: byte {error.start}, in line {number}, is none."
        raise CassetteError(msg) from None
    try:
        return serializer.deserialize(text)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        msg = f"{path}{line}: this is no YAML that a cassette may hold: {error.problem}."
    except Exception as error:  # noqa: BLE001 - a serialiser may be the user's own; whatever it raises, the file cannot be read
        why = " ".join(str(error).split()).rstrip(".")
        msg = f"{path} cannot be read: {why}."
    msg = f"{msg} It may have been cut off, or edited."
    raise CassetteError(msg)


def _whole(path: Path, data: Any) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    if not isinstance(data, dict):
        msg = f"{path} is no cassette: that is a mapping with `interactions` and `version`, and this is {_named(data)}."
        raise CassetteError(msg)
    if not ({"interactions", "version"} & set(data)):
        msg = f"{path} is no cassette: it has neither `interactions` nor `version`."
        raise CassetteError(msg)
    found = data.get("version")
    if found is None:
        msg = f"{path} is cut off: its last line is to be `version: {CASSETTE_FORMAT_VERSION}`, and it is missing."
        raise CassetteError(msg)
    if found != CASSETTE_FORMAT_VERSION:
        msg = (
            f"{path} has version {found!r}, and vcrpy {version('vcrpy')}, which is installed, reads version "
            f"{CASSETTE_FORMAT_VERSION}. If a newer vcrpy made it, install that one."
        )
        raise CassetteError(msg)
    interactions = data.get("interactions")
    if not isinstance(interactions, list):
        msg = f"{path} is no whole cassette: it has no list of `interactions`."
        raise CassetteError(msg)
    pairs = []
    for number, one in enumerate(interactions, 1):
        if wrong := _misshapen(one, _INTERACTION):
            msg = (
                f"{path} is no whole cassette: interaction {number} of {len(interactions)} {wrong}. It may have been "
                "cut off, or edited."
            )
            raise CassetteError(msg)
        pairs.append((one["request"], one["response"]))
    return pairs


_TEXT = (str, bytes, type(None))
# What a part of a cassette is to be: a type, or a mapping with parts of its own.
_INTERACTION = {
    "request": {"method": str, "uri": str, "body": _TEXT, "headers": {}},
    "response": {"status": {"code": int}, "headers": {}, "body": {"string": _TEXT}},
}


def _misshapen(part: Any, shape: Any, name: str = "") -> str | None:
    """Return how a part is not what vcrpy writes, or None."""
    if not isinstance(part, dict if isinstance(shape, dict) else shape):
        return f"has a `{name}` that is {_named(part)}" if name else f"is {_named(part)}"
    if not isinstance(shape, dict):
        return None
    for word, below in shape.items():
        full = f"{name}.{word}" if name else word
        if word not in part:
            return f"has no `{full}`"
        if wrong := _misshapen(part[word], below, full):
            return wrong
    return None


def _named(value: Any) -> str:
    """Return what a value is, in words."""
    if value is None:
        return "empty"
    words: dict[type, str] = {dict: "a mapping", list: "a list", str: "text", bytes: "text"}
    return words.get(type(value), f"{value!r}")


@contextmanager
def told_as(path: Path, number: int) -> Iterator[None]:
    """Tell what goes wrong inside as an error of this interaction."""
    try:
        yield
    except CassetteError as error:
        msg = f"{path}, interaction {number}: {error}"
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        msg = f"{path}, interaction {number} is not as vcrpy writes it: {type(error).__name__}: {error}."
    else:
        return
    raise CassetteError(msg)
