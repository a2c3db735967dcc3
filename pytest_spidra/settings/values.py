"""The values that settings take, each checked with its source: what is wrong is told with the place where it stands."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

import pytest

from pytest_spidra.traffic.address import BASE_URL, is_base_url

if TYPE_CHECKING:
    from collections.abc import Collection

MODES = ("mock", "replay")

Level = Literal["warn", "error", "off"]


def checked_limit(source: str, value: Any) -> int:
    """Return the most requests without progress; ``"10"`` of an ini file is 10.

    Raises:
        pytest.UsageError: It is none.
    """
    number = int(value) if isinstance(value, str) and value.isdecimal() else value
    if type(number) is not int or number < 1:
        msg = f"{source} is a number of requests from 1 on, not {value!r}"
        raise pytest.UsageError(msg)
    return number


def checked_age(source: str, value: Any) -> float | None:
    """Return days, None where there is no such limit.

    Raises:
        pytest.UsageError: It is none.
    """
    if value is None:
        return None
    with suppress(TypeError, ValueError):
        days = float(value)
        if math.isfinite(days) and days >= 0:
            return days
    msg = f"{source} is a number of days from 0 on, not {value!r}"
    raise pytest.UsageError(msg)


def checked_clock(source: str, value: Any) -> Literal["virtual", "real"]:
    """Return which clock it is.

    Raises:
        pytest.UsageError: It is none.
    """
    if value not in ("virtual", "real"):
        msg = f'{source}: the clock of a test is "virtual" or "real", not {value!r}'
        raise pytest.UsageError(msg)
    clock: Literal["virtual", "real"] = value
    return clock


def checked_modes(source: str, given: Any) -> list[str]:
    """Return the modes, each once.

    Raises:
        pytest.UsageError: It is none.
    """
    several = [given] if isinstance(given, str) else given
    several = list(several) if isinstance(several, list | tuple) else [repr(several)]
    modes = [word for one in several for word in str(one).replace(",", " ").split()]
    wrong = [mode for mode in modes if mode not in MODES]
    if wrong or not modes or len({*modes}) < len(modes):
        what = f"{wrong[0]!r} is no mode" if wrong else "each mode once, and at least one"
        meant = hint(wrong[0], MODES) if wrong else ""
        if "record" in wrong:
            meant = " Recording is asked for on the command line, with --spidra-record."
        msg = f'{source}: {what}.{meant} It takes "mock", "replay", or both.'
        raise pytest.UsageError(msg)
    return modes


def checked_rules(*sources: tuple[str, Any]) -> tuple[Level, frozenset[str] | None]:
    """Return what an accusation does, and which rules judge; the first source that says so decides.

    A source that names rules wants them to judge: a level "off" after it becomes "warn".
    """
    level: Level | None = None
    names: frozenset[str] | None = None
    for source, value in sources:
        if value is None or level:
            continue
        words = _words(value.split(",") if isinstance(value, str) else value)
        if words in (["warn"], ["error"]):
            level = "warn" if words == ["warn"] else "error"
        elif words == ["off"]:
            level = "off" if names is None else "warn"
        elif names is None:
            names = _named(source, words, 'It takes "warn", "error", "off", or rules')
    return level or "warn", names


def checked_allowed(source: str, value: Any) -> frozenset[str]:
    """Return the names of rules that do not judge.

    Raises:
        pytest.UsageError: It is none.
    """
    words = _words([value] if isinstance(value, str) else value)
    return _named(source, words, "It takes rules") if words else frozenset()


def _words(several: Any) -> list[str]:
    if not isinstance(several, list | tuple | set | frozenset):
        return [repr(several)]
    return [str(word).strip() for word in several]


def _named(source: str, words: list[str], takes: str) -> frozenset[str]:
    rules = known_rules()
    wrong = [word for word in words if word not in rules]
    if wrong or not words:
        what = f"{wrong[0]!r} is no rule.{hint(wrong[0], rules)}" if wrong else "no rule is named."
        msg = f"{source}: {what} {takes}: {', '.join(rules)}."
        raise pytest.UsageError(msg)
    return frozenset(words)


def known_rules() -> Collection[str]:
    """Return the names of all rules."""
    from pytest_spidra.verdicts.rules.judge import RULES

    return RULES


def hint(word: str, known: Collection[str]) -> str:
    """Return "Did you mean …?" where a known word is close, else nothing."""
    from pytest_spidra.traffic.suggestions import did_you_mean

    return did_you_mean(word, known)


def checked_base_url(source: str, value: Any) -> str:
    """Return a URL below which an API can live.

    Raises:
        pytest.UsageError: It is none.
    """
    if not is_base_url(value):
        msg = f"{source} is a URL such as {BASE_URL}, not {value!r}"
        raise pytest.UsageError(msg)
    return str(value)
