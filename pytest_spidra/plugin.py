"""The pytest plugin: marker, ini options, fixtures and one hook. It imports nothing heavy; sessions do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from pytest_spidra.factory import BatchFactory
    from pytest_spidra.mock import SpidraMock
    from pytest_spidra.session import Session, Settings

BASE_URL = "https://api.spidra.io/api"
REQUEST_LIMIT = 1000

SESSION = pytest.StashKey["Session"]()

MARKER = (
    "spidra(*, allow_unused_steps=False): settings of pytest-spidra for this test. allow_unused_steps: do not "
    "fail the test when a scripted step was never reached."
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the ini options."""
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

    session = Session(_settings(request))
    request.node.stash[SESSION] = session
    with session.open():
        yield session.mock
    del request.node.stash[SESSION]


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


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Have the last word on a test that used the plugin, while it can still fail as a test."""
    session = item.stash.get(SESSION, None)
    if session is None:
        return (yield)
    try:
        with session.on_top():
            result = yield
    except BaseException as error:
        if session.failures and not isinstance(error, pytest.skip.Exception):
            _tell(item, session, error)
        raise
    if reason := session.last_word():
        raise pytest.fail.Exception(reason, pytrace=False)
    return result


def _tell(item: pytest.Item, session: Session, error: BaseException) -> None:
    """Show what went wrong first when the test ends in another error."""
    if isinstance(error, BaseExceptionGroup) and error.subgroup(pytest.fail.Exception):
        raise pytest.fail.Exception("\n\n".join(session.failures), pytrace=False) from None
    untold = [failure for failure in session.failures if failure not in str(error)]
    if untold:
        item.add_report_section("call", "spidra", "\n\n".join(untold))


def _settings(request: pytest.FixtureRequest) -> Settings:
    from pytest_spidra.session import Settings  # noqa: PLC0415 - imports httpx, which pytest's start must not

    told: dict[str, Any] = {}
    for mark in request.node.iter_markers("spidra"):
        if mark.args:
            msg = f"@pytest.mark.spidra takes settings by name only, not {mark.args[0]!r}"
            raise pytest.UsageError(msg)
        told = {**mark.kwargs, **told}
    unknown = [name for name in told if name != "allow_unused_steps"]
    if unknown:
        msg = f"@pytest.mark.spidra has no setting {unknown[0]!r}. The settings are allow_unused_steps."
        raise pytest.UsageError(msg)
    limit = request.config.getini("spidra_request_limit")
    if not limit.isdecimal() or int(limit) == 0:
        msg = f"the ini option spidra_request_limit is a number of requests from 1 on, not {limit!r}"
        raise pytest.UsageError(msg)
    return Settings(base_url=_base_url(request.config), request_limit=int(limit), **told)


def _base_url(config: pytest.Config) -> str:
    base_url: str = config.getini("spidra_base_url")
    if not base_url.startswith(("http://", "https://")):
        msg = f"the ini option spidra_base_url begins with http:// or https://, unlike {base_url!r}"
        raise pytest.UsageError(msg)
    return base_url
