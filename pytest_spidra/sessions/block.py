"""A ``with`` block, or a decorated function, in which the fake answers."""

from __future__ import annotations

import functools
import inspect
import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

import pytest

from pytest_spidra.clients.network_guard import key_in_environment
from pytest_spidra.fixtures.mock import SpidraMock
from pytest_spidra.sessions.conclusion import beside, failure, place_of_caller, warn_or_fail
from pytest_spidra.sessions.wiring import API_KEY
from pytest_spidra.settings import KEY_VARIABLE, OPEN, TOLD

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from pytest_spidra.sessions.fake_sessions import FakeSession, ServerSession
    from pytest_spidra.settings import Settings
    from pytest_spidra.verdicts.rules.base import Accusation

Held = TypeVar("Held", bound=SpidraMock)
Given = ParamSpec("Given")
Returned = TypeVar("Returned")


class Block(Generic[Held]):
    """A ``with`` block, or a decorated function, in which the fake answers; each entry is a session of its own.

    Args:
        name: The function that made it.

        argument: What a decorated function calls the fake when it wants it.

        open_session: Opens a session.

        settings: Returns the settings, for a seed that no other block has.
    """

    def __init__(
        self,
        name: str,
        argument: str,
        open_session: Callable[[Settings], tuple[FakeSession | ServerSession, Held]],
        settings: Callable[[str], Settings],
    ) -> None:
        settings("")  # what is wrong is told here
        self._name = name
        self._argument = argument
        self._open_session: Callable[[Settings], tuple[FakeSession | ServerSession, Held]] = open_session
        self._settings = settings
        self._place = place_of_caller()  # where warnings point
        self._session: FakeSession | ServerSession | None = None
        self._left = ExitStack()

    def __enter__(self) -> Held:
        """Begin to answer.

        Raises:
            RuntimeError: Another one answers here already, or something else fakes the time.
        """
        __tracebackhide__ = True
        if self._session is not None:
            msg = f"this {self._name}() is entered already; make one for each block"
            raise RuntimeError(msg)
        with ExitStack() as left:
            session, held = self._open_session(self._settings(_seed()))
            left.callback(session.close)
            left.enter_context(key_in_environment(KEY_VARIABLE, API_KEY))
            self._left = left.pop_all()
        self._session = session
        return held

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Judge, and leave nothing behind.

        Raises:
            AssertionError: Something that the block swallowed, something scripted that never came, or with
                ``rules="error"`` what the rules found. Not where the block has failed by itself: then all of
                this is added to its error as a note.
        """
        __tracebackhide__ = True
        session, self._session = self._session, None
        if session is None:
            return
        with self._left:
            accusations = session.accusations()
            message = failure(session, error)
            _tell(session.told + accusations)
            if error is None and message is None:
                message = warn_or_fail(session, accusations, self._place)
            if message is None and isinstance(error, (Exception, pytest.fail.Exception)):
                for heading, text in beside(session, accusations, str(error)):
                    error.add_note(f"\n{f' {heading} '.center(72, '-')}\n{text}")
        if message is not None:
            raise AssertionError(message) from None

    def __call__(self, function: Callable[Given, Returned]) -> Callable[..., Returned]:
        """Let each call of a function, plain or async, be a block of its own.

        A parameter that has the fixture's name gets the fake, and pytest does not see it.

        Raises:
            TypeError: A class, a generator, or what hypothesis has wrapped already: all its examples would be one.
        """
        __tracebackhide__ = True
        self._refuse(function)
        signature = inspect.signature(function)
        others = [one for name, one in signature.parameters.items() if name != self._argument]
        shown = signature.replace(parameters=others)

        def call(held: Held, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            __tracebackhide__ = True
            if len(others) == len(signature.parameters):
                return function(*args, **kwargs)
            given = {**shown.bind(*args, **kwargs).arguments, self._argument: held}
            bound = inspect.BoundArguments(signature, given)
            return function(*bound.args, **bound.kwargs)

        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def asynchronous(*args: Any, **kwargs: Any) -> Any:
                __tracebackhide__ = True
                with self._anew() as held:
                    return await call(held, args, kwargs)

            decorated: Any = asynchronous
        else:

            @functools.wraps(function)
            def synchronous(*args: Any, **kwargs: Any) -> Any:
                __tracebackhide__ = True
                with self._anew() as held:
                    return call(held, args, kwargs)

            decorated = synchronous
        decorated.__signature__ = shown
        return decorated  # type: ignore[no-any-return]  # it returns what the function does

    def _anew(self) -> Block[Held]:
        block: Block[Held] = object.__new__(type(self))
        vars(block).update(vars(self), _session=None)
        return block

    def _refuse(self, function: Any) -> None:
        __tracebackhide__ = True
        instead = ""
        if inspect.isclass(function):
            instead = f"methods, not classes: write self.enterContext({self._name}()) in setUp"
        elif inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            instead = f"no generators: write `with {self._name}() as {self._argument}:` around the yield"
        elif getattr(function, "is_hypothesis_test", False):
            instead = f"what @given calls: write @given above @{self._name}(), so that each example is judged by itself"
        if instead:
            msg = f"{self._name}() decorates {instead}"
            raise TypeError(msg)


def _tell(accusations: list[Accusation]) -> None:
    """Keep what was found for the summary of pytest's run, when there is one."""
    if "PYTEST_CURRENT_TEST" in os.environ:
        told = dict.fromkeys((one.rule, one.claim) for one in accusations)
        TOLD.extend(one for one in told if one not in TOLD)  # hypothesis shows the same example many times


def complete_report(report: pytest.TestReport) -> None:
    """Add to a report what a block knows: one that has ended, or one of a wider scope."""
    if TOLD and report.when != "setup":
        # An attribute of a report travels with it from xdist's workers; it must be JSON.
        vars(report)["spidra_accusations"] = TOLD.copy()
        TOLD.clear()
    if report.failed and OPEN:
        session = OPEN[-1]
        report.sections += beside(session, session.accusations(), report.longreprtext)


_blocks_of: list[Any] = ["", 0]  # the test that runs, and how many blocks there were in it


def _seed() -> str:
    """Return a text that is the same in every run, and that no other block of this run has."""
    test = os.environ.get("PYTEST_CURRENT_TEST", "")
    if _blocks_of[0] != test:
        _blocks_of[:] = [test, 0]
    _blocks_of[1] += 1
    return f"{test} block {_blocks_of[1]}"
