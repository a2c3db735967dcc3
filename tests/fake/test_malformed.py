"""Nothing that a client may send breaks the fake: whatever comes is answered, and never with a 5xx of its own."""

from __future__ import annotations

import json
import random

import pytest
from fake_client import KEY
from job_client import JobClient

from pytest_spidra.traffic.endpoints import ENDPOINTS
from pytest_spidra.traffic.request import Request

EACH = 500

VALUES = [
    *(
        None,
        True,
        False,
        0,
        1,
        -1,
        5,
        10**30,
        1.5,
        -0.0,
        1e308,
        "",
        " ",
        "x",
        "json",
        "markdown",
        "pdf",
        "web",
        "day",
    ),
    *(
        "https://a.example/",
        "http://127.0.0.1/",
        "https://[::1",
        "https://a.example:99999/",
        "\ud800",
        "\x00",
        "é" * 300,
    ),
    *(
        [],
        {},
        [[]],
        [{}],
        {"type": "object"},
        {"anyOf": [{"$ref": "#"}]},
        {"formats": ["markdown"]},
        ["web", "news"],
    ),
    *(
        [{"url": "https://a.example/"}],
        {"url": 5},
        ["https://a.example/"],
        [None, 5, "x"],
        {"maxResults": True},
    ),
    *([{"url": "https://a.example/", "actions": [{"type": "forEach", "actions": [{"type": []}]}]}],),
    *([{"url": "https://a.example/", "actions": [{"type": "click", "pagination": {"maxPages": "x"}}]}],),
]
FIELDS = [
    *(
        "urls",
        "url",
        "prompt",
        "output",
        "schema",
        "useProxy",
        "proxyCountry",
        "cookies",
        "screenshot",
        "scrapeMode",
    ),
    *(
        "query",
        "sources",
        "limit",
        "page",
        "pageTokens",
        "timeRange",
        "country",
        "includeDomains",
        "excludeDomains",
    ),
    *("filetype", "scrapeOptions", "wait", "baseUrl", "crawlInstruction", "transformInstruction", "maxPages"),
    *(
        "maxDepth",
        "includePaths",
        "webhookUrl",
        "search",
        "sitemap",
        "respectRobots",
        "fileId",
        "pages",
        "mode",
    ),
    *("fullPageScreenshot", "extractContentOnly", "allowSubdomains", "unknown", "", "é", "dryRun", "fileIds"),
]
QUERIES = [
    *("", "page=0", "page=-1", "page=x", "limit=999999999999", "limit=", "offset=1e9", "offset=-5&limit=0"),
    *("include=", "include=html,,x", "include=%00", "reason=%ff", "range=7d", "range=7d&range=x", "range"),
    *("status=&searchTerm=%ff&dateStart=x&dateEnd=", "channel=", "&&==", "%", "pages=true", "X-Amz-Date=x"),
]
BODIES = [
    b"",
    b"{",
    b"[" * 5000,
    b"[" * 5000 + b"]" * 5000,
    b"\xff\xfe",
    b"null",
    b"NaN",
    b'"x"',
    b"5",
    b"--x\r\n",
    b"\x00",
]


URL = "https://a.example/"
VALID = {
    "batch.submit": {"urls": [URL], "prompt": "x", "schema": {"type": "object"}},
    "scrape.submit": {
        "urls": [{"url": URL, "actions": [{"type": "forEach", "maxItems": 5}]}],
        "output": "json",
    },
    "search.submit": {
        "query": "x",
        "sources": ["web"],
        "limit": 5,
        "pageTokens": {},
        "scrapeOptions": {},
        "wait": True,
    },
    "crawl.submit": {"baseUrl": URL, "maxPages": 3, "schema": {"type": "object"}, "includePaths": ["/x"]},
    "crawl.extract": {"transformInstruction": "x"},
    "parse.submit": {
        "url": URL,
        "pages": "1-5, 9",
        "maxPages": 2,
        "schema": {},
        "dryRun": True,
        "wait": True,
    },
    "parse.batch_submit": {"urls": [URL], "fileIds": [], "pages": "2-", "mode": "ocr"},
    "parse.upload": {"fileName": "a.pdf", "size": 5},
    "map.submit": {"url": URL, "search": "x", "limit": 5, "sitemap": "only"},
}


def nearly(draw, value):
    """Return a body with one value in it, however deep, replaced by another."""
    if draw.random() < 0.3 or not isinstance(value, dict | list) or not value:
        return draw.choice(VALUES)
    if isinstance(value, dict):
        name = draw.choice(list(value))
        return {**value, name: nearly(draw, value[name])}
    return [nearly(draw, value[0]), *value[1:]]


def a_body(draw, valid):
    if valid and draw.random() < 0.6:
        return json.dumps(nearly(draw, valid)).encode("utf-8", "surrogatepass")
    if draw.random() < 0.2:
        return draw.choice(BODIES)
    fields = draw.sample(FIELDS, draw.randint(0, 5))
    return json.dumps({name: draw.choice(VALUES) for name in fields}).encode("utf-8", "surrogatepass")


def a_request(draw, endpoint, ids):
    path = endpoint.path
    while "{" in path:
        start, _, rest = path.partition("{")
        path = start + draw.choice([*ids, "x", "%00", "é", "-" * 300]) + rest.partition("}")[2]
    body = a_body(draw, VALID.get(endpoint.name))
    kind = draw.choice(["application/json", "multipart/form-data; boundary=x", "", "x"])
    if kind.startswith("multipart") and draw.random() < 0.8:
        parts = [
            b'name="options"',
            b'name="file"; filename="a.pdf"',
            b'name="urls"',
            b'name="fileIds"',
            b"",
            b"name=",
        ]
        pieces = [
            b"--x\r\ncontent-disposition: form-data; " + draw.choice(parts) + b"\r\n\r\n" + body + b"\r\n"
            for _ in range(draw.randint(0, 3))
        ]
        body = b"".join(pieces) + draw.choice([b"--x--\r\n", b"--x--", b"", b"--x"])
    return Request(endpoint.method, path, draw.choice(QUERIES), {**KEY, "content-type": kind}, body)


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)
def test_malformed_requests_are_answered_without_a_5xx(endpoint):
    """500 random requests for each endpoint, more than 10,000 in all; a seed of its own makes each run the same."""
    draw = random.Random(endpoint.name)  # noqa: S311 - nothing secret is drawn
    client = JobClient("/scrape", price_per_url=0)
    ids = [client.submitted(), client.post({"urls": [{"url": "https://a.example/"}]}).json["jobId"]]
    ids.append(
        client.post({"baseUrl": "https://a.example/", "transformInstruction": "x"}, "/crawl").json["jobId"]
    )
    for _ in range(2):
        client.send("GET", f"/crawl/{ids[-1]}")
    ids.append(client.send("GET", f"/crawl/{ids[-1]}/pages").json["pages"][0]["id"])
    for number in range(EACH):
        client.service.account.refuse_unknown_fields = number % 2 == 0
        reply = client.service.answer(a_request(draw, endpoint, ids), client.now)
        assert 200 <= reply.status < 500
        client.wait(draw.choice([0, 1, 400]))


DEEP = {
    "a schema": {"urls": [{"url": "https://a.example/"}], "schema": "DEEP"},
    "actions": {"urls": [{"url": "https://a.example/", "actions": "DEEP"}]},
}


@pytest.mark.parametrize("body", DEEP.values(), ids=DEEP)
def test_a_body_as_deep_as_json_allows_is_answered(body):
    client = JobClient("/scrape")
    for opening, closing in (('{"properties":{"a":', "}}"), ('[{"type":"forEach","actions":', "}]")):
        for depth in (5, 300, 450):
            deep = opening * depth + "[]" + closing * depth
            content = json.dumps(body).replace('"DEEP"', deep).encode()
            assert client.post(content).status in {202, 400, 422}
