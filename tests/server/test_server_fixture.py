"""The fixture spidra_server: judged like spidra_mock, and gone when the test is over."""

from __future__ import annotations

import socket
import threading
from urllib.parse import urlsplit

import httpx
import pytest

URLS = ["https://shop.example/1", "https://shop.example/2"]

CARELESS = """
import httpx
from pytest_spidra import reply_lost

def test_it(spidra_server):
    spidra_server.batch.submit.script(reply_lost("RemoteProtocolError"))
    headers = {"x-api-key": spidra_server.api_key}
    with httpx.Client(base_url=spidra_server.base_url, headers=headers) as client:
        for _ in range(2):
            try:
                client.post("/batch/scrape", json={"urls": ["https://a.example/"]})
            except httpx.TransportError:
                pass
"""


def test_it_serves_on_the_loopback_below_api(spidra_server):
    parts = urlsplit(spidra_server.base_url)

    assert (parts.scheme, parts.hostname, parts.path) == ("http", "127.0.0.1", "/api")
    assert spidra_server.mode == "server"
    headers = {"x-api-key": spidra_server.api_key}
    answer = httpx.post(f"{spidra_server.base_url}/batch/scrape", json={"urls": URLS}, headers=headers)
    assert spidra_server.batches[0].id == answer.json()["batchId"]
    assert [exchange.seen for exchange in spidra_server.exchanges] == [202]


def test_rules_judge_the_clients_of_a_server(run_tests):
    """A client that pays twice is a warning, and a failure where accusations are errors."""
    run_tests(CARELESS).assert_outcomes(passed=1, warnings=1)
    result = run_tests(CARELESS, "--spidra-rules=error")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["double-submission: The service accepted the same URL twice*", ">*#2 *submit 1 URL*202 queued"]
    )


def test_nothing_is_left_of_it(run_tests):
    """Neither a thread nor somebody who listens."""
    before = set(threading.enumerate())
    result = run_tests(
        """
        import httpx
        def test_it(spidra_server):
            httpx.get(spidra_server.base_url + "/batch/scrape", headers={"x-api-key": "k"})
            print("PORT", spidra_server.base_url.split(":")[2].split("/")[0])
        """,
        "-s",
    )
    result.assert_outcomes(passed=1)
    port = next(int(line.split()[-1]) for line in result.outlines if "PORT" in line)
    assert set(threading.enumerate()) == before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)


@pytest.mark.slow
@pytest.mark.usefixtures("xdist")
def test_ports_never_collide_under_xdist(run_tests):
    source = """
    import httpx, pytest
    @pytest.mark.parametrize("number", range(40))
    def test_it(spidra_server, number):
        headers = {"x-api-key": spidra_server.api_key}
        url = f"{spidra_server.base_url}/batch/scrape"
        httpx.post(url, json={"urls": [f"https://a.example/{number}"]}, headers=headers).raise_for_status()
        assert spidra_server.batches[0].urls == [f"https://a.example/{number}"]
    """
    run_tests(source, "-n", "4").assert_outcomes(passed=40)


def test_an_error_within_the_server_fails_the_test(run_tests):
    """The client only sees a closed connection."""
    result = run_tests(
        """
        import httpx, pytest
        def test_it(spidra_server):
            def broken(request): raise BaseException("boom")
            spidra_server.router["batch.list"].mock(side_effect=broken)
            with pytest.raises(httpx.RemoteProtocolError):
                httpx.get(spidra_server.base_url + "/batch/scrape", headers={"x-api-key": "k"})
        """
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*boom*"])
