"""Between vcrpy's requests and responses and ours."""

from __future__ import annotations

import math
import re
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from vcr.filters import decode_response
from vcr.request import Request as VcrRequest

from pytest_spidra.cassettes.errors import CassetteError
from pytest_spidra.cassettes.recording import Interaction, Times
from pytest_spidra.traffic import endpoints
from pytest_spidra.traffic.address import REAL_HOST
from pytest_spidra.traffic.reply import Reply
from pytest_spidra.traffic.request import Request

if TYPE_CHECKING:
    from collections.abc import Mapping

REAL_ORIGIN = ("https", REAL_HOST, None)
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def below_root(method: str, uri: str, base_url: str | None) -> tuple[str, str] | None:
    """Return path and query of a URI below the API's root; None when it is no request to an endpoint.

    Args:
        method: The request's method, in upper case.

        uri: Its URI.

        base_url: Where the API lives; the real one and loopback servers are known besides.
    """
    parts = urlsplit(uri)
    origin = (parts.scheme, parts.hostname, parts.port)
    if base_url is not None:
        home = urlsplit(base_url)
        prefix = home.path.rstrip("/")
        path = parts.path.removeprefix(prefix)
        if origin == (home.scheme, home.hostname, home.port) and endpoints.match(method, path):
            return path, parts.query
        if origin != REAL_ORIGIN and parts.hostname not in LOOPBACK:
            return None
    slashes = (found.start() for found in re.finditer("/", parts.path))
    below = (parts.path[start:] for start in slashes)  # the root has any path, or none
    return next(((path, parts.query) for path in below if endpoints.match(method, path)), None)


def to_interaction(
    number: int, request: Any, response: dict[str, Any], below: tuple[str, str]
) -> Interaction:
    """Return a request and a response of vcrpy as an interaction.

    Args:
        number: 1 for the first that was sent.

        request: The request.

        response: The response; its body is decompressed.

        below: The request's path and query below the API's root.

    Raises:
        CassetteError: The body cannot be decompressed here.
    """
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
        to_request(request, below),
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
        concurrent, in_teardown = bool(recorded.get("beside")), bool(recorded.get("late"))
        return Times(at, max(took, 0.0), known, str(recorded["date"]), concurrent, in_teardown)
    return None


def _listed(values: Any) -> list[str]:
    return list(map(str, values)) if isinstance(values, list | tuple) else [str(values)]


def to_request(stored: Any, below: tuple[str, str]) -> Request:
    """Return a request of vcrpy as one of ours, with the path and query given."""
    path, query = below
    body = stored.body_bytes if hasattr(stored, "body_bytes") else stored.body
    headers = {name.lower(): str(value) for name, value in stored.headers.items()}
    return Request(stored.method.upper(), path, query, headers, bytes(body or b""))


def to_vcr(request: Request, base_url: str) -> Any:
    """Return a request of ours as one of vcrpy's."""
    return _unlogged(request.method, base_url + request.target, request.content, dict(request.headers))


def to_dict(request: Any) -> dict[str, Any]:
    """Return a request of vcrpy as it is serialised; headers have lists of values."""
    return {
        "method": request.method,
        "uri": request.uri,
        "body": request.body,
        "headers": {name: _listed(value) for name, value in request.headers.items()},
    }


def from_dict(request: Mapping[str, Any]) -> Any:
    """Return a request of vcrpy from what `to_dict` made of it."""
    return _unlogged(request["method"], request["uri"], request["body"], dict(request["headers"]))


def _unlogged(method: str, uri: str, body: Any, headers: dict[str, Any]) -> Any:
    """Return a request of vcrpy, which logs the URI that each of them is made with."""
    request = VcrRequest(method, "", body, headers)
    request.uri = uri
    return request


def to_response(reply: Reply, times: Times) -> dict[str, Any]:
    """Return a reply of ours as a response of vcrpy, with its times."""
    try:
        message = HTTPStatus(reply.status).phrase
    except ValueError:
        message = ""
    recorded: dict[str, Any] = {"at": times.at, "took": times.took, "known": times.known, "date": times.date}
    if times.concurrent:
        recorded["beside"] = True
    if times.in_teardown:
        recorded["late"] = True
    return {
        "status": {"code": reply.status, "message": message},
        "headers": {name: [value] for name, value in reply.headers.items()},
        "body": {"string": reply.content},
        "recorded": recorded,
    }
