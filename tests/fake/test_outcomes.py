"""Outcomes and batch ends say at the call what is wrong with them."""

import pytest

from pytest_spidra import completed, failed, stuck
from pytest_spidra.fake.account import Account
from pytest_spidra.fake.outcomes import batch_end
from pytest_spidra.fake.service import Service

MAKERS = {"completed": completed, "failed": failed, "stuck": stuck}


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize(
    ("settings", "kind", "message"),
    [
        ({"after_polls": -1}, ValueError, "(after_polls=…) counts polls from 0 on (0: at once), not -1"),
        ({"after_polls": 1.5}, TypeError, "(after_polls=…) takes a whole number of polls, not 1.5"),
        ({"after_polls": True}, TypeError, "(after_polls=…) takes a whole number of polls, not True"),
        ({"after_seconds": -0.5}, ValueError, "(after_seconds=…) counts seconds from 0 on, not -0.5"),
        ({"after_seconds": float("inf")}, ValueError, "(after_seconds=…) counts seconds from 0 on, not inf"),
        ({"after_seconds": "5"}, TypeError, "(after_seconds=…) takes a number of seconds, not '5'"),
        ({"after_seconds": True}, TypeError, "(after_seconds=…) takes a number of seconds, not True"),
        (
            {"after_polls": 2, "after_seconds": 5},
            ValueError,
            "(…) ends after polls or after seconds: give one of them",
        ),
    ],
)
def test_a_wrong_wait_is_refused_by_every_outcome(name, settings, kind, message):
    with pytest.raises(kind) as refused:
        MAKERS[name](**settings)
    assert str(refused.value) == f"{name}{message}"


@pytest.mark.parametrize("credits", [-1, 1.5, True, "2"])
def test_credits_are_a_whole_number_from_0_on(credits):  # noqa: A002 - the API's word
    with pytest.raises(ValueError, match="takes a whole number of credits from 0 on"):
        completed(credits=credits)


@pytest.mark.parametrize("result", [object(), {1, 2}, b"raw"])
def test_a_result_that_is_no_json_is_a_type_error(result):
    with pytest.raises(TypeError, match=r"completed\(result=…\) takes a JSON value"):
        completed(result)


def test_a_result_that_is_no_number_is_a_value_error():
    """NaN is in no JSON."""
    with pytest.raises(ValueError, match=r"completed\(result=…\) takes a JSON value"):
        completed({"price": float("nan")})


def test_an_error_is_a_text():
    with pytest.raises(TypeError, match="takes the item's error text, not 503"):
        failed(503)


@pytest.mark.parametrize("status", ["completed", "running", None, []])
def test_a_batch_ends_failed_or_cancelled_only(status):
    with pytest.raises(ValueError, match='a batch is made to end "failed" or "cancelled", not'):
        batch_end(status)


def test_what_becomes_of_unfinished_items_is_failed_or_cancelled_only():
    with pytest.raises(ValueError, match="not 'pending'"):
        batch_end("failed", unfinished="pending")


@pytest.mark.parametrize(
    "outcome", [completed(after_polls=0), failed(after_polls=0), completed(after_seconds=0)]
)
def test_no_polls_or_no_seconds_are_at_once(outcome):
    assert outcome.ends_at_once


@pytest.mark.parametrize("outcome", [completed(), failed(after_seconds=1), stuck(after_polls=0)])
def test_everything_else_takes_its_time(outcome):
    assert not outcome.ends_at_once


@pytest.mark.parametrize(
    ("host", "on", "fails"),
    [
        ("invalid", True, True),
        ("page.invalid", True, True),
        ("invalid.example", True, False),
        ("invalid", False, False),
        ("page.invalid", None, False),
    ],
)
def test_a_page_whose_host_cannot_resolve_fails_where_the_account_says_so(host, on, fails):
    account = Account() if on is None else Account(invalid_hosts_fail=on)
    service = Service(account)
    state = service.create([f"https://{host}/"], {}, 0)
    assert (service.outcome_of(state, state.items[0]).ending == "failed") is fails
