"""`assert_within`: a budget of seconds, requests and credits for a whole test."""

from __future__ import annotations

import time

import httpx
import pytest


@pytest.fixture
def run(spidra_mock):
    """Submit two pages and look twice, three seconds apart: three requests, two credits."""
    with httpx.Client(base_url=spidra_mock.base_url, headers={"x-api-key": spidra_mock.api_key}) as client:
        submit = client.post("/batch/scrape", json={"urls": ["https://a.example", "https://b.example"]})
        for _ in range(2):
            time.sleep(1.5)
            client.get(f"/batch/scrape/{submit.json()['batchId']}")
    return spidra_mock


def test_what_is_just_within_a_budget_holds(run):
    run.assert_within(seconds=3, requests=3, credits=2)
    run.assert_within(seconds=3.0)


@pytest.mark.parametrize(
    ("budget", "over"),
    [
        ({"seconds": 2.9}, "3 s of 2.9"),
        ({"requests": 2}, "3 requests of 2"),
        ({"credits": 1}, "2 credits of 1"),
        ({"seconds": 1, "requests": 3, "credits": 0}, "3 s of 1, 2 credits of 0"),
    ],
)
def test_what_is_over_a_budget_is_told(run, budget, over):
    with pytest.raises(AssertionError) as raised:
        run.assert_within(**budget)
    told = " ".join(str(raised.value).split())
    assert f"The test was to stay within its budget, and took {over}." in told
    assert "raise the number here" in told


def test_a_budget_that_nothing_uses_fails(spidra_mock):
    with pytest.raises(AssertionError, match="no request at all"):
        spidra_mock.assert_within(requests=1)


@pytest.mark.parametrize(
    ("budget", "error", "text"),
    [
        ({}, ValueError, "at least one of seconds, requests and credits"),
        ({"seconds": "3"}, TypeError, "is a number of seconds, not '3'"),
        ({"seconds": True}, TypeError, "is a number of seconds, not True"),
        ({"seconds": -1}, ValueError, "from 0 on, not -1"),
        ({"requests": 2.0}, TypeError, "is a whole number, not 2.0"),
        ({"credits": -1}, ValueError, "from 0 on, not -1"),
    ],
)
def test_a_budget_that_is_none_is_an_error(run, budget, error, text):
    with pytest.raises(error, match=text):
        run.assert_within(**budget)


def test_an_endpoint_that_only_the_real_api_has_is_called_that(run_tests):
    result = run_tests(
        """
        import httpx

        def test_it(spidra_mock):
            url = f"{spidra_mock.base_url}/parse/files/42"
            httpx.get(url, headers={"x-api-key": spidra_mock.api_key})
        """
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "GET /parse/files/42: the real API has this endpoint, and the fake Spidra",
            "does not have it. Nothing was sent.",
        ]
    )
