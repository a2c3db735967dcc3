"""How a fixture gets the session of its test."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from pytest_spidra.cassettes.naming import cassette_name, own_id
from pytest_spidra.sessions.end_of_test import EndOfTest
from pytest_spidra.sessions.fake_sessions import FakeSession, ServerSession
from pytest_spidra.sessions.protection import protect
from pytest_spidra.settings import (
    BEGAN,
    END_OF_TEST,
    FIXTURES,
    PROTECTION,
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
        request.node.nodeid.partition("[")[0],
        request.config.stash[BEGAN],
        _id_of(request.node),
    )
    record = request.config.getoption("spidra_record")
    if record == "all" or (record == "once" and not cassette.exists):
        key = os.environ.get("SPIDRA_API_KEY")
        return _started(request, "spidra_api", lambda settings: RecordSession(settings, cassette, key))
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
    wrong = ""
    try:
        session = make(settings_of(request.node, fixture))
        if protection := request.node.stash.get(PROTECTION, None):
            protection.give_over(session)
        session.open()
        if not session.records:
            protect(request)
    except (pytest.UsageError, RuntimeError, OSError) as error:
        from pytest_spidra.traffic.network_errors import reasons

        wrong = " ".join([f"{fixture} cannot start: {error}", *reasons(error)])
    if wrong:  # out of the handler, or pytest would show the error twice
        pytest.fail(wrong, pytrace=False)
    EndOfTest(request.node, session)
    return session


def _id_of(node: Any) -> str:
    """Return a test's id without what this and other plugins have put into it."""
    callspec = getattr(node, "callspec", None)
    return own_id(node.nodeid, callspec.params if callspec else {})


def cassette_path(node: Any) -> Path:
    """Return the path of a test's cassette, without a suffix unless the marker gives one."""
    root: Path = node.config.rootpath
    folder = root.joinpath(node.config.getini("spidra_cassette_dir"))
    if named := marker_settings(node).get("cassette"):
        return folder / str(named)
    return folder / cassette_name(_id_of(node))
