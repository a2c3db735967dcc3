"""What the tests of recording and replaying share: a real server, and runs of a user's suite beside it."""

from __future__ import annotations

import contextlib
import gc
import re
import string
import subprocess
import sys
import time
import uuid
import warnings

import httpx
import pytest
import spidra  # noqa: F401 - an inner run forgets what it has imported, and would do so each time anew
import vcr  # noqa: F401 - likewise

import pytest_spidra.cassette_sessions  # noqa: F401 - likewise

KEY = f"spd_{string.digits}{string.ascii_letters[:10]}"

INI = """
[pytest]
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
filterwarnings = default
spidra_rules = off
"""

# What a user's suite has at its top. Looks at a batch are as quick as they may be: waits are real while recording.
SHOP = """
import asyncio, time
import httpx, pytest, spidra
from pytest_spidra import http_error, ok, reply_lost, request_lost

URLS = ["https://shop.example/1", "https://shop.example/2"]
PAUSE = 0.05

def plain(api, **options):
    return httpx.Client(base_url=api.base_url, headers={"x-api-key": api.api_key}, **options)

def plain_async(api, **options):
    return httpx.AsyncClient(base_url=api.base_url, headers={"x-api-key": api.api_key}, **options)

def submit(client, urls=URLS, **options):
    return client.post("/batch/scrape", json={"urls": urls, **options}).json()["batchId"]

def look(client, batch):
    return client.get(f"/batch/scrape/{batch}").json()

def finish(client, batch):
    while (state := look(client, batch))["status"] not in ("completed", "failed", "cancelled"):
        time.sleep(PAUSE)
    return state

"""


class Api:
    """A fake Spidra in a process of its own, as `python -m pytest_spidra serve` has it."""

    def __init__(self, folder, script=""):
        self._log = folder / f"server-{uuid.uuid4().hex}.log"
        arguments = []
        if script:
            file = self._log.with_suffix(".py")
            file.write_text(script)
            arguments = ["--script", file]
        with self._log.open("w") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                [sys.executable, "-m", "pytest_spidra", "serve", "--port", "0", *arguments],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.url = self._lines(lambda lines: lines)[0]
        self._told = 1

    def _lines(self, enough):
        """Return the log's whole lines as soon as there are enough of them."""
        deadline = time.monotonic() + 20
        while True:
            lines = [line for line in self._log.read_text().splitlines(keepends=True) if line.endswith("\n")]
            if enough(lines):
                return [line.strip() for line in lines]
            assert time.monotonic() < deadline, f"the server said only {lines}"
            time.sleep(0.02)

    def requests(self):
        """Return what was answered since somebody last asked, without numbers, seconds and ids of batches."""
        fence = uuid.uuid4().hex[:8]
        httpx.get(f"{self.url}/batch/scrape/{fence}", headers={"x-api-key": KEY})
        lines = self._lines(lambda lines: fence in lines[-1])
        new, self._told = lines[self._told : -1], len(lines)
        return [re.sub(r" [0-9a-f]{8} +", " … ", line.split(maxsplit=2)[2]) for line in new]

    def stop(self):
        self._process.terminate()
        self._process.wait()


@pytest.fixture(scope="session")
def _api(tmp_path_factory):
    api = Api(tmp_path_factory.mktemp("api"))
    yield api
    api.stop()


@pytest.fixture
def api(_api, monkeypatch):
    """A real server that plays the API, and a key for it. It serves many tests; what they send is told apart."""
    monkeypatch.setenv("SPIDRA_API_KEY", KEY)
    _api.requests()
    return _api


@pytest.fixture
def start_api(tmp_path, monkeypatch):
    """Start a server of one's own, with a script for it."""
    monkeypatch.setenv("SPIDRA_API_KEY", KEY)
    with contextlib.ExitStack() as stack:

        def start_api(script=""):
            api = Api(tmp_path, script)
            stack.callback(api.stop)
            return api

        yield start_api


@pytest.fixture
def suite(pytester, monkeypatch):
    """Write a user's suite, ``test_shop.py``, and return how pytest runs it, in this process.

    Hypothesis takes longer to import than such a run takes, so its plugin stays out.
    """
    monkeypatch.setenv("COLUMNS", "250")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    pytester.makefile(".ini", pytest=INI)

    def suite(source, *, conftest="", ini=""):
        pytester.makefile(".ini", pytest=INI + ini)
        pytester.makepyfile(test_shop=SHOP + source)
        pytester.makeconftest(conftest)
        return run

    def run(*args):
        return pytester.runpytest("-p", "no:hypothesispytest", *args)

    yield suite
    # The SDK's sync client leaves its connections to the collector, which complains of each.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def record(api):
    """Return the arguments that record from the server: all anew, or once."""

    def record(how="all", url=None):
        return "-o", f"spidra_base_url={url or api.url}", f"--spidra-record={how}"

    return record


@pytest.fixture
def cassettes(pytester):
    """The folder of the cassettes of the user's suite, and what is in it."""
    return Cassettes(pytester.path / "cassettes")


class Cassettes:
    """The files in a folder of cassettes."""

    def __init__(self, folder):
        self.folder = folder

    def __getitem__(self, name):
        return self.folder / "test_shop" / name

    @property
    def names(self):
        """The names of all files, those of folders below with them."""
        return sorted(
            file.relative_to(self.folder).as_posix() for file in self.folder.rglob("*") if file.is_file()
        )

    @property
    def content(self):
        """All files, to the byte."""
        return {name: (self.folder / name).read_bytes() for name in self.names}


def failure(result):
    """Return the message of the one failing test, in one line."""
    (report,) = [
        one
        for one in result.reprec.getreports("pytest_runtest_logreport")
        if one.failed and one.when == "call"
    ]
    return " ".join(report.longreprtext.split())
