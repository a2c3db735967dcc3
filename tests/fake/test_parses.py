"""Parsed documents, fact by fact, as the SDKs and the MCP server have them."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import pytest
from fake_client import KEY
from job_client import JobClient

from pytest_spidra.fake.outcomes import completed, failed, stuck
from pytest_spidra.traffic.request import Request

URL = "https://a.example/invoice.pdf"


@pytest.fixture
def client():
    return JobClient("/parse")


def submit(client, **body):
    return client.post({"url": URL, **body})


def multipart(client, path="/parse", *, options=None, files=(("file", "a.pdf", b"%PDF"),), fields=None):
    pieces = []
    for name, value in {"options": options, **(fields or {})}.items():
        if value is not None:
            head = f'Content-Disposition: form-data; name="{name}"'
            pieces.append(f"--x\r\n{head}\r\n\r\n{json.dumps(value)}\r\n".encode())
    for name, file_name, content in files:
        head = f'Content-Disposition: form-data; name="{name}"; filename="{file_name}"\r\nContent-Type: application/pdf'
        pieces.append(f"--x\r\n{head}\r\n\r\n".encode() + content + b"\r\n")
    headers = {**KEY, "content-type": "multipart/form-data; boundary=x"}
    return client.send("POST", path, b"".join(pieces) + b"--x--\r\n", headers)


def put(client, url, content):
    parts = urlsplit(url)
    return client.service.answer(
        Request("PUT", parts.path.removeprefix("/api"), parts.query, {}, content), client.now
    )


# -- one document --------------------------------------------------------------------------------------


def test_a_submit_answers_with_the_job_and_its_words_are_queued_running_completed(client):
    reply = submit(client)
    assert (reply.status, reply.json["status"], reply.json["markdown"]) == (202, "queued", None)
    assert (reply.json["fileName"], reply.json["sourceUrl"], reply.json["format"]) == (
        "invoice.pdf",
        URL,
        "pdf",
    )
    job = reply.json["jobId"]
    assert client.shown(job)["status"] == "running"
    body = client.shown(job)
    assert (body["status"], body["totalPages"], body["pagesParsed"], body["creditsUsed"]) == (
        "completed",
        2,
        2,
        2,
    )
    assert set(body) == {
        *(
            "jobId",
            "status",
            "fileName",
            "sourceUrl",
            "fileId",
            "format",
            "totalPages",
            "pagesParsed",
            "creditsUsed",
        ),
        *("error", "progress", "markdown", "json", "warnings", "metadata", "durationMs"),
    }
    assert client.ledger["charged"] == 2


def test_with_wait_the_result_comes_with_the_submit_or_after_the_window_the_job(client):
    reply = submit(client, wait=True)
    assert (reply.status, reply.json["status"]) == (200, "completed")
    client.outcomes({URL: [completed(after_seconds=40), stuck()]})
    assert (submit(client, wait=True).took, submit(client, wait=True).took) == (40.0, 50.0)
    assert submit(client, wait=True).json["status"] == "running"
    client.account.parse_wait = 5
    assert submit(client, wait=True).took == 5.0


def test_an_unreadable_document_fails_with_an_error_and_is_free(client):
    client.outcomes({URL: failed("encrypted")})
    reply = submit(client, wait=True)
    assert (reply.status, reply.json["status"], reply.json["error"]) == (200, "failed", "encrypted")
    assert client.ledger["charged"] == 0


def test_one_failed_page_does_not_fail_the_job_and_is_free(client):
    client.outcomes({URL: completed(["one", None, "three"])})
    body = submit(client, wait=True, includePages=True).json
    assert (body["status"], body["totalPages"], body["pagesParsed"], body["creditsUsed"]) == (
        "completed",
        3,
        2,
        2,
    )
    assert [(page["pageNumber"], page["markdown"], bool(page["error"])) for page in body["pages"]] == [
        (1, "one", False),
        (2, "", True),
        (3, "three", False),
    ]
    assert body["markdown"] == "one\n\nthree"


@pytest.mark.parametrize(("length", "pages"), [(0, 1), (3000, 1), (3001, 2), (9000, 3)])
def test_a_text_has_a_page_for_each_3000_characters(client, length, pages):
    client.outcomes({URL: completed("x" * length)})
    assert submit(client, wait=True).json["creditsUsed"] == pages


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        ({}, [1, 2, 3, 4, 5]),
        ({"pages": "1-2, 5"}, [1, 2, 5]),
        ({"pages": "4-"}, [4, 5]),
        ({"pages": "9"}, []),
        ({"pages": "3-99"}, [3, 4, 5]),
        ({"maxPages": 2}, [1, 2]),
        ({"pages": "2-", "maxPages": 1}, [2]),
    ],
)
def test_pages_are_chosen_and_only_those_are_charged(client, options, numbers):
    client.outcomes({URL: completed([str(number) for number in range(1, 6)])})
    body = submit(client, wait=True, includePages=True, **options).json
    shown = [page["pageNumber"] for page in body["pages"]]
    assert (shown, body["creditsUsed"]) == (numbers, len(numbers))


def test_pages_are_in_the_status_when_they_are_asked_for(client):
    job = submit(client, mode="ocr").json["jobId"]
    assert client.look(job, "pages=true").json["pages"] == []
    assert "pages" not in client.shown(job)
    assert [page["method"] for page in client.look(job, "pages=true").json["pages"]] == ["ocr", "ocr"]


def test_a_prompt_or_a_schema_gives_json(client):
    assert submit(client, wait=True).json["json"] is None
    assert submit(client, wait=True, prompt="total").json["json"]
    assert submit(client, wait=True, schema={"type": "object"}).json["json"]


def test_a_dry_run_queues_nothing_is_free_and_keeps_the_file(client):
    client.outcomes({URL: completed(["one", "two", "three"])})
    body = submit(client, dryRun=True, maxPages=2).json
    assert (body["fileName"], body["totalPages"], body["pagesToParse"], body["credits"]) == (URL, 3, 2, 2)
    assert client.service.jobs.states == {}
    assert client.ledger == {"reserved": 0, "charged": 0, "refunded": 0}
    assert client.post({"fileId": body["fileId"], "wait": True}).json["totalPages"] == 3


WRONG = {
    "nothing": {"url": None},
    "both": {"fileId": "x"},
    "no scheme": {"url": "invoice.pdf"},
    "an unknown mode": {"mode": "slow"},
    "odd pages": {"pages": "a-b"},
    "no page": {"maxPages": 0},
    "a null": {"prompt": None},
    "a text for true": {"wait": "yes"},
}


@pytest.mark.parametrize("body", WRONG.values(), ids=WRONG)
def test_a_wrong_body_is_a_422_with_sentences(client, body):
    reply = submit(client, **body)
    assert (reply.status, bool(reply.json["errors"])) == (422, True)


def test_without_credits_it_is_refused(client):
    client.account.credits = 0
    assert submit(client).status == 403


def test_an_unknown_job_or_field_is_refused(client):
    assert (client.look("x").status, client.look("x").json["message"]) == (404, "Parse job not found")
    client.account.refuse_unknown_fields = True
    assert submit(client, color="blue").status == 422


# -- files ---------------------------------------------------------------------------------------------


def test_a_file_comes_in_several_parts(client):
    client.outcomes({"a.pdf": completed(["one"])})
    body = multipart(client, options={"wait": True, "includePages": True}).json
    assert (body["status"], body["fileName"], body["sourceUrl"], body["totalPages"]) == (
        "completed",
        "a.pdf",
        None,
        1,
    )
    again = client.post({"fileId": body["fileId"], "wait": True}).json
    assert (again["fileName"], again["fileId"]) == ("a.pdf", body["fileId"])
    client.wait(24 * 3600 + 1)
    assert client.post({"fileId": body["fileId"]}).status == 404


def test_a_large_file_is_refused(client):
    client.account.parse_max_bytes = 3
    assert multipart(client).status == 413


@pytest.mark.parametrize("options", [5, "x", None, []])
def test_options_that_are_no_object_are_taken_for_none_or_refused(client, options):
    assert multipart(client, options=options).status in {202, 422}


def test_an_upload_is_a_place_a_put_and_an_id(client):
    slot = client.post({"fileName": "big.docx", "size": 4}, "/parse/uploads").json
    assert client.post({"fileId": slot["fileId"]}).status == 404  # nothing is there yet
    assert put(client, slot["uploadUrl"], b"word").status == 200
    body = client.post({"fileId": slot["fileId"], "wait": True}).json
    assert (body["fileName"], body["format"]) == ("big.docx", "docx")
    reply = client.send("DELETE", f"/parse/files/{slot['fileId']}")
    assert (reply.status, reply.json) == (200, {"status": "deleted"})
    assert client.send("DELETE", f"/parse/files/{slot['fileId']}").status == 404
    assert client.post({"fileId": slot["fileId"]}).status == 404
    assert put(client, slot["uploadUrl"], b"word").status == 404


def test_a_place_expires(client):
    slot = client.post({"fileName": "big.docx", "size": 4}, "/parse/uploads").json
    client.wait(3601)
    assert put(client, slot["uploadUrl"], b"word").status == 403


@pytest.mark.parametrize(
    "body",
    [{}, {"fileName": "", "size": 1}, {"fileName": "a", "size": -1}, {"fileName": "a", "size": True}, []],
)
def test_a_wrong_upload_is_a_422(client, body):
    assert client.post(body, "/parse/uploads").status == 422


# -- batches -------------------------------------------------------------------------------------------


def batch(client, batch_id, query=""):
    return client.send("GET", f"/parse/batch/{batch_id}", query=query).json


def test_a_batch_runs_and_is_completed_whatever_fails(client):
    client.outcomes({URL: failed("encrypted")})
    reply = client.post({"urls": [URL, "https://a.example/b.pdf"]}, "/parse/batch")
    assert (reply.status, set(reply.json)) == (202, {"batchId"})
    batch_id = reply.json["batchId"]
    body = batch(client, batch_id)
    assert (body["status"], body["counts"]) == (
        "running",
        {"total": 2, "completed": 0, "failed": 0, "running": 2},
    )
    body = batch(client, batch_id, "include=results")
    assert (body["status"], body["counts"]["failed"], body["creditsUsed"]) == ("completed", 1, 2)
    assert [one["status"] for one in body["documents"]] == ["failed", "completed"]
    assert "documents" not in batch(client, batch_id)
    only = client.post({"urls": [URL]}, "/parse/batch").json["batchId"]
    assert [batch(client, only)["status"] for _ in range(2)] == ["running", "completed"]


def test_a_batch_takes_files_and_links_and_ids(client):
    known = client.service.jobs.documents.add("c.pdf", b"x", client.now)
    files = [("files", "a.pdf", b"1"), ("files", "b.pdf", b"2")]
    reply = multipart(
        client, "/parse/batch", options={}, files=files, fields={"urls": [URL], "fileIds": [known]}
    )
    batch_id = reply.json["batchId"]
    batch(client, batch_id)
    names = [one["fileName"] for one in batch(client, batch_id, "include=results")["documents"]]
    assert names == ["invoice.pdf", "c.pdf", "a.pdf", "b.pdf"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"urls": ["x"]}, 422),
        ({"urls": [5]}, 422),
        ({"urls": [URL] * 51}, 422),
        ({"fileIds": ["x"]}, 404),
    ],
)
def test_what_a_batch_refuses(client, body, status):
    assert client.post(body, "/parse/batch").status == status


def test_literal_paths_win_over_ids(client):
    assert client.send("GET", "/parse/batch").status == 404
    assert client.send("GET", "/parse/batch").json["message"] == "Parse job not found"
    assert client.send("GET", "/parse/batch/x").json["message"] == "Parse batch not found"
