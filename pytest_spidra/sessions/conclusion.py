"""What is said where the use of a session ends: of a test, of a block, of a chapter."""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING

import pytest

from pytest_spidra.settings import RuleWarning
from pytest_spidra.traffic import timeline
from pytest_spidra.traffic.paragraphs import paragraph
from pytest_spidra.verdicts.messages import rules_report, rules_summary

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_spidra.sessions.session import Session
    from pytest_spidra.verdicts.rules.base import Accusation

SWALLOWED = "Something swallowed this: the code under test went on, and the test fails all the same."


def failure(session: Session, error: BaseException | None) -> str | None:
    """Return why it fails, beyond what `error` says by itself, None when there is nothing to add.

    Args:
        session: What was used.

        error: How the code has ended, None when it returned.
    """
    failures = session.failures
    if error is not None:
        skipped = isinstance(error, pytest.skip.Exception) or type(error).__name__ == "SkipTest"
        grouped = isinstance(error, BaseExceptionGroup) and error.subgroup(pytest.fail.Exception)
        return "\n\n".join(failures) if failures and (skipped or grouped) else None
    if failures:
        return "\n\n".join([*failures, paragraph(SWALLOWED)])
    return session.missed()


def warn_or_fail(session: Session, accusations: Sequence[Accusation], place: tuple[str, int]) -> str | None:
    """Warn of what the rules found; return the message where it is to be a failure.

    Args:
        session: What was used.

        accusations: What they found.

        place: File and line to which a warning points.
    """
    if not accusations:
        return None
    message = rules_report(accusations, session.wiring.log, session.settings.way)
    return message if session.settings.rules == "error" else warn(message, RuleWarning, place)


def warn(message: str, category: type[Warning], place: tuple[str, int]) -> str | None:
    """Warn; return the message where warnings are errors, for one of ours would be shown with a traceback into the plugin."""
    try:
        warnings.warn_explicit(f"\n{message}", category, *place)
    except category:
        return message
    return None


def end_chapter(session: Session) -> None:
    """Judge what has happened up to now by itself: what follows is another chapter.

    Raises:
        AssertionError: Something that was scripted never came, or what the rules found is an error.
    """
    __tracebackhide__ = True
    accusations = session.accusations()
    session.told += accusations
    if message := session.missed() or warn_or_fail(session, accusations, place_of_caller()):
        raise AssertionError(message)


def place_of_caller() -> tuple[str, int]:
    """Return file and line of the code of others that has led here."""
    frame = sys._getframe()  # noqa: SLF001 - the only way to look at the caller without building a traceback
    while frame.f_back and frame.f_globals.get("__name__", "").startswith("pytest_spidra."):
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno


def beside(session: Session, accusations: Sequence[Accusation], text: str) -> Iterator[tuple[str, str]]:
    """Yield what is known beside a failure, with a heading each: what is not in its text yet."""
    log = session.wiring.log
    if untold := [failure for failure in session.failures if failure not in text]:
        yield "spidra", "\n\n".join(untold)
    if (unreached := session.unreached()) and unreached not in text:
        yield "spidra", unreached
    if log and timeline.HEADING not in text:
        guilty = {number for accusation in accusations for number in accusation.numbers}
        parts = [timeline.render(log, guilty), rules_summary(accusations)]
        yield "spidra timeline", "\n\n".join(part for part in parts if part)
