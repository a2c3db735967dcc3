"""Settings of one test: what options, ini options and the marker say. Imported when pytest starts, so it imports little."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import pytest

from pytest_spidra.settings.values import (
    Level,
    checked_age,
    checked_allowed,
    checked_base_url,
    checked_clock,
    checked_limit,
    checked_modes,
    checked_rules,
    hint,
    known_rules,
)
from pytest_spidra.traffic.address import BASE_URL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

REQUEST_LIMIT = 1000
FIXTURES = ("spidra_mock", "spidra_api", "spidra_server")
MARKER_SETTINGS = ("allow", "allow_unused_steps", "cassette", "clock", "modes", "request_limit", "rules")

BEGAN = pytest.StashKey[float]()
"""When this run began, in seconds since the Unix epoch; kept in the stash of `pytest.Config`."""

END_OF_TEST = pytest.StashKey[Any]()
"""The `EndOfTest` of a test that uses the plugin; kept in the stash of its item, and of `pytest.Config` while it lasts."""


OPEN: list[Any] = []
"""The sessions that stand before httpx just now: one, unless tests run within a test."""

TOLD: list[tuple[str, str]] = []
"""What rules have found in blocks that have ended, and no report holds yet: the rule's name and its claim."""

KEY_VARIABLE = "SPIDRA_API_KEY"
"""The environment variable with the real key."""

SHOWN_SECRETS = pytest.StashKey[set[str]]()
"""The secrets of a run that records, which are shown nowhere; kept in the stash of `pytest.Config`."""

POLICY = pytest.StashKey[Any]()
"""A line of the policy table, kept in the stash of a conformance test."""

PROTECTION = pytest.StashKey[Any]()
"""The `Protection` of a test that does not record; kept in the stash of its item."""


class OldCassetteWarning(pytest.PytestWarning):
    """A recording is older than the ini option ``spidra_cassette_max_age`` takes."""

    __module__ = "pytest_spidra"


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

        cassette_max_age: Days after which a recording is called old; None: never.

        block: ``"mock_spidra"`` or ``"serve_spidra"`` where no fixture is used but a ``with`` block or a decorator.
    """

    base_url: str = BASE_URL
    request_limit: int = REQUEST_LIMIT
    allow_unused_steps: bool = False
    clock: Literal["virtual", "real"] = "virtual"
    rules: Level = "warn"
    rule_names: frozenset[str] | None = None
    fixture: str = "spidra_mock"
    test: str = ""
    cassette_max_age: float | None = None
    block: str = ""

    @property
    def way(self) -> str:
        """How a setting is given, in words, with braces in the place of ``name=value``."""
        return f"write {self.block}({{}})" if self.block else "mark the test @pytest.mark.spidra({})"

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
    checked_limit(f"{where} spidra_request_limit", _ini(config, "spidra_request_limit"))
    checked_age(f"{where} spidra_cassette_max_age", _ini(config, "spidra_cassette_max_age"))
    checked_clock(f"{where} spidra_clock", _ini(config, "spidra_clock"))
    checked_base_url(f"{where} spidra_base_url", _ini(config, "spidra_base_url"))
    checked_modes(f"{where} spidra_modes", _ini(config, "spidra_modes"))
    checked_rules(("--spidra-rules", config.getoption("spidra_rules")))
    checked_rules((f"{where} spidra_rules", _ini(config, "spidra_rules")))


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
            f"@pytest.mark.spidra has no setting {unknown[0]!r}.{hint(unknown[0], MARKER_SETTINGS)} "
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
        return checked_modes("the ini option spidra_modes", _ini(node.config, "spidra_modes"))
    return checked_modes("@pytest.mark.spidra(modes=…)", given)


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
    values = {name: _ini(config, f"spidra_{name}") for name in ("base_url", "clock", "request_limit")} | told
    rules = (
        ("@pytest.mark.spidra(rules=…)", told.get("rules")),
        ("--spidra-rules", config.getoption("spidra_rules")),
        ("the ini option spidra_rules", _ini(config, "spidra_rules")),
    )

    def source(name: str) -> str:
        return f"@pytest.mark.spidra({name}=…)" if name in told else f"the ini option spidra_{name}"

    settings = _checked(values, source, rules, fixture=fixture, test=node.nodeid)
    age = checked_age(source("cassette_max_age"), _ini(config, "spidra_cassette_max_age"))
    return replace(settings, cassette_max_age=age)


def settings_of_block(block: str, test: str, **values: Any) -> Settings:
    """Return what is said for a block, ``mock_spidra(rules="error")``.

    Raises:
        ValueError: Something that cannot be.
    """

    def source(name: str) -> str:
        return f"{block}({name}=…)"

    fixture = "spidra_server" if block == "serve_spidra" else "spidra_mock"
    try:
        return _checked(
            values, source, [(source("rules"), values["rules"])], fixture=fixture, test=test, block=block
        )
    except pytest.UsageError as error:
        wrong = str(error)
    raise ValueError(wrong)


def _checked(
    values: dict[str, Any],
    source: Callable[[str], str],
    rules: Iterable[tuple[str, Any]],
    *,
    fixture: str,
    test: str,
    block: str = "",
) -> Settings:
    level, names = checked_rules(*rules)
    if allowed := checked_allowed(source("allow"), values.get("allow", ())):
        names = frozenset(known_rules() if names is None else names) - allowed
    unused = values.get("allow_unused_steps", False)
    if not isinstance(unused, bool):
        msg = f"{source('allow_unused_steps')} is True or False, not {unused!r}"
        raise pytest.UsageError(msg)
    return Settings(
        base_url=checked_base_url(source("base_url"), values["base_url"]).rstrip("/"),
        request_limit=checked_limit(source("request_limit"), values["request_limit"]),
        allow_unused_steps=unused,
        clock=checked_clock(source("clock"), values["clock"]),
        rules=level,
        rule_names=names,
        fixture=fixture,
        test=test,
        block=block,
    )


def base_url_of(config: pytest.Config) -> str:
    """Return the URL below which the API is found, without a slash at its end.

    Raises:
        pytest.UsageError: It is none.
    """
    url = checked_base_url("the ini option spidra_base_url", _ini(config, "spidra_base_url"))
    return url.rstrip("/")


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
