"""What requests are compared by: the place in a cassette that a request asks for."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from pytest_spidra.cassettes.conversion import from_dict, to_dict
from pytest_spidra.cassettes.secret_values import has_placeholders, restored
from pytest_spidra.secrets import json_text
from pytest_spidra.traffic import endpoints
from pytest_spidra.traffic.secret_names import names_a_secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytest_spidra.cassettes.secret_values import Values
    from pytest_spidra.traffic.request import Request

SUBMITS = "submits"
"""The queue of the submits that are told apart by more than their text."""


@dataclass(frozen=True)
class MatchKey:
    """A request as it is compared.

    Args:
        queue: The requests that come one after the other with it.

        identity: What it is among these.

        stored: It, as vcrpy has it.

        request: It.

        has_secrets: Whether secrets were taken out of it, so that others are the same as it.

        is_submit: Whether it submits work.
    """

    queue: str
    identity: str
    stored: Any
    request: Request
    has_secrets: bool
    is_submit: bool


def match_key(stored: Any, request: Request, *, matchers: bool) -> MatchKey:
    """Return what a request is compared by.

    Args:
        stored: It, as vcrpy has it.

        request: It.

        matchers: Whether matchers of the user's own compare it.
    """
    found = endpoints.match(request.method, request.path)
    endpoint, batch_id = found or (None, None)
    given = sorted(parse_qsl(request.query, keep_blank_values=True))
    query = json.dumps(given)
    identity = f"{request.method} {request.path.rstrip('/')} {query} {_canonical(request)}"
    has_secrets = has_placeholders(request)
    if endpoint and endpoint.kind == "submit":
        queue = SUBMITS if has_secrets or matchers else identity
        return MatchKey(queue, identity, stored, request, has_secrets, is_submit=True)
    name = endpoint.name if endpoint else ""
    queue = batch_id or f"{name} {json.dumps([one for one in given if not names_a_secret(one[0])])}"
    return MatchKey(queue, identity, stored, request, has_secrets, is_submit=False)


def _canonical(request: Request) -> str:
    """Return a body in a form in which two that mean the same are the same."""
    if not request.content:
        return ""
    value = request.described
    return request.content.hex() if value is None else json.dumps(value, sort_keys=True)


def all_agree(
    matchers: Iterable[Callable[[Any, Any], Any]], asked: MatchKey, recorded: MatchKey, values: Values
) -> bool:
    """Tell whether matchers of vcrpy take two requests for the same.

    Args:
        matchers: The matchers.

        asked: What is asked for.

        recorded: What was recorded.

        values: What stands behind its placeholders.
    """
    mine, theirs = _comparable(asked.stored, {}), _comparable(recorded.stored, values)
    return all(_agrees(matcher, mine, theirs) for matcher in matchers)


def _agrees(matcher: Any, asked: Any, recorded: Any) -> bool:
    """Ask a matcher of vcrpy's: they say no with False or with an AssertionError."""
    try:
        return matcher(asked, recorded) is not False
    except AssertionError:
        return False


def _comparable(stored: Any, values: Values) -> Any:
    """Return a request of vcrpy in a form in which two that say the same are the same to its matchers."""
    told = to_dict(stored)
    body = stored.body_bytes if hasattr(stored, "body_bytes") else stored.body
    text = (body or b"").decode("utf-8", "surrogateescape")
    told["body"] = json_text.readable(restored(text, values, in_json=True)).encode("utf-8", "surrogateescape")
    told["uri"] = restored(told["uri"], values)
    told["headers"] = {
        name: [restored(one, values) for one in several] for name, several in told["headers"].items()
    }
    return from_dict(told)
