"""A real server that plays the API, in a process of its own, and what the tests around it share."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
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


@pytest.fixture
def notes(pytester, monkeypatch):
    """What inner runs of this test noted."""
    folder = pytester.path / "notes"
    monkeypatch.setenv("SPIDRA_TEST_NOTES", str(folder))
    # Workers of xdist look for modules on their own.
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "rules")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    return Notes(folder)
