"""Parsed documents as users of the fixtures meet them: the SDK, steps, a port, rules."""

from __future__ import annotations

import httpx
import pytest
import spidra

from pytest_spidra import completed, failed, http_error, reply_lost, stuck
from pytest_spidra.verdicts.rules.judge import judge

URL = "https://shop.example/invoice.pdf"


@pytest.fixture
def sdk(spidra_mock):
    return spidra.Spidra(api_key=spidra_mock.api_key)


@pytest.fixture
def report(tmp_path):
    path = tmp_path / "report.pdf"
    path.write_bytes(b"%PDF")
    return path


def test_the_sdk_parses_a_link_a_file_and_bytes(sdk, spidra_mock, report):
    spidra_mock.parse.outcomes({"report.pdf": completed(["one", "two"])})
    assert sdk.parse(URL).total_pages == 2
    assert [page.markdown for page in sdk.parse(report, include_pages=True).pages] == ["one", "two"]
    assert sdk.parse(b"%PDF", file_name="x.pdf", prompt="total").json
    assert [one.endpoint for one in spidra_mock.exchanges] == ["parse.submit"] * 3
    spidra_mock.assert_credits(charged=6)
    spidra_mock.assert_rules()


def test_a_slow_document_is_polled(sdk, spidra_mock):
    spidra_mock.parse.outcomes({URL: completed(after_seconds=55)})
    assert sdk.parse(URL).status == "completed"
    assert spidra_mock.clock.elapsed == 56


def test_an_unreadable_document_is_the_sdks_job_failed_error(sdk, spidra_mock):
    spidra_mock.parse.outcomes({URL: failed("encrypted")})
    with pytest.raises(spidra.SpidraJobFailedError, match="encrypted"):
        sdk.parse(URL)


def test_a_word_that_the_sdk_does_not_know_is_returned_as_the_result(sdk, spidra_mock):
    spidra_mock.router["parse.submit"].respond(200, json={"jobId": "x", "status": "waiting"})
    assert sdk.parse(URL).status == "waiting"


async def test_everything_else_that_the_sdk_asks_of_documents(spidra_mock, report):
    async with spidra.AsyncSpidra(api_key=spidra_mock.api_key) as sdk:
        job = await sdk.start_parse(URL)
        assert job.status == "queued"
        assert (await sdk.get_parse(job.job_id, include_pages=True)).pages == []
        estimate = await sdk.estimate_parse(report)
        assert (estimate.credits, estimate.file_name) == (2, "report.pdf")
        assert (await sdk.parse(file_id=estimate.file_id)).file_name == "report.pdf"
        file_id = await sdk.upload_for_parse(report)
        assert (await sdk.parse(file_id=file_id)).status == "completed"
        assert (await sdk.delete_parse_file(file_id))["status"] == "deleted"
        batch = await sdk.parse_batch([URL, report, ("b.pdf", b"x")])
        assert (batch.status, batch.counts["completed"], len(batch.documents)) == ("completed", 3, 3)


@pytest.mark.spidra(rules="off")
def test_a_batch_that_never_says_completed_is_polled_for_ever(sdk, spidra_mock):
    spidra_mock.router["parse.batch_get"].respond(200, json={"status": "failed"})
    with pytest.raises(spidra.SpidraTimeoutError):
        sdk.parse_batch([URL], timeout=60)


def test_an_upload_that_is_refused_is_tried_once(sdk, spidra_mock, report):
    spidra_mock.storage.put.script(http_error(403))
    with pytest.raises(spidra.SpidraError, match="Upload failed with HTTP 403"):
        sdk.upload_for_parse(report)
    spidra_mock.assert_attempts("storage.put", 1)


def test_the_log_holds_no_bytes_of_a_document(sdk, spidra_mock, report):
    sdk.parse(report)
    (exchange,) = spidra_mock.exchanges
    assert exchange.request_json["options"] == {"wait": True}
    assert exchange.request_json["file"].startswith("report.pdf (4 bytes, ")


def test_a_result_that_is_none_is_refused(spidra_mock):
    with pytest.raises(ValueError, match="is a text or a list of texts"):
        spidra_mock.parse.outcomes({URL: completed({"n": 1})})


def test_an_outcome_of_a_document_that_never_came_fails_the_test(run_tests):
    result = run_tests("""
        from pytest_spidra import failed

        def test_it(spidra_mock):
            spidra_mock.parse.outcomes({"a.pdf": failed()})
    """)
    assert "parse.outcomes: no parse had the URL a.pdf" in result.stdout.str()


async def test_documents_through_a_port(spidra_server, report):
    settings = {"api_key": spidra_server.api_key, "api_url": spidra_server.base_url}
    async with spidra.AsyncSpidra(**settings) as sdk:
        assert (await sdk.parse(report)).file_name == "report.pdf"
        file_id = await sdk.upload_for_parse(report)
        assert (await sdk.parse(file_id=file_id)).status == "completed"


# -- rules ---------------------------------------------------------------------------------------------


def sent(client, content, **options):
    try:
        return client.post("/parse", files={"file": ("a.pdf", content)}, data={"options": "{}"}, **options)
    except httpx.TransportError:
        return None


@pytest.mark.spidra(rules="off")
def test_a_lost_document_that_is_sent_again_pays_twice_and_another_one_does_not(client, spidra_mock):
    spidra_mock.parse.submit.script(reply_lost())
    sent(client, b"one")
    sent(client, b"two")
    assert judge(spidra_mock.exchanges) == []
    sent(client, b"one")
    assert [one.rule for one in judge(spidra_mock.exchanges)] == ["double-submission"]


def test_a_dry_run_costs_nothing_however_often_it_is_sent(client, spidra_mock):
    spidra_mock.parse.submit.script(reply_lost())
    for _ in range(3):
        try:
            client.post("/parse", json={"url": URL, "dryRun": True})
        except httpx.TransportError:
            continue
    spidra_mock.assert_rules()


@pytest.mark.spidra(rules="off")
def test_who_gives_up_a_document_and_sends_it_anew_pays_for_both(sdk, spidra_mock):
    spidra_mock.parse.outcomes({URL: [stuck(), completed()]})
    with pytest.raises(spidra.SpidraTimeoutError):
        sdk.parse(URL, timeout=60)
    sdk.parse(URL)
    assert [one.rule for one in judge(spidra_mock.exchanges)] == ["resubmitted-unfinished"]
