"""How a fixture gets the session of its test."""

from __future__ import annotations

import functools
import os
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from pytest_spidra.cassettes.locks import alone_with
from pytest_spidra.cassettes.naming import cassette_name, own_id
from pytest_spidra.sessions.end_of_test import EndOfTest
from pytest_spidra.sessions.fake_sessions import FakeSession, ServerSession
from pytest_spidra.sessions.protection import protect
from pytest_spidra.settings import (
    BEGAN,
    END_OF_TEST,
    FIXTURES,
    KEY_VARIABLE,
    OPEN,
    PROTECTION,
    SHOWN_SECRETS,
    marker_settings,
    modes_of,
    settings_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_spidra.sessions.session import Session
    from pytest_spidra.settings import Settings


def start_mock(request: pytest.FixtureRequest, fixture: str = "spidra_mock") -> FakeSession:
    """Return the session of a test with the fake in this process, the one that is there when it is of this kind."""
    there = request.node.stash.get(END_OF_TEST, None)
    if there is not None and type(there.session) is FakeSession:
        return there.session
    return _started(request, fixture, FakeSession)


def start_server(request: pytest.FixtureRequest) -> ServerSession:
    """Return the session of a test with the fake on a port."""
    return _started(request, "spidra_server", ServerSession)


def start_api(request: pytest.FixtureRequest, vcr_config: dict[str, Any]) -> Session:
    """Return the session of a test that runs mocked, recorded and replayed."""
    mode = getattr(request, "param", None) or modes_of(request.node)[0]
    if mode == "mock":
        return start_mock(request, "spidra_api")
    from pytest_spidra.sessions.cassette_sessions import Cassette, RecordSession, ReplaySession

    cassette = Cassette(
        cassette_path(request.node),
        vcr_config,
        _id_of(request.node, without_mode=False),
        request.config.stash[BEGAN],
        _id_of(request.node),
    )
    record = request.config.getoption("spidra_record")
    if record != "none" and "PYTEST_XDIST_WORKER" in os.environ:
        lock = ExitStack()
        lock.enter_context(alone_with(cassette.path, cassette.owner))
        request.addfinalizer(lock.close)
    if (record == "all" and not cassette.is_of_this_run) or (record == "once" and not cassette.exists):
        key = os.environ.get(KEY_VARIABLE)
        secrets = request.config.stash[SHOWN_SECRETS]
        return _started(
            request, "spidra_api", lambda settings: RecordSession(settings, cassette, key, secrets)
        )
    return _started(request, "spidra_api", lambda settings: ReplaySession(settings, cassette))


def start_any(request: pytest.FixtureRequest) -> Session:
    """Return the session of a test that has asked for one of the fixtures, or of spidra_mock, which it gets then."""
    if END_OF_TEST not in request.node.stash:
        asked_for = [name for name in FIXTURES[1:] if name in request.fixturenames]
        request.getfixturevalue(asked_for[0] if asked_for else "spidra_mock")
    session: Session = request.node.stash[END_OF_TEST].session
    return session


Kind = TypeVar("Kind", bound="Session")


def _started(request: pytest.FixtureRequest, fixture: str, make: Callable[[Settings], Kind]) -> Kind:
    """Make and open a session; it ends with the test, when the last fixture has cleared up."""
    if END_OF_TEST in request.node.stash:
        pytest.fail(
            f"{fixture} cannot start: this test has another of {', '.join(FIXTURES)} already, and only one of them "
            "can answer. Ask for one.",
            pytrace=False,
        )
    if OPEN and OPEN[-1].settings.block:
        pytest.fail(
            f"{fixture} cannot start: mock_spidra() answers here already, and only one of them can. Use the one that is "
            "there; its batch_factory makes batches, and its reset() begins a new chapter.",
            pytrace=False,
        )
    wrong = ""
    try:
        session = make(settings_of(request.node, fixture))
        if protection := request.node.stash.get(PROTECTION, None):
            protection.give_over(session)
        session.open()
        session.wiring.interceptor.end_process = functools.partial(end_process, request.node)
        if not session.records:
            protect(request)
    except (pytest.UsageError, RuntimeError, OSError) as error:
        from pytest_spidra.traffic.network_errors import reasons

        wrong = " ".join([f"{fixture} cannot start: {error}", *reasons(error)])
    if wrong:  # out of the handler, or pytest would show the error twice
        pytest.fail(wrong, pytrace=False)
    EndOfTest(request.node, session)
    return session


def end_process(item: pytest.Item, message: str) -> None:
    """End this process with a message on the screen, as pytest-timeout does: nothing else ends this test."""
    capture = item.config.pluginmanager.getplugin("capturemanager")
    if capture:
        capture.suspend_global_capture(in_=True)
    sys.stderr.write(f"\n{item.nodeid}\n\n{message}\n")
    sys.stderr.flush()
    os._exit(pytest.ExitCode.TESTS_FAILED)


def _id_of(node: Any, *, without_mode: bool = True) -> str:
    """Return a test's id without what other plugins have put into it, and without its mode unless that is asked for."""
    callspec = getattr(node, "callspec", None)
    return own_id(node.nodeid, callspec.params if callspec else {}, *(() if without_mode else ("",)))


def cassette_path(node: Any) -> Path:
    """Return the path of a test's cassette, without a suffix unless the marker gives one."""
    root: Path = node.config.rootpath
    folder = root.joinpath(node.config.getini("spidra_cassette_dir"))
    if named := marker_settings(node).get("cassette"):
        return folder / str(named)
    return folder / cassette_name(_id_of(node))
