"""The pytest plugin: options, marker, fixtures and hooks. It imports nothing heavy; sessions do."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from pytest_spidra.factory import BatchFactory
    from pytest_spidra.mock import SpidraMock
    from pytest_spidra.session import Session, Settings

BASE_URL = "https://api.spidra.io/api"
REQUEST_LIMIT = 1000
MARKER_SETTINGS = ("allow_unused_steps", "clock", "rules")

SESSION = pytest.StashKey["Session"]()
TOLD = pytest.StashKey[int]()  # how many of the session's failures the test itself has been failed for

MARKER = (
    'spidra(*, allow_unused_steps=False, clock="virtual", rules="warn"): settings of pytest-spidra for this '
    "test. allow_unused_steps: do not fail the test when a scripted step was never reached. "
    'clock: "virtual" (waits are exact and cost no time) or "real". '
    'rules: what an accusation of the rules does, "warn", "error" or "off", or a list of the rules that judge.'
)


class RuleWarning(pytest.PytestWarning):
    """A rule accuses the client of something unsafe, expensive or impolite."""

    __module__ = "pytest_spidra"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare options and ini options."""
    parser.getgroup("spidra", "pytest-spidra").addoption(
        "--spidra-rules",
        dest="spidra_rules",
        metavar="{warn,error,off,RULE,…}",
        default=None,
        help="What an accusation of the rules does: warn (default), error (the test fails) or off; "
        "or the names of the rules that judge, with commas.",
    )
    parser.addini(
        "spidra_base_url",
        "URL below which spidra_mock answers requests (pytest-spidra).",
        default=BASE_URL,
    )
    parser.addini(
        "spidra_request_limit",
        "Most requests to Spidra without progress in one test; one more fails it (pytest-spidra).",
        default=str(REQUEST_LIMIT),
    )
    parser.addini(
        "spidra_clock",
        'The clock of tests with spidra_mock: "virtual" (waits are exact and cost no time) or "real" '
        "(pytest-spidra).",
        default="virtual",
    )
    parser.addini("spidra_rules", "As --spidra-rules (pytest-spidra).", default="warn")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line("markers", MARKER)


@pytest.fixture
def spidra_mock(request: pytest.FixtureRequest) -> Iterator[SpidraMock]:
    """A fake Spidra behind every httpx client: script its failures, then look at what the client did.

    Requests of httpx and of the official SDK to https://api.spidra.io/api are answered by a fake of the batch
    API; nothing leaves the machine.

        spidra_mock.batch.submit.script(503)                       # the first submit is refused
        spidra_mock.batch.outcomes({url: [failed(), completed()]}) # this URL fails once
        ... run the code under test ...
        (call,) = spidra_mock.exchanges.calls("batch.submit")
        assert call.outcomes == [503, 202]
    """
    from pytest_spidra.session import Session  # noqa: PLC0415 - imports httpx, which pytest's start must not

    wrong = ""
    try:
        session = Session(_settings(request))
        opened = session.open()
    except (pytest.UsageError, RuntimeError) as error:
        wrong = f"spidra_mock cannot start: {error}"
    if wrong:  # out of the handler, or pytest would show the error twice
        pytest.fail(wrong, pytrace=False)
    with opened:
        request.node.stash[SESSION] = session
        yield session.mock
    told = request.node.stash.get(TOLD, 0)
    if late := session.failures[told:]:
        pytest.fail("\n\n".join(late), pytrace=False)


@pytest.fixture
def spidra_batch_factory(
    spidra_mock: SpidraMock,  # noqa: ARG001 - asked for so that it is there
    request: pytest.FixtureRequest,
) -> BatchFactory:
    """Make batches that are there when the code under test begins; brings spidra_mock.

        batch = spidra_batch_factory(urls=5, failed=2)   # finished, the last two items failed
        batch = spidra_batch_factory({"https://a.example": [failed(), completed()]}, status="running")

    It returns a Batch: .id, .urls, .failed_urls, .status, .items.
    """
    factory: BatchFactory = request.node.stash[SESSION].factory
    return factory


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(request: pytest.FixtureRequest) -> Generator[None, Any, Any]:
    """Stay in front of fixtures that patch httpx, too (pytest-httpx's does), whatever their order."""
    result = yield
    if session := request.node.stash.get(SESSION, None):
        session.to_front()
    return result


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Have the last word on a test that used the plugin, while it can still fail as a test."""
    if session := item.stash.get(SESSION, None):
        session.to_front()
    try:
        result = yield
    except BaseException as error:
        session = item.stash.get(SESSION, None)
        hidden = isinstance(error, pytest.skip.Exception) or (
            isinstance(error, BaseExceptionGroup) and error.subgroup(pytest.fail.Exception)
        )
        if hidden and session and session.failures:
            raise pytest.fail.Exception("\n\n".join(session.failures), pytrace=False) from None
        raise
    finally:
        # The test itself may have asked for the fixture: request.getfixturevalue("spidra_mock").
        if session := item.stash.get(SESSION, None):
            item.stash[TOLD] = len(session.failures)
    if session is None:
        return result
    if reason := session.last_word():
        raise pytest.fail.Exception(reason, pytrace=False)
    if verdict := session.verdict:
        _pronounce(item, session, verdict)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, Any, Any]:
    """Leave nothing behind, also when another fixture has put back what it had found: us."""
    try:
        return (yield)
    finally:
        if session := item.stash.get(SESSION, None):
            session.sweep()
            del item.stash[SESSION]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the timeline of a failing test, and keep accusations for the summary."""
    report = yield
    session = item.stash.get(SESSION, None)
    if session and call.when == "setup" and report.failed:
        item.stash[TOLD] = len(session.failures)
    if session and call.when == "call":
        if report.failed:
            untold = [failure for failure in session.failures if failure not in report.longreprtext]
            sections = [("spidra", "\n\n".join(untold)), ("spidra timeline", session.timeline)]
            report.sections += [section for section in sections if section[1]]
        # An attribute of a report travels with it from xdist's workers; it must be JSON.
        vars(report)["spidra_accusations"] = [(one.rule, one.claim) for one in session.accusations]
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List the accusations of the run, grouped by rule."""
    found: dict[str, list[str]] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            for rule, claim in getattr(report, "spidra_accusations", ()):
                found.setdefault(rule, []).append(f"{report.nodeid}: {claim}")
    if not found:
        return
    width = terminalreporter.config.get_terminal_writer().fullwidth
    terminalreporter.section("spidra rules")
    for rule, lines in found.items():
        terminalreporter.write_line(f"{rule} ({len(lines)})", bold=True)
        for line in lines:
            terminalreporter.write_line(
                line if len(line) < width - 2 else f"{line[: width - 5]}…", yellow=True
            )


def _pronounce(item: pytest.Item, session: Session, verdict: str) -> None:
    """Warn of what the rules found, or fail the test for it."""
    if session.rules != "error":
        path, line, _ = item.location
        try:
            warnings.warn_explicit(f"\n{verdict}", RuleWarning, path, (line or 0) + 1)
        except RuleWarning:
            pass  # warnings are errors here; an error of ours would be shown with a traceback into the plugin
        else:
            return
    raise pytest.fail.Exception(verdict, pytrace=False)


def _settings(request: pytest.FixtureRequest) -> Settings:
    from pytest_spidra.session import Settings  # noqa: PLC0415 - imports httpx, which pytest's start must not

    told: dict[str, Any] = {}
    for mark in request.node.iter_markers("spidra"):
        if mark.args:
            msg = f"@pytest.mark.spidra takes settings by name only, not {mark.args[0]!r}"
            raise pytest.UsageError(msg)
        told = {**mark.kwargs, **told}
    unknown = [name for name in told if name not in MARKER_SETTINGS]
    if unknown:
        msg = f"@pytest.mark.spidra has no setting {unknown[0]!r}. The settings are {', '.join(MARKER_SETTINGS)}."
        raise pytest.UsageError(msg)
    config = request.config
    limit = config.getini("spidra_request_limit")
    if not limit.isdecimal() or int(limit) == 0:
        msg = f"the ini option spidra_request_limit is a number of requests from 1 on, not {limit!r}"
        raise pytest.UsageError(msg)
    level, names = _rules(
        ("@pytest.mark.spidra(rules=…)", told.get("rules")),
        ("--spidra-rules", config.getoption("spidra_rules")),
        ("the ini option spidra_rules", config.getini("spidra_rules")),
    )
    unused = told.get("allow_unused_steps", False)
    if not isinstance(unused, bool):
        msg = f"@pytest.mark.spidra(allow_unused_steps=…) is True or False, not {unused!r}"
        raise pytest.UsageError(msg)
    clock = told.get("clock", config.getini("spidra_clock"))
    if clock not in {"virtual", "real"}:
        msg = f'the clock of a test with spidra_mock is "virtual" or "real", not {clock!r}'
        raise pytest.UsageError(msg)
    return Settings(
        base_url=_base_url(config),
        request_limit=int(limit),
        allow_unused_steps=unused,
        clock=clock,
        rules=level,
        rule_names=names,
    )


def _rules(*sources: tuple[str, Any]) -> tuple[Any, frozenset[str] | None]:
    """Return what an accusation does, and which rules judge; the first source that says so decides.

    A source that names rules wants them to judge: a level "off" after it becomes "warn".
    """
    from pytest_spidra.rules import RULES  # noqa: PLC0415 - pytest's start must stay light

    level: str | None = None
    names: frozenset[str] | None = None
    for source, value in sources:
        if value is None or level:
            continue
        several = value.split(",") if isinstance(value, str) else value
        if not isinstance(several, list | tuple | set | frozenset):
            several = [repr(several)]
        words = [str(word).strip() for word in several]
        if len(words) == 1 and words[0] in {"warn", "error", "off"}:
            level = words[0] if names is None or words[0] != "off" else "warn"
        elif names is None:
            wrong = [word for word in words if word not in RULES]
            if wrong or not words:
                what = f"{wrong[0]!r} is no rule" if wrong else "no rule is named"
                msg = f'{source}: {what}. It takes "warn", "error", "off", or rules: {", ".join(RULES)}.'
                raise pytest.UsageError(msg)
            names = frozenset(words)
    return level or "warn", names


def _base_url(config: pytest.Config) -> str:
    from urllib.parse import urlsplit  # noqa: PLC0415 - pytest's start must stay light

    base_url: str = config.getini("spidra_base_url")
    try:
        parts = urlsplit(base_url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # the port is no number
        good = False
    if not good:
        msg = f"the ini option spidra_base_url is a URL such as {BASE_URL}, not {base_url!r}"
        raise pytest.UsageError(msg)
    return base_url
