"""The exchange log tells what the client did and what it saw, in frozen plain values, without secrets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import FrozenInstanceError, asdict

import httpx
import pytest

from pytest_spidra import Call, Exchange, ExchangeLog, http_error, ok, reply_lost, request_lost
from pytest_spidra.traffic.reply import Reply
from pytest_spidra.traffic.request import Request

pytestmark = pytest.mark.spidra(rules="off")  # what is unsafe is done on purpose here

BATCH = "/batch/scrape/b-1"
OTHER = "/batch/scrape/b-2"

SUBMIT = ("batch.submit", "POST", "/batch/scrape", {"urls": ["https://a.example/"]})
SUBMIT_OTHER = ("batch.submit", "POST", "/batch/scrape", {"urls": ["https://b.example/"]})
LIST = ("batch.list", "GET", "/batch/scrape", None)
LIST_PAGE = ("batch.list", "GET", "/batch/scrape?page=2", None)
GET = ("batch.get", "GET", BATCH, None)
GET_OTHER = ("batch.get", "GET", OTHER, None)
RETRY = ("batch.retry", "POST", f"{BATCH}/retry", {})
RETRY_WITHOUT_BODY = ("batch.retry", "POST", f"{BATCH}/retry", None)
CANCEL = ("batch.cancel", "DELETE", BATCH, None)


def logged(*story):
    """Return a log in which each request of the story was sent and then seen; one second passes between."""
    log = ExchangeLog()
    at = 0.0
    for (endpoint, method, path, body), *seen in story:
        content = b"" if body is None else json.dumps(body).encode()
        batch_id = path.split("/")[3].partition("?")[0] if path.count("/") > 2 else None
        number = log.begin(Request(method, path, content=content), endpoint, batch_id, at, None)
        for result in seen:
            log.seen(number, Reply(result) if isinstance(result, int) else result, at + 0.25)
        at += 1.0
    return log


STORIES = {
    "one request": ([(GET, 200)], [("batch.get", [200])]),
    "a failure and its repetition": ([(GET, 503), (GET, 200)], [("batch.get", [503, 200])]),
    "a lost connection counts as a failure": (
        [(SUBMIT, 503), (SUBMIT, "ReadTimeout"), (SUBMIT, 202)],
        [("batch.submit", [503, "ReadTimeout", 202])],
    ),
    "a cancelled request counts as a failure": (
        [(GET, "cancelled"), (GET, 200)],
        [("batch.get", ["cancelled", 200])],
    ),
    "after a success a new call begins": (
        [(GET, 200), (GET, 200), (GET, 503), (GET, 200)],
        [("batch.get", [200]), ("batch.get", [200]), ("batch.get", [503, 200])],
    ),
    "a call may end in failure": ([(GET, 503), (GET, 503)], [("batch.get", [503, 503])]),
    "another body is another call": (
        [(SUBMIT, 503), (SUBMIT_OTHER, 202)],
        [("batch.submit", [503]), ("batch.submit", [202])],
    ),
    "submits of other bodies do not part the attempts": (
        [(SUBMIT, 503), (SUBMIT_OTHER, 503), (SUBMIT, 202), (SUBMIT_OTHER, 202)],
        [("batch.submit", [503, 202]), ("batch.submit", [503, 202])],
    ),
    "a list parts the attempts of a submit": (
        [(SUBMIT, "ReadTimeout"), (LIST, 200), (SUBMIT, 202)],
        [("batch.submit", ["ReadTimeout"]), ("batch.list", [200]), ("batch.submit", [202])],
    ),
    "a failed list parts them, too": (
        [(SUBMIT, 503), (LIST, 503), (LIST, 200), (SUBMIT, 202)],
        [("batch.submit", [503]), ("batch.list", [503, 200]), ("batch.submit", [202])],
    ),
    "another page is another call": (
        [(LIST, 503), (LIST_PAGE, 200)],
        [("batch.list", [503]), ("batch.list", [200])],
    ),
    "batches that are polled at once do not part each other's attempts": (
        [(GET, 503), (GET_OTHER, 503), (GET, 200), (GET_OTHER, 200)],
        [("batch.get", [503, 200]), ("batch.get", [503, 200])],
    ),
    "a look parts the attempts of a retry": (
        [(RETRY, "ReadTimeout"), (GET, 200), (RETRY, 202)],
        [("batch.retry", ["ReadTimeout"]), ("batch.get", [200]), ("batch.retry", [202])],
    ),
    "a cancel parts the looks": (
        [(GET, 503), (CANCEL, 200), (GET, 200)],
        [("batch.get", [503]), ("batch.cancel", [200]), ("batch.get", [200])],
    ),
    "a body of nothing is another one than an empty object": (
        [(RETRY, 503), (RETRY_WITHOUT_BODY, 202)],
        [("batch.retry", [503]), ("batch.retry", [202])],
    ),
    "a submit does not part the looks at a batch": (
        [(GET, 503), (SUBMIT, 202), (GET, 200)],
        [("batch.get", [503, 200]), ("batch.submit", [202])],
    ),
    "a request without a reply yet is a call of its own": (
        [(GET,), (GET, 200)],
        [("batch.get", [None]), ("batch.get", [200])],
    ),
    "nothing": ([], []),
}


@pytest.mark.parametrize(("story", "calls"), STORIES.values(), ids=STORIES)
def test_calls_are_derived_from_the_log(story, calls):
    assert [(call.endpoint, call.outcomes) for call in logged(*story).calls()] == calls


def test_calls_of_one_endpoint_are_a_selection_of_all():
    log = logged((SUBMIT, 503), (SUBMIT, 202), (GET, 503), (GET, 200))
    assert log.calls("batch.submit") + log.calls("batch.get") == log.calls()
    assert log.calls("batch.cancel") == ()


@pytest.mark.parametrize("name", ["submit", "batch.submits", "POST", ""])
def test_calls_of_an_endpoint_that_is_none_are_refused(name):
    """A wrong name would give an empty tuple, with which a claim such as "no calls" is always right."""
    with pytest.raises(ValueError, match="is no endpoint"):
        logged((SUBMIT, 503)).calls(name)


def test_a_call_knows_its_attempts_and_waits():
    (call,) = logged((SUBMIT, 503), (SUBMIT, "ReadTimeout"), (SUBMIT, 202)).calls()
    assert isinstance(call, Call)
    assert (call.attempts, call.waits) == (3, [0.75, 0.75])
    assert [exchange.number for exchange in call.exchanges] == [1, 2, 3]


def test_a_call_of_one_attempt_has_no_waits():
    (call,) = logged((GET, 200)).calls()
    assert (call.attempts, call.waits) == (1, [])


@pytest.mark.parametrize(
    ("seen", "failed"),
    [
        (200, False),
        (202, False),
        (302, False),
        (399, False),
        (400, True),
        (503, True),
        ("ReadError", True),
        (None, False),
    ],
)
def test_an_exchange_failed_when_the_client_saw_an_error(seen, failed):
    assert Exchange(1, 0.0, *GET[:3], seen=seen).failed is failed


# -- the log as a sequence -----------------------------------------------------------------------------


def test_the_log_is_a_sequence():
    log = logged((SUBMIT, 202), (GET, 200), (GET, 200))
    assert isinstance(log, Sequence)
    assert (len(log), log[0].number, log[-1].number) == (3, 1, 3)
    assert [one.number for one in log[1:]] == [2, 3]
    assert isinstance(log[1:], list)
    assert [one.number for one in log] == [1, 2, 3]
    assert [one.number for one in reversed(log)] == [3, 2, 1]
    assert log[1] in log
    assert log.index(log[2]) == 2
    assert log.count(log[0]) == 1
    assert repr(log) == "<ExchangeLog of 3 exchanges>"
    with pytest.raises(IndexError):
        log[3]


def test_an_empty_log_is_false():
    assert not ExchangeLog()
    assert list(ExchangeLog()) == []


def test_the_log_can_be_read_while_it_grows():
    log = logged((SUBMIT, 202))
    for place, _ in enumerate(log):
        log.begin(Request("GET", BATCH), "batch.get", "b-1", 9.0, None)
        assert place < 1
    assert len(log) == 2


@pytest.mark.parametrize("name", ["number", "seen", "headers", "request_json"])
def test_an_exchange_is_frozen(name):
    exchange = logged((SUBMIT, 202))[0]
    with pytest.raises(FrozenInstanceError):
        setattr(exchange, name, None)
    with pytest.raises(FrozenInstanceError):
        logged((SUBMIT, 202)).calls()[0].exchanges = ()


def test_an_exchange_is_plain_values(spidra_mock, submit):
    """It can be taken apart, shown and compared as JSON."""
    submit(prompt="x")
    exchange = spidra_mock.exchanges[0]
    assert json.loads(json.dumps(asdict(exchange)))["request_json"] == {
        "urls": ["https://a.example/"],
        "prompt": "x",
    }
    assert exchange == spidra_mock.exchanges[0]


# -- what stands in it ---------------------------------------------------------------------------------


def test_a_submit_stands_there_in_full(spidra_mock, submit):
    submit(output="markdown")
    (exchange,) = spidra_mock.exchanges
    batch = spidra_mock.batches[0]
    answer = {"status": "queued", "batchId": batch.id, "total": 1}
    assert (exchange.number, exchange.endpoint, exchange.method) == (1, "batch.submit", "POST")
    assert (exchange.path, exchange.batch_id) == ("/batch/scrape", batch.id)
    assert exchange.request_json == {"urls": ["https://a.example/"], "output": "markdown"}
    assert exchange.headers["content-type"] == "application/json"
    assert (exchange.seen, exchange.seen_json, exchange.answered, exchange.answered_json) == (
        202,
        answer,
        202,
        answer,
    )
    assert exchange.seen_headers["location"] == f"/api/batch/scrape/{batch.id}"
    assert (exchange.scripted, exchange.waited) == (None, None)
    assert 0 <= exchange.sent_at <= exchange.seen_at <= spidra_mock.clock.elapsed


SIGHTS = {
    "healthy": (ok(), 202, 202),
    "refused": (http_error(503), 503, None),
    "done behind an error": (http_error(504, processed=True), 504, 202),
    "never arrived": (request_lost(), "ConnectError", None),
    "done, reply lost": (reply_lost(), "ReadTimeout", 202),
    "cut": (ok(body="empty"), 202, 202),
}


@pytest.mark.parametrize(("step", "seen", "answered"), SIGHTS.values(), ids=SIGHTS)
def test_what_was_seen_and_what_was_answered_are_two_things(spidra_mock, submit, step, seen, answered):
    spidra_mock.batch.submit.script(step)
    with suppress(httpx.TransportError):
        submit()
    (exchange,) = spidra_mock.exchanges
    assert (exchange.seen, exchange.answered, exchange.scripted) == (seen, answered, repr(step))
    assert exchange.failed is (seen != 202)


def test_a_body_that_is_no_json_stands_there_as_none(spidra_mock, client):
    client.post("/batch/scrape", content=b"{")
    (exchange,) = spidra_mock.exchanges
    assert (exchange.request_json, exchange.seen) == (None, 400)


def test_the_query_belongs_to_the_path(spidra_mock, client):
    client.get("/batch/scrape", params={"page": 2, "limit": 5})
    assert spidra_mock.exchanges[0].path == "/batch/scrape?page=2&limit=5"


def test_waited_counts_from_what_was_seen_last_of_the_same_batch():
    log = logged((SUBMIT, 202), (GET, 200), (GET_OTHER, 200), (GET, 503), (GET, 200), (LIST, 200))
    assert [exchange.waited for exchange in log] == [None, None, None, 1.75, 0.75, 4.75]


def test_waited_counts_from_the_submit_to_the_first_look(spidra_mock, submit, client):
    batch = submit().json()["batchId"]
    client.get(f"/batch/scrape/{batch}")
    submitted, looked = spidra_mock.exchanges
    assert looked.waited == round(looked.sent_at - submitted.seen_at, 6)


def test_the_waits_of_a_call_are_those_of_the_clock(spidra_mock, submit):
    spidra_mock.batch.submit.script(http_error(503, after=0.02), http_error(503))
    for _ in range(3):
        submit()
    (call,) = spidra_mock.exchanges.calls()
    first, second, third = call.exchanges
    assert call.waits == [round(second.sent_at - first.seen_at, 6), round(third.sent_at - second.seen_at, 6)]
    assert first.seen_at - first.sent_at >= 0.0199


# -- secrets -------------------------------------------------------------------------------------------

KEY = "spd_secret_1234567890"


@pytest.mark.parametrize("header", ["x-api-key", "X-API-Key", "Authorization"])
def test_a_key_stands_nowhere_in_the_log(spidra_mock, header):
    value = f"Bearer {KEY}" if header == "Authorization" else KEY
    httpx.post(
        f"{spidra_mock.base_url}/batch/scrape",
        headers={header: value, "x-trace": f"of {KEY}", "Cookie": "session=abc"},
        params={"debug": KEY},
        json={"urls": [f"https://a.example/?key={KEY}"], "prompt": [KEY, {"deep": KEY}], "cookies": "id=7"},
    )
    (exchange,) = spidra_mock.exchanges
    shown = repr(exchange) + json.dumps(asdict(exchange)) + repr(spidra_mock.exchanges.calls())
    assert KEY not in shown
    assert "session=abc" not in shown
    assert "id=7" not in shown
    assert exchange.request_json["cookies"] == "[redacted]"
    assert exchange.request_json["urls"] == ["https://a.example/?key=[redacted]"]
    assert exchange.headers["cookie"] == "[redacted]"


def test_a_key_stands_not_in_what_the_service_repeats(spidra_mock):
    """An error that quotes the request would bring the key back in the reply."""
    headers = {"x-api-key": KEY}
    body = {"urls": ["https://a.example/"], "output": KEY}
    reply = httpx.post(f"{spidra_mock.base_url}/batch/scrape", headers=headers, json=body)
    spidra_mock.batch.list.script(http_error(403, message=f"{KEY} is not good", headers={"x-key": KEY}))
    assert KEY in httpx.get(f"{spidra_mock.base_url}/batch/scrape", headers=headers).text
    assert reply.status_code == 422
    assert KEY not in repr(list(spidra_mock.exchanges))


def test_both_keys_of_one_request_are_hidden(spidra_mock):
    headers = {"x-api-key": KEY, "authorization": "Bearer spd_another_key"}
    httpx.get(f"{spidra_mock.base_url}/batch/scrape", headers=headers, params={"q": "spd_another_key"})
    assert KEY not in repr(spidra_mock.exchanges[0])
    assert "spd_another_key" not in repr(spidra_mock.exchanges[0])


def test_an_authorization_that_is_no_bearer_token_is_hidden(spidra_mock):
    httpx.get(f"{spidra_mock.base_url}/batch/scrape", auth=("me", "secret"))
    headers = spidra_mock.exchanges[0].headers
    assert headers["authorization"].startswith("[")
    assert "Basic" not in repr(spidra_mock.exchanges[0])


def test_the_client_and_the_service_still_have_the_secrets(spidra_mock):
    """What is hidden is the log's copy: the request itself is as it was sent."""
    seen = []
    with httpx.Client(event_hooks={"request": [seen.append]}, headers={"x-api-key": KEY}) as client:
        spidra_mock.account.keys = {KEY}
        assert client.get(f"{spidra_mock.base_url}/batch/scrape").status_code == 200
    assert seen[0].headers["x-api-key"] == KEY
