"""The fake without a fixture: ``with mock_spidra() as spidra_mock:``, and the same as a decorator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pytest_spidra.sessions.block import Block
from pytest_spidra.sessions.fake_sessions import FakeSession, ServerSession
from pytest_spidra.settings import OPEN, REQUEST_LIMIT, settings_of_block
from pytest_spidra.traffic.address import BASE_URL

if TYPE_CHECKING:
    from collections.abc import Collection

    from pytest_spidra.fixtures.mock import SpidraMock, SpidraServer
    from pytest_spidra.settings import Settings

_OF_A_SERVER: dict[str, Any] = {"base_url": BASE_URL, "clock": "real", "request_limit": REQUEST_LIMIT}


def mock_spidra(
    *,
    rules: Literal["warn", "error", "off"] | Collection[str] = "warn",
    clock: Literal["virtual", "real"] = "virtual",
    allow: str | Collection[str] = (),
    allow_unused_steps: bool = False,
    request_limit: int = REQUEST_LIMIT,
    base_url: str = BASE_URL,
) -> Block[SpidraMock]:
    """A fake Spidra without a fixture, for as long as a ``with`` block or a decorated function runs.

        with mock_spidra(rules="error") as spidra_mock:
            spidra_mock.batch.submit.script(503)
            ... run the code under test ...

        @given(...)
        @mock_spidra()
        def test_examples(spidra_mock, example): ...

    For examples of hypothesis, fixtures of a wider scope, methods of ``unittest.TestCase``, notebooks; pytest need not
    run. Each block is judged by itself, when it ends, and so is each chapter that ``spidra_mock.reset()`` ends: what
    the rules find is warned of (`RuleWarning`) or, with ``rules="error"``, raised as AssertionError. What was scripted
    and never came, and what the code swallowed, is raised in any case, unless the block fails by itself: then its
    error has it as a note. Options, ini options and the marker say nothing here.

    Args:
        rules: What an accusation of the rules does, ``"warn"``, ``"error"`` or ``"off"``, or which rules judge.

        clock: ``"virtual"`` or ``"real"``.

        allow: Names of rules that do not judge.

        allow_unused_steps: Whether scripted steps may stay unused.

        request_limit: Most requests without progress.

        base_url: The URL below which requests are answered.

    Raises:
        ValueError: One of them is something that cannot be.
    """
    values = locals()

    def open_session(settings: Settings) -> tuple[FakeSession, SpidraMock]:
        __tracebackhide__ = True
        if OPEN:
            there = OPEN[-1].settings
            msg = (
                f"mock_spidra() cannot begin: {there.block or there.fixture} answers here already, and only one of them "
                "can; one of a wider scope does until that scope ends. Use the one that is there; its reset() begins a new chapter, judged by itself."
            )
            raise RuntimeError(msg)
        session = FakeSession(settings)
        session.open()
        return session, session.mock

    return Block(
        "mock_spidra",
        "spidra_mock",
        open_session,
        lambda seed: settings_of_block("mock_spidra", seed, **values),
    )


def serve_spidra(
    port: int = 0,
    *,
    host: str = "127.0.0.1",
    rules: Literal["warn", "error", "off"] | Collection[str] = "warn",
    allow: str | Collection[str] = (),
    allow_unused_steps: bool = False,
) -> Block[SpidraServer]:
    """The fake Spidra on a port, without a fixture: for a server of any scope.

        @pytest.fixture(scope="session")
        def spidra_server():
            with serve_spidra() as server:
                yield server

    Each block is judged when it ends, as by `mock_spidra`, and so is each chapter that ``server.reset()`` ends. Time is
    real.

    Args:
        port: The port; 0: a free one. ``server.base_url`` says which.

        host: The address to listen on.

        rules: What an accusation of the rules does, ``"warn"``, ``"error"`` or ``"off"``, or which rules judge.

        allow: Names of rules that do not judge.

        allow_unused_steps: Whether scripted steps may stay unused.

    Raises:
        ValueError: One of them is something that cannot be.
    """
    values = {"rules": rules, "allow": allow, "allow_unused_steps": allow_unused_steps}

    def open_session(settings: Settings) -> tuple[ServerSession, SpidraServer]:
        __tracebackhide__ = True
        session = ServerSession(settings, host=host, port=port)
        session.open()
        return session, session.server

    return Block(
        "serve_spidra",
        "spidra_server",
        open_session,
        lambda seed: settings_of_block("serve_spidra", seed, **_OF_A_SERVER, **values),
    )
