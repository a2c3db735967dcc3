"""The timeline and the Mermaid diagram, line by line."""

from __future__ import annotations

import asyncio
import contextlib
import time

import httpx
import pytest

from pytest_spidra import (
    completed,
    failed,
    http_error,
    ok,
    rate_limited,
    reply_lost,
    request_lost,
    service_busy,
)
from pytest_spidra.traffic import timeline as timelines

pytestmark = [
    pytest.mark.spidra(rules="off", allow_unused_steps=True),
    pytest.mark.usefixtures("plain_ids"),
]

URLS = ["https://a.example/", "https://b.example/"]
ID = "00000001-0000-4000-8000-000000000000"
PATH = f"/batch/scrape/{ID}"
HEADING = "        #  seconds    wait by    request         the client saw"


@pytest.fixture
def lines(spidra_mock):
    """Return the timeline of what happened so far, without its heading."""

    def lines(*guilty):
        heading, *rest = timelines.render(spidra_mock.exchanges, guilty).split("\n")
        assert heading == HEADING
        return rest

    return lines


@pytest.fixture
def ask(client):
    """Send a request and wait afterwards; what is lost is lost."""

    def ask(method, path="/batch/scrape", then=0, **options):
        with contextlib.suppress(httpx.TransportError):
            client.request(method, path, **options)
        time.sleep(then)

    return ask


def test_an_exchange_shows_number_time_request_and_sight(ask, lines):
    ask("POST", json={"urls": URLS})
    assert lines() == ["       #1     0.00               submit 2 URLs   202 queued"]


def test_a_wait_is_the_client_s_own_or_asked_for(ask, lines, spidra_mock):
    """It counts from what the client saw last of the same batch, or of submit and list."""
    spidra_mock.batch.list.script(rate_limited(10), rate_limited(10))
    for wait in (10, 4, 0):
        ask("GET", then=wait)
    assert lines() == [
        "       #1     0.00               list            429",
        "          scripted rate_limited(retry_after=10); the service never saw",
        "          it",
        "       #2    10.00  +10.00 asked list            429",
        "          scripted rate_limited(retry_after=10); the service never saw",
        "          it",
        "       #3    14.00   +4.00 own   list            200 0 batches",
    ]


def test_thirty_seconds_of_a_longer_wait_count_as_asked(ask, lines, spidra_mock):
    spidra_mock.batch.submit.script(service_busy(120))
    for wait in (30, 0):
        ask("POST", json={"urls": URLS}, then=wait)
    assert lines()[-1] == "       #2    30.00  +30.00 asked submit 2 URLs   202 queued"


SCRIPTED = {
    "reply_lost()": (
        reply_lost(),
        "ReadTimeout",
        ["scripted reply_lost(); the service answered 202 queued"],
    ),
    "request_lost()": (
        request_lost(),
        "ConnectError",
        ["scripted request_lost(); the service never saw it"],
    ),
    "http_error(504, processed=True)": (
        http_error(504, processed=True),
        "504",
        ["scripted http_error(504, processed=True); the service answered", "202 queued"],
    ),
    "ok(after=9)": (
        ok(after=9),
        "ReadTimeout",
        ["scripted ok(after=9); the service answered 202 queued"],
    ),
    'ok(body="truncated")': (ok(body="truncated"), "202", ['scripted ok(body="truncated")']),
    'http_error(503, code="SOME")': (
        http_error(503, code="SOME"),
        "503 SOME",
        ['scripted http_error(503, code="SOME"); the service never saw', "it"],
    ),
}


@pytest.mark.parametrize(("step", "result", "server_side"), SCRIPTED.values(), ids=SCRIPTED)
def test_what_was_scripted_and_what_the_service_did_stand_below(
    ask, lines, spidra_mock, step, result, server_side
):
    spidra_mock.batch.submit.script(step)
    ask("POST", json={"urls": URLS})
    assert lines() == [
        f"       #1     0.00               submit 2 URLs   {result}",
        *(f"          {line}" for line in server_side),
    ]


def test_every_kind_of_sight(ask, lines, spidra_mock):
    spidra_mock.batch.outcomes({URLS[0]: failed()})
    ask("POST", json={"urls": URLS})
    for _ in range(2):
        ask("GET", PATH)
    ask("POST", f"{PATH}/retry")
    ask("POST", f"{PATH}/retry")
    ask("DELETE", PATH)
    ask("GET", "/batch/scrape/other")
    ask("GET")
    assert [line[49:] for line in lines()] == [
        "202 queued",
        "200 running 0/2",
        "200 completed, 1 failed",
        "202 1 queued",
        "400 NO_FAILED_ITEMS",
        "200 cancelled",
        "404",
        "200 1 batches",
    ]


async def test_who_gave_up_and_who_still_waits(lines, spidra_mock):
    spidra_mock.batch.list.script(ok(after=20), ok(after=60))
    headers = {"x-api-key": "k"}
    async with httpx.AsyncClient(base_url=spidra_mock.base_url, headers=headers, timeout=None) as client:  # noqa: S113 - no patience of its own
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2):
                await client.get("/batch/scrape")
        waiting = asyncio.create_task(client.get("/batch/scrape"))
        await asyncio.sleep(1)
        assert [line[49:] for line in lines() if "#" in line] == ["cancelled", "no reply yet"]
        await waiting


def test_fifty_polls_that_say_the_same_are_one_line(ask, lines, spidra_mock):
    spidra_mock.batch.outcomes(dict.fromkeys(URLS, completed(after_seconds=150)))
    ask("POST", json={"urls": URLS})
    for _ in range(51):
        ask("GET", PATH, then=3)
    assert lines() == [
        "       #1     0.00               submit 2 URLs   202 queued",
        "    #2-51     0.00   +3.00 own   get 00000001    200 running 0/2",
        "      #52   150.00   +3.00 own   get 00000001    200 completed 2/2",
    ]


def test_a_fold_ends_where_the_pace_changes(ask, lines, spidra_mock):
    """The one long wait is what somebody may be looking for."""
    spidra_mock.batch.outcomes(dict.fromkeys(URLS, completed(after_seconds=500)))
    ask("POST", json={"urls": URLS})
    for wait in (3, 3, 3, 60, 3, 3, 3):
        ask("GET", PATH, then=wait)
    assert [line[:33] for line in lines()[1:]] == [
        "     #2-5     0.00   +3.00 own   ",
        "       #6    69.00  +60.00 own   ",
        "     #7-8    72.00   +3.00 own   ",
    ]


def test_each_wait_of_a_backoff_is_told(ask, lines, spidra_mock):
    """Four refusals say the same; what matters is how long the client waited between them."""
    spidra_mock.batch.submit.script(503, 503, 503)
    for wait in (1, 2, 4, 0):
        ask("POST", json={"urls": URLS}, then=wait)
    assert [line[9:32] for line in lines() if "#" in line] == [
        "     0.00              ",
        "     1.00   +1.00 own  ",
        "     3.00   +2.00 own  ",
        "     7.00   +4.00 own  ",
    ]


def test_the_guilty_are_marked_and_not_folded_with_the_innocent(ask, lines):
    ask("POST", json={"urls": URLS})
    for _ in range(4):
        ask("GET", "/batch/scrape/none", then=3)
    assert [line[:20] for line in lines(3, 4)] == [
        "       #1     0.00  ",
        "       #2     0.00  ",
        ">    #3-4     3.00  ",
        "       #5     9.00  ",
    ]


def test_a_long_timeline_shows_its_ends(ask, spidra_mock):
    for number in range(60):
        ask("GET", f"/batch/scrape/{number}")
    _heading, *lines = timelines.render(spidra_mock.exchanges).split("\n")
    assert len(lines) == 41
    assert lines[20] == "        … 20 more lines"
    assert lines[-1].startswith("      #60 ")


def test_the_diagram_says_the_same(ask, spidra_mock):
    """Mermaid takes "#" for the beginning of a comment and ";" for the end of a statement: neither stands in it."""
    spidra_mock.batch.submit.script(503, request_lost(), reply_lost())
    for wait in (1, 2, 0):
        ask("POST", json={"urls": URLS}, then=wait)
    for _ in range(2):
        ask("GET", PATH, then=3)
    ask("GET", PATH)
    assert spidra_mock.exchanges.to_mermaid() == (
        "sequenceDiagram\n"
        "    participant C as Client\n"
        "    participant S as Spidra\n"
        "    C-xS: 1. submit 2 URLs\n"
        "    Note over S: scripted http_error(503), the service never saw it\n"
        "    S-->>C: 503\n"
        "    Note over C: waits 1 s\n"
        "    C-xS: 2. submit 2 URLs\n"
        "    Note over S: scripted request_lost(), the service never saw it\n"
        "    Note over C: waits 2 s\n"
        "    C->>S: 3. submit 2 URLs\n"
        "    Note over S: scripted reply_lost(), the service answered 202 queued\n"
        "    S--xC: ReadTimeout\n"
        "    C->>S: 4. get 00000001\n"
        "    S-->>C: 200 running 0/2\n"
        "    Note over C: waits 3 s\n"
        "    C->>S: 5. get 00000001 (2 times)\n"
        "    S-->>C: 200 completed 2/2\n"
    )


def test_nothing_happened_is_a_diagram_too(spidra_mock):
    assert spidra_mock.exchanges.to_mermaid() == (
        "sequenceDiagram\n    participant C as Client\n    participant S as Spidra\n"
    )


@pytest.mark.parametrize("sign", ["#", ";", "%%"])
def test_no_sign_that_mermaid_reads_stands_in_the_diagram(client, spidra_mock, sign):
    spidra_mock.router.get(url__regex=r".*/other.*").respond(200, json={})
    client.get("/other", params={"q": "a#b;c%%d"})
    spidra_mock.batch.list.script(http_error(503, code=f"A{sign}B"))
    client.get("/batch/scrape")
    assert sign not in spidra_mock.exchanges.to_mermaid()
