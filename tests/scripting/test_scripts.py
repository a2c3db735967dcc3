"""Steps say what they are, refuse what they cannot be, and carry what the API really sends."""

from __future__ import annotations

import re

import httpx
import pytest

from pytest_spidra import (
    Step,
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
    too_many_pending,
)
from pytest_spidra.scripting.lost import TRANSPORT_ERRORS

pytestmark = pytest.mark.spidra(rules="off")  # what is unsafe is done on purpose here

# -- labels --------------------------------------------------------------------------------------------

LABELS = [
    (ok, "ok()"),
    (lambda: ok(after=5.0), "ok(after=5.0)"),
    (lambda: ok(body="truncated"), 'ok(body="truncated")'),
    (lambda: ok(after=1, body="empty"), 'ok(after=1, body="empty")'),
    (lambda: http_error(503), "http_error(503)"),
    (
        lambda: http_error(503, "SERVICE_BUSY", retry_after=2),
        'http_error(503, code="SERVICE_BUSY", retry_after=2)',
    ),
    (lambda: http_error(504, processed=True, after=3), "http_error(504, processed=True, after=3)"),
    (
        lambda: http_error(503, retry_after="Wed, 21 Oct 2026 07:28:00 GMT"),
        'http_error(503, retry_after="Wed, 21 Oct 2026 07:28:00 GMT")',
    ),
    (service_busy, "service_busy(retry_after=60)"),
    (lambda: service_busy(None), "service_busy(retry_after=None)"),
    (lambda: rate_limited(None), "rate_limited(retry_after=None)"),
    (lambda: service_busy(2, processed=True), "service_busy(retry_after=2, processed=True)"),
    (queue_unavailable, "queue_unavailable()"),
    (too_many_pending, "too_many_pending()"),
    (rate_limited, "rate_limited(retry_after=60)"),
    (lambda: rate_limited(0.5), "rate_limited(retry_after=0.5)"),
    (payment_overdue, "payment_overdue()"),
    (gateway_error, "gateway_error(502)"),
    (lambda: gateway_error(504, processed=True), "gateway_error(504, processed=True)"),
    (reply_lost, "reply_lost()"),
    (lambda: reply_lost("ReadTimeout"), "reply_lost()"),
    (lambda: reply_lost(httpx.RemoteProtocolError), 'reply_lost("RemoteProtocolError")'),
    (request_lost, "request_lost()"),
    (lambda: request_lost(httpx.ReadTimeout("gone")), 'request_lost("ReadTimeout")'),
]


@pytest.mark.parametrize(("make", "label"), LABELS, ids=[label for _, label in LABELS])
def test_a_step_is_shown_as_it_was_written(make, label):
    step = make()
    assert isinstance(step, Step)
    assert (repr(step), step.label) == (label, label)


@pytest.mark.parametrize("label", [label for _, label in LABELS])
def test_what_is_shown_can_be_written(label):
    """The words of a message can be pasted into a script."""
    assert repr(eval(label)) == label  # noqa: S307 - our own words


# -- what is refused -----------------------------------------------------------------------------------

NO_STEP = (
    " A step is an error status such as 503, or what ok(), http_error(…), request_lost(), reply_lost(), "
    "service_busy(), queue_unavailable(), too_many_pending(), rate_limited(…), payment_overdue() or "
    "gateway_error(…) return. How an item ends is no step: see spidra_mock.batch.outcomes(…)."
)
KNOWN = f" These are known: {', '.join(TRANSPORT_ERRORS)}."

WRONG = {
    "a delay below 0": (lambda: ok(after=-1), ValueError, "ok(after=…) counts seconds from 0 on, not -1"),
    "an endless delay": (
        lambda: ok(after=float("inf")),
        ValueError,
        "ok(after=…) counts seconds from 0 on, not inf",
    ),
    "a delay that is no number at all": (
        lambda: ok(after=float("nan")),
        ValueError,
        "ok(after=…) counts seconds from 0 on, not nan",
    ),
    "a text as a delay": (lambda: ok(after="5"), TypeError, "ok(after=…) takes a number of seconds, not '5'"),
    "True as a delay": (lambda: ok(after=True), TypeError, "ok(after=…) takes a number of seconds, not True"),
    "an unknown body": (
        lambda: ok(body="half"),
        ValueError,
        'ok(body=…) is "whole", "truncated", "empty" or "cut", not \'half\'',
    ),
    "a success": (
        lambda: http_error(200),
        ValueError,
        "http_error(…) takes an HTTP error status, 400 to 599, not 200",
    ),
    "a status beyond": (
        lambda: http_error(600),
        ValueError,
        "http_error(…) takes an HTTP error status, 400 to 599, not 600",
    ),
    "a text as a status": (
        lambda: http_error("503"),
        (TypeError, ValueError),
        "http_error(…) takes an HTTP error status, 400 to 599, not '503'",
    ),
    "a delay of an error below 0": (
        lambda: http_error(503, after=-0.1),
        ValueError,
        "http_error(after=…) counts seconds from 0 on, not -0.1",
    ),
    "a Retry-After below 0": (
        lambda: http_error(503, retry_after=-1),
        ValueError,
        "http_error(retry_after=…) counts seconds from 0 on, not -1",
    ),
    "a Retry-After that is no number": (
        lambda: http_error(503, retry_after=[3]),
        TypeError,
        "http_error(retry_after=…) takes a number of seconds, not [3]",
    ),
    "a busy service's Retry-After below 0": (
        lambda: service_busy(-1),
        ValueError,
        "service_busy(retry_after=…) counts seconds from 0 on, not -1",
    ),
    "a rate limit's Retry-After below 0": (
        lambda: rate_limited(-1),
        ValueError,
        "rate_limited(retry_after=…) counts seconds from 0 on, not -1",
    ),
    "a gateway's 500": (
        lambda: gateway_error(500),
        ValueError,
        "gateway_error(…) is 502, 503 or 504, not 500; http_error(…) takes any status",
    ),
    "an error that is none of the transport": (
        lambda: reply_lost("Timeout"),
        ValueError,
        "reply_lost(…) takes a transport error, not 'Timeout'." + KNOWN,
    ),
    "an exception of Python's own": (
        lambda: request_lost(ConnectionResetError),
        ValueError,
        "request_lost(…) takes a transport error, not <class 'ConnectionResetError'>." + KNOWN,
    ),
    "a status as a lost request": (
        lambda: request_lost(503),
        ValueError,
        "request_lost(…) takes a transport error, not 503." + KNOWN,
    ),
}


@pytest.mark.parametrize(("make", "error", "message"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_is_refused_in_words(make, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        make()


NO_STEPS = {
    "a step not called": (lambda: (ok,), f"{ok!r} is no step (call it: ok())." + NO_STEP),
    "an outcome": (
        lambda: (failed("Timeout"),),
        f"{failed('Timeout')!r} is no step." + NO_STEP,
    ),
    "a text": (lambda: ("503",), "'503' is no step." + NO_STEP),
    "None": (lambda: (None,), "None is no step." + NO_STEP),
    "True": (lambda: (True,), "True is no step." + NO_STEP),
    "a list": (lambda: ([503, 502],), "[503, 502] is no step." + NO_STEP),
    "an exception": (lambda: (httpx.ReadTimeout,), f"{httpx.ReadTimeout!r} is no step"),
}


@pytest.mark.parametrize("how", ["script", "always"])
@pytest.mark.parametrize(("steps", "message"), NO_STEPS.values(), ids=NO_STEPS)
def test_what_is_no_step_is_refused_in_words(spidra_mock, steps, message, how):
    with pytest.raises(TypeError, match=f"^{re.escape(message)}"):
        getattr(spidra_mock.batch.submit, how)(*steps())


def test_nothing_of_a_refused_script_stays(spidra_mock, submit):
    with pytest.raises(TypeError):
        spidra_mock.batch.submit.script(503, "502")
    assert submit().status_code == 202


@pytest.mark.parametrize("how", ["script", "always"])
@pytest.mark.parametrize("status", [200, 302, 99, 600])
def test_a_bare_status_that_is_no_error_is_refused(spidra_mock, status, how):
    with pytest.raises(
        ValueError, match=rf"^http_error\(…\) takes an HTTP error status, 400 to 599, not {status}$"
    ):
        getattr(spidra_mock.batch.get, how)(status)


def test_an_empty_script_says_nothing(spidra_mock, submit):
    spidra_mock.batch.submit.script()
    assert submit().status_code == 202


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("submits", " Did you mean 'submit'?"),
        ("delete", ""),
        ("cancle", " Did you mean 'cancel'?"),
        ("xyz", ""),
    ],
)
def test_an_unknown_endpoint_is_refused(spidra_mock, name, hint):
    with pytest.raises(AttributeError) as raised:
        getattr(spidra_mock.batch, name)
    assert str(raised.value) == (
        f"{name!r} is no endpoint of the batch API.{hint} The endpoints are batch.submit, batch.get, "
        "batch.list, batch.cancel, batch.retry."
    )


@pytest.mark.parametrize("endpoint", ["submit", "list"])
@pytest.mark.parametrize("how", ["script", "always"])
def test_submit_and_list_concern_no_single_batch(spidra_mock, endpoint, how):
    with pytest.raises(ValueError, match=rf"^batch\.{endpoint} concerns no single batch: leave out batch=…$"):
        getattr(getattr(spidra_mock.batch, endpoint), how)(503, batch="b-1")


def test_a_script_for_something_that_is_no_batch_is_refused(spidra_mock):
    with pytest.raises(TypeError, match=r"^a batch is a Batch or its id, not 7$"):
        spidra_mock.batch.get.script(503, batch=7)


# -- what the ready-made errors send -------------------------------------------------------------------

JSON = "application/json; charset=utf-8"

BODIES = {
    "service_busy()": (
        service_busy(),
        503,
        {
            "status": "error",
            "message": "The scraping service is currently at capacity. Please retry in a few minutes.",
            "code": "SERVICE_BUSY",
            "retry_after": 60,
        },
        {"content-type": JSON, "retry-after": "60"},
    ),
    "service_busy(2.5)": (
        service_busy(2.5, header=False),
        503,
        {
            "status": "error",
            "message": "The scraping service is currently at capacity. Please retry in a few minutes.",
            "code": "SERVICE_BUSY",
            "retry_after": 2.5,
        },
        {"content-type": JSON},
    ),
    "service_busy(None)": (
        service_busy(None),
        503,
        {
            "status": "error",
            "message": "The scraping service is currently at capacity. Please retry in a few minutes.",
            "code": "SERVICE_BUSY",
        },
        {"content-type": JSON},
    ),
    "queue_unavailable()": (
        queue_unavailable(),
        503,
        {"status": "error", "message": "Queue is down", "code": "QUEUE_UNAVAILABLE"},
        {"content-type": JSON},
    ),
    "too_many_pending()": (
        too_many_pending(),
        429,
        {
            "status": "error",
            "message": (
                "You have too many pending scrape jobs. "
                "Please wait for some to complete before submitting more."
            ),
            "code": "TOO_MANY_PENDING_JOBS",
        },
        {"content-type": JSON},
    ),
    "rate_limited()": (
        rate_limited(),
        429,
        {"status": "error", "message": "Too many requests, please try again later."},
        {
            "content-type": JSON,
            "retry-after": "60",
            "ratelimit-limit": "300",
            "ratelimit-remaining": "0",
            "ratelimit-reset": "60",
        },
    ),
    "rate_limited(None)": (
        rate_limited(None, limit=60),
        429,
        {"status": "error", "message": "Too many requests, please try again later."},
        {"content-type": JSON, "ratelimit-limit": "60", "ratelimit-remaining": "0"},
    ),
    "payment_overdue()": (
        payment_overdue(),
        402,
        {
            "status": "error",
            "message": "Your subscription payment is overdue.",
            "code": "PAYMENT_OVERDUE",
        },
        {"content-type": JSON},
    ),
    "http_error(401)": (
        http_error(401),
        401,
        {"status": "error", "message": "Invalid token or API key"},
        {"content-type": JSON},
    ),
    "http_error(422, errors)": (
        http_error(422, errors=["At least one URL is required."]),
        422,
        {
            "status": "error",
            "message": "Request validation failed.",
            "errors": ["At least one URL is required."],
        },
        {"content-type": JSON},
    ),
    "http_error in full": (
        http_error(418, "TEAPOT", "I am one.", retry_after=2, headers={"X-Mine": "1"}),
        418,
        {"status": "error", "message": "I am one.", "code": "TEAPOT"},
        {"content-type": JSON, "retry-after": "2", "x-mine": "1"},
    ),
    "http_error with a date": (
        http_error(503, retry_after="Wed, 21 Oct 2026 07:28:00 GMT"),
        503,
        {
            "status": "error",
            "message": "The scraping service is currently at capacity. Please retry in a few minutes.",
        },
        {"content-type": JSON, "retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"},
    ),
}


@pytest.mark.parametrize(("step", "status", "body", "headers"), BODIES.values(), ids=BODIES)
def test_a_ready_made_error_carries_what_the_api_sends(spidra_mock, submit, step, status, body, headers):
    spidra_mock.batch.submit.script(step)
    reply = submit()
    sent = {name: value for name, value in reply.headers.items() if name != "content-length"}
    assert (reply.status_code, reply.json(), sent) == (status, body, headers)
    assert list(reply.json()) == list(body)
    assert spidra_mock.batches == []


@pytest.mark.parametrize(
    ("status", "title"),
    [(502, "502 Bad gateway"), (503, "503 Service unavailable"), (504, "504 Gateway timeout")],
)
def test_a_gateway_sends_a_page_of_html(spidra_mock, submit, status, title):
    spidra_mock.batch.submit.script(gateway_error(status))
    reply = submit()
    assert reply.status_code == status
    assert reply.headers["content-type"] == "text/html"
    assert reply.text == f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
    assert spidra_mock.exchanges[0].seen_json is None


@pytest.mark.parametrize("status", [400, 403, 404, 409, 499, 500, 502, 504, 599])
def test_a_bare_status_is_an_error_in_the_apis_shape(spidra_mock, submit, status):
    spidra_mock.batch.submit.script(status)
    reply = submit()
    assert reply.status_code == status
    assert reply.json()["status"] == "error"
    assert reply.json()["message"]
    assert set(reply.json()) == {"status", "message"}


PROCESSED = {
    "http_error": (http_error(504, processed=True), 504),
    "service_busy": (service_busy(processed=True), 503),
    "gateway_error": (gateway_error(502, processed=True), 502),
}


@pytest.mark.parametrize(("step", "status"), PROCESSED.values(), ids=PROCESSED)
def test_a_processed_error_hides_work_that_was_done(spidra_mock, submit, step, status):
    spidra_mock.batch.submit.script(step)
    assert submit().status_code == status
    (exchange,) = spidra_mock.exchanges
    assert (exchange.seen, exchange.answered) == (status, 202)
    assert len(spidra_mock.batches) == 1
    assert exchange.batch_id == spidra_mock.batches[0].id


def test_a_processed_error_hides_a_refusal_as_well(spidra_mock, submit):
    """The service's own answer counts: what it refused was no work, whatever the client sees."""
    spidra_mock.account.payment_overdue = True
    spidra_mock.batch.submit.script(http_error(504, processed=True))
    assert submit().status_code == 504
    assert spidra_mock.exchanges[0].answered == 402
    assert spidra_mock.batches == []


# -- which request gets which step ---------------------------------------------------------------------


@pytest.fixture
def look(client):
    def look(batch):
        return client.get(f"/batch/scrape/{batch.id}").status_code

    return look


def test_steps_come_in_order_and_then_the_service_is_healthy(spidra_mock, submit):
    spidra_mock.batch.submit.script(503, 502).script(500)
    assert [submit().status_code for _ in range(5)] == [503, 502, 500, 202, 202]


def test_ok_keeps_a_place(spidra_mock, submit):
    spidra_mock.batch.submit.script(ok(), 503, ok(), 502)
    assert [submit().status_code for _ in range(5)] == [202, 503, 202, 502, 202]
    scripted = [exchange.scripted for exchange in spidra_mock.exchanges]
    assert scripted == ["ok()", "http_error(503)", "ok()", "http_error(502)", None]


def test_an_outage_begins_after_the_steps_and_lasts(spidra_mock, submit):
    spidra_mock.batch.submit.always(503).script(ok(), 502)
    assert [submit().status_code for _ in range(5)] == [202, 502, 503, 503, 503]


def test_the_last_outage_counts_and_ok_ends_one(spidra_mock, submit):
    spidra_mock.batch.submit.always(503)
    assert submit().status_code == 503
    spidra_mock.batch.submit.always(502)
    assert submit().status_code == 502
    spidra_mock.batch.submit.always(ok())
    assert submit().status_code == 202


def test_a_script_can_be_continued_during_the_test(spidra_mock, submit):
    spidra_mock.batch.submit.script(503)
    assert [submit().status_code for _ in range(2)] == [503, 202]
    spidra_mock.batch.submit.script(502)
    assert [submit().status_code for _ in range(2)] == [502, 202]


def test_each_endpoint_has_a_script_of_its_own(spidra_mock, client, spidra_batch_factory):
    path = f"/batch/scrape/{spidra_batch_factory(failed=1).id}"
    codes = {"submit": 500, "get": 501, "list": 502, "cancel": 503, "retry": 504}
    for endpoint, code in codes.items():
        getattr(spidra_mock.batch, endpoint).script(code)
    asked = {
        "retry": client.post(f"{path}/retry"),
        "cancel": client.delete(path),
        "list": client.get("/batch/scrape"),
        "get": client.get(path),
        "submit": client.post("/batch/scrape"),
    }
    assert {endpoint: reply.status_code for endpoint, reply in asked.items()} == codes


def test_each_batch_goes_through_the_script_on_its_own(spidra_mock, look, spidra_batch_factory):
    first, second = spidra_batch_factory(), spidra_batch_factory()
    spidra_mock.batch.get.script(503, 502)
    assert [look(first), look(second), look(first), look(first), look(second), look(second)] == [
        503,
        503,
        502,
        200,
        502,
        200,
    ]


@pytest.mark.parametrize("handle", [lambda batch: batch, lambda batch: batch.id], ids=["a Batch", "an id"])
def test_a_script_for_one_batch_comes_before_the_one_for_all(spidra_mock, look, spidra_batch_factory, handle):
    mine, other = spidra_batch_factory(), spidra_batch_factory()
    spidra_mock.batch.get.script(500)
    spidra_mock.batch.get.script(503, 502, batch=handle(mine))
    assert [look(mine) for _ in range(4)] == [503, 502, 500, 200]
    assert [look(other) for _ in range(2)] == [500, 200]


def test_an_outage_of_one_batch_leaves_the_others(spidra_mock, look, spidra_batch_factory):
    mine, other = spidra_batch_factory(), spidra_batch_factory()
    spidra_mock.batch.get.always(503, batch=mine)
    assert [look(mine), look(other), look(mine)] == [503, 200, 503]


@pytest.mark.parametrize("endpoint", ["retry", "cancel"])
def test_retry_and_cancel_are_scripted_for_one_batch_as_well(
    spidra_mock, client, spidra_batch_factory, endpoint
):
    mine, other = spidra_batch_factory(failed=1), spidra_batch_factory(failed=1)
    getattr(spidra_mock.batch, endpoint).script(503, batch=mine)
    method, end = ("POST", "/retry") if endpoint == "retry" else ("DELETE", "")
    codes = [client.request(method, f"/batch/scrape/{batch.id}{end}").status_code for batch in (other, mine)]
    assert codes[0] != 503
    assert codes[1] == 503


def test_a_batch_that_nobody_knows_takes_its_steps_too(spidra_mock, client):
    """The step comes before the service, which would have answered 404."""
    spidra_mock.batch.get.script(503)
    codes = [client.get("/batch/scrape/b-1").status_code for _ in range(2)]
    assert codes == [503, 404]


def test_a_batchs_script_says_whose_it_is(spidra_mock):
    assert repr(spidra_mock.batch.submit) == "<script of batch.submit>"


def test_outcomes_are_no_steps_and_steps_are_no_outcomes(spidra_mock):
    with pytest.raises(TypeError, match=r"is no outcome for 'https://a\.example/'"):
        spidra_mock.batch.outcomes({"https://a.example/": http_error(503)})
    with pytest.raises(TypeError, match="How an item ends is no step"):
        spidra_mock.batch.get.script(completed())
