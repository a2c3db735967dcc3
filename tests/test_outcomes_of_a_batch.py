"""``spidra_mock.batch.outcomes`` for one batch, and what it refuses at the call."""

import pytest

from pytest_spidra import completed, failed

pytestmark = pytest.mark.spidra(allow_unused_steps=True)


def looks(client, batch, times):
    """Return the last of several replies, three seconds apart."""
    return [client.get(f"/batch/scrape/{batch.id}").json() for _ in range(times)][-1]


@pytest.mark.spidra(rules="off")
def test_outcomes_of_one_batch_hold_for_its_next_attempts(client, spidra_mock, spidra_batch_factory):
    """The second attempt takes the second outcome; another batch with the same URL is left alone."""
    first, second = spidra_batch_factory(urls=2, failed=1), spidra_batch_factory(urls=2, failed=1)
    spidra_mock.batch.outcomes({first.failed_urls[0]: [failed("no matter"), failed("again")]}, batch=first)
    for batch in (first, second):
        client.post(f"/batch/scrape/{batch.id}/retry")

    assert [looks(client, batch, 2)["failedCount"] for batch in (first, second)] == [1, 0]


def test_a_url_that_the_batch_never_had_is_refused(spidra_mock, spidra_batch_factory):
    batch = spidra_batch_factory(["https://a.example/one"])
    with pytest.raises(ValueError, match="never had the URL") as refused:
        spidra_mock.batch.outcomes({"https://a.example/on": completed()}, batch=batch)
    assert str(refused.value) == (
        f"batch {batch.id} never had the URL 'https://a.example/on'. Did you mean 'https://a.example/one'?"
    )


def test_a_batch_that_is_not_there_is_refused(spidra_mock):
    with pytest.raises(ValueError, match="there is no batch 'nowhere'"):
        spidra_mock.batch.outcomes({"https://a.example/": completed()}, batch="nowhere")


@pytest.mark.parametrize("batch", [3, object()])
def test_what_is_neither_a_batch_nor_an_id_is_refused(spidra_mock, batch):
    with pytest.raises(TypeError, match="a batch is a Batch or its id"):
        spidra_mock.batch.outcomes({"https://a.example/": completed()}, batch=batch)


@pytest.mark.parametrize(
    ("outcomes", "kind", "message"),
    [
        (["https://a.example/"], TypeError, r"outcomes are given as \{url: outcome\}"),
        ({"https://a.example/": 503}, TypeError, "503 is no outcome for 'https://a.example/'"),
        ({"https://a.example/": [completed(), "failed"]}, TypeError, "is no outcome for"),
        ({"https://a.example/": []}, ValueError, "the list of outcomes for 'https://a.example/' is empty"),
    ],
)
def test_what_is_no_outcome_is_refused(spidra_mock, outcomes, kind, message):
    with pytest.raises(kind, match=message):
        spidra_mock.batch.outcomes(outcomes)


def test_the_mode_is_mock(spidra_mock):
    assert spidra_mock.mode == "mock"


def test_credits_are_asserted_by_number(spidra_mock):
    """A claim about nothing is refused."""
    with pytest.raises(ValueError, match="takes at least one of reserved, charged and refunded"):
        spidra_mock.assert_credits()
