"""Writing cassettes: scrubbed, and as a whole or not at all."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from vcr.serialize import serialize

from pytest_spidra.cassettes.conversion import from_dict, to_dict
from pytest_spidra.cassettes.errors import CassetteError
from pytest_spidra.secrets.scrubber import Scrubber
from pytest_spidra.secrets.search import find_keys

if TYPE_CHECKING:
    from collections.abc import Collection


class Writing:
    """vcrpy's persister for writing: scrubbed, searched for keys, and in one go."""

    def __init__(self, keys: Collection[str]) -> None:
        self._keys = keys

    def save_cassette(self, path: str, cassette_dict: dict[str, Any], serializer: Any) -> None:
        """Write the file."""
        scrubber = Scrubber(self._keys)
        clean: dict[str, list[Any]] = {"requests": [], "responses": []}
        pairs = zip(cassette_dict["requests"], cassette_dict["responses"], strict=True)
        for number, (request, response) in enumerate(pairs, 1):
            try:
                clean["requests"].append(from_dict(scrubber.request(to_dict(request))))
                clean["responses"].append(scrubber.response(response))
            except ValueError as error:
                msg = f"{path} was not written because of interaction {number}. {error}"
                raise CassetteError(msg) from None
        text = serialize(clean, serializer)
        if found := find_keys(text, self._keys):
            places = "\n".join(f"    {_in_words(one.where, text)}: {one.what}" for one in found)
            msg = (
                f"{path} was not written: the API key would stand in it.\n\n{places}\n\n"
                "To fix it, take it out with spidra_vcr_config: before_record_request, before_record_response."
            )
            raise CassetteError(msg)
        try:
            replace_file(Path(path), text.encode())
        except OSError as error:
            msg = f"{path} could not be written: {error}"
            raise CassetteError(msg) from None


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
        mask = os.umask(0)
        os.umask(mask)
        Path(name).chmod(0o666 & ~mask)  # a temporary file is its owner's alone
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
