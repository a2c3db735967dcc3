from __future__ import annotations

import httpx
import pytest

from pytest_spidra.sessions.server import Server


@pytest.fixture
def running():
    """A server that runs; nothing may go wrong within it."""
    server = Server()
    server.start()
    yield server
    server.stop()
    assert server.errors == []


@pytest.fixture
def server(running):
    """What a test holds of the server."""
    return running.api


@pytest.fixture
def http(server):
    """A plain httpx client with a key, whose paths begin below the base URL."""
    headers = {"x-api-key": server.api_key}
    with httpx.Client(base_url=server.base_url, headers=headers, timeout=10) as client:
        yield client


@pytest.fixture
def submitted(http):
    """Submit URLs and return the batch's id."""

    def submitted(*urls):
        body = {"urls": list(urls) or ["https://a.example/"]}
        return http.post("/batch/scrape", json=body).raise_for_status().json()["batchId"]

    return submitted
