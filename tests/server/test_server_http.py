"""The server speaks HTTP/1.1 as any other, to many at once, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import gc
import json
import socket
import subprocess
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from pathlib import Path
from shutil import which
from urllib.parse import urlsplit

import httpx
import pytest
import requests
import spidra
from wire import connected, replies, request, rest, said, statuses, submit

from pytest_spidra import completed, failed, http_error, ok, service_busy
from pytest_spidra.fixtures.mock import SpidraServer
from pytest_spidra.server.connection import LARGEST_BODY, LARGEST_HEAD
from pytest_spidra.server.listener import Listener
from pytest_spidra.sessions.server import Server
from pytest_spidra.traffic.pending import PendingRequest
from pytest_spidra.traffic.reply import Reply
from pytest_spidra.verdicts.rules.judge import judge

CURL = which("curl")


def threads_of_servers():
    return [thread for thread in threading.enumerate() if thread.name.startswith("pytest-spidra")]


def sockets_of_this_process():
    found = []
    for file in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the one by which this directory is read
            found.append(str(file.readlink()))
    return sorted(one for one in found if one.startswith(("socket:", "anon_inode:[eventpoll]")))


# -- what it is ------------------------------------------------------------------------------------------


def test_the_base_url_names_the_port_on_which_it_answers(server, http):
    parts = urlsplit(server.base_url)

    assert (parts.scheme, parts.hostname, parts.path) == ("http", "127.0.0.1", "/api")
    assert http.get("/batch/scrape").json()["jobs"] == []


def test_it_says_of_itself_that_it_is_a_server(server):
    assert isinstance(server, SpidraServer)
    assert server.mode == "server"


def test_two_servers_have_two_ports(server):
    other = Server()
    other.stop()
    assert other.api.base_url != server.base_url


@pytest.mark.parametrize(("host", "shown"), [("0.0.0.0", "127.0.0.1"), ("localhost", "localhost")])  # noqa: S104 - that is the point
def test_the_base_url_is_one_that_a_client_can_use(host, shown):
    server = Server(host=host)
    server.start()
    try:
        assert urlsplit(server.api.base_url).hostname == shown
        assert httpx.get(f"{server.api.base_url}/batch/scrape").status_code == 401
    finally:
        server.stop()


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
def test_it_listens_on_ipv6_too():
    server = Server(host="::1")
    server.start()
    try:
        assert server.api.base_url.startswith("http://[::1]:")
        assert httpx.get(f"{server.api.base_url}/batch/scrape").status_code == 401
    finally:
        server.stop()


def test_a_taken_port_is_an_error(server):
    with pytest.raises(OSError, match="in use"):
        Server(port=urlsplit(server.base_url).port)


def test_a_number_that_no_port_has_is_an_error():
    with pytest.raises(OverflowError):
        Server(port=70000)


def test_any_key_is_good_until_keys_are_named(server, http):
    assert http.get("/batch/scrape").status_code == 200
    server.account.keys = ["spd_other"]
    assert http.get("/batch/scrape").status_code == 401


def test_seconds_count_from_the_start():
    server = Server()
    time.sleep(0.05)
    before, date = time.monotonic(), time.time()
    server.start()
    try:
        assert server.api.clock.elapsed <= time.monotonic() - before
        assert date <= server.wiring.log.began_at / 1e6 <= time.time()
    finally:
        server.stop()


# -- the fake behind it ----------------------------------------------------------------------------------


def test_scripts_outcomes_and_assertions_are_those_of_the_mock(server, http, submitted):
    url = "https://a.example/"
    server.batch.outcomes({url: [failed("Blocked"), completed({"price": 12})]})
    server.batch.list.script(service_busy(retry_after=2))

    batch_id = submitted(url)
    for _ in range(2):
        batch = http.get(f"/batch/scrape/{batch_id}").json()
    assert [item["error"] for item in batch["items"]] == ["Blocked"]
    assert http.post(f"/batch/scrape/{batch_id}/retry").json() == {"status": "queued", "retriedCount": 1}
    for _ in range(2):
        batch = http.get(f"/batch/scrape/{batch_id}").json()
    assert [item["result"] for item in batch["items"]] == [{"price": 12}]
    busy = http.get("/batch/scrape")
    assert (busy.status_code, busy.headers["retry-after"]) == (503, "2")
    server.assert_only_failed_items_retried(batch_id)
    server.assert_credits(charged=server.account.price_per_url)


def test_a_url_that_cannot_resolve_fails(server, http, submitted):
    """Code that knows nothing of scripts gets its failing items like this."""
    urls = ["https://a.example/", "https://b.INVALID./", "https://invalid/", "https://notinvalid/"]
    batch_id = submitted(*urls)
    http.get(f"/batch/scrape/{batch_id}")
    items = http.get(f"/batch/scrape/{batch_id}").json()["items"]

    assert [item["status"] for item in items] == ["completed", "failed", "failed", "completed"]
    assert items[1]["error"] == "net::ERR_NAME_NOT_RESOLVED"


def test_what_is_scripted_for_a_url_goes_before_its_host(server, http, submitted):
    url = "https://a.invalid/"
    server.batch.outcomes({url: [failed("Timeout"), completed()]})
    batch_id = submitted(url)
    http.get(f"/batch/scrape/{batch_id}")
    (item,) = http.get(f"/batch/scrape/{batch_id}").json()["items"]

    assert item["error"] == "Timeout"


def test_the_factory_places_batches_that_the_server_shows(running, http):
    batch = running.wiring.factory(urls=3, failed=1)

    assert http.get(f"/batch/scrape/{batch.id}").json()["failedCount"] == 1
    assert len(batch.failed_urls) == 1


@pytest.mark.parametrize("read", ["factory", "batches"])
def test_what_the_test_does_to_the_service_waits_for_the_request_under_way(running, read):
    done = []
    work = running.wiring.factory if read == "factory" else lambda: running.api.batches
    beside = threading.Thread(target=lambda: done.append(work()))
    with running.wiring.interceptor.lock:
        beside.start()
        beside.join(0.1)
        assert done == []
    beside.join(10)
    assert len(done) == 1


def test_an_unknown_endpoint_is_a_404_in_the_log(server, http):
    reply = http.get("/monitors/abc")

    assert (reply.status_code, reply.json()["status"]) == (404, "error")
    (exchange,) = server.exchanges
    assert (exchange.endpoint, exchange.path, exchange.seen) == ("", "/monitors/abc", 404)


@pytest.mark.parametrize(
    "path", ["/favicon.ico", "/batch/scrape", "/", "/apix/batch/scrape", "*", "/API/batch/scrape"]
)
def test_outside_the_prefix_there_is_a_404_that_names_it_and_no_exchange(server, path):
    (reply,) = replies(said(server, request(f"GET {path} HTTP/1.1")))

    status, headers, body = reply
    assert (status, headers["content-type"]) == (404, "application/json; charset=utf-8")
    assert json.loads(body)["status"] == "error"
    assert "below /api" in json.loads(body)["message"]
    assert len(server.exchanges) == 0


# -- requests --------------------------------------------------------------------------------------------


def test_a_request_arrives_as_httpx_would_bring_it(server, http):
    """Path decoded, query as it was sent, header names in lower case, the last of repeated headers."""
    taken = []

    class RequestHandler:
        prefix = "/api"

        def send(self, request):
            taken.append(request)
            return PendingRequest(lambda result: None, (0.0, Reply.of(200, {})))

    listener = Listener()
    listener.start(RequestHandler())
    try:
        with socket.create_connection(("127.0.0.1", listener.port), timeout=10) as connection:
            target = "/api/b%C3%A4%2Fc%zz%ff?page=%32&q=a+b?c"
            head = [f"PUT {target} HTTP/1.1", "Host: x", "X-Two: 1", "x-two: 2", "content-length: 3"]
            connection.sendall("\r\n".join([*head, "connection: close", "", "abc"]).encode())
            assert statuses(rest(connection)) == [200]
    finally:
        listener.stop()

    (taken,) = taken
    assert (taken.method, taken.content, taken.read_timeout) == ("PUT", b"abc", None)
    assert taken.path == httpx.URL("http://x" + target).path.removeprefix("/api") == "/bä/c%zz\ufffd"
    assert taken.query == "page=%32&q=a+b?c"
    assert (taken.headers["x-two"], taken.headers["host"]) == ("2", "x")


def test_many_requests_share_one_connection(server):
    with connected(server) as connection:
        for _ in range(3):
            connection.sendall(request("GET /api/batch/scrape HTTP/1.1"))
            time.sleep(0.02)
        connection.shutdown(socket.SHUT_WR)
        assert statuses(rest(connection)) == [200, 200, 200]


def test_requests_sent_ahead_are_answered_in_order(server):
    server.batch.list.script(ok(after=0.2), 503)
    with connected(server) as connection:
        connection.sendall(2 * request("GET /api/batch/scrape HTTP/1.1"))
        connection.sendall(submit(headers=["connection: close"]))
        data = rest(connection)

    assert statuses(data) == [200, 503, 202]


def test_a_body_in_chunks_is_put_together(server, http):
    body = json.dumps({"urls": ["https://a.example/"]}).encode()
    reply = http.post("/batch/scrape", content=iter([body[:5], body[5:7], body[7:]]))

    assert reply.status_code == 202
    assert server.batches[0].urls == ["https://a.example/"]


def test_a_client_that_waits_to_be_told_so_is_told_to_go_on(server):
    with connected(server) as connection:
        body = b'{"urls": ["https://a.example/"]}'
        connection.sendall(
            request("POST /api/batch/scrape HTTP/1.1", f"content-length: {len(body)}", "expect: 100-continue")
        )
        assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")
        connection.sendall(body)
        assert connection.recv(1000).startswith(b"HTTP/1.1 202 ")


def test_head_has_headers_and_no_body(server, http):
    """The connection goes on behind it."""
    reply = http.head("/batch/scrape")
    assert (reply.status_code, reply.content) == (404, b"")
    assert int(reply.headers["content-length"]) > 0
    assert http.get("/batch/scrape").status_code == 200


def test_what_is_refused_after_a_head_has_a_body(server):
    head, refused = said(server, request("HEAD /api/batch/scrape HTTP/1.1") + b"nonsense\r\n\r\n").split(
        b"HTTP/1.1 "
    )[1:]
    assert head.startswith(b"404 ")
    assert head.endswith(b"\r\n\r\n")
    assert refused.startswith(b"400 ")
    assert refused.endswith(b"}")


def test_a_reply_has_a_length_and_a_date(server, http):
    """Recordings take from the date when they were made."""
    before = int(time.time())
    reply = http.get("/batch/scrape")
    assert int(reply.headers["content-length"]) == len(reply.content)
    assert before <= parsedate_to_datetime(reply.headers["date"]).timestamp() <= time.time() + 1
    assert "server" not in reply.headers


def test_a_date_that_was_scripted_stays(server, http):
    date = "Mon, 15 Jan 2024 10:00:00 GMT"
    server.batch.list.script(http_error(503, headers={"Date": date, "Content-Length": "5"}))
    reply = http.get("/batch/scrape")
    assert reply.headers.get_list("date") == [date]
    assert int(reply.headers["content-length"]) == len(reply.content) > 5


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_a_body_has_none(server, http, status):
    server.router["batch.list"].respond(status, text="none of this is sent")
    reply = http.get("/batch/scrape")
    assert (reply.status_code, reply.content) == (status, b"")
    assert "content-length" not in reply.headers
    assert http.delete("/batch/scrape/x").status_code == 404


@pytest.mark.parametrize(
    ("line", "headers"),
    [
        ("GET /api/batch/scrape HTTP/1.0", ()),
        ("GET /api/batch/scrape HTTP/1.1", ("connection: close",)),
    ],
)
def test_who_wants_the_connection_closed_has_it_closed(server, line, headers):
    (reply,) = replies(said(server, request(line, *headers), half_closed=False))
    assert (reply[0], reply[1]["connection"]) == (200, "close")


def test_a_request_that_names_the_server_as_proxies_are_sent_is_taken(server):
    line = f"GET {server.base_url}/batch/scrape?page=1 HTTP/1.1"
    assert statuses(said(server, request(line))) == [200]
    assert server.exchanges[0].path == "/batch/scrape?page=1"


# -- limits ----------------------------------------------------------------------------------------------


def test_a_head_that_is_too_long_is_refused(server):
    fits = request("GET /api/batch/scrape HTTP/1.1", f"x-long: {'x' * (LARGEST_HEAD - 200)}")
    too_long = request("GET /api/batch/scrape HTTP/1.1", f"x-long: {'x' * LARGEST_HEAD}")
    endless = b"GET /api/batch/scrape HTTP/1.1\r\nx-long: " + b"x" * 200_000

    assert [statuses(said(server, data)) for data in (fits, too_long, endless)] == [[200], [431], [431]]


@pytest.mark.parametrize("expecting", [(), ("expect: 100-continue",)], ids=["sent", "announced"])
def test_a_body_that_is_announced_too_long_is_refused_unread(server, expecting):
    length = f"content-length: {LARGEST_BODY + 1}"
    data = request("POST /api/batch/scrape HTTP/1.1", length, *expecting)
    (reply,) = replies(said(server, data, half_closed=False))

    assert (reply[0], reply[1]["connection"]) == (413, "close")


def test_a_body_in_chunks_that_grows_too_long_is_refused(server, http):
    reply = http.post("/batch/scrape", content=(b"x" * 1024 * 1024 for _ in range(20)))
    assert reply.status_code == 413


def test_who_stops_in_the_middle_of_a_request_is_told_so():
    listener = Listener(idle_timeout=0.2)
    server = Server()
    listener.start(server.wiring.interceptor)
    try:
        for half in (b"GET /api", submit()[:-5]):
            with socket.create_connection(("127.0.0.1", listener.port), timeout=10) as connection:
                connection.sendall(half)
                assert statuses(rest(connection)) == [408]
    finally:
        listener.stop()
        server.stop()


def test_who_says_nothing_may_stay():
    """Clients keep connections for later, however long they pause between two requests."""
    listener = Listener(idle_timeout=0.1)
    server = Server()
    listener.start(server.wiring.interceptor)
    try:
        with socket.create_connection(("127.0.0.1", listener.port), timeout=10) as connection:
            for _ in range(2):
                time.sleep(0.3)
                connection.sendall(request("GET /api/batch/scrape HTTP/1.1"))
                assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")
    finally:
        listener.stop()
        server.stop()
    assert listener.errors == []


def test_a_client_that_does_not_read_is_given_up():
    """It would keep its thread for ever."""
    sent = []

    class RequestHandler:
        prefix = ""

        def send(self, request):
            sent.append(request)
            return PendingRequest(lambda result: None, (0.0, Reply(200, b"x" * 30_000_000)))

    listener = Listener(idle_timeout=0.2)
    listener.start(RequestHandler())
    with socket.create_connection(("127.0.0.1", listener.port), timeout=10) as connection:
        connection.sendall(request("GET / HTTP/1.1"))
        while not sent:
            time.sleep(0.01)
        while len(threads_of_servers()) > 1:
            time.sleep(0.01)
    listener.stop()
    assert listener.errors == []


# -- many at once, and the end ---------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("rounds", [20])
def test_a_thousand_requests_over_fifty_connections_are_all_answered(server, rounds):
    barrier = threading.Barrier(50)

    def one_client(number):
        headers = {"x-api-key": f"spd_client_{number}"}
        with httpx.Client(base_url=server.base_url, headers=headers, timeout=30) as client:
            barrier.wait()
            found = []
            for place in range(rounds // 2):
                url = f"https://a.example/{number}/{place}"
                reply = client.post("/batch/scrape", json={"urls": [url]})
                batch = client.get(f"/batch/scrape/{reply.json()['batchId']}").json()
                found.append((reply.status_code, batch["items"][0]["url"] == url))
            return found

    with ThreadPoolExecutor(50) as pool:
        found = [one for several in pool.map(one_client, range(50)) for one in several]

    assert found == [(202, True)] * (50 * rounds // 2)
    assert len(server.exchanges) == 50 * rounds
    assert [exchange.number for exchange in server.exchanges] == list(range(1, 50 * rounds + 1))
    assert all(exchange.seen in {200, 202} for exchange in server.exchanges)
    assert len(server.batches) == 50 * rounds // 2


def test_two_hundred_clients_may_come_in_the_same_moment(server):
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(connected(server)) for _ in range(200)]
        for connection in connections:
            connection.sendall(request("GET /api/batch/scrape HTTP/1.1"))
        assert all(connection.recv(1000).startswith(b"HTTP/1.1 200 ") for connection in connections)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="only Linux lists a process's files there")
def test_after_the_end_no_thread_no_socket_and_no_port_is_left():
    before = sockets_of_this_process()
    server = Server()
    assert sockets_of_this_process() != before
    server.start()
    port = urlsplit(server.api.base_url).port
    server.api.batch.list.script(ok(after=600))
    connections = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(20)]
    connections[0].sendall(request("GET /api/batch/scrape HTTP/1.1"))
    connections[1].sendall(submit()[:-3])
    connections[2].sendall(submit())
    assert connections[2].recv(1000).startswith(b"HTTP/1.1 202 ")
    while not server.api.exchanges.calls("batch.list"):
        time.sleep(0.01)
    while len(threads_of_servers()) < 21:
        time.sleep(0.01)

    server.stop()

    assert threads_of_servers() == []
    for connection in connections:
        connection.close()
    assert sockets_of_this_process() == before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=10)
    server.stop()  # harmless
    assert server.errors == []


def test_a_server_that_never_started_gives_its_port_back():
    server = Server()
    port = urlsplit(server.api.base_url).port
    server.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=10)
    with pytest.raises(RuntimeError, match="started once"):
        server.start()


def test_who_connects_before_the_start_waits():
    server = Server()
    with connected(server.api) as connection:
        connection.sendall(request("GET /api/batch/scrape HTTP/1.1"))
        server.start()
        try:
            assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")
        finally:
            server.stop()


def test_without_file_descriptors_it_waits_for_some_and_says_so(running, server, monkeypatch):
    listening = running._listener._socket
    real = type(listening).accept
    failures = [OSError(24, "Too many open files"), BlockingIOError()]

    def accept(self):
        if self is listening and failures:
            raise failures.pop(0)
        return real(self)

    monkeypatch.setattr(socket.socket, "accept", accept)
    assert statuses(said(server, request("GET /api/batch/scrape HTTP/1.1"))) == [200]
    assert [str(error) for error in running.errors] == ["[Errno 24] Too many open files"]
    running.errors.clear()


# -- clients ---------------------------------------------------------------------------------------------


def healed_by_the_sdk(server, urls):
    """Submit with the official SDK, wait, retry what failed, wait; return the results."""
    client = spidra.Spidra(api_key=server.api_key, api_url=server.base_url)
    batch_id = client.start_batch_scrape(urls).batch_id
    seen = [item.status for item in client.watch_batch(batch_id, poll_interval=0.01)]
    assert client.retry_batch_scrape(batch_id) == seen.count("failed")
    return {item.url: item.result for item in client.watch_batch(batch_id, poll_interval=0.01)}


def test_the_official_sdk_runs_against_it(server):
    urls = ["https://a.example/", "https://b.example/"]
    server.batch.outcomes({urls[1]: [failed("Timeout"), completed({"price": 12})]})
    with warnings.catch_warnings():
        # The SDK's sync client closes no connection before the event loop of its call is gone, so the sockets are
        # left to the garbage collector, which is called while the warnings are off.
        warnings.simplefilter("ignore", ResourceWarning)
        items = healed_by_the_sdk(server, urls)
        gc.collect()

    assert items[urls[1]] == {"price": 12}
    server.assert_batch_retried(server.batches[0])
    server.assert_only_failed_items_retried(server.batches[0])
    assert judge(server.exchanges) == []


def test_requests_runs_against_it(server):
    with requests.Session() as session:
        session.headers["authorization"] = f"Bearer {server.api_key}"
        reply = session.post(f"{server.base_url}/batch/scrape", json={"urls": ["https://a.example/"]})
        assert reply.status_code == 202
        assert session.get(f"{server.base_url}/batch/scrape/{reply.json()['batchId']}").status_code == 200


@pytest.mark.skipif(CURL is None, reason="curl is not on this machine")
def test_curl_runs_against_it(server):
    def curl(*arguments, text=""):
        key = f"x-api-key: {server.api_key}"
        command = [CURL, "-sS", "--max-time", "10", "-w", " %{http_code}", "-H", key, *arguments]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=True, timeout=20)  # noqa: S603 - our own words
        return done.stdout

    url = f"{server.base_url}/batch/scrape"
    # Of a body as long as this one, curl asks first whether it may send it.
    long = json.dumps({"urls": ["https://a.example/"], "prompt": "x" * 2_000_000})
    posting = ("-H", "content-type: application/json", "--data-binary", "@-", url)

    body, _, status = curl(*posting, text=long).rpartition(" ")
    assert status == "202"
    assert curl("-X", "DELETE", f"{url}/{json.loads(body)['batchId']}").endswith(" 200")
    assert curl(url).endswith(" 200")
    assert curl("--http2", url).endswith(" 200")  # it offers an upgrade, and goes on without
    assert curl("-I", url).endswith(" 404")
