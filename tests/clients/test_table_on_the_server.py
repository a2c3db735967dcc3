"""The table of clients and failures, for clients in other processes and languages: curl and Node's fetch."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from shutil import which

import pytest
from table_of_steps import ENDPOINTS, HEALTHY, LOSSES, REPLIES, scripted, state_for

pytestmark = [
    pytest.mark.spidra(rules="off"),  # what is unsafe is done on purpose here
    pytest.mark.slow,
]

CURL, NODE = which("curl"), which("node")
SCRIPT = Path(__file__).with_name("ask.mjs")

# What curl's exit codes say of a connection, and what the log may say then. A timeout is the client's own where the
# server says nothing, and else an end of the connection in the place of a reply.
BREAKS = {
    18: {"RemoteProtocolError"},  # a part of the body
    28: {"ReadTimeout", "cancelled"},
    52: {"RemoteProtocolError"},  # an empty reply
    56: {"ReadError"},  # reset
}


@pytest.fixture
def requests_of(spidra_server, spidra_batch_factory):
    """Script a step at every endpoint and yield what is to be asked of each: its name, a method, a URL and a body."""

    def requests_of(step):
        for endpoint, (method, path, body) in ENDPOINTS.items():
            scripted(spidra_server, endpoint).always(step)
            batch = spidra_batch_factory(urls=2, **state_for(endpoint))
            yield endpoint, method, spidra_server.base_url + path.format(id=batch.id), body

    return requests_of


def ended(server, number):
    """Return an exchange when the client's part of it is known: its log may come a moment later."""
    for _ in range(2000):
        if len(server.exchanges) > number and server.exchanges[number].seen is not None:
            return server.exchanges[number]
        subprocess.run(["/bin/sleep", "0.005"], check=True)
    msg = f"exchange {number} has not ended"
    raise AssertionError(msg)


def patience(step):
    """Return the seconds that a client waits: few where it is to wait in vain."""
    return 0.5 if str(step.error).endswith("Timeout") else 30


def curl(server, step, method, url, body):
    """Return curl's exit code and the status that it saw."""
    command = [
        CURL,
        "-s",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
        "-m",
        str(patience(step)),
        "-X",
        method,
        url,
    ]
    command += ["-H", f"x-api-key: {server.api_key}"]
    if body:
        command += ["-H", "content-type: application/json", "-d", json.dumps(body)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)  # noqa: S603 - our own words
    return done.returncode, int(done.stdout)


@pytest.mark.skipif(CURL is None, reason="curl is not on this machine")
@pytest.mark.parametrize(("step", "expected"), REPLIES, ids=repr)
def test_curl_sees_a_reply(spidra_server, requests_of, step, expected):
    step = short(step)
    for number, (endpoint, *asked) in enumerate(requests_of(step)):
        healthy = HEALTHY[endpoint]
        assert curl(spidra_server, step, *asked) == (0, expected or healthy)
        exchange = ended(spidra_server, number)
        assert (exchange.seen, exchange.request_json) == (expected or healthy, asked[2])
        assert exchange.answered == (healthy if step.processed else None)


@pytest.mark.skipif(CURL is None, reason="curl is not on this machine")
@pytest.mark.parametrize("step", LOSSES, ids=repr)
def test_the_log_calls_a_break_what_curl_sees(spidra_server, requests_of, step):
    for number, (endpoint, *asked) in enumerate(requests_of(step)):
        code, status = curl(spidra_server, step, *asked)
        exchange = ended(spidra_server, number)
        assert exchange.seen in BREAKS[code]
        assert status == (HEALTHY[endpoint] if step.body == "cut" else 0)
        assert exchange.answered == (HEALTHY[endpoint] if step.processed else None)


def node(server, step, asked):
    """Return what Node's fetch saw of each request: a status or a word for the break."""
    words = [[method, url, body] for _, method, url, body in asked]
    done = subprocess.run(  # noqa: S603 - our own words
        [NODE, str(SCRIPT), server.api_key, str(patience(step)), json.dumps(words)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return json.loads(done.stdout)


@pytest.mark.skipif(NODE is None, reason="node is not on this machine")
@pytest.mark.parametrize(("step", "expected"), REPLIES, ids=repr)
def test_node_sees_a_reply(spidra_server, requests_of, step, expected):
    assert node(spidra_server, step, requests_of(short(step))) == [
        expected or status for status in HEALTHY.values()
    ]
    assert [one.seen for one in spidra_server.exchanges] == [
        expected or status for status in HEALTHY.values()
    ]


@pytest.mark.skipif(NODE is None, reason="node is not on this machine")
@pytest.mark.parametrize("step", LOSSES, ids=repr)
def test_the_log_calls_a_break_what_node_sees(spidra_server, requests_of, step):
    saw = node(spidra_server, step, requests_of(step))
    meant = {
        "ECONNRESET": {"ReadError"},
        "timeout": {"ReadTimeout", "cancelled"},
        "cut": {"RemoteProtocolError"},
    }
    meant["UND_ERR_SOCKET"] = {"RemoteProtocolError"}
    for number, word in enumerate(saw):
        assert ended(spidra_server, number).seen in meant[word]
    assert (set(saw) == {"cut"}) == (step.body == "cut")


def short(step):
    """Return a step that takes no time: it would be real here."""
    return replace(step, after=0.0)
