"""The factory while recording: what it cannot have of the real API is told, and nothing of it is kept."""

from __future__ import annotations

import pytest
from users_suite import failure

REPLAY = "spidra_modes = replay\n"


@pytest.mark.parametrize(
    ("order", "told"),
    [
        ('status="failed"', 'ValueError: status="failed" cannot be ordered of the real API'),
        (
            '{"https://a.example/": pytest_spidra.failed()}',
            "ValueError: outcomes cannot be ordered of the real API",
        ),
        ("2, failed=3", "ValueError: failed=3 of a batch of 2"),
        ("0", "ValueError: the API would refuse this batch"),
    ],
)
def test_what_the_real_api_cannot_make_is_refused_before_anything_is_sent(
    suite, record, api, cassettes, order, told
):
    source = (
        f"import pytest_spidra\ndef test_it(spidra_api, spidra_batch_factory): spidra_batch_factory({order})"
    )
    result = suite(source, ini=REPLAY)(*record())
    result.assert_outcomes(failed=1)
    assert told in failure(result)
    assert api.requests() == []
    assert cassettes.names == []


@pytest.mark.parametrize(
    ("script", "order", "told"),
    [
        (
            "batch.submit.always(403)",
            "",
            "could not make its batch: POST /batch/scrape was answered with 403 in place of 202.",
        ),
        (
            "batch.submit.always(ok(body='truncated'))",
            "",
            "POST /batch/scrape was answered with 202, and a body that is no JSON object.",
        ),
        (
            "batch.ends('cancelled')",
            "",
            "a completed batch with 0 failed items was ordered, and it is cancelled with 0.",
        ),
        (
            "account.invalid_hosts_fail = False",
            "2, failed=1",
            "a completed batch with 1 failed items was ordered, and it is completed with 0.",
        ),
        (
            "batch.submit.always(reply_lost('ReadError'))",
            "",
            "The recording ends here: POST /batch/scrape got no reply",
        ),
    ],
)
def test_a_batch_that_did_not_become_what_was_ordered_is_told(
    suite, start_api, record, cassettes, script, order, told
):
    api = start_api(
        f"from pytest_spidra import ok, reply_lost\ndef script(spidra_server): spidra_server.{script}\n"
    )
    source = f"def test_it(spidra_api, spidra_batch_factory): spidra_batch_factory({order})"
    result = suite(source, ini=REPLAY)(*record(url=api.url))
    result.assert_outcomes(failed=1)
    assert told in failure(result)
    assert cassettes.names == []


def test_a_batch_nobody_has_looked_at_is_pending_and_then_what_was_seen_last(suite, record):
    """Reading a handle is no request, live or replayed."""
    run = suite(
        """
def test_it(spidra_api, spidra_batch_factory):
    batch = spidra_batch_factory(2, status="pending")
    assert (batch.status, len(batch.items), len(spidra_api.exchanges)) == ("pending", 2, 0)
    with plain(spidra_api) as client:
        finish(client, batch.id)
    assert (batch.status, batch.failed_urls) == ("completed", [])
""",
        ini=REPLAY,
    )
    run(*record()).assert_outcomes(passed=1)
    run().assert_outcomes(passed=1)


def test_another_order_than_the_recorded_one_is_told_as_any_other_request(suite, record, cassettes):
    source = "def test_it(spidra_api, spidra_batch_factory): spidra_batch_factory({})"
    suite(source.format(2), ini=REPLAY)(*record()).assert_outcomes(passed=1)
    before = cassettes.content
    result = suite(source.format(3), ini=REPLAY)()
    result.assert_outcomes(failed=1)
    assert (
        "asked POST /batch/scrape (3 URLs) recorded #1 submit 2 URLs (202 queued), in this place"
        in failure(result)
    )
    assert cassettes.content == before
