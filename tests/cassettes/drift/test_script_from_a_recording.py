"""``spidra-cassette script``: what was recorded, as a script that makes the fake behave so."""

import httpx
import pytest
from second_api import error
from test_drift import (
    BATCHES,
    ERRORS,
    GOOD,
    MIXED,
    go_through_everything,
    meet_every_known_error,
    record,
    run_loop,
)
from test_drift_edges import batch

from pytest_spidra.cassettes.format import Format
from pytest_spidra.cli import main
from pytest_spidra.conformance.runs import open_session


def printed(path, capsys):
    assert main(["script", str(path)]) == 0
    return capsys.readouterr().out


def played(script, client_code):
    """Let the fake follow a script and some client meet it; return what the client saw."""
    space = {}
    exec(script, space)  # noqa: S102 - that is what a reader does with it
    with open_session() as session:
        space["as_recorded"](session.mock)
        with httpx.Client(base_url=session.mock.base_url, headers={"x-api-key": "spd_recorded"}) as client:
            client_code(client)
        return [seen(one.endpoint, one.seen, one.seen_json) for one in session.wiring.log]


def seen(endpoint, status, body):
    """Return what a client acts upon: statuses, counts, codes, what became of each page."""
    body = body if isinstance(body, dict) else {}
    names = ("status", "code", "completedCount", "failedCount", "retriedCount", "total")
    items = body.get("items", [])
    pages = [(one["url"], one["status"], one["error"], one["result"]) for one in items]
    return endpoint, status, {name: body[name] for name in names if name in body}, pages


def as_recorded(path):
    interactions = Format({}).read(path).interactions
    return [seen(one.exchange.endpoint, one.reply.status, one.reply.json) for one in interactions]


def poll_slowly(client):
    """Three pages of which the service takes two at a time; one fails for good, and a look fails now and then."""
    batch_id = client.post(BATCHES, json={"urls": [*GOOD, "https://gone.example/"]}).json()["batchId"]
    for _ in range(2):
        while (reply := client.get(f"{BATCHES}/{batch_id}")).is_error or reply.json()[
            "status"
        ] != "completed":
            pass
        client.post(f"{BATCHES}/{batch_id}/retry")


def submit_and_be_refused(client):
    for _ in range(3):
        client.post(BATCHES, json={"urls": GOOD})
    client.post(BATCHES, json={"urls": []})
    client.get(f"{BATCHES}/00000000-0000-4000-8000-000000000000")


BUSY = error(503, "The service is at capacity.", "SERVICE_BUSY", retry_after=7)


@pytest.mark.parametrize(
    ("client_code", "busy"),
    [
        (meet_every_known_error, ERRORS),
        (submit_and_be_refused, (BUSY, error(500, "Oops"), error(402, "Overdue.", "PAYMENT_OVERDUE"))),
    ],
    ids=["every known error", "refused"],
)
def test_the_fake_behaves_as_recorded(tmp_path, capsys, client_code, busy):
    path = record(tmp_path / "second.yaml", client_code, *busy)
    assert played(printed(path, capsys), client_code) == as_recorded(path)


@pytest.mark.parametrize("client_code", [run_loop, poll_slowly], ids=["documented loop", "slowly"])
def test_pages_end_as_recorded_and_after_as_many_looks(tmp_path, capsys, client_code):
    """How a page is shown between its beginning and its end is the service's own affair."""
    path = record(tmp_path / "second.yaml", client_code)

    def ends(told):
        return [
            (endpoint, status, counts.get("retriedCount"), pages)
            for endpoint, status, counts, pages in told
            if not pages or counts["status"] == "completed"
        ]

    assert ends(played(printed(path, capsys), client_code)) == ends(as_recorded(path))


def test_it_can_be_read(tmp_path, capsys):
    path = record(tmp_path / "second.yaml", run_loop)
    assert (
        printed(path, capsys)
        == '''\
from pytest_spidra import completed, failed


def as_recorded(spidra_mock):
    """Behave as second.yaml was recorded."""
    spidra_mock.account.concurrency = 2
    spidra_mock.batch.outcomes(
        {
            "https://shop.example/1": [completed({'title': 'https://shop.example/1'}, credits=2)],
            "https://flaky.example/": [failed(after_polls=2), completed({'title': 'https://flaky.example/'}, credits=2)],
            "https://gone.example/": [failed(after_polls=2), failed(after_polls=2), failed()],
        }
    )
'''
    )


def test_what_was_recorded_of_ends_and_of_several_batches_is_told(tmp_path, capsys):
    path = record(tmp_path / "second.yaml", go_through_everything)
    told = printed(path, capsys)

    compile(told, "script", "exec")
    assert f'"{MIXED[2]}": [failed(' in told
    assert "# in batch 2: " in told


def test_a_recording_in_which_nothing_happened_says_so(tmp_path, capsys):
    path = record(tmp_path / "second.yaml", lambda client: client.get(BATCHES))
    assert "pass  # nothing failed" in printed(path, capsys)


def test_a_file_that_cannot_be_read_is_told(tmp_path, capsys):
    assert main(["script", str(tmp_path / "missing.yaml")]) == 2
    assert "there is no cassette" in capsys.readouterr().err


BATCH = "00000000-0000-4000-8000-000000000000"
QUEUED = (202, {"status": "queued", "batchId": BATCH, "total": 3}, {"location": f"/api/batch/scrape/{BATCH}"})


def submit_and_look(client, looks=3):
    batch_id = client.post(BATCHES, json={"urls": GOOD}).json()["batchId"]
    for _ in range(looks):
        client.get(f"{BATCHES}/{batch_id}")


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_how_a_whole_batch_ended_is_in_the_script(tmp_path, capsys, status):
    """It ends after as many looks, with the page that had completed by then."""
    shown = batch("running", "running", "running", "running")
    end = batch(status, "completed", status, status)
    path = record(
        tmp_path / "broken.yaml", submit_and_look, QUEUED, (200, shown, {}), (200, shown, {}), (200, end, {})
    )
    script = printed(path, capsys)

    assert f'spidra_mock.batch.ends("{status}", after_polls=2)' in script
    (*_, (_, code, counts, pages)) = played(script, submit_and_look)
    assert (code, counts["status"], [page[1] for page in pages]) == (
        200,
        status,
        ["completed", status, status],
    )


def test_pages_that_break_with_their_batch_and_count_as_cancelled_are_told_so(tmp_path, capsys):
    end = (200, batch("failed", "cancelled", "cancelled", "cancelled"), {})
    path = record(tmp_path / "broken.yaml", lambda client: submit_and_look(client, 1), QUEUED, end)
    assert 'spidra_mock.batch.ends("failed", after_polls=0, unfinished="cancelled")' in printed(path, capsys)


def test_a_batch_that_the_client_cancelled_needs_no_end(tmp_path, capsys):
    def cancel(client):
        submit_and_look(client, 1)
        client.delete(f"{BATCHES}/{BATCH}")
        client.get(BATCHES)
        client.get(f"{BATCHES}/{BATCH}")

    shown = batch("running", "running", "running", "running")
    replies = (
        QUEUED,
        (200, shown, {}),
        (200, {"status": "cancelled", "cancelledItems": 0, "creditsRefunded": 0}, {}),
    )
    listed = (200, {"jobs": [{"uuid": BATCH}], "pagination": {}}, {})
    path = record(
        tmp_path / "cancelled.yaml",
        cancel,
        *replies,
        listed,
        (200, batch("cancelled", *["completed"] * 3), {}),
    )
    script = printed(path, capsys)

    assert "ends(" not in script
    assert f'"{GOOD[0]}": [completed("#", credits=2, after_polls=2)],' in script


@pytest.mark.parametrize(
    ("reply", "word"),
    [
        (error(409, "No.", "CONFLICT"), 'http_error(409, code="CONFLICT")'),
        ((503, {"status": "error", "message": "?"}, {"retry-after": "9"}), "http_error(503, retry_after=9)"),
        (
            (429, {"status": "error", "message": "?"}, {"retry-after": "Wed, 25 Nov 2026 10:00:00 GMT"}),
            'http_error(429, retry_after="Wed, 25 Nov 2026 10:00:00 GMT")',
        ),
        ((429, {"status": "error", "message": "?"}, {}), "rate_limited(retry_after=None)"),
        ((500, b"", {}), "500"),
    ],
)
def test_an_error_is_told_in_the_words_of_a_test(tmp_path, capsys, reply, word):
    path = record(tmp_path / "errors.yaml", lambda client: client.get(BATCHES), reply)
    assert f"spidra_mock.batch.list.script({word})" in printed(path, capsys)


def test_looks_at_several_batches_that_fail_otherwise_are_told_apart(tmp_path, capsys):
    other = BATCH.replace("0", "1", 1)

    def look_at_both(client):
        for batch_id in (BATCH, other):
            client.get(f"{BATCHES}/{batch_id}")

    path = record(tmp_path / "two.yaml", look_at_both, error(500, "?"), error(502, "?"))
    script = printed(path, capsys)

    assert "spidra_mock.batch.get.script(500)" in script
    assert f"# batch {other}: spidra_mock.batch.get.script(502, batch=…)" in script
