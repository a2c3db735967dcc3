"""Settings of one test: what options, ini options and the marker say. Imported when pytest starts, so it imports little."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import pytest

from pytest_spidra.traffic.address import BASE_URL

if TYPE_CHECKING:
    from collections.abc import Collection

REQUEST_LIMIT = 1000
FIXTURES = ("spidra_mock", "spidra_api", "spidra_server")
MODES = ("mock", "replay")
MARKER_SETTINGS = ("allow", "allow_unused_steps", "cassette", "clock", "modes", "request_limit", "rules")

Level = Literal["warn", "error", "off"]

BEGAN = pytest.StashKey[float]()
"""When this run began, in seconds since the Unix epoch; kept in the stash of `pytest.Config`."""

END_OF_TEST = pytest.StashKey[Any]()
"""The `EndOfTest` of a test that uses the plugin; kept in the stash of its item, and of `pytest.Config` while it lasts."""


POLICY = pytest.StashKey[Any]()
"""A line of the policy table, kept in the stash of a conformance test."""


PROTECTION = pytest.StashKey[Any]()
"""The `Protection` of a test that does not record; kept in the stash of its item."""


class RuleWarning(pytest.PytestWarning):
    """A rule accuses the client of something unsafe, expensive or impolite."""

    __module__ = "pytest_spidra"


@dataclass(frozen=True)
class Settings:
    """What ini options and the marker say for one test.

    Args:
        base_url: The URL below which requests are answered, without a slash at its end.

        request_limit: Most requests without progress.

        allow_unused_steps: Whether scripted steps may stay unused.

        clock: ``"virtual"`` or ``"real"``.

        rules: What an accusation does: ``"warn"``, ``"error"`` or ``"off"``.

        rule_names: Which rules judge; None: all.

        fixture: What the test asked for: ``"spidra_mock"``, ``"spidra_api"`` or ``"spidra_server"``.

        test: The test's node id.
    """

    base_url: str = BASE_URL
    request_limit: int = REQUEST_LIMIT
    allow_unused_steps: bool = False
    clock: Literal["virtual", "real"] = "virtual"
    rules: Level = "warn"
    rule_names: frozenset[str] | None = None
    fixture: str = "spidra_mock"
    test: str = ""

    @property
    def virtual(self) -> bool:
        """Whether the test's clock is the virtual one."""
        return self.clock == "virtual"


def check_ini(config: pytest.Config) -> None:
    """See that every ini option and option of ours has a value it can have.

    Raises:
        pytest.UsageError: One has not; the message names it and what it takes.
    """
    where = f"{config.inipath.name}: the ini option" if config.inipath else "the ini option"
    _limit(f"{where} spidra_request_limit", _ini(config, "spidra_request_limit"))
    _clock(f"{where} spidra_clock", _ini(config, "spidra_clock"))
    _base_url(f"{where} spidra_base_url", _ini(config, "spidra_base_url"))
    _modes(f"{where} spidra_modes", _ini(config, "spidra_modes"))
    _rules(("--spidra-rules", config.getoption("spidra_rules")))
    _rules((f"{where} spidra_rules", _ini(config, "spidra_rules")))


def marker_settings(node: pytest.Item | pytest.Collector) -> dict[str, Any]:
    """Return the marker's settings, the nearest mark's first.

    Raises:
        pytest.UsageError: One that there is not.
    """
    told: dict[str, Any] = {}
    for mark in node.iter_markers("spidra"):
        if mark.args:
            msg = f"@pytest.mark.spidra takes settings by name only, not {mark.args[0]!r}"
            raise pytest.UsageError(msg)
        told = {**mark.kwargs, **told}
    unknown = [name for name in told if name not in MARKER_SETTINGS]
    if unknown:
        msg = (
            f"@pytest.mark.spidra has no setting {unknown[0]!r}.{_hint(unknown[0], MARKER_SETTINGS)} "
            f"The settings are {', '.join(MARKER_SETTINGS)}."
        )
        raise pytest.UsageError(msg)
    return told


def modes_of(node: pytest.Item | pytest.Collector) -> list[str]:
    """Return the modes that a test with `spidra_api` runs in.

    Raises:
        pytest.UsageError: One that there is not, or none.
    """
    given = marker_settings(node).get("modes")
    if given is None:
        return _modes("the ini option spidra_modes", _ini(node.config, "spidra_modes"))
    return _modes("@pytest.mark.spidra(modes=…)", given)


def checked_modes_of(node: pytest.Item | pytest.Collector) -> list[str]:
    """Return the modes that a test with `spidra_api` runs in; fail its collection when they are wrong."""
    wrong = ""
    try:
        return modes_of(node)
    except pytest.UsageError as error:
        wrong = str(error)
    pytest.fail(f"{node.nodeid}: {wrong}", pytrace=False)


def settings_of(node: pytest.Item | pytest.Collector, fixture: str) -> Settings:
    """Return what is said for one test.

    Raises:
        pytest.UsageError: Something that cannot be.
    """
    told, config = marker_settings(node), node.config
    if "modes" in told and fixture != "spidra_api":
        msg = (
            f"@pytest.mark.spidra(modes=…) is for tests with spidra_api; {fixture} is always the fake service"
        )
        raise pytest.UsageError(msg)
    level, names = _rules(
        ("@pytest.mark.spidra(rules=…)", told.get("rules")),
        ("--spidra-rules", config.getoption("spidra_rules")),
        ("the ini option spidra_rules", _ini(config, "spidra_rules")),
    )
    allowed = _allowed(told.get("allow", ()))
    if allowed:
        names = frozenset(_known_rules() if names is None else names) - allowed
    unused = told.get("allow_unused_steps", False)
    if not isinstance(unused, bool):
        msg = f"@pytest.mark.spidra(allow_unused_steps=…) is True or False, not {unused!r}"
        raise pytest.UsageError(msg)
    if "request_limit" in told:
        limit = _limit("@pytest.mark.spidra(request_limit=…)", told["request_limit"])
    else:
        limit = _limit("the ini option spidra_request_limit", _ini(config, "spidra_request_limit"))
    source = "@pytest.mark.spidra(clock=…)" if "clock" in told else "the ini option spidra_clock"
    return Settings(
        base_url=_base_url("the ini option spidra_base_url", _ini(config, "spidra_base_url")).rstrip("/"),
        request_limit=limit,
        allow_unused_steps=unused,
        clock=_clock(source, told.get("clock", _ini(config, "spidra_clock"))),
        rules=level,
        rule_names=names,
        fixture=fixture,
        test=node.nodeid,
    )


def _ini(config: pytest.Config, name: str) -> Any:
    """Return an ini option's value, an `_Unreadable` where it has a type that pytest refuses."""
    try:
        return config.getini(name)
    except (TypeError, ValueError, pytest.UsageError) as error:
        return _Unreadable(str(error))


class _Unreadable:
    """A value that pytest itself could not read; it is shown in the place of one, as it is none that we take."""

    def __init__(self, why: str) -> None:
        self._why = why

    def __repr__(self) -> str:
        return f"what is there: {self._why}"


def _limit(source: str, value: Any) -> int:
    number = int(value) if isinstance(value, str) and value.isdecimal() else value
    if type(number) is not int or number < 1:
        msg = f"{source} is a number of requests from 1 on, not {value!r}"
        raise pytest.UsageError(msg)
    return number


def _clock(source: str, value: Any) -> Literal["virtual", "real"]:
    if value not in ("virtual", "real"):
        msg = f'{source}: the clock of a test is "virtual" or "real", not {value!r}'
        raise pytest.UsageError(msg)
    clock: Literal["virtual", "real"] = value
    return clock


def _modes(source: str, given: Any) -> list[str]:
    several = [given] if isinstance(given, str) else given
    several = list(several) if isinstance(several, list | tuple) else [repr(several)]
    modes = [word for one in several for word in str(one).replace(",", " ").split()]
    wrong = [mode for mode in modes if mode not in MODES]
    if wrong or not modes or len({*modes}) < len(modes):
        what = f"{wrong[0]!r} is no mode" if wrong else "each mode once, and at least one"
        hint = _hint(wrong[0], MODES) if wrong else ""
        if "record" in wrong:
            hint = " Recording is asked for on the command line, with --spidra-record."
        msg = f'{source}: {what}.{hint} It takes "mock", "replay", or both.'
        raise pytest.UsageError(msg)
    return modes


def _rules(*sources: tuple[str, Any]) -> tuple[Level, frozenset[str] | None]:
    """Return what an accusation does, and which rules judge; the first source that says so decides.

    A source that names rules wants them to judge: a level "off" after it becomes "warn".
    """
    level: Level | None = None
    names: frozenset[str] | None = None
    for source, value in sources:
        if value is None or level:
            continue
        several = value.split(",") if isinstance(value, str) else value
        if not isinstance(several, list | tuple | set | frozenset):
            several = [repr(several)]
        words = [str(word).strip() for word in several]
        if words in (["warn"], ["error"]):
            level = "warn" if words == ["warn"] else "error"
        elif words == ["off"]:
            level = "off" if names is None else "warn"
        elif names is None:
            names = _named(source, words, 'It takes "warn", "error", "off", or rules')
    return level or "warn", names


def _allowed(value: Any) -> frozenset[str]:
    several = [value] if isinstance(value, str) else value
    if not isinstance(several, list | tuple | set | frozenset):
        several = [repr(several)]
    source = "@pytest.mark.spidra(allow=…)"
    return _named(source, list(map(str, several)), "It takes rules") if several else frozenset()


def _named(source: str, words: list[str], takes: str) -> frozenset[str]:
    rules = _known_rules()
    wrong = [word for word in words if word not in rules]
    if wrong or not words:
        what = f"{wrong[0]!r} is no rule.{_hint(wrong[0], rules)}" if wrong else "no rule is named."
        msg = f"{source}: {what} {takes}: {', '.join(rules)}."
        raise pytest.UsageError(msg)
    return frozenset(words)


def _known_rules() -> Collection[str]:
    from pytest_spidra.verdicts.rules.judge import RULES

    return RULES


def _hint(word: str, known: Collection[str]) -> str:
    from pytest_spidra.traffic.suggestions import did_you_mean

    return did_you_mean(word, known)


def _base_url(source: str, value: Any) -> str:
    if value == BASE_URL:
        return BASE_URL
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(value)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except (AttributeError, ValueError):  # the port is not a number, the value is not a text
        good = False
    if not good:
        msg = f"{source} is a URL such as {BASE_URL}, not {value!r}"
        raise pytest.UsageError(msg)
    return str(value)
