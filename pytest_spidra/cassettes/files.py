"""Reading and writing cassettes.

The format, its serialisers and its filters are vcrpy's, so that whatever reads vcrpy's files reads ours. What
is added: a file that is not whole is never taken for a shorter one, and a file is replaced as a whole or not
at all.
"""

from __future__ import annotations

import gc
import inspect
import math
import os
import re
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from http import HTTPStatus
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import vcr
import yaml
from vcr.cassette import Cassette
from vcr.filters import decode_response
from vcr.request import Request as VcrRequest
from vcr.serialize import CASSETTE_FORMAT_VERSION, serialize
from vcr.serializers.compat import convert_to_bytes

from pytest_spidra.cassettes.secrets import Scrubber, find_keys
from pytest_spidra.traffic import endpoints
from pytest_spidra.traffic.address import BASE_URL, REAL_HOST
from pytest_spidra.traffic.exchanges import Exchange
from pytest_spidra.traffic.reply import Reply
from pytest_spidra.traffic.request import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

REAL_ORIGIN = ("https", REAL_HOST, None)
LOOPBACK = ("localhost", "127.0.0.1", "::1")

MICROSECONDS = 1_000_000

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


class CassetteError(Exception):
    """A cassette that cannot be read or written; the message says where, why and what to do."""


class MissingCassetteError(CassetteError):
    """There is no such file."""


class SettingError(CassetteError):
    """The cassette may be good: `spidra_vcr_config` says what it cannot say."""


@dataclass(frozen=True)
class Times:
    """When an interaction was recorded, and in what company.

    Args:
        at: Seconds from the beginning of the test to the request, on the test's clock.

        took: Seconds from the request to its reply.

        known: How many requests had been sent when the reply was seen, this one included.

        date: When it was sent: ISO 8601, UTC.

        beside: Whether another thread or task of the client had sent a request before.

        late: Whether the test itself was over: a fixture cleared up.
    """

    at: float
    took: float
    known: int
    date: str
    beside: bool = False
    late: bool = False


@dataclass(frozen=True)
class Interaction:
    """A recorded request and its reply.

    Args:
        number: 1 for the first that was sent.

        stored: The request as vcrpy has it.

        request: The request; its path begins below the API's root.

        reply: The reply, decompressed.

        times: When it was recorded; None in a cassette that vcrpy made by itself.
    """

    number: int
    stored: Any
    request: Request
    reply: Reply
    times: Times | None

    @cached_property
    def exchange(self) -> Exchange:
        """The interaction as an exchange, for people."""
        found = endpoints.match(self.request.method, self.request.path)
        new = self.reply.json.get("batchId") if isinstance(self.reply.json, dict) else None
        at = self.times.at if self.times else 0.0
        return Exchange(
            number=self.number,
            sent_at=at,
            endpoint=found[0].name if found else "",
            method=self.request.method,
            path=self.request.target,
            batch_id=new or (found[1] if found else None),
            request_json=self.request.json,
            headers=self.request.headers,
            seen=self.reply.status,
            seen_at=at + (self.times.took if self.times else 0.0),
            seen_json=self.reply.json,
            seen_headers=self.reply.headers,
            answered=self.reply.status,
            answered_json=self.reply.json,
        )


@dataclass(frozen=True)
class Tape:
    """A cassette that was read.

    Args:
        path: Where it came from.

        interactions: Those with the batch API, in the order of the file.

        others: How many interactions with something else it holds.
    """

    path: Path
    interactions: list[Interaction]
    others: int = 0

    @property
    def began_at(self) -> int | None:
        """When the recorded test began, in microseconds since the Unix epoch; None when nothing tells."""
        for one in self.interactions[:1]:
            if one.times:
                with suppress(ValueError):
                    sent = datetime.fromisoformat(one.times.date).timestamp()
                    return round((sent - one.times.at) * MICROSECONDS)
            with suppress(ValueError, TypeError, LookupError, OverflowError):
                return round(parsedate_to_datetime(one.reply.headers["date"]).timestamp() * MICROSECONDS)
        return None


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
        self.suffix = ".json" if config.get("serializer") == "json" else ".yaml"
        self.matchers: list[Callable[[Any, Any], Any]] | None = (
            merged["match_on"] if "match_on" in config else None
        )

    @_many_objects()
    def read(self, path: Path, base_url: str | None = None) -> Tape:
        """Return what a file holds.

        Args:
            path: The file.

            base_url: Where the API lives; the real one and loopback servers are known besides.

        Raises:
            MissingCassetteError: There is none.

            CassetteError: It is no whole cassette of the batch API.
        """
        stored = Cassette.load(path=os.fspath(path), **{**self._config, "persister": _Reading()})
        interactions: list[Interaction] = []
        pairs = list(zip(stored.requests, stored.responses, strict=True))
        for number, (request, response) in enumerate(pairs, 1):
            below = _below_root(request.uri, base_url)
            if below is None:
                continue
            with _told_as(path, number):
                interactions.append(_interaction(len(interactions) + 1, request, response, below))
        if pairs and not interactions:
            asked = "\n".join(f"    {request.method} {request.uri}" for request, _ in pairs[:5])
            msg = (
                f"{path} is a cassette of another API: none of its {len(pairs)} requests is one of the batch "
                f"API at {base_url or BASE_URL}.\n\nIt holds\n{asked}"
            )
            raise CassetteError(msg)
        return Tape(path, interactions, len(pairs) - len(interactions))

    def asked(self, request: Request, base_url: str, keys: Collection[str]) -> tuple[Any, Request]:
        """Return a request as it would stand in a cassette, for vcrpy and for us.

        Headers are of interest to matchers only, and left out when there are none.
        """
        filtered = self._filtered(_to_vcr(request, base_url))
        if filtered is None:
            msg = f"spidra_vcr_config drops the request {request.method} {request.target}"
            raise CassetteError(msg)
        told = _to_dict(filtered)
        if self.matchers is None:
            told["headers"] = {
                name: value for name, value in told["headers"].items() if name.lower() == "content-encoding"
            }
        clean = _from_dict(Scrubber(keys).request(told))
        below = _below_root(clean.uri, base_url) or (request.path, request.query)
        return clean, _request(clean, below)

    @_many_objects()
    def write(
        self,
        path: Path,
        interactions: Iterable[tuple[Request, Reply, Times]],
        base_url: str,
        keys: Collection[str],
    ) -> None:
        """Put a cassette in the place of what stood there, as a whole.

        Args:
            path: The file; its folder is made when it is missing.

            interactions: What was sent, what came back, and when.

            base_url: The URL below which it was sent.

            keys: API keys that must not stand in the file, in whatever form.

        Raises:
            CassetteError: A key stands in it, or it cannot be written. What stood there is as it was.
        """
        cassette = Cassette(os.fspath(path), **{**self._config, "persister": _Writing(keys)})
        for request, reply, times in interactions:
            before = len(cassette)
            cassette.append(_to_vcr(request, base_url), _response(reply, times))
            if len(cassette) == before:
                msg = (
                    f"spidra_vcr_config drops {request.method} {request.target}: a replay could not answer it. "
                    f"{path} is as it was."
                )
                raise CassetteError(msg)
        cassette._save(force=True)  # noqa: SLF001 - vcrpy has no public way to save but leaving its patches


class _Reading:
    """vcrpy's persister for reading: what it cannot make out is an error, never an empty cassette."""

    @staticmethod
    def load_cassette(path: str, serializer: Any) -> tuple[list[Any], list[Any]]:
        """Return requests and responses."""
        pairs = stored_interactions(Path(path), serializer)
        requests, responses = [], []
        for number, (request, response) in enumerate(pairs, 1):
            with _told_as(Path(path), number):
                requests.append(_from_dict(request))
                responses.append(convert_to_bytes(response))
        return requests, responses


class _Writing:
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
                clean["requests"].append(_from_dict(scrubber.request(_to_dict(request))))
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


def stored_interactions(path: Path, serializer: Any = None) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return the requests and responses of a file as they are written there.

    Raises:
        MissingCassetteError: There is no such file.

        CassetteError: It is no cassette, or not a whole one.
    """
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
        line = data[: error.start].count(b"\n") + 1
        msg = f"{path} is no UTF-8 text: byte {error.start}, in line {line}, is none."
        raise CassetteError(msg) from None
    return _whole(path, _parsed(path, text, serializer))


def _parsed(path: Path, text: str, serializer: Any) -> Any:
    if serializer is None:
        names = vcr.VCR().serializers
        serializer = names["json" if path.suffix == ".json" else "yaml"]
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
def _told_as(path: Path, number: int) -> Iterator[None]:
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


_ROOT = re.compile(r"(?P<prefix>.*?)(?P<path>/batch/scrape(?:/.*)?)")


def _below_root(uri: str, base_url: str | None) -> tuple[str, str] | None:
    """Return path and query of a URI below the API's root; None when it is no request to the batch API."""
    parts = urlsplit(uri)
    found = _ROOT.fullmatch(parts.path)
    origin = (parts.scheme, parts.hostname, parts.port)
    if base_url is not None:
        home = urlsplit(base_url)
        prefix = home.path.rstrip("/")
        ours = f"{parts.path}/".startswith(f"{prefix}/batch/scrape/")
        if ours and origin == (home.scheme, home.hostname, home.port):
            return parts.path.removeprefix(prefix), parts.query
    if found and (origin == REAL_ORIGIN or parts.hostname in LOOPBACK or base_url is None):
        return found["path"], parts.query
    return None


def _interaction(number: int, request: Any, response: dict[str, Any], below: tuple[str, str]) -> Interaction:
    headers = {name.lower(): _listed(values) for name, values in response["headers"].items()}
    body = response["body"]["string"] or b""
    plain = decode_response({"headers": headers, "body": {"string": body}})
    headers = plain["headers"]
    if coding := ", ".join(headers.pop("content-encoding", ())):
        hint = " To read it, install brotli." if coding == "br" else ""
        msg = f"its body is compressed as {coding}, which cannot be undone here.{hint}"
        raise CassetteError(msg)
    for name in ("content-length", "transfer-encoding"):
        headers.pop(name, None)
    times = _times(response.get("recorded"))
    return Interaction(
        number,
        request,
        _request(request, below),
        Reply(
            int(response["status"]["code"]),
            bytes(plain["body"]["string"]),
            {name: ", ".join(values) for name, values in headers.items()},
            times.took if times else 0.0,
        ),
        times,
    )


def _times(recorded: Any) -> Times | None:
    with suppress(TypeError, ValueError, KeyError):
        took = float(recorded["took"])
        at, known = float(recorded["at"]), int(recorded["known"])
        if not (math.isfinite(at) and math.isfinite(took)):
            return None
        beside, late = bool(recorded.get("beside")), bool(recorded.get("late"))
        return Times(at, max(took, 0.0), known, str(recorded["date"]), beside, late)
    return None


def _listed(values: Any) -> list[str]:
    return list(map(str, values)) if isinstance(values, list | tuple) else [str(values)]


def _request(stored: Any, below: tuple[str, str]) -> Request:
    path, query = below
    body = stored.body_bytes if hasattr(stored, "body_bytes") else stored.body
    headers = {name.lower(): str(value) for name, value in stored.headers.items()}
    return Request(stored.method.upper(), path, query, headers, bytes(body or b""))


def _to_vcr(request: Request, base_url: str) -> Any:
    return VcrRequest(request.method, base_url + request.target, request.content, dict(request.headers))


def _to_dict(request: Any) -> dict[str, Any]:
    return {
        "method": request.method,
        "uri": request.uri,
        "body": request.body,
        "headers": {name: _listed(value) for name, value in request.headers.items()},
    }


def _from_dict(request: Mapping[str, Any]) -> Any:
    return VcrRequest(request["method"], request["uri"], request["body"], dict(request["headers"]))


def _response(reply: Reply, times: Times) -> dict[str, Any]:
    try:
        message = HTTPStatus(reply.status).phrase
    except ValueError:
        message = ""
    recorded: dict[str, Any] = {"at": times.at, "took": times.took, "known": times.known, "date": times.date}
    if times.beside:
        recorded["beside"] = True
    if times.late:
        recorded["late"] = True
    return {
        "status": {"code": reply.status, "message": message},
        "headers": {name: [value] for name, value in reply.headers.items()},
        "body": {"string": reply.content},
        "recorded": recorded,
    }
