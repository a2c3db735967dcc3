"""Scripted faults on a real wire: connections that break, replies that take their time."""

from __future__ import annotations

import re
import socket
import threading
import time

import httpx
import pytest
import requests
from wire import connected, replies, request, rest, said, statuses, submit

from pytest_spidra import gateway_error, http_error, ok, reply_lost, request_lost
from pytest_spidra.server import listener as listeners
from pytest_spidra.sessions import server as servers
from pytest_spidra.sessions.server import Server
from pytest_spidra.traffic.pending import PendingRequest
from pytest_spidra.traffic.reply import Reply


def with_httpx(server, path="/batch/scrape"):
    with httpx.Client(headers={"x-api-key": server.api_key}, timeout=10) as client:
        client.post(server.base_url + path, json={"urls": ["https://a.example/"]})


def with_requests(server):
    body = {"urls": ["https://a.example/"]}
    with requests.Session() as session:
        session.post(
            f"{server.base_url}/batch/scrape", json=body, headers={"x-api-key": server.api_key}, timeout=10
        )


def with_a_socket(server):
    if not said(server, submit(), half_closed=False):
        msg = "the server hung up"
        raise ConnectionError(msg)


CLIENTS = [
    (with_httpx, httpx.TransportError),
    (with_requests, requests.ConnectionError),
    (with_a_socket, ConnectionError),
]


# -- lost ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("send", "error"), CLIENTS)
def test_a_lost_reply_is_a_closed_connection_and_the_batch_exists(server, send, error):
    server.batch.submit.script(reply_lost("RemoteProtocolError"))
    with pytest.raises(error):
        send(server)
    assert len(server.batches) == 1
    assert server.credits.reserved == server.account.price_per_url
    (exchange,) = server.exchanges
    assert (exchange.seen, exchange.answered) == ("RemoteProtocolError", 202)


@pytest.mark.parametrize(("send", "error"), CLIENTS)
def test_a_lost_request_is_a_closed_connection_and_there_is_no_batch(server, send, error):
    server.batch.submit.script(request_lost())
    with pytest.raises(error):
        send(server)
    assert server.batches == []
    (exchange,) = server.exchanges
    assert (exchange.seen, exchange.answered) == ("ReadError", None)


def test_a_lost_reply_ends_the_connection_in_order_and_a_lost_request_resets_it(server):
    server.batch.submit.script(reply_lost(after=0), request_lost(), reply_lost("ReadError"))
    assert said(server, submit(), half_closed=False) == b""
    for _ in range(2):
        with pytest.raises(ConnectionResetError):
            said(server, submit(), half_closed=False)


def test_after_a_lost_reply_the_next_request_is_answered(server, http):
    server.batch.list.script(reply_lost("RemoteProtocolError"), request_lost())
    for _ in range(2):
        with pytest.raises(httpx.TransportError):
            http.get("/batch/scrape")
    assert http.get("/batch/scrape").status_code == 200


@pytest.mark.parametrize("lost", [reply_lost, lambda: request_lost("ReadTimeout")])
def test_a_scripted_timeout_is_the_client_s_own(server, http, lost):
    """The connection stays open until the client has had enough."""
    server.batch.list.script(lost())
    with pytest.raises(httpx.ReadTimeout):
        http.get("/batch/scrape", timeout=0.2)
    while server.exchanges[0].seen is None:
        time.sleep(0.01)
    (exchange,) = server.exchanges
    assert exchange.seen == "ReadTimeout"
    assert exchange.seen_at - exchange.sent_at >= 0.19


def test_a_client_that_waits_on_is_hung_up_on(monkeypatch):
    """It has seen a closed connection then, and the log says so."""
    monkeypatch.setattr(servers, "SILENCE", 0.2)
    server = Server()
    server.start()
    try:
        server.api.batch.submit.script(reply_lost(), request_lost("ConnectTimeout"))
        for _ in range(2):
            with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
                with_httpx(server.api)
        held, reset = server.api.exchanges
        assert (held.seen, held.answered) == ("RemoteProtocolError", 202)
        assert held.seen_at - held.sent_at >= 0.2
        assert (reset.seen, reset.answered) == ("ReadError", None)
    finally:
        server.stop()


def test_a_cut_off_body_comes_in_a_whole_message(server, http):
    server.batch.list.script(ok(body="truncated"), ok(body="empty"), gateway_error(502))
    cut, nothing, page = (http.get("/batch/scrape") for _ in range(3))
    assert (cut.status_code, cut.text[:9]) == (200, '{"jobs":[')
    with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
        cut.json()
    assert (nothing.status_code, nothing.content) == (200, b"")
    assert (page.status_code, page.headers["content-type"]) == (502, "text/html")


@pytest.mark.parametrize(
    "name", ["ConnectError", "WriteError", "ReadError", "CloseError", "RemoteProtocolError", "ProxyError"]
)
def test_the_log_calls_a_break_what_the_client_sees(server, http, name):
    """It has connected and sent its request: more than two ways to break are not left to it."""
    server.batch.list.script(reply_lost(name), request_lost(name))
    for _ in range(2):
        with pytest.raises(httpx.TransportError) as raised:
            http.get("/batch/scrape", timeout=0.2)
        while server.exchanges[-1].seen is None:  # a client that has hung up is noticed in another thread
            time.sleep(0.01)
        assert server.exchanges[-1].seen == type(raised.value).__name__


@pytest.mark.parametrize(
    ("send", "error"),
    [
        (with_httpx, httpx.RemoteProtocolError),
        (with_requests, requests.exceptions.ChunkedEncodingError),
    ],
)
def test_a_body_that_is_cut_breaks_the_connection_in_its_middle(server, send, error):
    server.batch.submit.script(ok(body="cut"))
    with pytest.raises(error):
        send(server)
    (exchange,) = server.exchanges
    assert (exchange.seen, exchange.answered) == ("RemoteProtocolError", 202)
    assert len(server.batches) == 1


def test_half_of_a_body_that_is_cut_arrives(server):
    server.batch.list.script(ok(body="cut"))
    head, _, body = said(server, request("GET /api/batch/scrape HTTP/1.1"), half_closed=False).partition(
        b"\r\n\r\n"
    )
    (length,) = re.findall(rb"content-length: (\d+)", head)
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert len(body) == int(length) // 2
    assert body.startswith(b'{"jobs":[')


# -- slow ------------------------------------------------------------------------------------------------


def test_a_slow_reply_takes_its_time_and_others_do_not_wait_for_it(server, http):
    server.batch.submit.script(ok(after=0.2), ok(after=600))
    with_httpx(server)
    (slow,) = server.exchanges
    assert slow.seen_at - slow.sent_at >= 0.2
    with connected(server) as connection:
        connection.sendall(submit())
        while len(server.batches) < 2:
            time.sleep(0.01)
        assert http.get("/batch/scrape").status_code == 200
        assert server.exchanges[1].seen is None


def test_the_client_s_own_deadline_ends_a_slow_request(server):
    """The service did the work; the log says that the client hung up."""
    server.batch.submit.script(ok(after=600))
    with (
        httpx.Client(headers={"x-api-key": server.api_key}, timeout=0.2) as client,
        pytest.raises(httpx.ReadTimeout),
    ):
        client.post(f"{server.base_url}/batch/scrape", json={"urls": ["https://a.example/"]})
    while server.exchanges[0].seen is None:
        time.sleep(0.01)
    (exchange,) = server.exchanges
    assert (exchange.seen, exchange.answered) == ("cancelled", 202)


def test_a_client_that_breaks_off_a_slow_request_is_noticed(server):
    server.batch.list.script(ok(after=600))
    with connected(server) as connection:
        connection.sendall(request("GET /api/batch/scrape HTTP/1.1"))
        while not server.exchanges.calls("batch.list"):
            time.sleep(0.01)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # reset it
    while server.exchanges[0].seen is None:
        time.sleep(0.01)
    assert server.exchanges[0].seen == "cancelled"


def test_who_floods_the_server_during_a_slow_reply_is_hung_up_on(server):
    server.batch.list.script(ok(after=600))
    with connected(server) as connection:
        connection.sendall(request("GET /api/batch/scrape HTTP/1.1"))
        with pytest.raises(ConnectionError):
            for _ in range(1000):
                connection.sendall(b"x" * 1_000_000)


def test_stop_does_not_wait_for_slow_replies():
    server = Server()
    server.start()
    server.api.batch.list.always(ok(after=600))
    with connected(server.api) as one, connected(server.api) as two:
        for connection in (one, two):
            connection.sendall(request("GET /api/batch/scrape HTTP/1.1"))
        while len(server.api.exchanges) < 2:
            time.sleep(0.01)
        server.stop()
        assert rest(one) == rest(two) == b""
    assert [exchange.seen for exchange in server.api.exchanges] == ["cancelled", "cancelled"]
    assert server.errors == []


# -- what goes wrong in a test ---------------------------------------------------------------------------


def test_a_failure_within_the_server_is_kept_and_the_connection_closed(running, server):
    """A header that no message can hold is the script's fault, and is no traceback in a thread."""
    server.batch.list.script(503)
    server.batch.cancel.script(http_error(503, headers={"x-bad": "a\nb"}))
    assert said(server, request("DELETE /api/batch/scrape/x HTTP/1.1")) == b""
    assert ["Illegal header value" in str(error) for error in running.errors] == [True]
    assert statuses(said(server, request("GET /api/batch/scrape HTTP/1.1"))) == [503]
    running.errors.clear()


class FailsDoor:
    """A door whose flights end in a failure of pytest, which is no `Exception`."""

    prefix = ""

    def send(self, request):
        if request.path == "/send":
            pytest.fail("within send")

        class Delayed(PendingRequest):
            @property
            def delay(self):
                return pytest.fail("within delay")

        return Delayed(self.seen.append, (0.0, Reply(200)))

    def __init__(self):
        self.seen = []


def test_a_failure_of_pytest_is_kept_too():
    listener, handler = listeners.Listener(), FailsDoor()
    listener.start(handler)
    for path in ("/send", "/delay"):
        with socket.create_connection(("127.0.0.1", listener.port), timeout=10) as connection:
            connection.sendall(request(f"GET {path} HTTP/1.1"))
            assert rest(connection) == b""
    listener.stop()
    assert [str(error) for error in listener.errors] == ["within send", "within delay"]
    assert handler.seen == ["cancelled"]


def test_a_script_s_own_function_may_stop_the_server():
    server = Server()
    server.start()
    ended = []
    server.api.router["batch.list"].mock(side_effect=lambda _: ended.append(server.stop()))
    with connected(server.api) as connection:
        connection.sendall(request("GET /api/batch/scrape HTTP/1.1"))
        assert rest(connection) == b""
    for thread in server._listener._threads:  # the one that stopped it cannot wait for itself
        thread.join()
    assert ended == [None]
    assert server.errors == []


def test_work_that_does_not_end_is_reported_by_stop(monkeypatch):
    monkeypatch.setattr(listeners, "END", 0.05)
    go_on = threading.Event()
    server = Server()
    server.start()
    server.api.router["batch.list"].mock(side_effect=lambda _: go_on.wait(10) and None)
    with connected(server.api) as connection:
        connection.sendall(request("GET /api/batch/scrape HTTP/1.1"))
        while not len(server.api.exchanges):
            time.sleep(0.01)
        server.stop()
        go_on.set()
        for thread in server._listener._threads:
            thread.join()
    assert [str(error) for error in server.errors] == [
        "a request was still being handled when the server stopped"
    ]


def test_a_body_nested_too_deeply_for_python_is_a_bad_request(server):
    for depth in (450, 700, 100_000):
        body = b'{"urls": ' + b"[" * depth + b"]" * depth + b"}"
        data = request("POST /api/batch/scrape HTTP/1.1", f"content-length: {len(body)}", body=body)
        assert statuses(said(server, data)) in ([400], [422])
    ((status, _, _),) = replies(said(server, submit()))
    assert status == 202


def test_an_unknown_path_is_a_404_beside_routes_of_the_test_s_own(server):
    """respx's router answers what it has a route for; the rest is the server's."""
    server.router.route(path__regex="/monitors$").respond(200, json={"data": {}})
    with httpx.Client(base_url=server.base_url, headers={"x-api-key": server.api_key}) as client:
        assert client.get("/monitors").json() == {"data": {}}
        assert client.get("/nothing").status_code == 404
        assert client.get("/batch/scrape").json()["jobs"] == []
