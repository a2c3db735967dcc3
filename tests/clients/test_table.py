"""The table of clients and failures: what is scripted happens, and is logged, the same way whatever library asks."""

from __future__ import annotations

import asyncio
import importlib

import httpx
import pytest
import spidra
from table_of_clients import every_client
from table_of_steps import ENDPOINTS, HEALTHY, LOSSES, REPLIES, scripted, state_for

pytestmark = pytest.mark.spidra(rules="off")  # what is unsafe is done on purpose here


@pytest.fixture
def ask(spidra_mock, spidra_batch_factory):
    """Send a request of one endpoint by a client, about a finished batch of which an item has failed."""

    def ask(client, endpoint):
        batch = spidra_batch_factory(urls=2, **state_for(endpoint))
        method, path, json = ENDPOINTS[endpoint]
        return client.ask(method, spidra_mock.base_url + path.format(id=batch.id), json)

    return ask


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


# -- what is built on httpx, and decides for itself ------------------------------------------------------------

METHODS = {
    "batch.submit": lambda client, batch: client.start_batch_scrape(batch.urls),
    "batch.get": lambda client, batch: client.get_batch_scrape(batch.id),
    "batch.list": lambda client, batch: client.list_batch_scrapes(),
    "batch.cancel": lambda client, batch: client.cancel_batch_scrape(batch.id),
    "batch.retry": lambda client, batch: client.retry_batch_scrape(batch.id),
}


def by_sdk(spidra_mock, endpoint, batch):
    METHODS[endpoint](spidra.Spidra(api_key=spidra_mock.api_key), batch)


def by_async_sdk(spidra_mock, endpoint, batch):
    async def ask():
        async with spidra.AsyncSpidra(api_key=spidra_mock.api_key) as client:
            await METHODS[endpoint](client, batch)

    asyncio.run(ask())


@pytest.mark.parametrize("ask", [by_sdk, by_async_sdk])
@pytest.mark.parametrize("step", [*(step for step, _ in REPLIES), *LOSSES], ids=repr)
def test_the_sdk_sees_what_every_client_sees(spidra_mock, spidra_batch_factory, ask, step):
    """What it makes of it is measured elsewhere; it goes on where it was answered, and raises where it was not."""
    for endpoint, healthy in HEALTHY.items():
        batch = spidra_batch_factory(urls=2, **state_for(endpoint))
        scripted(spidra_mock, endpoint).always(step)
        first = len(spidra_mock.exchanges)
        if not step.error and not step.reply and step.body == "whole":
            ask(spidra_mock, endpoint, batch)
        else:
            with pytest.raises((spidra.SpidraError, httpx.TransportError, ValueError)):
                ask(spidra_mock, endpoint, batch)
        exchange = spidra_mock.exchanges[first]
        status = step.reply.status if step.reply else healthy
        assert exchange.seen == ("RemoteProtocolError" if step.body == "cut" else step.error or status)
        assert exchange.answered == (healthy if step.processed else None)


def by_tool(spidra_mock):
    tool = importlib.import_module("langchain_spidra").SpidraBatchScrape(api_key=spidra_mock.api_key)
    answer = tool.invoke({"urls": ["https://a.example/"]})
    return "" if isinstance(answer, list) else answer


def by_loader(spidra_mock):
    loader = importlib.import_module("langchain_spidra").SpidraLoader(
        urls=["https://a.example/"], mode="batch", api_key=spidra_mock.api_key
    )
    try:
        loader.load()
    except Exception as error:  # noqa: BLE001 - whatever it raises
        return repr(error)
    return ""


@pytest.mark.parametrize("ask", [by_tool, by_loader])
@pytest.mark.parametrize("step", [*(step for step, _ in REPLIES), *LOSSES], ids=repr)
def test_langchain_s_batch_tool_and_loader_see_what_every_client_sees(spidra_mock, ask, step):
    pytest.importorskip("langchain_spidra")
    spidra_mock.batch.submit.always(step)
    said = ask(spidra_mock)
    assert bool(said) == bool(step.error or step.reply or step.body != "whole")
    exchange = spidra_mock.exchanges[0]
    status = step.reply.status if step.reply else 202
    assert exchange.seen == ("RemoteProtocolError" if step.body == "cut" else step.error or status)
    assert exchange.answered == (202 if step.processed else None)
