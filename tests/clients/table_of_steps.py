"""The vocabulary of steps, and what is asked of every client under each."""

from __future__ import annotations

from pytest_spidra import (
    gateway_error,
    http_error,
    ok,
    payment_overdue,
    queue_unavailable,
    rate_limited,
    reply_lost,
    request_lost,
    service_busy,
    too_many_pending,
)

URLS = ["https://a.example/", "https://b.example/"]
ENDPOINTS = {
    "batch.submit": ("POST", "/batch/scrape", {"urls": URLS}),
    "batch.get": ("GET", "/batch/scrape/{id}", None),
    "batch.list": ("GET", "/batch/scrape", None),
    "batch.cancel": ("DELETE", "/batch/scrape/{id}", None),
    "batch.retry": ("POST", "/batch/scrape/{id}/retry", None),
}
TRANSPORT_ERRORS = (
    *("ConnectError", "ConnectTimeout", "PoolTimeout", "WriteError", "WriteTimeout", "ReadError"),
    *("ReadTimeout", "CloseError", "RemoteProtocolError", "LocalProtocolError", "ProxyError"),
)
HEALTHY = {"batch.submit": 202, "batch.get": 200, "batch.list": 200, "batch.cancel": 200, "batch.retry": 202}

REPLIES = [
    (ok(), None),
    (ok(after=2.5), None),
    (ok(body="truncated"), None),
    (ok(body="empty"), None),
    (http_error(500), 500),
    (http_error(504, processed=True), 504),
    (http_error(503, retry_after=2), 503),
    (service_busy(retry_after=3), 503),
    (queue_unavailable(), 503),
    (too_many_pending(), 429),
    (rate_limited(retry_after=4), 429),
    (payment_overdue(), 402),
    (gateway_error(502), 502),
]
LOSSES = [
    ok(body="cut"),
    *(lost(name) for name in TRANSPORT_ERRORS for lost in (request_lost, reply_lost)),
]


def state_for(endpoint):
    """Return what is said to the factory for a batch that the endpoint takes: a finished one with a failed item, or not."""
    return {"status": "running"} if endpoint == "batch.cancel" else {"failed": 1}


def scripted(fake, endpoint):
    """Return what scripts an endpoint."""
    return getattr(fake.batch, endpoint.partition(".")[2])
