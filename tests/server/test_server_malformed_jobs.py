"""Malformed requests at every endpoint, over a real socket: answered, never with a 5xx, never with a hang-up."""

from __future__ import annotations

import random

import httpx
import pytest

from pytest_spidra.traffic.endpoints import ENDPOINTS

BODIES = [
    *(
        b"",
        b"{",
        b"null",
        b"[]",
        b"\xff\xfe",
        b'{"urls":[{"url":5}]}',
        b'{"query":[]}',
        b'{"url":{}}',
        b'{"baseUrl":1}',
    ),
    b'--x\r\ncontent-disposition: form-data; name="options"\r\n\r\n{}\r\n--x--\r\n',
    b"--x\r\n\r\n",
]
TYPES = ["application/json", "multipart/form-data; boundary=x", "multipart/form-data", "text/plain"]
QUERIES = ["", "?page=x", "?limit=-1", "?range=", "?include=%00", "?X-Amz-Date=x", "?%ff=%ff"]


@pytest.mark.spidra(rules="off")
def test_every_endpoint_answers_whatever_comes(spidra_server):
    draw = random.Random(1)  # noqa: S311 - nothing secret is drawn
    with httpx.Client(headers={"x-api-key": "spd_mock"}) as client:
        for endpoint in ENDPOINTS:
            path = endpoint.path.replace("{", "").replace("}", "")
            for _ in range(8):
                response = client.request(
                    endpoint.method,
                    f"{spidra_server.base_url}{path}{draw.choice(QUERIES)}",
                    content=draw.choice(BODIES),
                    headers={"content-type": draw.choice(TYPES)},
                )
                assert 200 <= response.status_code < 500
    assert len(spidra_server.exchanges) == 8 * len(ENDPOINTS)
