"""Plugins that answer for a library go on answering for other hosts, in any order of fixtures and in a test's middle."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_spidra.clients.replaced import own_function

pytest.importorskip("responses", reason="the lowest versions go without it")
pytest.importorskip("aioresponses", reason="the lowest versions go without it")
pytest.importorskip("requests_mock", reason="the lowest versions go without it")

HEAD = """
import asyncio, inspect
from unittest import mock as mocks
import aiohttp, httpx, pytest, requests, requests_mock as requests_mocks, responses as responses_library, urllib3
from aioresponses import aioresponses as aiohttp_mocks

OURS = "https://api.spidra.io/api/batch/scrape"
OTHER = "https://other.example/"

def by_requests(url):
    return requests.get(url, timeout=5).status_code

def by_aiohttp(url):
    async def ask():
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            return response.status
    return asyncio.run(ask())

def by_httpx(url):
    return httpx.get(url).status_code

def by_httpx2(url):
    import httpx2
    return httpx2.get(url).status_code

class Response(aiohttp.ClientResponse):
    def __init__(self, *args, **kwargs):  # aioresponses 0.7.9 does not know what aiohttp 3.14 asks for
        if "stream_writer" in inspect.signature(aiohttp.ClientResponse).parameters:
            kwargs.setdefault("stream_writer", mocks.Mock(output_size=0))
        super().__init__(*args, **kwargs)

@pytest.fixture
def responses():
    with responses_library.RequestsMock() as mock:
        mock.get(OTHER, status=201)
        yield mock

@pytest.fixture
def requests_mocker(requests_mock):
    requests_mock.get(OTHER, status_code=201)

@pytest.fixture
def aioresponses():
    with aiohttp_mocks() as mock:
        mock.get(OTHER, status=201, response_class=Response, repeat=True)
        yield mock

@pytest.fixture
def respx_router(respx_mock):
    respx_mock.get(OTHER).respond(201)

@pytest.fixture
def httpx_mocker(httpx_mock):
    httpx_mock.add_response(url=OTHER, status_code=201)

@pytest.fixture
def httpx2_router(httpx2_mock):
    httpx2_mock.get(OTHER).respond(201)

def expect_both(spidra_mock, ask):
    assert ask(OURS) == 401
    assert ask(OTHER) == 201
    spidra_mock.batch.list.script(503)
    assert [ask(OURS), ask(OURS)] == [503, 401]
    assert [one.seen for one in spidra_mock.exchanges] == [401, 503, 401]

pytestmark = pytest.mark.spidra(rules="off")
"""

# A row for each of README's table of what can be active together.
PLUGINS = {
    "responses": "by_requests",
    "requests_mocker": "by_requests",
    "aioresponses": "by_aiohttp",
    "respx_router": "by_httpx",
    "httpx_mocker": "by_httpx",
    "httpx2_router": "by_httpx2",
}
NEEDED = {"httpx_mocker": "pytest_httpx", "httpx2_router": "pytest_httpx2"}


PLUGIN_NAMES = {
    "responses": "responses",
    "requests_mocker": "requests-mock",
    "aioresponses": "aioresponses",
    "respx_router": "respx",
    "httpx_mocker": "pytest-httpx",
    "httpx2_router": "pytest-httpx2",
}


def test_each_row_of_the_readme_is_tested_here():
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    rows = [line.split("|")[1:-1] for line in readme.splitlines() if line.count("|") == 4]
    named = {
        plugin.strip()
        for _, answered, plugins in rows
        if answered.strip() == "in the test's process"
        for plugin in plugins.split(",")
    }
    assert named == {*PLUGIN_NAMES.values(), "pytest-recording"}
    assert PLUGIN_NAMES.keys() == PLUGINS.keys()


@pytest.fixture
def run(run_tests):
    def run(body):
        return run_tests(HEAD + body)

    return run


@pytest.mark.parametrize("order", ["spidra_mock, {}", "{}, spidra_mock"])
@pytest.mark.parametrize("plugin", PLUGINS)
def test_a_plugin_answers_other_hosts_in_either_order(run, plugin, order):
    if plugin in NEEDED:
        pytest.importorskip(NEEDED[plugin])
    run(
        f"""
def test_both({order.format(plugin)}):
    expect_both(spidra_mock, {PLUGINS[plugin]})

def test_again({order.format(plugin)}):
    expect_both(spidra_mock, {PLUGINS[plugin]})

def test_after():
    assert "pytest_spidra" not in repr(vars(requests.Session)["send"].__globals__["__name__"])
    assert requests.adapters.HTTPAdapter.send.__globals__["__name__"] == "requests.adapters"
    assert aiohttp.ClientSession._request.__globals__["__name__"] == "aiohttp.client"
        """
    ).assert_outcomes(passed=3)


STARTED = {
    "responses": "with responses_library.RequestsMock() as mock:\n        mock.get(OTHER, status=201)",
    "requests_mock": "with requests_mocks.Mocker() as mock:\n        mock.get(OTHER, status_code=201)",
    "aioresponses": "with aiohttp_mocks() as mock:\n        mock.get(OTHER, status=201, response_class=Response)",
}


@pytest.mark.parametrize("plugin", STARTED)
def test_a_plugin_that_is_started_in_the_middle_of_a_test_answers_other_hosts(run, plugin):
    ask = "by_aiohttp" if plugin == "aioresponses" else "by_requests"
    run(
        f"""
def test_both(spidra_mock):
    {STARTED[plugin]}
        expect_both(spidra_mock, {ask})
    assert {ask}(OURS) == 401
    {STARTED[plugin]}
        assert [{ask}(OURS), {ask}(OTHER)] == [401, 201]
        """
    ).assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("decorator", "ask"),
    [("responses_library.activate", "by_requests"), ("requests_mocks.Mocker()", "by_requests")],
)
def test_a_plugin_that_decorates_a_test_answers_other_hosts(run, decorator, ask):
    mock = "(responses_library if mock is None else mock)"
    call = f'{mock}.get(OTHER, **({{"status": 201}} if mock is None else {{"status_code": 201}}))'
    run(
        f"""
@{decorator}
def in_a_plugin(spidra_mock, mock=None):
    {call}
    expect_both(spidra_mock, {ask})

def test_both(spidra_mock):
    in_a_plugin(spidra_mock)
        """
    ).assert_outcomes(passed=1)


@pytest.mark.parametrize("ask", ["by_requests", "by_aiohttp", "by_httpx", "by_httpx2"])
def test_a_cassette_of_pytest_recording_answers_other_hosts_only(run, ask):
    """It stands above the library, so it would answer for the API too; in its mode ``none`` it refuses what it has not."""
    run(
        f"""
@pytest.mark.vcr
def test_both(spidra_mock):
    spidra_mock.batch.list.script(503)
    assert [{ask}(OURS), {ask}(OURS)] == [503, 401]
    with pytest.raises(Exception, match="cassette doesn.t exist|overwrite existing"):
        {ask}(OTHER)
    assert len(spidra_mock.exchanges) == 2
        """
    ).assert_outcomes(passed=1)


def test_several_at_once(run):
    run(
        """
def test_all(responses, spidra_mock, aioresponses, respx_router):
    expect_both(spidra_mock, by_requests)
    spidra_mock.exchanges
    assert [by_aiohttp(OURS), by_aiohttp(OTHER), by_httpx(OURS), by_httpx(OTHER)] == [401, 201, 401, 201]
        """
    ).assert_outcomes(passed=1)


def test_what_plugins_put_back_after_the_test_passes_on_and_is_gone_in_the_end(run):
    """The second has found us before the first, and puts us back when our test is over."""
    run(
        """
PLUGINS = []

def test_begun(spidra_mock):
    for status in (201, 202):
        PLUGINS.append(responses_library.RequestsMock(assert_all_requests_are_fired=False))
        PLUGINS[-1].start()
        PLUGINS[-1].get(OTHER, status=status)
    assert [by_requests(OURS), by_requests(OTHER)] == [401, 202]

def test_ended():
    assert by_requests(OTHER) == 202
    PLUGINS.pop().stop()
    assert by_requests(OTHER) == 201
    with pytest.raises(requests.ConnectionError, match="Connection refused by Responses"):
        by_requests(OURS)
    PLUGINS.pop().stop()
    assert requests.adapters.HTTPAdapter.send.__globals__["__name__"] == "requests.adapters"
        """
    ).assert_outcomes(passed=2)


def test_addresses_that_are_none_are_refused_as_they_always_are(run):
    run(
        """
def test_it(responses, aioresponses, spidra_mock):
    prepared = requests.Request("GET", "https://a.example/").prepare()
    prepared.url = "https://a.example:port/"
    with requests.Session() as session, pytest.raises(urllib3.exceptions.LocationParseError):
        session.send(prepared)
    with pytest.raises(TypeError):
        by_aiohttp(5)
    by_requests(OTHER)
        """
    ).assert_outcomes(passed=1)


def test_a_replacement_that_keeps_nothing_is_left_alone():
    """Where it has the library's function in a cell, it is found there; not every cell is filled."""

    class Owner:
        def method(self):
            """The library's own."""

    def make(known):
        if known:
            missing = Owner.method

        def replacement(self):
            return missing(self)

        return replacement

    assert own_function(make(known=True), Owner, "method") is Owner.method
    assert own_function(make(known=False), Owner, "method") is None


def test_what_a_plugin_does_not_know_it_still_refuses(run):
    run(
        """
def test_unknown(responses, aioresponses, spidra_mock):
    with pytest.raises(requests.ConnectionError, match="Connection refused by Responses"):
        by_requests("https://unknown.example/")
    with pytest.raises(aiohttp.ClientConnectionError, match="Connection refused"):
        by_aiohttp("https://unknown.example/")
    by_requests(OTHER)
        """
    ).assert_outcomes(passed=1)


def test_a_mock_of_the_user_s_own_that_is_put_on_in_a_test_keeps_its_say(run):
    """It is no plugin that answers for a whole library: who puts it on for the API means it."""
    run(
        """
def test_own(spidra_mock, monkeypatch):
    answer = requests.Response()
    answer.status_code = 299
    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", lambda *args, **kwargs: answer)
    assert by_requests(OURS) == 299

def test_own_is_gone(spidra_mock):
    assert by_requests(OURS) == 401
        """
    ).assert_outcomes(passed=2)
