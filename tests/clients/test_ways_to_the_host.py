"""No way to the real host leaves the process, and each that is refused names itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("trustme", reason="the lowest versions go without it")
import ways_to_the_host as ways

KEY = "spd_real"  # nobody's
HEARD = {"TLS without a name": ["TLS"]}  # to an address that no name leads to: only the request in it tells
NAMES = [*ways.WAYS, "before the fixture is set up", "after the fixture"]

HOOKS = """
import json
import ways_to_the_host as ways

REPORTS = {}

def pytest_runtest_logreport(report):
    if report.failed:
        REPORTS.setdefault(report.nodeid, []).append(report.longreprtext)

def pytest_sessionfinish():
    with open("reports.json", "w") as file:
        json.dump(REPORTS, file)
"""

TESTS = """
import json, time
import pytest
import ways_to_the_host as ways

FOUND = {}

@pytest.fixture
def no_guard():
    pass

@pytest.fixture(scope="session")
def host():
    yield ways.listeners[0]
    with open("found.json", "w") as file:
        json.dump(FOUND, file)

@pytest.fixture(scope="session")
def prepared(host):
    return {name: make(host) for name, make in ways.PREPARED.items() if not ways.missing(name)}

def note(name, host, way, *args):
    host.arrived.clear()
    error = ""
    try:
        way(host, *args)
    except BaseException as caught:
        error = f"{type(caught).__name__}: {caught}"
    time.sleep(0.05)  # what was sent is read in another thread
    FOUND[name] = {"arrived": host.arrived[:], "error": error}

@pytest.mark.spidra(clock="real", rules="off")
@pytest.mark.parametrize("name", [name for name in ways.WAYS if not ways.missing(name)])
def test_way(name, host, prepared, GUARD):
    if "GUARD" == "no_guard" and "only guarded" in name:
        pytest.skip("it would leave this machine")
    note(name, host, ways.WAYS[name], *([prepared[name]] if name in prepared else []))

@pytest.fixture
def early(host):
    note("before the fixture is set up", host, lambda _: ways.ask_requests(ways.URL))

@pytest.mark.spidra(clock="real", rules="off")
def test_early(early, GUARD):
    pass

@pytest.fixture
def late(host):
    yield
    note("after the fixture", host, lambda _: ways.ask_requests(ways.OTHER))

@pytest.mark.spidra(clock="real", rules="off")
def test_late(late, GUARD):
    pass
"""


def run_ways(folder, guard):
    """Run all ways in a process of their own, with a fixture or without; return what arrived, and what pytest said."""
    (folder / "conftest.py").write_text(HOOKS)
    (folder / "test_inner.py").write_text(TESTS.replace("GUARD", guard))
    (folder / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    paths = filter(None, [str(Path(__file__).parent), environment.get("PYTHONPATH")])
    environment |= {"SPIDRA_API_KEY": KEY, "PYTHONPATH": os.pathsep.join(paths)}
    # pytest-recording puts back what it takes for the socket's own, with which names lead elsewhere.
    without = ("hypothesispytest", "cacheprovider", "pytest_httpx", "recording")
    options = ["-q", *(f"-pno:{name}" for name in without), "test_inner.py"]
    command = [
        sys.executable,
        "-c",
        "import sys, ways_to_the_host as ways; sys.exit(ways.main(*sys.argv[1:]))",
        *options,
    ]
    done = subprocess.run(  # noqa: S603 - our own words
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert (folder / "found.json").exists(), done.stdout + done.stderr
    found = json.loads((folder / "found.json").read_text())
    reports = json.loads((folder / "reports.json").read_text())
    for name, way in found.items():
        parts = {"before the fixture is set up": "test_early", "after the fixture": "test_late"}
        node = parts.get(name, f"test_way[{name}]")
        way["said"] = " ".join("\n".join(reports.get(f"test_inner.py::{node}", [])).split())
    return found


def run_once(tmp_path_factory, name, guard):
    """Run all ways in one of xdist's workers, and let the others wait for what it has found."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    result = folder / "result.json"
    try:
        folder.mkdir()
    except FileExistsError:
        while not result.exists():
            time.sleep(0.05)
        return json.loads(result.read_text())
    found = {}  # what cannot be run has found nothing, and nobody waits for it
    try:
        found = run_ways(folder, guard)
    finally:
        (folder / "part.json").write_text(json.dumps(found))
        (folder / "part.json").rename(result)
    return found


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    return run_once(tmp_path_factory, "guarded", "spidra_mock")


@pytest.fixture(scope="module")
def unguarded(tmp_path_factory):
    return run_once(tmp_path_factory, "unguarded", "no_guard")


def found_in(found, name):
    if name not in found:
        pytest.skip("its library is not installed")
    return found[name]


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("child:")])
def test_nothing_arrives_and_the_way_names_itself(guarded, name):
    way = found_in(guarded, name)
    assert way["arrived"] == HEARD.get(name, [])
    assert "was on its way to the real" in way["said"] or "the child ended with" in way["error"]


@pytest.mark.parametrize("name", [name for name in NAMES if "only guarded" not in name])
def test_without_a_guard_it_arrives(unguarded, name):
    """The table shows something: each way leads to the host when nobody stands in it."""
    assert found_in(unguarded, name)["arrived"] != []


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("child:")])
def test_a_child_has_no_real_key(guarded, unguarded, name):
    (head,) = found_in(guarded, name)["arrived"]
    assert "x-api-key: spd_mock" in head
    (head,) = found_in(unguarded, name)["arrived"]
    assert f"x-api-key: {KEY}" in head


def test_there_are_fifty_ways():
    assert len(NAMES) > 50
