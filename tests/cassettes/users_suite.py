"""A user's suite that records and replays, and a real server for it."""

from __future__ import annotations

import re
import string
import subprocess
import sys
import time
import uuid

import httpx

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
PAUSE = 0.01

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
        self._client = httpx.Client(verify=False)  # noqa: S501 - no TLS here, and reading certificates takes a while
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
            time.sleep(0.002)

    def requests(self):
        """Return what was answered since somebody last asked, without numbers, seconds and ids of batches."""
        fence = uuid.uuid4().hex[:8]
        self._client.get(f"{self.url}/batch/scrape/{fence}", headers={"x-api-key": KEY})
        lines = self._lines(lambda lines: fence in lines[-1])
        new, self._told = lines[self._told : -1], len(lines)
        return [re.sub(r" [0-9a-f]{8} +", " … ", line.split(maxsplit=2)[2]) for line in new]

    def stop(self):
        self._client.close()
        self._process.terminate()
        self._process.wait()


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
