"""Ready-made errors, with the status, code, message and headers that the API is known to send.

A new failure kind is one more function that returns a `Step`.
"""

from __future__ import annotations

from pytest_spidra.scripting.steps import Step, label_of, retry_after_header, seconds
from pytest_spidra.traffic import error_replies
from pytest_spidra.traffic.reply import Reply


def service_busy(retry_after: float | None = 60, *, header: bool = True, processed: bool = False) -> Step:
    """503 ``SERVICE_BUSY``: the service is at capacity (docs.spidra.io/api-reference/errors).

    Args:
        retry_after: Seconds, in the body's ``retry_after`` as documented; None leaves it out.

        header: Whether ``Retry-After`` says the same. No documentation page names it; the SDKs read it.

        processed: Whether the service did the work all the same.
    """
    more = {} if retry_after is None else {"retry_after": retry_after}
    headers = retry_after_header(
        "service_busy", None if retry_after is None else seconds("service_busy(retry_after=…)", retry_after)
    )
    reply = error_replies.error_reply(
        503, error_replies.SERVICE_BUSY, "SERVICE_BUSY", headers=headers if header else None, **more
    )
    label = label_of("service_busy", f"retry_after={retry_after}", processed=processed or None)
    return Step(label, processed, reply)


def queue_unavailable() -> Step:
    """503 ``QUEUE_UNAVAILABLE``: nothing was queued. Known from the SDKs only; the text is their tests'."""
    return Step(
        "queue_unavailable()",
        processed=False,
        reply=error_replies.error_reply(503, error_replies.QUEUE_DOWN, "QUEUE_UNAVAILABLE"),
    )


def too_many_pending() -> Step:
    """429 ``TOO_MANY_PENDING_JOBS``: too many jobs wait (docs.spidra.io/api-reference/rate-limits)."""
    return Step("too_many_pending()", processed=False, reply=error_replies.too_many_pending())


def rate_limited(retry_after: float | None = 60, *, limit: int = 300) -> Step:
    """429 without a code: too many requests (docs.spidra.io/api-reference/rate-limits).

    Args:
        retry_after: Seconds until the window ends, in ``Retry-After`` and ``RateLimit-Reset``; None leaves
            both out.

        limit: The window's quota of requests, in ``RateLimit-Limit``; ``RateLimit-Remaining`` is 0.
    """
    headers = {"ratelimit-limit": str(limit), "ratelimit-remaining": "0"}
    if retry_after is not None:
        headers |= retry_after_header("rate_limited", seconds("rate_limited(retry_after=…)", retry_after))
        headers["ratelimit-reset"] = headers["retry-after"]
    return Step(
        label_of("rate_limited", f"retry_after={retry_after}"),
        processed=False,
        reply=error_replies.too_many_requests(headers),
    )


def payment_overdue() -> Step:
    """402 ``PAYMENT_OVERDUE`` (docs.spidra.io/api-reference/errors; the wording there is not shown)."""
    return Step("payment_overdue()", processed=False, reply=error_replies.payment_overdue())


def gateway_error(status: int = 502, *, processed: bool = False) -> Step:
    """A gateway's HTML page in place of the API's JSON. The SDKs expect 502, 503 and 504.

    Args:
        status: 502, 503 or 504.

        processed: Whether the service did the work behind the gateway.

    Raises:
        ValueError: Another status.
    """
    __tracebackhide__ = True
    if status not in {502, 503, 504}:
        msg = f"gateway_error(…) is 502, 503 or 504, not {status!r}; http_error(…) takes any status"
        raise ValueError(msg)
    title = (
        f"{status} {error_replies.MESSAGES[status].rstrip('.') if status != 503 else 'Service unavailable'}"
    )
    page = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
    reply = Reply(status, page.encode(), {"content-type": "text/html"})
    return Step(label_of("gateway_error", status, processed=processed or None), processed, reply)
