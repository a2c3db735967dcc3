"""What keeps a test from the real API and its key before its session is open, and the key after that."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, NoReturn

import pytest

from pytest_spidra.clients.network_guard import block_hosts, guarded_hosts, key_in_environment
from pytest_spidra.sessions.wiring import API_KEY
from pytest_spidra.settings import FIXTURES, PROTECTION, base_url_of

if TYPE_CHECKING:
    from pytest_spidra.sessions.session import Session

KEY_VARIABLE = "SPIDRA_API_KEY"


class Protection:
    """The protection of one test that does not record.

    It begins with the first fixture of the test's own: what is of a wider scope is not the test's, and may go to the
    real API with a real key.

    Args:
        request: The fixture that is about to be set up.
    """

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self._key = ExitStack()
        self._key.enter_context(key_in_environment(KEY_VARIABLE, API_KEY))
        self._guard = ExitStack()
        self._refused: list[str] = []
        request.node.stash[PROTECTION] = self
        fixture = next((name for name in FIXTURES if name in request.fixturenames), FIXTURES[0])
        # A session that opens in a moment guards the test itself; one that serves other processes does not.
        if request.fixturename not in FIXTURES and fixture != "spidra_server":
            base_url = base_url_of(request.config)
            self._guard.enter_context(
                block_hosts(
                    guarded_hosts(base_url), self._fail, base_url=base_url, fixture=fixture, early=True
                )
            )

    def _fail(self, message: str) -> NoReturn:
        self._refused.append(message)
        raise pytest.fail.Exception(message, pytrace=False)

    def give_over(self, session: Session) -> None:
        """Let a session guard the test from now on; what was swallowed up to now fails the test all the same."""
        self._guard.close()
        session.wiring.interceptor.failures.extend(self._refused)

    def end(self) -> None:
        """Give the key back, when the last fixture has cleared up."""
        self._guard.close()
        self._key.close()


def protect(request: pytest.FixtureRequest) -> None:
    """Protect a test, unless it is protected already."""
    if PROTECTION not in request.node.stash:
        Protection(request)
