"""The pytest plugin: fixtures and hooks, and nothing else. What it needs is imported when a test asks for it."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from pytest_spidra import settings
from pytest_spidra.settings import BEGAN, END_OF_TEST, PROTECTION, options
from pytest_spidra.traffic.known_addresses import remember_addresses

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from pytest_spidra.fixtures.api import SpidraApi
    from pytest_spidra.fixtures.mock import SpidraMock, SpidraServer
    from pytest_spidra.traffic.batches import Batch
    from pytest_spidra.traffic.jobs import Job


@pytest.fixture
def spidra_mock(request: pytest.FixtureRequest) -> SpidraMock:
    """A fake Spidra behind every HTTP client: script its failures, then look at what the client did.

    Requests of httpx, httpx2, requests, urllib3, aiohttp and the official SDK to https://api.spidra.io/api are
    answered; nothing leaves the machine.

        spidra_mock.batch.submit.script(503)                       # the first submit is refused
        spidra_mock.batch.outcomes({url: [failed(), completed()]}) # this URL fails once
        ... run the code under test ...
        (call,) = spidra_mock.exchanges.calls("batch.submit")
        assert call.outcomes == [503, 202]
    """
    from pytest_spidra.sessions.start import start_mock

    return start_mock(request).mock


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
def spidra_api(request: pytest.FixtureRequest, spidra_vcr_config: dict[str, Any]) -> SpidraApi:
    """The API for a test that runs mocked, recorded and replayed.

    It runs once for each of its modes: mock (the fake answers) and replay (a cassette does, recorded with
    --spidra-record=once and SPIDRA_API_KEY). Scripts, assertions and rules hold in all; spidra_api.mode says which it is.
    """
    from pytest_spidra.sessions.start import start_api

    return start_api(request, spidra_vcr_config).wiring.api


@pytest.fixture
def spidra_server(request: pytest.FixtureRequest) -> SpidraServer:
    """The fake Spidra on a loopback port, for clients in other processes and other languages.

    spidra_server.base_url is where it listens. Scripts, assertions and rules are those of spidra_mock; time is real.
    """
    from pytest_spidra.sessions.start import start_server

    return start_server(request).server


@pytest.fixture
def spidra_batch_factory(request: pytest.FixtureRequest) -> Callable[..., Batch]:
    """Make batches that are there when the code under test begins.

        batch = spidra_batch_factory(urls=5, failed=2)   # finished, the last two items failed
        batch = spidra_batch_factory({"https://a.example": [failed(), completed()]}, status="running")

    It returns a Batch. Alone it brings spidra_mock; beside spidra_api or spidra_server it works on those.
    """
    from pytest_spidra.sessions.start import start_any

    return start_any(request).factory


@pytest.fixture
def spidra_job_factory(request: pytest.FixtureRequest) -> Callable[..., Job]:
    """Make jobs that are no batches and are there already, ``spidra_job_factory("scrape", status="active")`` for one."""
    from pytest_spidra.sessions.start import start_any

    return start_any(request).job_factory


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare options and ini options."""
    options.add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker, check the settings, and note when the run began: what is recorded in it is younger."""
    config.addinivalue_line("markers", options.MARKER)
    addresses = ExitStack()
    addresses.enter_context(remember_addresses())
    config.add_cleanup(addresses.close)
    config.stash[BEGAN] = time.time()
    settings.check_ini(config)
    if config.getoption("spidra_record") != "none":
        from pytest_spidra.sessions.report_redaction import ReportRedaction

        ReportRedaction(config)


def pytest_plugin_registered(plugin: object) -> None:
    """Import PyYAML before pytester can: it forgets what its inner runs import, and a C extension comes only once."""
    if getattr(plugin, "__name__", "") == "_pytest.pytester":
        import yaml  # noqa: F401 - for its effect, and only for those who test plugins


@pytest.hookimpl(trylast=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test of each mode that a test with `spidra_api` is to run in."""
    if "spidra_api" in metafunc.fixturenames:
        modes = settings.checked_modes_of(metafunc.definition)
        metafunc.parametrize("spidra_api", modes, indirect=True, ids=modes)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(request: pytest.FixtureRequest) -> Generator[None, Any, Any]:
    """Stay in front of fixtures that replace functions of HTTP libraries; keep the real API out of reach before the first of a test's own."""
    if request.scope == "function" and options.never_records(request):
        from pytest_spidra.sessions.protection import protect

        protect(request)
    result = yield
    for session in settings.OPEN:
        session.repatch()
    return result


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Judge a test that used the plugin, while it can still fail as a test."""
    if end := item.stash.get(END_OF_TEST, None):
        end.before_call()
    try:
        result = yield
    except BaseException as error:
        if end := item.stash.get(END_OF_TEST, None):
            end.after_call(error)
        raise
    # The test itself may have asked for the fixture: request.getfixturevalue("spidra_mock").
    if end := item.stash.get(END_OF_TEST, None):
        end.after_call(None)
    return result


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the timeline of a failing test, and keep accusations for the summary."""
    report = yield
    if end := item.stash.get(END_OF_TEST, None):
        end.complete_report(call, report)
    elif settings.OPEN or settings.TOLD:
        from pytest_spidra.sessions.block import complete_report

        complete_report(report)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, Any, Any]:
    """End with the last fixture; leave nothing behind."""
    try:
        return (yield)
    finally:
        if protection := item.stash.get(PROTECTION, None):
            protection.end()
        if end := item.stash.get(END_OF_TEST, None):
            end.after_teardown()


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, Any, Any]:
    """Leave nothing behind of a test that was interrupted: it has no teardown of its own."""
    try:
        return (yield)
    finally:
        if end := session.config.stash.get(END_OF_TEST, None):
            end.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List the accusations of the run, grouped by rule."""
    from pytest_spidra.sessions.summary import summarize

    summarize(terminalreporter)
