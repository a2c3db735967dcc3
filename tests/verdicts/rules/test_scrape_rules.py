"""The rules judge scrapes as they judge batches, and say what can be done where there is no list."""

from __future__ import annotations

import time

import httpx
import pytest
import spidra

from pytest_spidra import completed, failed, http_error, ok, reply_lost, request_lost, stuck
from pytest_spidra.verdicts.messages import rules_report
from pytest_spidra.verdicts.rules.judge import judge

pytestmark = pytest.mark.spidra(rules="off", allow_unused_steps=True)

A, B = "https://shop.example/1", "https://shop.example/2"


def found(api):
    return [one.rule for one in judge(api.exchanges)]


def told(api):
    return " ".join(rules_report(judge(api.exchanges), api.exchanges).split())


def scrape(client, *urls, **options):
    try:
        return client.post("/scrape", json={"urls": [{"url": url} for url in urls or (A,)], **options})
    except httpx.TransportError:
        return None


def look(client, job_id):
    return client.get(f"/scrape/{job_id}").json()


def finish(client, job_id):
    while (body := look(client, job_id))["status"] not in {"completed", "failed"}:
        time.sleep(3)
    return body


# -- guilty --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", [reply_lost(), http_error(504, processed=True), ok(body="empty")])
def test_a_scrape_whose_reply_was_lost_and_that_is_sent_again_pays_twice(client, spidra_mock, lost):
    spidra_mock.scrape.submit.script(lost)
    scrape(client)
    scrape(client)
    assert found(spidra_mock) == ["double-submission"]
    assert spidra_mock.credits.charged == 2
    assert "the same is paid twice" in told(spidra_mock)
    assert "there is no list of scrapes" in told(spidra_mock)
    assert "GET /scrape-logs" in told(spidra_mock)


@pytest.mark.parametrize("lost", [request_lost("ReadTimeout"), http_error(500)])
def test_a_scrape_of_unknown_fate_is_not_sent_again_without_a_look(client, spidra_mock, lost):
    spidra_mock.scrape.submit.script(lost)
    scrape(client)
    scrape(client)
    assert found(spidra_mock) == ["blind-resend"]
    assert "GET /scrape-logs" in told(spidra_mock)


def test_who_gives_up_waiting_and_scrapes_anew_pays_for_both(spidra_mock):
    spidra_mock.scrape.outcomes({A: [stuck(), completed()]})
    sdk = spidra.Spidra(api_key=spidra_mock.api_key)
    with pytest.raises(spidra.SpidraTimeoutError):
        sdk.scrape(A, timeout=10)
    sdk.scrape(A)
    assert found(spidra_mock) == ["resubmitted-unfinished"]
    assert "a timeout of the client ends the waiting, not the job" in told(spidra_mock)


def test_a_page_that_was_there_is_bought_again(client, spidra_mock):
    for _ in range(2):
        finish(client, scrape(client).json()["jobId"])
    assert found(spidra_mock) == ["paid-again"]


def test_looks_in_haste_and_after_the_end(client, spidra_mock):
    spidra_mock.scrape.outcomes({A: completed(after_polls=4)})
    job = scrape(client).json()["jobId"]
    for _ in range(5):
        look(client, job)
    assert found(spidra_mock) == ["busy-polling"]
    for _ in range(3):
        look(client, job)
    assert sorted(found(spidra_mock)) == ["busy-polling", "poll-after-terminal"]
    assert "had shown the job completed" in told(spidra_mock)


def test_a_permanent_error_is_sent_again(client, spidra_mock):
    for _ in range(2):
        client.post("/scrape", json={"urls": []})
    assert found(spidra_mock) == ["permanent-error-resent"]


def test_one_scrape_holds_a_url_twice(client, spidra_mock):
    scrape(client, A, A)
    assert found(spidra_mock) == ["duplicate-urls"]


# -- innocent ------------------------------------------------------------------------------------------


def test_the_sdk_waits_for_a_scrape(spidra_mock):
    spidra_mock.scrape.get.script(503, 503)
    sdk = spidra.Spidra(api_key=spidra_mock.api_key)
    assert sdk.scrape(A)
    assert sdk.scrape(B)
    assert found(spidra_mock) == []


def test_what_failed_or_came_out_badly_is_scraped_again(client, spidra_mock):
    bad = [failed(), completed(ai_extraction_failed=True), completed(extraction_empty=True)]
    spidra_mock.scrape.outcomes({A: [*bad, completed(low_content=True), completed()]})
    for _ in range(5):
        finish(client, scrape(client).json()["jobId"])
    assert found(spidra_mock) == []


def test_another_question_about_the_same_page_is_another_wish(client, spidra_mock):
    finish(client, scrape(client, prompt="price").json()["jobId"])
    finish(client, scrape(client, prompt="title").json()["jobId"])
    actions = [{"type": "click", "selector": "#next"}]
    for body in ({"url": A, "actions": actions}, {"url": A, "instruction": "go on"}):
        finish(client, client.post("/scrape", json={"urls": [body]}).json()["jobId"])
    assert found(spidra_mock) == []


def test_a_batch_of_a_page_that_was_scraped_is_another_wish(client, submit, spidra_mock):
    finish(client, scrape(client).json()["jobId"])
    submit(A)
    assert found(spidra_mock) == []


def test_a_lost_scrape_that_is_not_sent_again(client, spidra_mock):
    spidra_mock.scrape.submit.script(reply_lost())
    scrape(client)
    finish(client, scrape(client, B).json()["jobId"])
    assert found(spidra_mock) == []


def test_a_list_of_batches_shows_no_scrape(client, spidra_mock):
    """Who looks in the wrong list has not looked."""
    spidra_mock.scrape.submit.script(reply_lost())
    scrape(client)
    client.get("/batch/scrape")
    scrape(client)
    assert found(spidra_mock) == ["double-submission"]


def test_the_wrong_list_does_not_excuse_a_blind_resend(client, spidra_mock):
    spidra_mock.scrape.submit.script(request_lost("ReadTimeout"))
    scrape(client)
    client.get("/batch/scrape")
    scrape(client)
    assert found(spidra_mock) == ["blind-resend"]
