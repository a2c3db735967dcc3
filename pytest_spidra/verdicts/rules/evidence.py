"""What an exchange shows: the questions that rules and assertions ask of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pytest_spidra.traffic import describe
from pytest_spidra.traffic.endpoints import new_id

if TYPE_CHECKING:
    from pytest_spidra.traffic.exchanges import Exchange

# The request was on its way, or may have been: the service may have done the work.
FATE_UNKNOWN = frozenset(
    {
        500,
        504,
        "ReadTimeout",
        "ReadError",
        "WriteTimeout",
        "WriteError",
        "CloseError",
        "RemoteProtocolError",
        "cancelled",
    }
)
PERMANENT = frozenset({400, 401, 402, 403, 404, 409, 422})
LONGEST_WAIT = 30.0  # seconds of Retry-After that count; the official SDK waits no longer either
LONGEST_MEMORY = (
    900.0  # seconds after which an exchange is evidence no more: the same wish again is a new one
)
NO_RESULT: tuple[Any, ...] = (None, "", [], {})
ROUNDING = 1e-6  # seconds


def seen_at(exchange: Exchange) -> float:
    """Return when the client saw what came of an exchange; while it waits, when it sent it."""
    return exchange.sent_at if exchange.seen_at is None else exchange.seen_at


def wait_after(first: Exchange, later: Exchange) -> float:
    """Return the seconds from what the client saw to its later request."""
    return later.sent_at - seen_at(first)


def is_fresh(first: Exchange, later: Exchange) -> bool:
    """Whether what the client saw then is still evidence against what it sends now."""
    return wait_after(first, later) <= LONGEST_MEMORY


def asked_seconds(exchange: Exchange, cap: float = LONGEST_WAIT) -> float:
    """Return how long to wait before a request after this reply is no offence, in seconds.

    A date is known in whole seconds only, so who rounds it may come back up to a second before it.
    """
    asked = min(exchange.asked_wait or 0.0, cap)
    text = exchange.seen_headers.get("retry-after")
    is_date = text is not None and not _is_number(text)
    return max(asked - 1.0, 0.0) if is_date else asked


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def looked(exchange: Exchange) -> bool:
    """Whether a reply told the client anything: no error, and a body that it could read."""
    return not exchange.failed and isinstance(exchange.seen_json, dict)


def field_of(exchange: Exchange, name: str) -> Any:
    """Return a field of the body that the client saw, None when there is none."""
    return exchange.seen_json.get(name) if isinstance(exchange.seen_json, dict) else None


def dicts_in(value: Any) -> list[dict[str, Any]]:
    """Return the objects in a list; a reply of a user's own route may hold anything."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def options_of(exchange: Exchange) -> str:
    """Return a submit's body without its URLs, as text that can be compared: with one of the same endpoint."""
    body = exchange.request_json
    rest = {name: value for name, value in body.items() if name != "urls"} if isinstance(body, dict) else body
    return f"{exchange.family} {json.dumps(rest, sort_keys=True)}"


def ids_listed(exchange: Exchange) -> list[str]:
    """Return the ids of the batches or crawls on a page of a list."""
    return [id_in(job) for job in dicts_in(field_of(exchange, "jobs"))]


def urls_logged(exchange: Exchange) -> set[str]:
    """Return the URLs that a page of the logs shows."""
    data = field_of(exchange, "data")
    logs = dicts_in(data.get("logs")) if isinstance(data, dict) else []
    return {str(one.get("url")) for log in logs for one in dicts_in(log.get("urls"))}


def id_in(job: dict[str, Any]) -> str:
    """Return the id that a row of a list has: a batch's ``uuid``, a crawl's ``id``."""
    return str(job.get("uuid", job.get("id")))


def told(exchange: Exchange) -> bool:
    """Whether the client knows what came of an order: the id of what was queued, or what was done at once."""
    return looked(exchange) and bool(
        exchange.kind == "instant" or new_id(exchange.endpoint, exchange.seen_json)
    )


def accepted(exchange: Exchange) -> bool:
    """Whether the service did what was asked, whatever the client saw of it."""
    return exchange.answered is not None and exchange.answered < 300


def permanent(exchange: Exchange) -> bool:
    """Whether the client saw an error that will not go away by itself: one that asks for time may."""
    queue_down = field_of(exchange, "code") == "QUEUE_UNAVAILABLE"
    return exchange.seen in PERMANENT and not queue_down and exchange.asked_wait is None


def keys_of(exchange: Exchange) -> frozenset[str]:
    """Return which keys a request carries, each under the name that the log gives it."""
    kept = vars(exchange)  # every rule asks, of thousands of exchanges
    if "_keys" not in kept:
        kept["_keys"] = frozenset(value for value in exchange.headers.values() if value.startswith("[key "))
    keys: frozenset[str] = kept["_keys"]
    return keys


Work = tuple[frozenset[str], str, str]
"""What is paid for: the key, the options and the URL of a submit."""


def work_of(exchange: Exchange) -> list[Work]:
    """Return each piece of work that a submit asks for, once."""
    kept = vars(exchange)
    if "_work" not in kept:
        kept["_work"] = _work_in(exchange)
    work: list[Work] = kept["_work"]
    return work


def _work_in(exchange: Exchange) -> list[Work]:
    keys, options = keys_of(exchange), options_of(exchange)
    if exchange.family not in {"batch", "scrape"}:
        subjects = describe.subjects_in(exchange.request_json)
        body = exchange.request_json if isinstance(exchange.request_json, dict) else {}
        asked = {name: value for name, value in body.items() if name != "wait"}
        if not body and exchange.is_submit:
            return []
        return [(keys, f"{exchange.path} {json.dumps(asked, sort_keys=True)}", "".join(subjects))]
    if exchange.family == "batch":
        return [(keys, options, url) for url in dict.fromkeys(describe.urls_of(exchange))]
    # What is to be done on a page stands beside its URL.
    listed = dicts_in(exchange.request_json.get("urls")) if isinstance(exchange.request_json, dict) else []
    told = [
        (json.dumps(one, sort_keys=True), one["url"]) for one in listed if isinstance(one.get("url"), str)
    ]
    return [(keys, f"{options} {own}", url) for own, url in dict.fromkeys(told)]


def results_in(body: dict[str, Any]) -> list[str]:
    """Return the URLs of which a look shows a result that is worth keeping."""
    if "items" in body:
        items = dicts_in(body["items"])
        return [
            str(item.get("url"))
            for item in items
            if item.get("status") == "completed" and item.get("result") not in NO_RESULT
        ]
    result = body.get("result")
    if (
        body.get("status") != "completed"
        or not isinstance(result, dict)
        or result.get("content") in NO_RESULT
    ):
        return []
    if result.get("ai_extraction_failed") or result.get("extraction_empty"):
        return []
    pages = dicts_in(result.get("data"))
    return [str(one.get("url")) for one in pages if one.get("success") and not one.get("lowContent")]


def advice(exchange: Exchange) -> str | None:
    """Return what can be done about a submit whose reply was lost, where it is not to look in the list of batches."""
    return _ADVICE.get(exchange.family)


_ADVICE = {
    "crawl": (
        "Look for the crawl in GET /crawl/history before you send it again: what was lost stands there, an extraction "
        "with its source_job_id. A page that was tried again shows its new data in GET /crawl/{jobId}/pages."
    ),
    "parse": (
        "Parse without wait, which brings the jobId at once, and upload what is large first, so that its fileId is known: "
        "a parse stands in no list, and what is lost is paid."
    ),
    "map": (
        "Be ready to wait longer for a map, and count how often you pay again: it has no jobId and stands in no list, so "
        "what is lost is paid."
    ),
    "scrape": (
        "Look for its URL in GET /scrape-logs before you send it again: there is no list of scrapes and the logs name no "
        "jobId, but GET /scrape-logs/{uuid} has the result of what was done."
    ),
    "search": (
        "Search without wait, which brings the jobId at once, or be ready to wait longer than the 20 s for which it is "
        "held, and count how often you pay again: there is no list of searches to look in, what is lost is paid."
    ),
}
