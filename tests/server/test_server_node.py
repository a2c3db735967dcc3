"""A client in another process and another language is judged by the same assertions and rules."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from shutil import which

import pytest

from pytest_spidra import completed, failed, reply_lost, request_lost, service_busy
from pytest_spidra.verdicts.rules.judge import judge

NODE = which("node")
LOOP = Path(__file__).with_name("retry_loop.mjs")
URLS = [f"https://shop.example/{number}" for number in range(1, 6)]

pytestmark = pytest.mark.skipif(NODE is None, reason="node is not on this machine")


def run_loop(server, how="careful", urls=URLS, poll_milliseconds=20):
    command = [NODE, str(LOOP), how, server.base_url, server.api_key, str(poll_milliseconds), *urls]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)  # noqa: S603 - our own words


def accused(server):
    return {accusation.rule for accusation in judge(server.exchanges)}


def test_the_documented_loop_retries_only_what_failed(server):
    server.batch.outcomes(
        {
            URLS[1]: [failed("Timeout"), completed({"price": 12})],
            URLS[3]: [failed("Timeout"), failed("Blocked"), completed({"price": 7})],
        }
    )
    done = run_loop(server)
    items = {item["url"]: item for item in json.loads(done.stdout)}

    assert list(items) == URLS
    assert {item["status"] for item in items.values()} == {"completed"}
    assert items[URLS[3]]["result"] == {"price": 7}
    (batch,) = server.batches
    server.assert_submitted_once()
    server.assert_batch_retried(batch, times=2)
    server.assert_only_failed_items_retried(batch)
    server.assert_polled_until_done(batch)
    server.assert_poll_interval(batch, at_least=0.015)
    server.assert_credits(charged=5 * server.account.price_per_url)
    assert accused(server) == set()


def test_a_url_that_cannot_resolve_fails_to_the_last(server):
    done = run_loop(server, urls=[URLS[0], "https://shop.invalid/"])

    assert [item["status"] for item in json.loads(done.stdout)] == ["completed", "failed"]
    server.assert_batch_retried(server.batches[0], times=2)
    assert accused(server) == set()


@pytest.mark.parametrize("step", [request_lost(), service_busy(), 401])
def test_a_refused_submit_ends_the_documented_loop(server, step):
    server.batch.submit.script(step)
    done = run_loop(server)

    assert done.returncode == 1
    assert ("fetch failed" in done.stderr) == (step != 401 and step.error is not None)
    assert server.batches == []
    server.assert_not_retried("batch.submit")


def test_a_lost_reply_is_not_sent_again_by_the_documented_loop(server):
    server.batch.submit.script(reply_lost("RemoteProtocolError"))
    done = run_loop(server)

    assert "fetch failed" in done.stderr
    assert len(server.batches) == 1
    assert accused(server) == set()


def test_a_loop_that_submits_everything_again_is_accused(server):
    server.batch.outcomes({URLS[1]: [failed("Timeout"), completed()]})
    done = run_loop(server, "resubmits")

    assert done.returncode == 0
    assert accused(server) == {"paid-again"}
    with pytest.raises(AssertionError, match="once"):
        server.assert_submitted_once()


def test_a_loop_that_sends_a_lost_submit_again_is_accused(server):
    server.batch.submit.script(reply_lost("RemoteProtocolError"))
    done = run_loop(server, "resends")

    assert done.returncode == 0
    assert "double-submission" in accused(server)
    assert len(server.batches) == 2
