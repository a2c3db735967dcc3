"""What the tests of recording and replaying share: a real server, and runs of a user's suite beside it."""

from __future__ import annotations

import contextlib
import gc
import warnings

import pytest
import spidra  # noqa: F401 - an inner run forgets what it has imported, and would do so each time anew
import vcr  # noqa: F401 - likewise
from users_suite import INI, KEY, SHOP, Api, Cassettes

import pytest_spidra.sessions.cassette_sessions  # noqa: F401 - likewise


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
