"""What the plugin's own tests share."""

from __future__ import annotations

import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from pytest_spidra.fake.service import Service

pytest_plugins = ["pytester"]

MEASURED = {
    name: value
    for name in ("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG")
    if (value := os.environ.get(name)) is not None and "PYTEST_XDIST_WORKER" in os.environ
}
"""What lets coverage measure the processes that a worker's tests start."""

MEASURED_TESTS = (
    "cli",
    "test_ways_to_the_host.py",
    "test_cassette_crashes.py",
    "test_shown_secrets.py",
    "test_blocks.py",
)
"""Whose processes do what no other test does. Measuring takes time, and what all others do is done here as well."""


def pytest_runtest_setup(item):
    """Let coverage measure the processes of the few tests that need it."""
    measured = any(part in MEASURED_TESTS for part in item.path.parts)
    for name, value in MEASURED.items():
        if measured:
            os.environ[name] = value
        else:
            os.environ.pop(name, None)


@pytest.fixture
def xdist():
    """Skip a test of xdist's workers where there are none."""
    pytest.importorskip("xdist")


@pytest.fixture
def plain_ids(monkeypatch):
    """Give batches the same ids in every test, for messages that are compared as a whole."""
    monkeypatch.setattr("pytest_spidra.sessions.wiring.Service", lambda seed: Service())


@pytest.fixture
def client(spidra_mock):
    """A plain httpx client with a key, whose paths begin below the base URL."""
    headers = {"x-api-key": spidra_mock.api_key}
    with httpx.Client(base_url=spidra_mock.base_url, headers=headers) as client:
        yield client


@pytest.fixture
def submit(client):
    """Submit URLs with plain httpx and return the reply."""

    def submit(*urls, **options):
        body = {"urls": list(urls) or ["https://a.example/"], **options}
        return client.post("/batch/scrape", json=body)

    return submit


class Loopback:
    """A real server on 127.0.0.1 that answers everything with 200 and ``real``."""

    def __init__(self):
        seen = self.seen = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                self.rfile.read(int(self.headers.get("content-length", 0)))
                seen.append(f"{self.command} {self.path}")
                self.send_response(200)
                self.send_header("content-length", "4")
                self.end_headers()
                self.wfile.write(b"real")

            do_GET = do_POST = do_DELETE = answer  # noqa: N815 - names of http.server

            def do_CONNECT(self):
                seen.append(f"{self.command} {self.path}")
                self.send_response(200)
                self.end_headers()
                self.close_connection = False

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"


@pytest.fixture(scope="session")
def _loopback():
    loopback = Loopback()
    thread = threading.Thread(target=loopback.server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield loopback
    loopback.server.shutdown()
    loopback.server.server_close()


@pytest.fixture
def loopback(_loopback):
    """The real server, with an empty memory."""
    _loopback.seen.clear()
    return _loopback


@pytest.fixture
def run_tests(pytester, monkeypatch):
    """Run the source of a test module with a real pytest, in this process, and return the result.

    Lines are wide enough for whole messages in the summary, and warnings are no errors as they are in ours.
    Hypothesis takes longer to import than such a run takes, so its plugin stays out.
    """
    monkeypatch.setenv("COLUMNS", "250")

    def run_tests(source, *args, ini=""):
        pytester.makeini(f"[pytest]\nasyncio_default_fixture_loop_scope = function\n{ini}")
        pytester.makepyfile(source)
        return pytester.runpytest("-p", "no:hypothesispytest", "-W", "default", *args)

    return run_tests
