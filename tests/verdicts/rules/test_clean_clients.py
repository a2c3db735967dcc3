"""The careful client, the official SDK and the documented loop meet every failure, and no rule accuses them.

The exceptions stand in two tables: where the SDK really pays twice, and where the documented loop, which never
looks at a status code, does what the rules are there for.
"""

from __future__ import annotations

import asyncio
import inspect

import pytest
import written_clients as clients

from pytest_spidra import (
    completed,
    failed,
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
from pytest_spidra.scripting.lost import TRANSPORT_ERRORS
from pytest_spidra.verdicts.rules.evidence import PERMANENT
from pytest_spidra.verdicts.rules.judge import judge

URLS = ["https://shop.example/1", "https://shop.example/2", "https://shop.example/3"]

pytestmark = pytest.mark.spidra(rules="off", allow_unused_steps=True)

STEPS = [
    *([http_error(status)] for status in (400, 401, 402, 403, 404, 409, 422, 429, 500, 502, 503, 504)),
    *([http_error(status, processed=True)] for status in (500, 502, 503, 504)),
    *([gateway_error(status)] for status in (502, 503, 504)),
    *([reply_lost(error)] for error in TRANSPORT_ERRORS if error.startswith(("Read", "Write", "Remote"))),
    *([request_lost(error)] for error in TRANSPORT_ERRORS if error.startswith(("Connect", "Pool", "Read"))),
    [service_busy()],
    [service_busy(2)],
    [service_busy(10, header=False)],
    [service_busy(None)],
    [service_busy(20)] * 3,
    [queue_unavailable()],
    [http_error(400, code="QUEUE_UNAVAILABLE")],
    [too_many_pending()],
    [rate_limited(15)],
    [rate_limited(None)],
    [payment_overdue()],
    [http_error(503), http_error(502), http_error(503)],
    [http_error(503, retry_after=120)],
    [ok(after=5)],
    [ok(after=300)],
    [ok(body="truncated")],
    [ok(body="empty")],
]
ENDPOINTS = ("submit", "get", "retry", "list")

SCRIPTS = {
    f"{endpoint}: {', '.join(map(repr, steps))}": (endpoint, steps)
    for endpoint in ENDPOINTS
    for steps in STEPS
}

PAYS_TWICE = {"double-submission"}
POLLS_ON = {"permanent-error-resent"}  # an error body's status is "error", and that ends no batch
WAITS_AS_EVER = {"retry-after-ignored"}  # three seconds while it polls, none between two retries

CLIENTS = {
    "careful": clients.careful,
    "documented loop": clients.documented_loop,
    "SDK, sync": clients.sdk_sync,
    "SDK, async": clients.sdk_async,
}


def run(client, api):
    """Let a client run to its end, which may be an error that it reports."""
    try:
        result = client(api, URLS)
        return asyncio.run(result) if inspect.iscoroutine(result) else result
    except (*clients.GIVING_UP, TimeoutError):
        return None


def expected(client, endpoint, step):
    """Return the rules that accuse a client under a script: as a rule none."""
    status = step.reply.status if step.reply else None
    asks = (
        "retry-after" in step.reply.headers or b"retry_after" in step.reply.content if step.reply else False
    )
    if client.startswith("SDK") and endpoint == "submit" and step.processed and status in {502, 503}:
        return PAYS_TWICE
    if (
        client == "documented loop"
        and endpoint == "get"
        and status in PERMANENT - {404}  # of a batch accepted moments ago: its row may not be there yet
        and "QUEUE" not in step.label
    ):
        return POLLS_ON
    if (
        client == "documented loop"
        and asks
        and (endpoint, step.label) != ("get", "service_busy(retry_after=2)")
    ):
        return WAITS_AS_EVER
    return set()


CASES = [
    pytest.param(client, *script, id=f"{client}: {name}")
    for client in CLIENTS
    for name, script in SCRIPTS.items()
    # Without a batch the documented loop polls "undefined" for ever: see the table of broken clients.
    if client != "documented loop" or script[0] in {"get", "retry"}
]


@pytest.mark.parametrize(("client", "endpoint", "steps"), CASES)
def test_a_client_that_is_safe_is_accused_of_nothing(spidra_mock, client, endpoint, steps):
    """Whatever fails on its way: submit, poll, retry, or the list."""
    getattr(spidra_mock.batch, endpoint).script(*steps)
    spidra_mock.batch.outcomes({URLS[0]: [failed(), completed()]})
    run(CLIENTS[client], spidra_mock)
    assert {one.rule for one in judge(spidra_mock.exchanges)} == expected(client, endpoint, steps[0])
