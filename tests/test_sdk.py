"""The official SDK, in all three ways in which people call it, meets the fake as it would the service."""

from __future__ import annotations

import asyncio
import inspect
import json

import httpx
import pytest
import spidra.lib.http
from spidra import (
    AsyncSpidra,
    Spidra,
    SpidraAuthenticationError,
    SpidraError,
    SpidraForbiddenError,
    SpidraNotFoundError,
    SpidraPaymentRequiredError,
    SpidraRateLimitError,
    SpidraServerError,
    SpidraTimeoutError,
    SpidraValidationError,
)

from pytest_spidra import (
    RateLimit,
    completed,
    failed,
    gateway_error,
    http_error,
    ok,
    payment_overdue,
    queue_unavailable,
    rate_limited,
    reply_lost,
    request_lost,
    service_busy,
    stuck,
    too_many_pending,
)

pytestmark = pytest.mark.spidra(rules="off")  # what is unsafe is done on purpose here

URLS = ["https://a.example/", "https://b.example/", "https://c.example/"]

WAYS = {"async": AsyncSpidra, "sync": Spidra, "sync in a running loop": Spidra}


@pytest.fixture(autouse=True)
def price(request):
    """A price that is not 1 tells credits from counts."""
    if "spidra_mock" in request.fixturenames:
        request.getfixturevalue("spidra_mock").account.price_per_url = 2


class Asking:
    """An SDK client whose methods are all awaited, so that one flow drives both kinds."""

    def __init__(self, client):
        self._client = client

    def __getattr__(self, name):
        method = getattr(self._client, name)

        async def ask(*args, **kwargs):
            answer = method(*args, **kwargs)
            if inspect.isawaitable(answer):
                return await answer
            if inspect.isasyncgen(answer):
                return [one async for one in answer]
            return list(answer) if inspect.isgenerator(answer) else answer

        return ask


def without_a_loop(flow):
    """Run a coroutine that never waits, with no event loop running."""
    try:
        flow.send(None)
    except StopIteration as end:
        return end.value
    msg = "the flow waited, though its client is synchronous"
    raise AssertionError(msg)


@pytest.fixture(params=WAYS)
def way(request):
    return request.param


@pytest.fixture(params=["own api_url", "default api_url"])
def settings(request, spidra_mock):
    return {"api_url": spidra_mock.base_url} if request.param == "own api_url" else {}


@pytest.fixture
def play(way, spidra_mock):
    """Run a flow of SDK calls in one of the three ways."""

    def play(flow, **settings):
        given = {"api_key": spidra_mock.api_key, "backoff_factor": 0.001, **settings}
        flow = flow(Asking(WAYS[way](**given)))
        return without_a_loop(flow) if way == "sync" else asyncio.run(flow)

    return play


def test_the_three_ways_are_three(way):
    """Only the plain sync way has no running loop around the SDK call."""

    async def flow():
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return False
        return True

    assert (without_a_loop(flow()) if way == "sync" else asyncio.run(flow())) == (way != "sync")


# -- every batch method --------------------------------------------------------------------------------


def test_batch_scrape_returns_the_finished_batch(play, settings, spidra_mock):
    spidra_mock.batch.outcomes({URLS[0]: completed({"price": 7}, credits=5), URLS[2]: failed("blocked")})

    async def flow(sdk):
        return await sdk.batch_scrape(URLS, prompt="the price", poll_interval=0.001)

    batch = play(flow, **settings)
    assert (batch.status, batch.total_urls, batch.completed_count, batch.failed_count) == (
        "completed",
        3,
        2,
        1,
    )
    assert [item.url for item in batch.items] == URLS
    assert [item.status for item in batch.items] == ["completed", "completed", "failed"]
    assert [item.result for item in batch.items][::2] == [{"price": 7}, None]
    assert [item.error for item in batch.items] == [None, None, "blocked"]
    assert [item.credits_used for item in batch.items] == [5, 2, 0]
    assert [exchange.endpoint for exchange in spidra_mock.exchanges] == [
        "batch.submit",
        "batch.get",
        "batch.get",
    ]


def test_start_and_get_show_a_batch_on_its_way(play, settings, spidra_mock):
    async def flow(sdk):
        queued = await sdk.start_batch_scrape(URLS, output="markdown")
        looks = [await sdk.get_batch_scrape(queued.batch_id) for _ in range(3)]
        return queued, looks

    queued, looks = play(flow, **settings)
    (batch,) = spidra_mock.batches
    assert (queued.status, queued.batch_id, queued.total) == ("queued", batch.id, 3)
    assert [look.status for look in looks] == ["running", "completed", "completed"]
    assert [item.result for item in looks[-1].items] == [f"# {url}\n\nScraped." for url in URLS]


def test_cancel_stops_what_waits_and_gives_its_credits_back(play, settings, spidra_mock):
    async def flow(sdk):
        queued = await sdk.start_batch_scrape(URLS)
        return await sdk.cancel_batch_scrape(queued.batch_id)

    answer = play(flow, **settings)
    assert (answer.status, answer.cancelled_items, answer.credits_refunded) == ("cancelled", 3, 6)
    assert (spidra_mock.credits.reserved, spidra_mock.credits.refunded) == (6, 6)
    assert spidra_mock.batches[0].status == "cancelled"


def test_retry_queues_the_failed_items_again(play, settings, spidra_mock):
    spidra_mock.batch.outcomes({URLS[1]: [failed(), completed()], URLS[2]: [failed(), completed()]})

    async def flow(sdk):
        queued = await sdk.start_batch_scrape(URLS)
        for _ in range(2):
            first = await sdk.get_batch_scrape(queued.batch_id)
        count = await sdk.retry_batch_scrape(queued.batch_id)
        for _ in range(2):
            last = await sdk.get_batch_scrape(queued.batch_id)
        return first, count, last

    first, count, last = play(flow, **settings)
    assert (first.failed_count, count, last.completed_count) == (2, 2, 3)


def test_list_shows_the_newest_batch_first_and_in_pages(play, settings, spidra_mock):
    async def flow(sdk):
        ids = [(await sdk.start_batch_scrape([url])).batch_id for url in URLS]
        return ids, await sdk.list_batch_scrapes(), await sdk.list_batch_scrapes(page=2, limit=2)

    ids, everything, second = play(flow, **settings)
    assert [job.uuid for job in everything.jobs] == ids[::-1]
    assert {job.output_format for job in everything.jobs} == {"json"}
    assert [job.uuid for job in second.jobs] == ids[:1]
    pages = second.pagination
    assert (pages.page, pages.limit, pages.total, pages.total_pages) == (2, 2, 3, 2)
    assert [exchange.path for exchange in spidra_mock.exchanges][3:] == [
        "/batch/scrape",
        "/batch/scrape?page=2&limit=2",
    ]


def test_watch_yields_every_item_once_as_it_ends(play, settings, spidra_mock):
    spidra_mock.batch.outcomes({URLS[0]: completed(after_polls=2), URLS[1]: failed(after_polls=0)})

    async def flow(sdk):
        queued = await sdk.start_batch_scrape(URLS)
        return await sdk.watch_batch(queued.batch_id, poll_interval=0.001)

    items = play(flow, **settings)
    assert [(item.url, item.status) for item in items] == [
        (URLS[1], "failed"),
        (URLS[2], "completed"),
        (URLS[0], "completed"),
    ]


def test_bulk_scrape_submits_forty_urls_at_a_time(play, settings, spidra_mock):
    pages = [f"https://shop.example/{number}" for number in range(45)]
    spidra_mock.batch.outcomes(
        {page: completed({"jobs": [{"id": n}, {"id": n + 1}]}) for n, page in enumerate(pages)}
    )
    numbers = [str(number) for number in range(45)]

    async def flow(sdk):
        return await sdk.bulk_scrape(
            "https://shop.example/{n}",
            {"n": numbers},
            items_path="jobs",
            dedupe_by="id",
            prompt="jobs",
            poll_interval=0.001,
        )

    result = play(flow, **settings)
    assert [entry["id"] for entry in result.items] == list(range(46))
    assert (result.stats.credits_used, result.stats.failed_pages) == (90, 0)
    assert [len(batch.urls) for batch in spidra_mock.batches] == [40, 5]
    assert spidra_mock.credits.charged == 90


def test_a_batch_that_never_ends_runs_into_the_sdks_own_timeout(play, spidra_mock):
    spidra_mock.batch.outcomes({URLS[0]: stuck()})

    async def flow(sdk):
        return await sdk.batch_scrape(URLS[:1], poll_interval=0.02, timeout=0.01)

    with pytest.raises(SpidraTimeoutError):
        play(flow)
    assert spidra_mock.batches[0].status == "running"


def test_an_empty_key_never_reaches_the_service(play, spidra_mock, monkeypatch):
    monkeypatch.delenv("SPIDRA_API_KEY", raising=False)

    async def flow(sdk):
        return await sdk.list_batch_scrapes()

    with pytest.raises(httpx.LocalProtocolError, match=r"^Illegal header value b'Bearer '$"):
        play(flow, api_key="")
    assert len(spidra_mock.exchanges) == 0


def test_a_session_of_the_users_own_is_answered(spidra_mock):
    async def flow():
        async with httpx.AsyncClient(headers={"x-mine": "1"}) as session:
            sdk = AsyncSpidra(api_key="spd_mine", session=session)
            return await sdk.batch_scrape(URLS, poll_interval=0.001)

    assert asyncio.run(flow()).status == "completed"
    assert {exchange.headers["x-mine"] for exchange in spidra_mock.exchanges} == {"1"}


# -- typed errors --------------------------------------------------------------------------------------


def get(sdk, batch):
    return sdk.get_batch_scrape(batch.id)


def start(sdk, batch):
    return sdk.start_batch_scrape(URLS, output="json")


def start_nothing(sdk, batch):
    return sdk.start_batch_scrape([])


def retry(sdk, batch):
    return sdk.retry_batch_scrape(batch.id)


def cancel(sdk, batch):
    return sdk.cancel_batch_scrape(batch.id)


NO_FAILED = "No failed items to retry."
TOO_LATE = "Cannot cancel a batch that is already completed."
PENDING = "You have too many pending scrape jobs. Please wait for some to complete before submitting more."
BUSY = "The scraping service is currently at capacity. Please retry in a few minutes."
INVALID_KEY = "Invalid token or API key"

SCRIPTED = {
    "401": ("get", http_error(401), get, SpidraAuthenticationError(INVALID_KEY), {}),
    "402": (
        "submit",
        payment_overdue(),
        start,
        SpidraPaymentRequiredError("Your subscription payment is overdue.", code="PAYMENT_OVERDUE"),
        {},
    ),
    "403": (
        "retry",
        http_error(403),
        retry,
        SpidraForbiddenError("You have exceeded your monthly credit limit."),
        {},
    ),
    "404": ("cancel", http_error(404), cancel, SpidraNotFoundError("Batch not found."), {}),
    "422": (
        "submit",
        http_error(422, errors=["At least one URL is required."]),
        start,
        SpidraValidationError("Request validation failed."),
        {"errors": ["At least one URL is required."]},
    ),
    "429": (
        "get",
        rate_limited(3, limit=60),
        get,
        SpidraRateLimitError("Too many requests, please try again later."),
        {"retry_after": 3.0, "limit": 60, "remaining": 0},
    ),
    "429 with a code": (
        "submit",
        too_many_pending(),
        start,
        SpidraRateLimitError(PENDING, code="TOO_MANY_PENDING_JOBS"),
        {"retry_after": None, "limit": None, "remaining": None},
    ),
    "500": ("get", 500, get, SpidraServerError(500, "Internal server error."), {}),
    "503": (
        "submit",
        service_busy(),
        start,
        SpidraServerError(503, BUSY, code="SERVICE_BUSY"),
        {},
    ),
    "503 of the queue": (
        "submit",
        queue_unavailable(),
        start,
        SpidraServerError(503, "Queue is down", code="QUEUE_UNAVAILABLE"),
        {},
    ),
    "400": (
        "retry",
        http_error(400, "NO_FAILED_ITEMS", NO_FAILED),
        retry,
        SpidraError(400, NO_FAILED, code="NO_FAILED_ITEMS"),
        {},
    ),
    "409": (
        "cancel",
        http_error(409, "ALREADY_TERMINAL", TOO_LATE),
        cancel,
        SpidraError(409, TOO_LATE, code="ALREADY_TERMINAL"),
        {},
    ),
}


def caught(play, ask, batch, **settings):
    """Return the error with which an SDK call ends."""

    async def flow(sdk):
        return await ask(sdk, batch)

    with pytest.raises(SpidraError) as raised:
        play(flow, **settings)
    return raised.value


def assert_same(error, expected, **attributes):
    assert type(error) is type(expected)
    assert (error.status, error.code, error.message) == (expected.status, expected.code, expected.message)
    assert {name: getattr(error, name) for name in attributes} == attributes
    assert error.details["status"] == "error"


@pytest.mark.parametrize(
    ("endpoint", "step", "ask", "expected", "attributes"), SCRIPTED.values(), ids=SCRIPTED
)
def test_one_line_of_script_raises_each_typed_error(
    play, spidra_mock, spidra_batch_factory, endpoint, step, ask, expected, attributes
):
    batch = spidra_batch_factory(failed=1)
    getattr(spidra_mock.batch, endpoint).script(step)
    assert_same(caught(play, ask, batch, max_retries=0), expected, **attributes)
    (call,) = spidra_mock.exchanges.calls()
    assert call.endpoint == f"batch.{endpoint}"
    assert call.outcomes == [expected.status]


OVERDUE = "Your subscription payment is overdue."
BY_ACCOUNT = {
    "401 of a wrong key": ({"keys": {"spd_another"}}, get, SpidraAuthenticationError(INVALID_KEY), {}),
    "403 of a wrong key": (
        {"keys": (), "invalid_key_status": 403},
        get,
        SpidraForbiddenError(INVALID_KEY),
        {},
    ),
    "402 of a submit": (
        {"payment_overdue": True},
        start,
        SpidraPaymentRequiredError(OVERDUE, code="PAYMENT_OVERDUE"),
        {},
    ),
    "402 of a retry": (
        {"payment_overdue": True},
        retry,
        SpidraPaymentRequiredError(OVERDUE, code="PAYMENT_OVERDUE"),
        {},
    ),
    "403 of a submit": (
        {"credits": 5},
        start,
        SpidraForbiddenError("You have exceeded your monthly credit limit."),
        {},
    ),
    "403 of a retry": (
        {"credits": 1},
        retry,
        SpidraForbiddenError("You have exceeded your monthly credit limit."),
        {},
    ),
    "422 of an option": (
        {"outputs": ("markdown",)},
        start,
        SpidraValidationError("Request validation failed."),
        {"errors": ["output must be one of markdown."]},
    ),
    "422 of no URL": (
        {},
        start_nothing,
        SpidraValidationError("Request validation failed."),
        {"errors": ["At least one URL is required."]},
    ),
    "429 of the pending cap": (
        {"pending_cap": 2},
        start,
        SpidraRateLimitError(PENDING, code="TOO_MANY_PENDING_JOBS"),
        {"retry_after": None},
    ),
    "429 of the rate limit": (
        {"rate_limit": RateLimit(0, 60)},
        get,
        SpidraRateLimitError("Too many requests, please try again later."),
        {"retry_after": 60.0, "limit": 0, "remaining": 0},
    ),
    "5xx of a retry": (
        {"retry_of_failed": 500},
        retry,
        SpidraServerError(500, "Cannot retry a batch that is failed."),
        {},
    ),
}


@pytest.mark.parametrize(("changes", "ask", "expected", "attributes"), BY_ACCOUNT.values(), ids=BY_ACCOUNT)
def test_the_accounts_settings_raise_typed_errors(
    play, spidra_mock, spidra_batch_factory, changes, ask, expected, attributes
):
    batch = spidra_batch_factory(failed=1, status="failed" if "retry_of_failed" in changes else "completed")
    for name, value in changes.items():
        setattr(spidra_mock.account, name, value)
    assert_same(caught(play, ask, batch, max_retries=0), expected, **attributes)


@pytest.mark.parametrize(
    ("making", "ask", "expected"),
    [
        ({"owner": "someone else"}, get, SpidraNotFoundError("Batch not found.")),
        ({"owner": "someone else"}, retry, SpidraNotFoundError("Batch not found.")),
        ({"owner": "someone else"}, cancel, SpidraNotFoundError("Batch not found.")),
        ({}, retry, SpidraError(400, NO_FAILED, code="NO_FAILED_ITEMS")),
        ({}, cancel, SpidraError(409, TOO_LATE, code="ALREADY_TERMINAL")),
    ],
)
def test_the_state_of_a_batch_raises_typed_errors(play, spidra_batch_factory, making, ask, expected):
    assert_same(caught(play, ask, spidra_batch_factory(**making)), expected)


def test_a_gateways_page_raises_a_server_error_without_a_code(play, spidra_mock, spidra_batch_factory):
    spidra_mock.batch.get.script(gateway_error(504))
    error = caught(play, get, spidra_batch_factory(), max_retries=0)
    assert type(error) is SpidraServerError
    assert (error.status, error.code) == (504, None)
    assert error.message.startswith("<html>")


# -- the SDK's behaviour, as measured ------------------------------------------------------------------

UNAVAILABLE = http_error(400, "QUEUE_UNAVAILABLE")

# first answer: what POST, GET or DELETE, and the polling of batch_scrape see; an error is what they raise
MEASURED = {
    "500": (500, [500], [500], [500, 200]),
    "502": (502, [502, "ok"], [502, "ok"], [502, 200]),
    "503": (503, [503, "ok"], [503, "ok"], [503, 200]),
    "a gateway's 502": (gateway_error(502), [502, "ok"], [502, "ok"], [502, 200]),
    "504": (504, [504], [504, "ok"], [504, 200]),
    "a gateway's 504": (gateway_error(504), [504], [504, "ok"], [504, 200]),
    "429 with Retry-After": (rate_limited(0.01), [429], [429], [429, 200]),
    "400 QUEUE_UNAVAILABLE": (UNAVAILABLE, [400, "ok"], [400, "ok"], [400, 200]),
    "503 QUEUE_UNAVAILABLE": (queue_unavailable(), [503, "ok"], [503, "ok"], [503, 200]),
    "503 with Retry-After": (service_busy(120), [503, "ok"], [503, "ok"], [503, 200]),
    "503 with a Retry-After below 0": (
        http_error(503, retry_after="-5"),
        [503, "ok"],
        [503, "ok"],
        [503, 200],
    ),
    **{
        name: (request_lost(name), [name], [name, "ok"], [name, 200])
        for name in (
            "ConnectError",
            "ConnectTimeout",
            "ReadTimeout",
            "WriteTimeout",
            "PoolTimeout",
            "RemoteProtocolError",
        )
    },
    **{
        name: (request_lost(name), [name], [name], [name, 200])
        for name in ("ReadError", "WriteError", "CloseError")
    },
}

OPERATIONS = {
    "submit": ("batch.submit", 202, start),
    "retry": ("batch.retry", 202, retry),
    "get": ("batch.get", 200, get),
    "delete": ("batch.cancel", 200, cancel),
}


@pytest.fixture
def short_cap(monkeypatch):
    """The SDK waits no longer than 10 ms when the service asks for more."""
    monkeypatch.setattr(spidra.lib.http, "_MAX_RETRY_AFTER_SECONDS", 0.01)


@pytest.mark.usefixtures("short_cap")
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("row", MEASURED)
def test_one_failure_makes_the_sdk_do_what_was_measured(
    play, spidra_mock, spidra_batch_factory, row, operation
):
    endpoint, success, ask = OPERATIONS[operation]
    step, posted, asked, _ = MEASURED[row]
    wanted = [success if seen == "ok" else seen for seen in (posted if success == 202 else asked)]
    batch = spidra_batch_factory(
        failed=0 if operation == "delete" else 1, status="running" if operation == "delete" else "completed"
    )
    getattr(spidra_mock.batch, endpoint.removeprefix("batch.")).script(step)

    async def flow(sdk):
        return await ask(sdk, batch)

    if wanted[-1] == success:
        play(flow)
    else:
        with pytest.raises((SpidraError, httpx.TransportError)):
            play(flow)
    (call,) = spidra_mock.exchanges.calls()
    assert (call.endpoint, call.outcomes) == (endpoint, wanted)


@pytest.mark.usefixtures("short_cap")
@pytest.mark.parametrize("row", MEASURED)
def test_one_failed_poll_does_not_end_batch_scrape(play, spidra_mock, row):
    step, _, _, polled = MEASURED[row]
    spidra_mock.batch.outcomes({URLS[0]: completed(after_polls=0)})
    spidra_mock.batch.get.script(step)

    async def flow(sdk):
        return await sdk.batch_scrape(URLS[:1], poll_interval=0.001)

    assert play(flow).status == "completed"
    (call,) = spidra_mock.exchanges.calls("batch.get")
    assert call.outcomes == polled


@pytest.mark.parametrize("body", ["truncated", "empty"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_cut_off_body_is_raised_as_it_is(play, spidra_mock, spidra_batch_factory, operation, body):
    endpoint, success, ask = OPERATIONS[operation]
    batch = (
        spidra_batch_factory(status="running") if operation == "delete" else spidra_batch_factory(failed=1)
    )
    getattr(spidra_mock.batch, endpoint.removeprefix("batch.")).script(ok(body=body))

    async def flow(sdk):
        return await ask(sdk, batch)

    with pytest.raises(json.JSONDecodeError):
        play(flow)
    (call,) = spidra_mock.exchanges.calls()
    assert (call.endpoint, call.outcomes) == (endpoint, [success])


@pytest.mark.parametrize("body", ["truncated", "empty"])
def test_a_cut_off_body_ends_the_polling(play, spidra_mock, body):
    spidra_mock.batch.get.script(ok(body=body))

    async def flow(sdk):
        return await sdk.batch_scrape(URLS, poll_interval=0.001)

    with pytest.raises(json.JSONDecodeError):
        play(flow)
    (call,) = spidra_mock.exchanges.calls("batch.get")
    assert call.outcomes == [200]


@pytest.mark.parametrize(("status", "looks"), [(503, 16), (500, 4), (429, 4)])
def test_an_outage_ends_the_polling_after_a_fixed_number_of_looks(play, spidra_mock, status, looks):
    spidra_mock.batch.get.always(status)

    async def flow(sdk):
        return await sdk.batch_scrape(URLS, poll_interval=0.001)

    with pytest.raises(SpidraError) as raised:
        play(flow)
    assert raised.value.status == status
    (call,) = spidra_mock.exchanges.calls("batch.get")
    assert call.outcomes == [status] * looks


def test_watch_tolerates_no_failed_look(play, spidra_mock, spidra_batch_factory):
    batch = spidra_batch_factory(status="running")
    spidra_mock.batch.get.script(ok(), 500)

    async def flow(sdk):
        return await sdk.watch_batch(batch.id, poll_interval=0.001)

    with pytest.raises(SpidraServerError):
        play(flow)


def test_a_lost_reply_to_a_submit_leaves_a_batch_that_the_list_shows(play, spidra_mock):
    spidra_mock.batch.submit.script(reply_lost())

    async def flow(sdk):
        with pytest.raises(httpx.ReadTimeout):
            await sdk.start_batch_scrape(URLS)
        return await sdk.list_batch_scrapes()

    listed = play(flow)
    assert [job.uuid for job in listed.jobs] == [batch.id for batch in spidra_mock.batches]
    assert len(listed.jobs) == 1
    assert spidra_mock.credits.reserved == 6


def test_the_sdk_pays_twice_for_a_submit_behind_a_502(play, spidra_mock):
    spidra_mock.batch.submit.script(gateway_error(502, processed=True))

    async def flow(sdk):
        return await sdk.start_batch_scrape(URLS)

    queued = play(flow)
    (call,) = spidra_mock.exchanges.calls("batch.submit")
    assert call.outcomes == [502, 202]
    assert [exchange.answered for exchange in call.exchanges] == [202, 202]
    assert [batch.urls for batch in spidra_mock.batches] == [URLS, URLS]
    assert queued.batch_id == spidra_mock.batches[1].id
    assert spidra_mock.credits.reserved == 12


def test_a_retry_behind_a_502_meets_no_failed_items(play, spidra_mock, spidra_batch_factory):
    spidra_mock.batch.retry.script(http_error(502, processed=True))
    error = caught(play, retry, spidra_batch_factory(failed=2))
    assert (error.status, error.code) == (400, "NO_FAILED_ITEMS")
    (call,) = spidra_mock.exchanges.calls("batch.retry")
    assert call.outcomes == [502, 400]
    assert spidra_mock.credits.reserved == 4


def test_a_cancel_whose_reply_is_lost_meets_already_terminal(play, spidra_mock, spidra_batch_factory):
    spidra_mock.batch.cancel.script(reply_lost())
    error = caught(play, cancel, spidra_batch_factory(status="pending"))
    assert (error.status, error.code) == (409, "ALREADY_TERMINAL")
    assert error.message == "Cannot cancel a batch that is already cancelled."
    (call,) = spidra_mock.exchanges.calls("batch.cancel")
    assert call.outcomes == ["ReadTimeout", 409]


def test_a_wait_is_what_the_service_asked_for(play, spidra_mock, spidra_batch_factory):
    """A hint in the body counts as much as one in the header, and both replace the SDK's own backoff."""
    spidra_mock.batch.get.script(service_busy(0.05), service_busy(0.05, header=False), 503)

    async def flow(sdk):
        return await get(sdk, spidra_batch_factory())

    play(flow, backoff_factor=0.001)
    (call,) = spidra_mock.exchanges.calls()
    assert call.outcomes == [503, 503, 503, 200]
    assert min(call.waits[:2]) >= 0.05
    assert len(call.waits) == 3
