"""The pytest plugin: options, marker, fixtures and hooks. It imports nothing heavy; sessions do."""

from __future__ import annotations

import os
import re
import time
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    from pytest_spidra.factory import BatchFactory
    from pytest_spidra.mock import SpidraApi, SpidraMock
    from pytest_spidra.server import SpidraServer
    from pytest_spidra.session import Session, Settings

BASE_URL = "https://api.spidra.io/api"
REQUEST_LIMIT = 1000
MARKER_SETTINGS = ("allow_unused_steps", "cassette", "clock", "modes", "rules")
MODES = ("mock", "replay")
LONGEST_NAME = 200  # bytes; most file systems end at 255, and a temporary name is longer
FIXTURES = ("spidra_mock", "spidra_api", "spidra_server")

SESSION = pytest.StashKey["Session"]()
BEGAN = pytest.StashKey[float]()  # when this run began, in seconds since the Unix epoch
TOLD = pytest.StashKey[int]()  # how many of the session's failures the test itself has been failed for

MARKER = (
    'spidra(*, modes=("mock", "replay"), cassette=None, allow_unused_steps=False, clock="virtual", rules="warn"): '
    "settings of pytest-spidra for this test. modes: what answers a test with spidra_api, one test for each. "
    "cassette: the name of its cassette, in place of one made of the test's name. "
    "allow_unused_steps: do not fail the test when a scripted step was never reached. "
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
    parser.getgroup("spidra").addoption(
        "--spidra-record",
        dest="spidra_record",
        choices=("none", "once", "all"),
        default="none",
        help="Whether tests with spidra_api are sent to the real API and recorded, with the key in SPIDRA_API_KEY "
        "and for credits: none (default: they are replayed), once (those without a cassette), all (all anew).",
    )
    parser.addini(
        "spidra_base_url",
        "URL below which requests are answered, and to which they are sent while recording (pytest-spidra).",
        default=BASE_URL,
    )
    parser.addini(
        "spidra_modes",
        "What answers tests with spidra_api: mock, replay, or both (pytest-spidra).",
        type="args",
        default=list(MODES),
    )
    parser.addini(
        "spidra_cassette_dir",
        "Folder of the cassettes, from the root of the test run (pytest-spidra).",
        default="cassettes",
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
    """Declare the marker, and note when the run began: what is recorded in it is younger."""
    config.addinivalue_line("markers", MARKER)
    config.stash[BEGAN] = time.time()


def pytest_plugin_registered(plugin: object) -> None:
    """Import PyYAML before pytester can: it forgets what its inner runs import, and a C extension comes only once.

    The second replay in one process would find a YAML whose two halves do not know each other.
    """
    if getattr(plugin, "__name__", "") == "_pytest.pytester":
        import yaml  # noqa: F401, PLC0415 - for its effect, and only for those who test plugins


@pytest.hookimpl(trylast=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test of each mode that a test with `spidra_api` is to run in."""
    if "spidra_api" not in metafunc.fixturenames:
        return
    node = metafunc.definition
    try:
        modes = _modes(node)
    except pytest.UsageError as error:
        pytest.fail(str(error), pytrace=False)
    ids = [_shown(node, mode) for mode in modes]
    metafunc.parametrize("spidra_api", modes, indirect=True, ids=ids)


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
    from pytest_spidra.session import FakeSession  # noqa: PLC0415 - imports httpx, which pytest's start must not

    with _session(request, "spidra_mock", FakeSession, FakeSession) as session:
        yield session.mock


@pytest.fixture
def spidra_vcr_config() -> dict[str, Any]:
    """Settings of vcrpy for the cassettes of spidra_api: filters, hooks, match_on, serializer. Override it.

        @pytest.fixture(scope="session")
        def spidra_vcr_config():
            return {"filter_headers": ["x-internal"]}

    API keys, cookies and signed URLs are taken out in any case.
    """
    return {}


@pytest.fixture
def spidra_api(request: pytest.FixtureRequest, spidra_vcr_config: dict[str, Any]) -> Iterator[SpidraApi]:
    """The batch API for a test that runs mocked, recorded and replayed.

    Every test with it runs once for each of its modes: mock (the fake answers) and replay (a cassette does, with
    what the real API answered when it was recorded: pytest --spidra-record=once, with SPIDRA_API_KEY). The same
    scripts, assertions and rules hold in all of them; spidra_api.mode says which it is.
    """
    from pytest_spidra.cassette_sessions import (  # noqa: PLC0415 - imports httpx and vcrpy, which pytest's start must not
        Cassette,
        RecordSession,
        ReplaySession,
    )
    from pytest_spidra.session import FakeSession  # noqa: PLC0415 - likewise

    mode = getattr(request, "param", None) or _modes(request.node)[0]
    if mode == "mock":
        with _session(request, "spidra_api", FakeSession, FakeSession) as session:
            yield session.api
        return
    cassette = Cassette(
        _cassette(request.node),
        spidra_vcr_config,
        request.node.nodeid.partition("[")[0],
        request.config.stash[BEGAN],
    )
    record = request.config.getoption("spidra_record")
    if record == "all" or (record == "once" and not cassette.exists):
        key = os.environ.get("SPIDRA_API_KEY")
        with _session(
            request, "spidra_api", lambda settings: RecordSession(settings, cassette, key), RecordSession
        ) as session:
            yield session.api
    else:
        with _session(
            request, "spidra_api", lambda settings: ReplaySession(settings, cassette), ReplaySession
        ) as session:
            yield session.api


@pytest.fixture
def spidra_server(request: pytest.FixtureRequest) -> Iterator[SpidraServer]:
    """The fake Spidra on a loopback port, for clients in other processes and other languages.

    spidra_server.base_url is where it listens. Scripts, assertions and rules are those of spidra_mock; time is
    real, and a lost reply is a connection that really breaks.
    """
    from pytest_spidra.session import ServerSession  # noqa: PLC0415 - imports httpx, which pytest's start must not

    with _session(request, "spidra_server", ServerSession, ServerSession) as session:
        yield session.server


@pytest.fixture
def spidra_batch_factory(request: pytest.FixtureRequest) -> BatchFactory:
    """Make batches that are there when the code under test begins.

        batch = spidra_batch_factory(urls=5, failed=2)   # finished, the last two items failed
        batch = spidra_batch_factory({"https://a.example": [failed(), completed()]}, status="running")

    It returns a Batch: .id, .urls, .failed_urls, .status, .items. Alone it brings spidra_mock; beside spidra_api
    or spidra_server it works on those.
    """
    if SESSION not in request.node.stash:
        asked_for = [name for name in FIXTURES[1:] if name in request.fixturenames]
        request.getfixturevalue(asked_for[0] if asked_for else "spidra_mock")
    factory: BatchFactory = request.node.stash[SESSION].factory
    return factory


@contextmanager
def _session(
    request: pytest.FixtureRequest, fixture: str, make: Callable[[Settings], Any], kind: type[Session]
) -> Iterator[Any]:
    """Have a session for this test, the one that is there when it is of the right kind."""
    there = request.node.stash.get(SESSION, None)
    if there is not None:
        if type(there) is kind and fixture != "spidra_server":
            yield there
            return
        pytest.fail(
            f"{fixture} cannot start: this test has another of {', '.join(FIXTURES)} already, and only one of them "
            "can answer. Ask for one.",
            pytrace=False,
        )
    wrong = ""
    try:
        session = make(_settings(request, fixture))
        opened = session.open()
    except (pytest.UsageError, RuntimeError, OSError) as error:
        from pytest_spidra.network_errors import reasons  # noqa: PLC0415 - only when something is wrong

        wrong = " ".join([f"{fixture} cannot start: {error}", *reasons(error)])
    if wrong:  # out of the handler, or pytest would show the error twice
        pytest.fail(wrong, pytrace=False)
    with opened:
        request.node.stash[SESSION] = session
        yield session
    told = request.node.stash.get(TOLD, 0)
    late = session.failures[told:]
    if not late and session.passed and (wrong := session.cleared_up()):
        late = [wrong]
    if late:
        pytest.fail("\n\n".join(late), pytrace=False)


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
        if session.refusal:
            raise pytest.fail.Exception(session.refusal, pytrace=False)
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
    if reason := session.finish():
        raise pytest.fail.Exception(reason, pytrace=False)
    session.passed = True
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


def _told(node: pytest.Item | pytest.Collector) -> dict[str, Any]:
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
        msg = f"@pytest.mark.spidra has no setting {unknown[0]!r}. The settings are {', '.join(MARKER_SETTINGS)}."
        raise pytest.UsageError(msg)
    return told


def _modes(node: pytest.Item | pytest.Collector) -> list[str]:
    """Return the modes that a test with `spidra_api` runs in.

    Raises:
        pytest.UsageError: One that there is not, or none.
    """
    source, given = "@pytest.mark.spidra(modes=…)", _told(node).get("modes")
    if given is None:
        source, given = "the ini option spidra_modes", " ".join(node.config.getini("spidra_modes"))
    modes = given.replace(",", " ").split() if isinstance(given, str) else [str(mode) for mode in given]
    wrong = [mode for mode in modes if mode not in MODES]
    if wrong or not modes or len({*modes}) < len(modes):
        what = f"{wrong[0]!r} is no mode" if wrong else "each mode once, and at least one"
        hint = (
            " Recording is asked for on the command line, with --spidra-record." if "record" in wrong else ""
        )
        msg = f'{source}: {what}. It takes "mock", "replay", or both.{hint}'
        raise pytest.UsageError(msg)
    return modes


def _shown(node: pytest.Item | pytest.Collector, mode: str) -> str:
    """Return a mode as the test's id shows it: what will answer, a recording included.

    With other parameters, each has a cassette of its own, and only the test knows which: then it is "once".
    """
    record = node.config.getoption("spidra_record")
    if mode == "mock" or record == "none":
        return mode
    if record == "all":
        return "record"
    path = _cassette(node)
    names = [file.name for file in path.parent.glob("*")] if path.parent.is_dir() else []
    if any(name in names for name in (path.name, f"{path.name}.yaml", f"{path.name}.json")):
        return mode
    return "once" if any(name.startswith(f"{path.name}[") for name in names) else "record"


def _cassette(node: Any) -> Path:
    """Return the path of a test's cassette, without a suffix unless the marker gives one."""
    root: Path = node.config.rootpath
    folder = root.joinpath(node.config.getini("spidra_cassette_dir"))
    if named := _told(node).get("cassette"):
        return folder / str(named)
    parameters = ""
    if callspec := getattr(node, "callspec", None):
        # Our own parameter is the last, and the cassette is the same in all modes.
        rest = re.sub(r"(^|-)(mock|replay|record|once)$", "", callspec.id)
        parameters = f"[{rest}]" if rest else ""
    classes = [part.name for part in node.listchain() if isinstance(part, pytest.Class)]
    name = ".".join([*classes, (getattr(node, "originalname", None) or node.name) + parameters])
    name = re.sub(r'[<>:"/\\|?*\x00-\x1f]', "-", name)
    if len(name.encode()) > LONGEST_NAME:
        from hashlib import sha256  # noqa: PLC0415 - only for names that no file can have

        name = f"{name[:40]}-{sha256(name.encode()).hexdigest()[:16]}"
    module: str = node.path.stem
    return folder / module / name


def _settings(request: pytest.FixtureRequest, fixture: str) -> Settings:
    from pytest_spidra.session import Settings  # noqa: PLC0415 - imports httpx, which pytest's start must not

    told = _told(request.node)
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
        base_url=_base_url(config).rstrip("/"),
        request_limit=int(limit),
        allow_unused_steps=unused,
        clock=clock,
        rules=level,
        rule_names=names,
        fixture=fixture,
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
