"""What is put around httpx sees every attempt, and is still there when the test is over."""

from __future__ import annotations

import pytest

pytest.importorskip("wrapt", reason="the lowest versions go without it")
pytest.importorskip("opentelemetry.instrumentation.httpx", reason="the lowest versions go without it")

WRAPPERS = {
    "functools.wraps": """
def wrap(method):
    @functools.wraps(method)
    def wrapper(*args, **kwargs):
        SEEN.append(method.__name__)
        return method(*args, **kwargs)
    return wrapper
""",
    "wrapt": """
@wrapt.decorator
def wrap(wrapped, instance, args, kwargs):
    SEEN.append(wrapped.__name__)
    return wrapped(*args, **kwargs)
""",
}

SOURCE = """
import asyncio, functools
import httpx, pytest, wrapt

SEEN = []
METHODS = {httpx.HTTPTransport: "handle_request", httpx.AsyncHTTPTransport: "handle_async_request"}
ORIGINAL = {owner: vars(owner)[name] for owner, name in METHODS.items()}
PUT = {}

{wrap}

def put():
    for owner, name in METHODS.items():
        PUT[owner] = wrap(vars(owner)[name])
        setattr(owner, name, PUT[owner])

def take_away():
    for owner, name in METHODS.items():
        setattr(owner, name, ORIGINAL[owner])

def submit(mock):
    url, headers = f"{mock.base_url}/batch/scrape", {"x-api-key": mock.api_key}
    mock.batch.submit.script(503)
    for _ in range(2):
        httpx.post(url, json={"urls": ["https://a.example"]}, headers=headers)

async def submit_async(mock):
    url, headers = f"{mock.base_url}/batch/scrape", {"x-api-key": mock.api_key}
    async with httpx.AsyncClient() as client:
        await client.post(url, json={"urls": ["https://b.example"]}, headers=headers)

def submit_all(mock):
    SEEN.clear()
    submit(mock)
    asyncio.run(submit_async(mock))
    assert SEEN == ["handle_request", "handle_request", "handle_async_request"]
    assert len(mock.exchanges) == 3

pytestmark = pytest.mark.spidra(rules="off")

def still_put():
    return {owner: vars(owner)[name] for owner, name in METHODS.items()} == PUT
"""


def run(run_tests, wrapper, body):
    return run_tests(SOURCE.replace("{wrap}", WRAPPERS[wrapper]) + body)


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_a_wrapper_from_before_sees_every_attempt_and_stays(run_tests, wrapper):
    run(
        run_tests,
        wrapper,
        """
@pytest.fixture(scope="module", autouse=True)
def app():
    put()
    yield
    take_away()

def test_it(spidra_mock):
    submit_all(spidra_mock)
    assert still_put()

def test_after():
    assert still_put()
""",
    ).assert_outcomes(passed=2)


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_a_wrapper_put_on_in_a_test_sees_every_attempt_and_stays(run_tests, wrapper):
    run(
        run_tests,
        wrapper,
        """
def test_it(spidra_mock):
    put()
    submit_all(spidra_mock)

def test_after():
    assert still_put()
    take_away()

def test_at_last():
    SEEN.clear()
    with pytest.raises(httpx.ConnectError):
        httpx.get("http://127.0.0.1:9")
    assert SEEN == []
""",
    ).assert_outcomes(passed=3)


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_a_wrapper_may_be_taken_away_within_a_test(run_tests, wrapper):
    run(
        run_tests,
        wrapper,
        """
@pytest.fixture
def app():
    put()
    yield
    take_away()

def test_it(app, spidra_mock):
    submit_all(spidra_mock)
    take_away()
    SEEN.clear()
    submit(spidra_mock)
    assert SEEN == [] and len(spidra_mock.exchanges) == 5

def test_after():
    assert {owner: vars(owner)[name] for owner, name in METHODS.items()} == ORIGINAL
""",
    ).assert_outcomes(passed=2)


@pytest.mark.parametrize("order", ["app, spidra_mock", "spidra_mock, app"])
def test_opentelemetry_sees_a_span_for_each_attempt(run_tests, order):
    """Its header reaches the service, whichever came first, and later tests are instrumented as before."""
    run_tests(
        f"""
import httpx, pytest
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

SPANS, PROVIDER = InMemorySpanExporter(), TracerProvider()
PROVIDER.add_span_processor(SimpleSpanProcessor(SPANS))

@pytest.fixture
def app():
    HTTPXClientInstrumentor().instrument(tracer_provider=PROVIDER)

@pytest.mark.spidra(rules="off")
def test_it({order}):
    spidra_mock.batch.submit.script(503)
    for _ in range(2):
        httpx.post(
            f"{{spidra_mock.base_url}}/batch/scrape",
            json={{"urls": ["https://a.example"]}},
            headers={{"x-api-key": spidra_mock.api_key}},
        )
    assert [span.attributes["http.status_code"] for span in SPANS.get_finished_spans()] == [503, 202]
    assert len({{exchange.headers["traceparent"] for exchange in spidra_mock.exchanges}}) == 2

def test_after():
    SPANS.clear()
    with pytest.raises(httpx.ConnectError):
        httpx.get("http://127.0.0.1:9")
    assert len(SPANS.get_finished_spans()) == 1
    HTTPXClientInstrumentor().uninstrument()
"""
    ).assert_outcomes(passed=2)
