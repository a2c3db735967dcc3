"""A real server that plays the API, in a process of its own, and what the tests around it share."""

from __future__ import annotations

import contextlib
import gc
import gzip
import importlib
import json
import os
import subprocess
import sys
import threading
import time
import warnings
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import spidra  # noqa: F401 - an inner run forgets what it has imported, and the C half of YAML does not
import vcr  # noqa: F401 - likewise

KEY = "spd_live_0123456789abcdef"

HEAD = """
import random
from pytest_spidra import *

def script(spidra_server):
    batch = spidra_server.batch
    account = spidra_server.account
"""


@contextlib.contextmanager
def served(folder, script=""):
    """Yield the base URL of a server that follows a script, given as the body of its function."""
    body = "".join(f"    {line}\n" for line in script.strip().splitlines())
    file = folder / "server_script.py"
    file.write_text(HEAD + body)
    process = subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-m", "pytest_spidra", "serve", "--port", "0", "--script", file],
        stdout=subprocess.PIPE,
        text=True,
        cwd=folder,
    )
    with process:
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()
            process.communicate()


COMPRESSED = {
    "identity": lambda body: body,
    "gzip": gzip.compress,
    "br": lambda body: importlib.import_module("brotli").compress(body),
    "deflate": lambda body: body,  # which it is not
    "interim": lambda body: body,
    "chunked": lambda body: b"".join(
        b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:30], body[30:], b"")
    ),
}


@contextlib.contextmanager
def simple_server(encoding="identity", dribble=0.0):
    """Yield the base URL of a server with one batch, which ends after one look, and with compressed replies.

    It stands in for what our own server does not do. A body may come in three pieces, `dribble` seconds apart.
    """
    looks = []
    urls = ["https://shop.example/ä"]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self):
            self.rfile.read(int(self.headers.get("content-length", 0)))
            if self.command == "POST":
                self.reply(202, {"status": "queued", "batchId": "b1", "total": 1})
                return
            looks.append(self.path)
            done = len(looks) % 2 == 0
            item = {"uuid": "i1", "url": urls[0], "jobId": "j1", "status": "completed" if done else "running"}
            item |= {"result": "# ä " * 200 if done else None, "error": None, "creditsUsed": 2 if done else 0}
            counts = {"totalUrls": 1, "completedCount": int(done), "failedCount": 0}
            self.reply(200, {"status": item["status"], **counts, "items": [item]})

        def reply(self, status, value):
            body = COMPRESSED[encoding](json.dumps(value).encode())
            if encoding == "interim":
                self.send_response_only(100)
                self.end_headers()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("set-cookie", "one=1")
            self.send_header("set-cookie", "two=2")
            if encoding == "chunked":
                self.send_header("transfer-encoding", "chunked")
            else:
                self.send_header("content-length", str(len(body)))
            if encoding in {"gzip", "br", "deflate"}:
                self.send_header("content-encoding", encoding)
            self.end_headers()
            third = len(body) // 3
            for piece in (body[:third], body[third : 2 * third], body[2 * third :]):
                self.wfile.write(piece)
                self.wfile.flush()
                time.sleep(dribble)

        do_GET = do_POST = answer  # noqa: N815 - names of http.server

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/api"
    finally:
        server.shutdown()
        server.server_close()


def note(mode, name, value):
    """Leave a note for the test that looks at what an inner run did."""
    folder = Path(os.environ["SPIDRA_TEST_NOTES"])
    folder.mkdir(exist_ok=True)
    (folder / f"{mode}+{name}.json").write_text(json.dumps(value))


class Notes:
    """What inner runs noted: for each mode, values by the names that they were given."""

    def __init__(self, folder):
        self._folder = folder

    def __getitem__(self, mode):
        return {
            file.stem.partition("+")[2]: json.loads(file.read_text())
            for file in sorted(self._folder.glob(f"{mode}+*.json"))
        }


@pytest.fixture(name="notes")
def notes_fixture(pytester, monkeypatch):
    """What inner runs of this test noted."""
    folder = pytester.path / "notes"
    monkeypatch.setenv("SPIDRA_TEST_NOTES", str(folder))
    return Notes(folder)


@pytest.fixture(name="inner")
def inner_fixture(run_tests, notes, monkeypatch):
    """Run tests as `run_tests` does, with a key, against a base URL, and with the modules beside this one.

    The SDK's sync client leaves sockets open, which is no fault of ours: they are gone when this returns.
    """
    monkeypatch.setenv("SPIDRA_API_KEY", KEY)

    here = f"import sys; sys.path.append({str(Path(__file__).parent)!r})\n"  # xdist's workers begin without

    def inner(source, base_url, *args, ini=""):
        with warnings.catch_warnings(action="ignore", category=ResourceWarning):
            result = run_tests(
                here + source, *args, ini=f"spidra_base_url = {base_url}\nspidra_rules = off\n{ini}"
            )
            gc.collect()
        return result

    return inner
