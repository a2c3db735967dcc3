"""What one client records, every client replays."""

from __future__ import annotations

import importlib.util
import json
import re

import pytest
import yaml
from real_server import simple_server
from users_suite import KEY

NAMES = ["httpx", "httpx_async", "httpx2", "httpx2_async", "requests", "urllib3", "aiohttp"]

CLIENTS = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(
            importlib.util.find_spec(name.partition("_")[0]) is None, reason="its library is not installed"
        ),
    )
    for name in NAMES
]

SUITE = f"""
NAMES = {NAMES}
KINDS = {{}}

def kind(function):
    KINDS[function.__name__.removeprefix("by_")] = function
    return function

def with_httpx(library, api, method, path, body):
    with library.Client(headers={{"x-api-key": api.api_key}}) as client:
        return client.request(method, api.base_url + path, json=body).json()

async def with_httpx_async(library, api, method, path, body):
    async with library.AsyncClient(headers={{"x-api-key": api.api_key}}) as client:
        return (await client.request(method, api.base_url + path, json=body)).json()

@kind
def by_httpx(*args):
    return with_httpx(httpx, *args)

@kind
def by_httpx_async(*args):
    return asyncio.run(with_httpx_async(httpx, *args))

@kind
def by_httpx2(*args):
    import httpx2
    return with_httpx(httpx2, *args)

@kind
def by_httpx2_async(*args):
    import httpx2
    return asyncio.run(with_httpx_async(httpx2, *args))

@kind
def by_requests(api, method, path, body):
    import requests
    headers = {{"x-api-key": api.api_key}}
    return requests.request(method, api.base_url + path, json=body, headers=headers, timeout=20).json()

@kind
def by_urllib3(api, method, path, body):
    import urllib3
    with urllib3.PoolManager() as pool:
        headers = {{"x-api-key": api.api_key, "accept-encoding": "gzip, br"}}
        return pool.request(method, api.base_url + path, json=body, headers=headers).json()

@kind
def by_aiohttp(api, method, path, body):
    import aiohttp

    async def ask():
        async with aiohttp.ClientSession(headers={{"x-api-key": api.api_key}}) as session:
            async with session.request(method, api.base_url + path, json=body) as response:
                return await response.json()

    return asyncio.run(ask())

@pytest.mark.spidra(modes=("replay",), cassette="shared")
@pytest.mark.parametrize("name", [name for name in NAMES if name in KINDS])
def test_batch(spidra_api, name):
    ask = KINDS[name]
    if SCRIPTED:
        spidra_api.batch.submit.script(503)
        assert ask(spidra_api, "POST", "/batch/scrape", {{"urls": URLS}})["message"]
    batch = ask(spidra_api, "POST", "/batch/scrape", {{"urls": URLS}})["batchId"]
    while (state := ask(spidra_api, "GET", f"/batch/scrape/{{batch}}", None))["status"] != "completed":
        time.sleep(PAUSE)
    assert [item["status"] for item in state["items"]] == ["completed"] * len(state["items"])
    NOTES.append(state["items"][0]["result"])
    assert spidra_api.exchanges[-1].seen == 200

NOTES = []

def teardown_module():
    assert len(set(map(str, NOTES))) <= 1
"""

installed = [name for name in NAMES if importlib.util.find_spec(name.partition("_")[0])]


def written(*, scripted):
    return SUITE.replace("SCRIPTED", str(scripted)).replace(f"NAMES = {NAMES}", f"NAMES = {installed}", 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", CLIENTS)
def test_a_recording_of_one_client_is_replayed_by_each(suite, api, record, pytester, name):
    """Scripted failures lie over it whoever records, and no key is in it."""
    run = suite(written(scripted=True))
    run(*record(), "-k", f"[{name}-").assert_outcomes(passed=1, deselected=len(installed) - 1)
    assert [line.split()[0] for line in api.requests()] == ["submit", "get", "get"]
    text = (pytester.path / "cassettes" / "shared.yaml").read_text()
    assert KEY not in text
    assert [one["response"]["status"]["code"] for one in yaml.safe_load(text)["interactions"]] == [
        202,
        200,
        200,
    ]
    run("-o", f"spidra_base_url={api.url}").assert_outcomes(passed=len(installed))
    run().assert_outcomes(passed=len(installed))
    assert api.requests() == []


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["gzip", "br", "chunked", "interim"])
@pytest.mark.parametrize("name", CLIENTS)
def test_what_was_sent_compressed_is_recorded_plain_and_seen_as_it_was(
    suite, pytester, monkeypatch, name, encoding
):
    monkeypatch.setenv("SPIDRA_API_KEY", KEY)
    run = suite(written(scripted=False))
    with simple_server(encoding) as base_url:
        arguments = ("-o", f"spidra_base_url={base_url}", "--spidra-record=all")
        run(*arguments, "-k", f"[{name}-").assert_outcomes(passed=1, deselected=len(installed) - 1)
    recorded = yaml.safe_load((pytester.path / "cassettes" / "shared.yaml").read_text())["interactions"]
    last = json.loads(recorded[-1]["response"]["body"]["string"])
    assert last["items"][0]["result"] == "# ä " * 200
    assert "Content-Encoding" not in str(recorded[-1]["response"]["headers"]).title()
    run().assert_outcomes(passed=len(installed))


@pytest.mark.slow
@pytest.mark.parametrize("name", CLIENTS)
def test_what_cannot_be_decompressed_is_the_client_s_own_error(suite, monkeypatch, name):
    monkeypatch.setenv("SPIDRA_API_KEY", KEY)
    run = suite(written(scripted=False))
    with simple_server("deflate") as base_url:
        arguments = ("-o", f"spidra_base_url={base_url}", "--spidra-record=all")
        result = run(*arguments, "-k", f"[{name}-")
    result.assert_outcomes(failed=1, deselected=len(installed) - 1)
    own = "DecodingError|ContentDecodingError|DecodeError|ClientPayloadError"
    assert re.search(rf"FAILED .*({own})", result.stdout.str())


@pytest.mark.slow
@pytest.mark.parametrize("name", CLIENTS)
def test_a_connection_that_breaks_ends_the_recording_whoever_records(suite, monkeypatch, name):
    """The message says that nothing reached the API, in the words of the client's own library."""
    monkeypatch.setenv("SPIDRA_API_KEY", KEY)
    run = suite(written(scripted=False))
    result = run("-o", "spidra_base_url=http://127.0.0.1:1/api", "--spidra-record=all", "-k", f"[{name}-")
    result.assert_outcomes(failed=1, deselected=len(installed) - 1)
    said = " ".join(result.stdout.str().split())
    assert "The recording ends here: POST /batch/scrape did not reach the API." in said
    assert "Nobody listens there." in said


@pytest.mark.slow
def test_a_key_in_a_request_of_each_client_is_recorded_as_a_placeholder(suite, api, record, pytester):
    run = suite(written(scripted=False))
    for name in installed:
        (pytester.path / "cassettes" / "shared.yaml").unlink(missing_ok=True)
        run(*record(), "-k", f"[{name}-").assert_outcomes(passed=1, deselected=len(installed) - 1)
        for one in yaml.safe_load((pytester.path / "cassettes" / "shared.yaml").read_text())["interactions"]:
            headers = {key.lower(): value for key, value in one["request"]["headers"].items()}
            assert headers["x-api-key"] == ["[secret 1]"], name


@pytest.mark.slow
@pytest.mark.parametrize("name", CLIENTS)
def test_a_cassette_beside_neither_answers_for_the_api_nor_keeps_what_was_sent(
    suite, api, record, pytester, name
):
    marked = written(scripted=False).replace(
        "@pytest.mark.spidra(", "@pytest.mark.vcr\n@pytest.mark.spidra(", 1
    )
    run = suite(marked)
    run(*record(), "-k", f"[{name}-", "--record-mode=all").assert_outcomes(
        passed=1, deselected=len(installed) - 1
    )
    assert [line.split()[0] for line in api.requests()] == ["submit", "get", "get"]
    assert [file.name for file in (pytester.path / "cassettes").rglob("*.yaml")] == ["shared.yaml"]
    assert KEY not in (pytester.path / "cassettes" / "shared.yaml").read_text()
