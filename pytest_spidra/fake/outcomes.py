"""Item outcomes and batch ends: how the service's work at a URL, or at a whole batch, ends."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from pytest_spidra.clock.units import MICROSECONDS

Ending = Literal["completed", "failed", "stuck"]
BatchEnding = Literal["failed", "cancelled"]


@dataclass(frozen=True)
class When:
    """After how many looks, or how much time, something comes to its end.

    `polls` counts GETs of the batch that still show the old state. `microseconds` replaces it when it is set.
    """

    polls: int = 1
    microseconds: int | None = None


@dataclass(frozen=True)
class Outcome:
    """How one attempt at one URL ends. Made by `completed`, `failed` and `stuck`.

    `flags` are what only a job other than a batch can show: ``delayed``, ``ai_extraction_failed`` …
    """

    ending: Ending
    when: When
    result: Any = None
    error: str | None = None
    credits: int | None = None
    captchas: int = 0
    flags: frozenset[str] = frozenset()

    @property
    def ends_at_once(self) -> bool:
        """Whether the attempt ends in the moment it is queued."""
        return self.ending != "stuck" and not (self.when.polls or self.when.microseconds)


@dataclass(frozen=True)
class BatchEnd:
    """How a whole batch ends, whatever its items would have done."""

    status: BatchEnding
    when: When
    unfinished: BatchEnding


def completed(
    result: Any = None,
    credits: int | None = None,  # noqa: A002 - the word of the API and of its users
    *,
    after_polls: int = 1,
    after_seconds: float | None = None,
    captchas: int = 0,
    ai_extraction_failed: bool = False,
    extraction_empty: bool = False,
    low_content: bool = False,
    unsuccessful: bool = False,
    delayed: bool = False,
) -> Outcome:
    """The attempt succeeds.

    Args:
        result: What the item's ``result`` holds: any JSON value. Default: a Markdown text when the batch has
            neither a prompt nor a schema or asks for ``markdown``, else an object with the URL.

        credits: What the item costs, in credits. Default: the price that was reserved for it.

        after_polls: How many looks (GETs of the batch) still show it unfinished; 0: it is done at once.

        after_seconds: Seconds from the start of the attempt, on the test's clock; replaces `after_polls`.

        captchas: How many CAPTCHAs are solved on the way, 5 credits each.

        ai_extraction_failed: The AI failed, and the result is raw Markdown in its place (scrapes only).

        extraction_empty: The extraction came back empty (scrapes only).

        low_content: The page is suspiciously thin, ``lowContent`` (scrapes only).

        unsuccessful: The result says ``success: false`` (searches only).

        delayed: Until it ends, the job waits for a retry of the service's own, ``delayed`` (jobs that are no batch).

    Raises:
        ValueError: A negative number, or both ways of waiting at once.

        TypeError: A number that is none, a result that is no JSON.
    """
    __tracebackhide__ = True
    try:
        json.dumps(result, allow_nan=False)
    except (TypeError, ValueError) as error:
        msg = f"completed(result=…) takes a JSON value, not {result!r}: {error}"
        raise type(error)(msg) from None
    if credits is not None and (type(credits) is not int or credits < 0):
        msg = f"completed(credits=…) takes a whole number of credits from 0 on, not {credits!r}"
        raise ValueError(msg)
    if type(captchas) is not int or captchas < 0:
        msg = f"completed(captchas=…) counts CAPTCHAs from 0 on, not {captchas!r}"
        raise ValueError(msg)
    given = {
        "ai_extraction_failed": ai_extraction_failed,
        "extraction_empty": extraction_empty,
        "low_content": low_content,
        "unsuccessful": unsuccessful,
        "delayed": delayed,
    }
    flags = frozenset(name for name, value in given.items() if value)
    ends = when("completed", after_polls, after_seconds)
    return Outcome("completed", ends, result, None, credits, captchas, flags)


def failed(
    error: str = "Timeout",
    *,
    after_polls: int = 1,
    after_seconds: float | None = None,
    delayed: bool = False,
) -> Outcome:
    """The attempt fails and costs nothing; a retry of the batch makes the next attempt.

    Args:
        error: The item's ``error`` text. Spidra's true texts are not documented.

        after_polls: How many looks (GETs of the batch) still show it unfinished; 0: it fails at once.

        after_seconds: Seconds from the start of the attempt, on the test's clock; replaces `after_polls`.

        delayed: Until it ends, the job waits for a retry of the service's own, ``delayed`` (jobs that are no batch).

    Raises:
        ValueError: A negative number, or both ways of waiting at once.

        TypeError: An error that is no text, a number that is none.
    """
    __tracebackhide__ = True
    if not isinstance(error, str):
        msg = f"failed(…) takes the item's error text, not {error!r}"
        raise TypeError(msg)
    flags = frozenset({"delayed"} if delayed else ())
    return Outcome("failed", when("failed", after_polls, after_seconds), None, error, flags=flags)


def stuck(*, after_polls: int = 1, after_seconds: float | None = None, delayed: bool = False) -> Outcome:
    """The attempt never ends: a worker takes the item and it shows ``running`` for ever, ``delayed`` where it is told so.

    `after_polls` and `after_seconds` are checked as everywhere and change nothing that a client could see: an
    item that hangs looks the same before and after the moment it began to.

    Raises:
        ValueError: A negative number, or both ways of waiting at once.

        TypeError: A number that is none.
    """
    __tracebackhide__ = True
    flags = frozenset({"delayed"} if delayed else ())
    return Outcome("stuck", when("stuck", after_polls, after_seconds), flags=flags)


def batch_end(
    status: BatchEnding,
    *,
    after_polls: int = 1,
    after_seconds: float | None = None,
    unfinished: BatchEnding | None = None,
) -> BatchEnd:
    """Return the end of a whole batch; see ``spidra_mock.batch.ends``."""
    __tracebackhide__ = True
    for word in (status, status if unfinished is None else unfinished):
        if word not in ("failed", "cancelled"):
            msg = f'a batch is made to end "failed" or "cancelled", not {word!r}'
            raise ValueError(msg)
    return BatchEnd(status, when("ends", after_polls, after_seconds), unfinished or status)


def when(name: str, after_polls: int, after_seconds: float | None) -> When:
    """Check and join the two ways of waiting; `name` is the function the user called."""
    __tracebackhide__ = True
    if type(after_polls) is not int:
        msg = f"{name}(after_polls=…) takes a whole number of polls, not {after_polls!r}"
        raise TypeError(msg)
    if after_polls < 0:
        msg = f"{name}(after_polls=…) counts polls from 0 on (0: at once), not {after_polls}"
        raise ValueError(msg)
    if after_seconds is None:
        return When(after_polls)
    if isinstance(after_seconds, bool) or not isinstance(after_seconds, int | float):
        msg = f"{name}(after_seconds=…) takes a number of seconds, not {after_seconds!r}"
        raise TypeError(msg)
    if not 0 <= after_seconds < float("inf"):
        msg = f"{name}(after_seconds=…) counts seconds from 0 on, not {after_seconds}"
        raise ValueError(msg)
    if after_polls != 1:
        msg = f"{name}(…) ends after polls or after seconds: give one of them"
        raise ValueError(msg)
    return When(0, round(after_seconds * MICROSECONDS))
