"""Every error body the API is known to send, and plausible ones where no source shows the wording.

The shape ``{"status": "error", "message": …}`` with an optional ``code`` is documented
(docs.spidra.io/api-reference/errors). The field ``status`` matters: the retry loop of Spidra's documentation
reads it as if it were a batch's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_spidra.traffic.reply import Reply

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

INVALID_KEY = "Invalid token or API key"
NO_FAILED_ITEMS = "No failed items to retry."
PENDING_JOBS = (
    "You have too many pending scrape jobs. Please wait for some to complete before submitting more."
)
TOO_MANY_REQUESTS = "Too many requests, please try again later."
SERVICE_BUSY = "The scraping service is currently at capacity. Please retry in a few minutes."
VALIDATION = "Request validation failed."

CREDIT_LIMIT = "You have exceeded your monthly credit limit."  # documentation of a crawl's extract

# No source shows these wordings.
NOT_FOUND = "Batch not found."
NO_ROUTE = "Not found."
OVERDUE = "Your subscription payment is overdue."
NO_JSON = "The request body is not valid JSON."
QUEUE_DOWN = "Queue is down"

MESSAGES: Mapping[int, str] = {
    400: "Bad request.",
    401: INVALID_KEY,
    402: OVERDUE,
    403: CREDIT_LIMIT,
    404: NOT_FOUND,
    409: "Conflict.",
    422: VALIDATION,
    429: TOO_MANY_REQUESTS,
    500: "Internal server error.",
    502: "Bad gateway.",
    503: SERVICE_BUSY,
    504: "Gateway timeout.",
}


def error_reply(
    status: int,
    message: str | None = None,
    code: str | None = None,
    *,
    headers: Mapping[str, str] | None = None,
    **more: Any,
) -> Reply:
    """Return an error reply; `more` are further fields of the body."""
    body: dict[str, Any] = {
        "status": "error",
        "message": MESSAGES.get(status, "Error.") if message is None else message,
    }
    if code is not None:
        body["code"] = code
    return Reply.of(status, {**body, **more}, headers)


def invalid(errors: Sequence[str]) -> Reply:
    """422 with one sentence for each problem of the request's body."""
    return error_reply(422, VALIDATION, errors=list(errors))


def too_many_pending() -> Reply:
    """429 ``TOO_MANY_PENDING_JOBS`` (docs.spidra.io/api-reference/rate-limits)."""
    return error_reply(429, PENDING_JOBS, "TOO_MANY_PENDING_JOBS")


def too_many_requests(headers: Mapping[str, str]) -> Reply:
    """429 without a code: the request rate limit (docs.spidra.io/api-reference/rate-limits)."""
    return error_reply(429, TOO_MANY_REQUESTS, headers=headers)


def payment_overdue() -> Reply:
    """402 ``PAYMENT_OVERDUE``: code and status are documented, the wording is not."""
    return error_reply(402, OVERDUE, "PAYMENT_OVERDUE")


def no_failed_items() -> Reply:
    """400 ``NO_FAILED_ITEMS``, the answer to a retry when nothing failed (documentation of retry)."""
    return error_reply(400, NO_FAILED_ITEMS, "NO_FAILED_ITEMS")


def already_terminal(status: str, what: str = "batch") -> Reply:
    """409 ``ALREADY_TERMINAL``, the answer to a cancel that comes too late (documentation of cancel)."""
    return error_reply(409, f"Cannot cancel a {what} that is already {status}.", "ALREADY_TERMINAL")
