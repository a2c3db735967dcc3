"""Runs of the runner under test: what it was given, what it returned or raised, and how long it took."""

from __future__ import annotations

import asyncio
import inspect
import random
import threading
from collections.abc import Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from pytest_spidra.sessions.fake_sessions import FakeSession
from pytest_spidra.settings import REQUEST_LIMIT, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ENDLESS = (
    "The client sent more than",
    "The test has waited",
    "This wait never ends",
    "The client waits for ever",
)
"""How the messages begin that end a run which would never end."""


@dataclass
class Run:
    """One run of the runner.

    Args:
        urls: What it was given.

        rounds: Its ``max_attempts``.

        items: What it returned, as a list; None when it raised or returned nothing that can be listed.

        returned: What it returned.

        error: What it raised, or None.

        endless: Whether the plugin had to end it.
    """

    urls: list[str]
    rounds: int
    items: list[Any] | None = None
    returned: Any = None
    error: BaseException | None = None
    endless: bool = False

    def returned_of(self, url: str) -> list[Any]:
        """Return the items that tell of a URL."""
        return [item for item in self.items or [] if field_of(item, "url") == url]


@dataclass
class Observed:
    """Everything that can be known of one or several runs, once they are over.

    Args:
        session: What answered.

        runs: The runs.

        before: Ids of the batches that were there before.

        elapsed: Seconds that it took, on the virtual clock.
    """

    session: FakeSession
    runs: list[Run]
    before: set[str] = field(default_factory=set)
    elapsed: float = 0.0


def field_of(item: Any, name: str) -> Any:
    """Return a field of an item: of a dict by the API's name, of an object by the SDK's, which is the same."""
    return item.get(name) if isinstance(item, Mapping) else getattr(item, name, None)


def has_field(item: Any, name: str) -> bool:
    """Whether an item tells a field at all."""
    return name in item if isinstance(item, Mapping) else hasattr(item, name)


@contextmanager
def open_session(request_limit: int = REQUEST_LIMIT) -> Iterator[FakeSession]:
    """Open a fake of its own, for one run of many in one test; the rules are asked by whoever judges.

    Args:
        request_limit: Most requests without progress.
    """
    session = FakeSession(Settings(request_limit=request_limit, allow_unused_steps=True, rules="off"))
    session.open()
    try:
        yield session
    finally:
        session.close()


def observe(
    runner: Callable[..., Any], session: FakeSession, parts: Sequence[list[str]], rounds: int
) -> Observed:
    """Let the runner run on each part, all at once when there are several, and return what came of it.

    Args:
        runner: ``run(urls, *, base_url, api_key, max_attempts) -> items``, sync or async.

        session: What answers; it is open.

        parts: The URLs of each run.

        rounds: ``max_attempts``.
    """
    runs = [Run(list(urls), rounds) for urls in parts]
    observed = Observed(session, runs, {batch.id for batch in session.mock.batches})
    began, state = session.mock.clock.elapsed, random.getstate()
    random.seed(len(runs))  # a runner that jitters is to wait the same each time
    try:
        if len(runs) == 1:
            _perform(runner, session, runs[0])
        else:
            threads = [threading.Thread(target=_perform, args=(runner, session, run)) for run in runs]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    finally:
        random.setstate(state)
    observed.elapsed = round(session.mock.clock.elapsed - began, 6)
    ended = any(failure.startswith(ENDLESS) for failure in session.failures)
    for run in runs:
        run.endless = ended and not isinstance(run.error, Exception)
        if isinstance(run.error, KeyboardInterrupt | pytest.exit.Exception | pytest.skip.Exception):
            raise run.error
        if isinstance(run.error, pytest.fail.Exception) and not run.endless:
            raise run.error  # a request that nobody knows, a way past the plugin: the message says it all
    return observed


def _perform(runner: Callable[..., Any], session: FakeSession, run: Run) -> None:
    api = session.mock
    try:
        run.returned = runner(
            list(run.urls), base_url=api.base_url, api_key=api.api_key, max_attempts=run.rounds
        )
        if inspect.isawaitable(run.returned):
            run.returned = asyncio.run(_awaited(run.returned))
        if isinstance(run.returned, Iterable) and not isinstance(run.returned, str | bytes | Mapping):
            run.items = list(run.returned)
    except BaseException as error:  # noqa: BLE001 - whatever it raises is what it does, and `observe` passes on what is not its
        run.error = error


async def _awaited(what: Any) -> Any:
    return await what
