"""One table of what is a secret: each row's sample is gone from the cassette, found by the search, and not in the log."""

from __future__ import annotations

import json

import pytest

from pytest_spidra.secrets.scrubber import Scrubber
from pytest_spidra.secrets.search import find_secrets
from pytest_spidra.traffic.log import ExchangeLog
from pytest_spidra.traffic.redaction import without_keys
from pytest_spidra.traffic.reply import Reply
from pytest_spidra.traffic.request import Request
from pytest_spidra.traffic.secret_names import looks_random, names_a_secret
from pytest_spidra.traffic.secret_patterns import SECRET_PATTERNS

ROWS = [pytest.param(row, id=row.what) for row in SECRET_PATTERNS]


def secret_of(row):
    """Return the part of a row's sample that is the secret."""
    sample = "".join(row.sample)
    return next(found[row.group] for found in row.pattern.finditer(sample) if row.is_one(found)).strip()


@pytest.fixture(params=["{}", "see {}, please", "({})", '["{}"]'])
def text(request):
    """Put a sample into a text."""
    return lambda row: request.param.format("".join(row.sample))


def a_response(body):
    return {"status": {"code": 200, "message": "OK"}, "headers": {"x-note": [body]}, "body": {"string": body}}


@pytest.mark.parametrize("row", ROWS)
def test_without_one_of_its_hints_a_row_finds_nothing(row):
    assert any(hint in "".join(row.sample).lower() for hint in row.hints)


@pytest.mark.parametrize("row", ROWS)
def test_the_scrubber_takes_the_sample_out(row, text):
    clean = Scrubber().response(a_response(text(row)))
    for told in (clean["body"]["string"], clean["headers"]["x-note"][0]):
        assert secret_of(row) not in told
        assert "[secret 1]" in told or "%5Bsecret%201%5D@" in told


@pytest.mark.parametrize("row", ROWS)
def test_the_search_finds_the_sample_and_not_what_the_scrubber_left(row, text):
    request = {"method": "GET", "uri": "https://api.spidra.io/api/batch/scrape", "body": None, "headers": {}}
    assert {found.what for found in find_secrets(1, request, a_response(text(row)))} == {row.what}
    assert find_secrets(1, request, Scrubber().response(a_response(text(row)))) == []


@pytest.mark.parametrize("row", ROWS)
def test_the_log_does_not_show_the_sample(row, text):
    told = text(row)
    log = ExchangeLog()
    body = json.dumps({"prompt": told, "urls": [told]}).encode()
    number = log.begin(
        Request("POST", "/batch/scrape", "", {"x-note": told}, body), "batch.submit", None, 0.0, None
    )
    log.seen(number, Reply.of(200, {"items": [told]}, {"x-note": told}), 0.1)
    assert secret_of(row) not in f"{log[0]}".replace("\\n", "\n")
    assert log[0].request_json["urls"] == log[0].seen_json["items"] or "\n" in told  # one mapping for both
    assert secret_of(row) not in without_keys(told, [])


@pytest.mark.parametrize(
    "name", ["authToken", "X-CSRF-Token", "PASSWD", "PHPSESSID", "connect.sid", "API.Key"]
)
def test_a_name_may_be_spelt_in_any_way(name):
    assert names_a_secret(name)


@pytest.mark.parametrize(
    "value", ["blue-widget", "BlueWidgetReturns", "2026-11-23", "v2", "/a/b1c2d3e4", "a b1c2d3e4"]
)
def test_words_numbers_and_pages_do_not_look_random(value):
    assert not looks_random(value)
