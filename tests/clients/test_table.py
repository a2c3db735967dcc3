"""The table of clients and failures: what is scripted happens, and is logged, the same way whatever library asks."""

from __future__ import annotations

import pytest
from table_of_clients import ENDPOINTS, every_client

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
from pytest_spidra.scripting.steps import TRANSPORT_ERRORS

pytestmark = pytest.mark.spidra(rules="off")  # what is unsafe is done on purpose here

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


@pytest.fixture
def ask(spidra_mock, spidra_batch_factory):
    """Send a request of one endpoint by a client, about a finished batch of which an item has failed."""

    def ask(client, endpoint):
        state = {"status": "running"} if endpoint == "batch.cancel" else {"failed": 1}
        batch = spidra_batch_factory(urls=2, **state)
        method, path, json = ENDPOINTS[endpoint]
        return client.ask(method, spidra_mock.base_url + path.format(id=batch.id), json)

    return ask


def scripted(spidra_mock, endpoint):
    return getattr(spidra_mock.batch, endpoint.partition(".")[2])


@every_client
@pytest.mark.parametrize(("step", "expected"), REPLIES, ids=repr)
def test_a_reply_is_what_every_client_sees(spidra_mock, ask, client, step, expected):
    for endpoint, healthy in HEALTHY.items():
        scripted(spidra_mock, endpoint).always(step)
        status = expected or healthy
        first = len(spidra_mock.exchanges)
        if status in client.gives_up_on:
            with pytest.raises(client.others):
                ask(client, endpoint)
            seen, body = status, None
        else:
            seen, body = ask(client, endpoint)
        exchange = spidra_mock.exchanges[first]
        assert (seen, exchange.seen) == (status, status)
        assert exchange.answered == (healthy if step.processed else None)
        assert exchange.endpoint == endpoint
        assert exchange.request_json == ENDPOINTS[endpoint][2]
        assert (body == b"") == (step.body == "empty")
        assert exchange.seen_at - exchange.sent_at == pytest.approx(step.after)


@every_client
@pytest.mark.parametrize("step", LOSSES, ids=repr)
def test_a_broken_connection_is_an_error_of_the_client_s_own(spidra_mock, ask, client, step):
    for endpoint, healthy in HEALTHY.items():
        scripted(spidra_mock, endpoint).always(step)
        first = len(spidra_mock.exchanges)
        with pytest.raises(client.error("cut" if step.body == "cut" else step.error)):
            ask(client, endpoint)
        exchange = spidra_mock.exchanges[first]
        assert exchange.seen == (step.error or "RemoteProtocolError")
        assert exchange.answered == (healthy if step.processed else None)
        assert exchange.request_json == ENDPOINTS[endpoint][2]
