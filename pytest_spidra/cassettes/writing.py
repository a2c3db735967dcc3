"""Writing cassettes: scrubbed, and as a whole or not at all."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from vcr.serialize import serialize
from vcr.serializers import yamlserializer

from pytest_spidra.cassettes import yaml_text
from pytest_spidra.cassettes.conversion import from_dict, to_dict
from pytest_spidra.cassettes.errors import CassetteError
from pytest_spidra.secrets.encodings import HiddenKeyError
from pytest_spidra.secrets.scrubber import Scrubber
from pytest_spidra.secrets.search import find_keys

if TYPE_CHECKING:
    from collections.abc import Collection


class Writing:
    """vcrpy's persister for writing: scrubbed, searched for keys, and in one go.

    Args:
        keys: API keys that must not stand in the file.

        test: The id of the test whose recording it is, noted in the file.
    """

    def __init__(self, keys: Collection[str], test: str) -> None:
        self._keys = keys
        self._test = test

    def save_cassette(self, path: str, cassette_dict: dict[str, Any], serializer: Any) -> None:
        """Write the file."""
        requests, responses = cassette_dict["requests"], cassette_dict["responses"]
        scrubber = Scrubber(self._keys)
        for request, response in zip(requests, responses, strict=True):
            scrubber.numbers.reserve(request.body)
            scrubber.numbers.reserve(response["body"]["string"])
        clean: dict[str, list[Any]] = {"requests": [], "responses": []}
        for number, (request, response) in enumerate(zip(requests, responses, strict=True), 1):
            try:
                clean["requests"].append(from_dict(scrubber.request(to_dict(request))))
                clean["responses"].append(scrubber.response(response))
            except HiddenKeyError as error:
                raise CassetteError(_hidden(path, number, error.place, error.how)) from None
            except ValueError as error:
                msg = f"{path} was not written because of interaction {number}. {error}"
                raise CassetteError(msg) from None
        ours = serializer is yamlserializer  # a serialiser of the user's own may break words over lines
        text = serialize(clean, _Noted(yaml_text if ours else serializer, self._test))
        for found in find_keys(text, self._keys, by_line=ours):
            where, _, place = _in_words(found.where, text).partition(", ")
            how = found.what.removeprefix("an API key").strip() or "as it is"
            raise CassetteError(_hidden(path, where, place, how))
        try:
            replace_file(Path(path), text.encode())
        except OSError as error:
            msg = f"{path} could not be written: {error}"
            raise CassetteError(msg) from None


class _Noted:
    """A serialiser of vcrpy that notes whose recording it is.

    vcrpy has a place for notes, ``metadata``; pytest-recording cannot read a file that has it.
    """

    def __init__(self, serializer: Any, test: str) -> None:
        self._serializer = serializer
        self._test = test

    def serialize(self, cassette: dict[str, Any]) -> str:
        """Return a cassette as text."""
        text: str = self._serializer.serialize({**cassette, **({"test": self._test} if self._test else {})})
        return text


def _hidden(path: str, number: int | str, place: str, how: str) -> str:
    interaction = number if isinstance(number, str) else f"interaction {number}"
    side = "response" if place.startswith("response") or "in the response" in place else "request"
    return (
        f"{path} was not written: in {interaction}, {place or 'all of it'}, stands an API key {how}.\n\n"
        "Whoever reads the file could use it, and in that form it cannot be taken out without breaking what is "
        f"around it.\n\nTo fix it, change the {side} before it is recorded, with a hook of vcrpy:\n"
        "    @pytest.fixture\n"
        "    def spidra_vcr_config():\n"
        f'        return {{"before_record_{side}": without_key}}  # takes the {side}, returns it changed'
    )


def _in_words(where: str, text: str) -> str:
    """Return which part of which interaction a line of a file is in, for nobody can look at what was not written."""
    line = int(where.rpartition(" ")[2])
    place = where
    with suppress(yaml.YAMLError, AttributeError, TypeError, ValueError):
        for name, interactions in yaml.compose(text, Loader=yaml.SafeLoader).value:
            if name.value != "interactions":
                continue
            for number, one in enumerate(interactions.value, 1):
                for part, _ in one.value:
                    if part.start_mark.line < line:
                        place = f"interaction {number}, {part.value}"
    return place


def replace_file(path: Path, content: bytes) -> None:
    """Replace a file: whoever reads it sees the old one or the new one, and so does who finds it after a crash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    number, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(number, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(number)
        Path(name).replace(path)  # its owner's alone up to here, and so is what a run leaves that is killed
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    mask = os.umask(0o077)  # to ask for it is to set it
    os.umask(mask)
    with suppress(OSError):  # there are file systems without modes
        path.chmod(0o666 & ~mask)
