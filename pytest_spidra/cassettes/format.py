"""The format of cassettes, its serialisers and its filters: vcrpy's, so that whatever reads its files reads ours."""

from __future__ import annotations

import gc
import inspect
import os
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import vcr
from vcr.cassette import Cassette

from pytest_spidra.cassettes.conversion import (
    below_root,
    from_dict,
    to_dict,
    to_interaction,
    to_request,
    to_response,
    to_vcr,
)
from pytest_spidra.cassettes.errors import CassetteError, SettingError
from pytest_spidra.cassettes.reading import Reading, told_as
from pytest_spidra.cassettes.recording import Interaction, Recording, Times
from pytest_spidra.cassettes.writing import Writing
from pytest_spidra.secrets.compression import decoded
from pytest_spidra.traffic.address import BASE_URL
from pytest_spidra.traffic.redaction import request_line

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from pathlib import Path

    from pytest_spidra.traffic.reply import Reply
    from pytest_spidra.traffic.request import Request

# What vcrpy takes and a recording of ours decides differently, each with the reason.
REFUSED = {
    "record_mode": "the command line decides: --spidra-record",
    "allow_playback_repeats": "it would show a batch's first state for ever",
    "cassette_library_dir": "the ini option spidra_cassette_dir is the place for it",
    "path_transformer": "the marker's cassette=… names the file",
    "func_path_generator": "the marker's cassette=… names the file",
}


# What vcrpy takes and never looks at requests for.
ABOUT_NO_REQUEST = frozenset(
    {
        "after_load_interaction",
        "before_record_response",
        "before_save_interaction",
        "decode_compressed_response",
        "filter_sensitive_data",
        "match_on",
        "serializer",
    }
)


@contextmanager
def _many_objects() -> Iterator[None]:
    """Let the garbage collector rest: looking again and again at what only grows is half of the time."""
    rests = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if rests:
            gc.enable()


class Format:
    """How cassettes are read and written in one test: vcrpy with the settings of `spidra_vcr_config`.

    Args:
        config: Settings of ``vcr.VCR``: filters, hooks, ``match_on``, ``serializer``.

    Raises:
        SettingError: A setting that vcrpy does not know, or that a recording of ours decides differently.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        for name, reason in REFUSED.items():
            if name in config:
                msg = f"spidra_vcr_config sets {name!r}, which has no say here: {reason}."
                raise SettingError(msg)
        try:
            merged = vcr.VCR(**config).get_merged_config()
        except (TypeError, KeyError, ValueError) as error:
            msg = f"spidra_vcr_config: vcrpy {version('vcrpy')} refuses it: {error}."
            raise SettingError(msg) from None
        known = inspect.signature(Cassette.__init__).parameters
        self._config = {name: value for name, value in merged.items() if name in known}
        if set(config) <= ABOUT_NO_REQUEST:
            self._config["before_record_request"] = None  # or vcrpy copies each request, filters or none
        self._filtered = Cassette("", **self._config).filter_request
        self._filtered_response = self._config.get("before_record_response") or (lambda response: response)
        self.suffix = ".json" if config.get("serializer") == "json" else ".yaml"
        self.matchers: list[Callable[[Any, Any], Any]] | None = (
            merged["match_on"] if "match_on" in config else None
        )

    @_many_objects()
    def read(self, path: Path, base_url: str | None = None) -> Recording:
        """Return what a file holds.

        Args:
            path: The file.

            base_url: Where the API lives; the real one and loopback servers are known besides.

        Raises:
            MissingCassetteError: There is none.

            CassetteError: It is no whole cassette of the batch API.
        """
        reading = Reading()
        stored = Cassette.load(path=os.fspath(path), **{**self._config, "persister": reading})
        interactions: list[Interaction] = []
        pairs = list(zip(stored.requests, stored.responses, strict=True))
        for number, (request, response) in enumerate(pairs, 1):
            below = below_root(request.method.upper(), request.uri, base_url)
            if below is None:
                continue
            with told_as(path, number):
                interactions.append(to_interaction(len(interactions) + 1, request, response, below))
        if pairs and not interactions:
            asked = "\n".join(f"    {request.method} {request.uri}" for request, _ in pairs[:5])
            msg = (
                f"{path} is a cassette of another API: none of its {len(pairs)} requests is one of the batch "
                f"API at {base_url or BASE_URL}.\n\nIt holds\n{asked}"
            )
            raise CassetteError(msg)
        return Recording(path, interactions, len(pairs) - len(interactions), reading.test)

    def asked(self, request: Request, base_url: str) -> tuple[Any, Request]:
        """Return a request as the filters of `spidra_vcr_config` leave it, for vcrpy and for us."""
        if self._config["before_record_request"] is None and "content-encoding" not in request.headers:
            return to_vcr(request, base_url), request
        filtered = self._filtered(to_vcr(request, base_url))
        if filtered is None:
            msg = f"spidra_vcr_config drops the request {request_line(request)}"
            raise CassetteError(msg)
        told = to_dict(filtered)
        told["body"], told["headers"] = decoded(told["body"] or b"", told["headers"])
        plain = from_dict(told)
        below = below_root(plain.method, plain.uri, base_url) or (request.path, request.query)
        return plain, to_request(plain, below)

    @_many_objects()
    def write(
        self,
        path: Path,
        interactions: Iterable[tuple[Request, Reply, Times]],
        base_url: str,
        keys: Collection[str],
        test: str = "",
    ) -> None:
        """Put a cassette in the place of what stood there, as a whole.

        Args:
            path: The file; its folder is made when it is missing.

            interactions: What was sent, what came back, and when.

            base_url: The URL below which it was sent.

            keys: API keys that must not stand in the file, in whatever form.

            test: The id of the test whose recording it is.

        Raises:
            CassetteError: A key stands in it, or it cannot be written. What stood there is as it was.
        """
        cassette = Cassette(os.fspath(path), **{**self._config, "persister": Writing(keys, test)})
        for request, reply, times in interactions:
            # As Cassette.append does it, which logs the interaction before anything is taken out.
            asked = cassette.filter_request(to_vcr(request, base_url))
            response = asked and self._filtered_response(to_response(reply, times))
            if not response:
                msg = (
                    f"spidra_vcr_config drops {request_line(request)}: a replay could not answer it. "
                    f"{path} is as it was."
                )
                raise CassetteError(msg)
            cassette.data.append((asked, response))
        cassette._save(force=True)  # noqa: SLF001 - vcrpy has no public way to save but leaving its patches


def format_of(file: Path) -> Format:
    """Return the format that a file is in, by its name."""
    return Format({"serializer": "json"} if file.suffix == ".json" else {})
