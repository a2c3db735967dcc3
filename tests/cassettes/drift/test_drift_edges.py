"""What a recording can hold that the fake never answers, one oddity each: told by its place."""

import json

import pytest
import yaml
from second_api import error
from test_drift import BATCHES, GOOD, drift, record


def oddity(tmp_path, *reply, send=lambda client: client.post(BATCHES, json={"urls": GOOD})):
    """Return the drift of one request that is answered so."""
    return drift(record(tmp_path / "odd.yaml", send, *reply))


def look(client):
    client.get(f"{BATCHES}/00000000-0000-4000-8000-000000000000")


def items(*statuses, **more):
    return [
        {
            "uuid": f"0000000{number}-0000-4000-8000-000000000000",
            "url": GOOD[number],
            "jobId": "job-1",
            "status": status,
            "result": "#" if status == "completed" else None,
            "error": "Timeout" if status == "failed" else None,
            "creditsUsed": 2 if status == "completed" else 0,
            "startedAt": "2026-11-25T10:00:00Z",
            "screenshotUrl": None,
            "finishedAt": None if status == "running" else "2026-11-25T10:00:00Z",
            **more,
        }
        for number, status in enumerate(statuses)
    ]


def batch(status, *statuses, **more):
    return {
        "status": status,
        "totalUrls": len(statuses),
        "completedCount": statuses.count("completed"),
        "failedCount": statuses.count("failed"),
        "items": items(*statuses),
        "createdAt": "2026-11-25T10:00:00Z",
        "finishedAt": None if status in ("pending", "running") else "2026-11-25T10:00:00Z",
        **more,
    }


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (error(418, "I am a teapot."), "status: 418 was recorded, and the fake never answers so"),
        (error(402, "Overdue."), "$.code: no code with 402 was recorded, and the fake has 'PAYMENT_OVERDUE'"),
        (error(409, "Too late.", "ALREADY_TERMINAL"), "status: 409 answers a submit, and the fake never does so"),
        ((401, b"no", {}), "$: a 401 without a JSON object, and the fake answers one"),
        ((500, {"message": "Oops"}, {}), "$.status: the field is missing, and the fake has it"),
        ((500, {"status": "failed", "message": "Oops"}, {}), "$.status: 'failed' was recorded, and the fake has 'error'"),
        (error(422, "No.", errors=["No."]), "status: the API has refused this submit with 422, and the fake takes it"),
        ((503, b"", {"retry-after": "soon"}), "retry-after: 'soon' is neither a number of seconds nor an HTTP date"),
        ((429, b'{"status": "error", "message": "!"}', {"ratelimit-reset": "1.5"}), "ratelimit-reset: '1.5' was recorded"),
        ((202, b"[]", {}), "$: an array was recorded, and the fake has an object"),
        ((202, b'{"status": "queued", "batchId": "b-1", "total": 3}', {}), "$.batchId: 'b-1' was recorded, and the fake has a UUID"),
        ((202, b'{"status": "queued", "batchId": 7, "total": 3.5}', {}), "$.batchId: a whole number (7) was recorded"),
        ((202, b'{"status": "queued", "batchId": true, "total": 3.5}', {}), "$.total: a number (3.5) was recorded"),
    ],
)  # fmt: skip
def test_an_odd_answer_to_a_submit_is_told(tmp_path, reply, told):
    assert any(told in one for one in oddity(tmp_path, reply))


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        ((200, {"status": "running"}, {}), "$.items: no array of objects was recorded"),
        ((200, batch("completed", "completed", "running"), {}), "completed was recorded with 1 items that have not ended"),
        ((200, batch("running", "completed", "failed"), {}), "running was recorded with items that have all ended"),
        ((200, batch("pending", "completed", "running"), {}), "pending was recorded with items that have begun"),
        ((200, batch("waiting", "running"), {}), "$.status: 'waiting' was recorded"),
    ],
)  # fmt: skip
def test_an_odd_answer_to_a_look_is_told(tmp_path, reply, told):
    """Of a batch that was there before, no transition is known; its states must fit together all the same."""
    assert any(told in one for one in oddity(tmp_path, reply, send=look))


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_a_batch_that_broke_or_was_cancelled_by_others_is_no_drift(tmp_path, status):
    assert oddity(tmp_path, (200, batch(status, "completed", "failed", status), {}), send=look) == []


def test_an_http_date_and_a_gateway_page_are_no_drift(tmp_path):
    headers = {"retry-after": "Wed, 25 Nov 2026 10:00:00 GMT", "content-type": "text/html"}
    assert oddity(tmp_path, (503, b"<html>busy</html>", headers)) == []


def twice(client):
    look(client)
    look(client)


@pytest.mark.parametrize(
    ("second", "told"),
    [
        (batch("completed", "completed"), "$.items: 1 items were recorded, of 2 URLs"),
        (batch("running", "running", "failed"), "$.items[0].status: it went from completed to running, and the fake never does so"),
        (batch("running", "completed", "running"), "$.items[1].status: it went from failed to running, and the fake does so only after a retry"),
        (batch("running", "completed", "running"), "$.status: the batch went from completed to running, and in the fake it does so only after a retry"),
        (batch("completed", "completed", "failed", items=items("failed", "completed")[::-1]), "$.items[*].uuid: the items have other ids than before"),
        (batch("completed", "completed", "cancelled"), "$.items[1].status: it went from failed to cancelled"),
    ],
)  # fmt: skip
def test_a_transition_that_cannot_be_is_told(tmp_path, second, told):
    found = oddity(
        tmp_path, (200, batch("completed", "completed", "failed"), {}), (200, second, {}), send=twice
    )
    assert any(f"interaction 2, {told}" in one for one in found), found


def then(*requests):
    """Return a client that looks at a batch twice, sending something in between."""
    path = f"{BATCHES}/00000000-0000-4000-8000-000000000000"

    def send(client):
        client.get(path)
        for method, more in requests:
            client.request(method, f"{path}{more}")

    return send


@pytest.mark.parametrize(
    ("request_", "reply", "told"),
    [
        (("POST", "/retry"), error(400, "No.", "NO_FAILED_ITEMS"), "$.code: refused, though 1 items had failed"),
        (("DELETE", ""), (200, {"status": "cancelled", "cancelledItems": 0, "creditsRefunded": 0}, {}), "a completed batch was cancelled, and the fake refuses that with 409"),
        (("DELETE", ""), (200, {"status": "cancelled", "cancelledItems": 2, "creditsRefunded": 4}, {}), "$.cancelledItems: 2 were recorded, and 0 had not ended"),
        (("DELETE", ""), (200, {"status": "cancelled", "cancelledItems": 0, "creditsRefunded": 4}, {}), "$.creditsRefunded: 4 credits for 0 items"),
        (("POST", "/retry"), (202, {"status": "queued", "retriedCount": 2}, {}), "$.retriedCount: 2 was recorded, and 1 items had failed"),
        (("POST", "/retry"), (202, {"status": "running", "retriedCount": 1}, {}), "$.status: 'running' was recorded, and the fake has 'queued'"),
    ],
)  # fmt: skip
def test_an_answer_that_does_not_fit_the_recorded_state_is_told(tmp_path, request_, reply, told):
    found = oddity(tmp_path, (200, batch("completed", "completed", "failed"), {}), reply, send=then(request_))
    assert any(f"interaction 2, {told}" in one or f"interaction 2, status: {told}" in one for one in found), (
        found
    )


def test_what_is_done_to_a_batch_that_was_never_shown_is_compared_in_shape_alone(tmp_path):
    send = then(("DELETE", ""), ("POST", "/retry"))
    cancelled = (200, {"status": "cancelled", "cancelledItems": 3, "creditsRefunded": 6}, {})
    assert (
        oddity(
            tmp_path,
            error(404, "No."),
            cancelled,
            (202, {"status": "queued", "retriedCount": 2}, {}),
            send=send,
        )
        == []
    )


def job(**more):
    told = {
        "uuid": "00000000-0000-4000-8000-000000000000",
        "status": "running",
        "totalUrls": 2,
        "completedCount": 1,
        "failedCount": 0,
    }
    return {
        **told,
        "outputFormat": "json",
        "scrapingChannel": "api",
        "createdAt": "2026-11-25T10:00:00Z",
        "finishedAt": None,
        **more,
    }


def page(*jobs, **more):
    return (
        200,
        {
            "jobs": list(jobs),
            "pagination": {"page": 1, "limit": 20, "total": len(jobs), "totalPages": 1, **more},
        },
        {},
    )


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (page(job(status="archived")), "$.jobs[0].status: 'archived' was recorded"),
        (page(job(completedCount=2, failedCount=1)), "$.jobs[0].completedCount: 2 completed and 1 failed do not add up with 2 in all"),
        (page(job(status="completed", finishedAt="2026-11-25T10:00:00Z")), "$.jobs[0].completedCount: 1 completed and 0 failed do not add up"),
        (page(job(), job(createdAt="2026-11-25T11:00:00Z")), "$.jobs: the batches are in another order than newest first"),
        (page(*[job()] * 21, totalPages=2), "$.jobs: 21 batches were recorded on a page of 20"),
        (page("batch"), "$.jobs[0]: a string ('batch') was recorded, and the fake has an object"),
        (page(job(), limit=10), "$.pagination.limit: 10 was recorded, and the fake has 20"),
        ((200, {"jobs": None, "pagination": None}, {}), "$.jobs: null was recorded, and the fake has an array"),
    ],
)  # fmt: skip
def test_an_odd_page_of_the_list_is_told(tmp_path, reply, told):
    assert any(told in one for one in oddity(tmp_path, reply, send=lambda client: client.get(BATCHES)))


def test_the_list_knows_how_many_urls_a_recorded_batch_has(tmp_path):
    def send(client):
        client.post(BATCHES, json={"urls": GOOD})
        client.get(BATCHES)

    path = record(tmp_path / "second.yaml", send)
    data = yaml.safe_load(path.read_text())
    body = json.loads(data["interactions"][1]["response"]["body"]["string"])
    body["jobs"][0]["totalUrls"] = 4
    data["interactions"][1]["response"]["body"]["string"] = json.dumps(body)
    path.write_text(yaml.safe_dump(data))

    assert drift(path) == ["interaction 2, $.jobs[0].totalUrls: 4 was recorded, and 3 URLs were submitted"]


def test_a_submit_that_the_fake_refuses_is_told(tmp_path):
    reply = (202, {"status": "queued", "batchId": "00000000-0000-4000-8000-000000000000", "total": 60}, {})
    found = oddity(tmp_path, reply, send=lambda client: client.post(BATCHES, json={"urls": GOOD * 20}))
    assert found == [
        "interaction 1, status: the API took this submit, and the fake refuses it: ['A batch takes at most 50 URLs.']"
    ]


def test_warnings_of_a_schema_are_no_drift(tmp_path):
    batch_id = "00000000-0000-4000-8000-000000000000"
    body = {"status": "queued", "batchId": batch_id, "total": 3, "schema_warnings": ["`anyOf` is ignored."]}
    reply = (202, body, {"location": f"/api/batch/scrape/{batch_id}"})
    send = lambda client: client.post(BATCHES, json={"urls": GOOD, "schema": {"type": "object"}})  # noqa: E731 - as short as it is
    assert oddity(tmp_path, reply, send=send) == []
