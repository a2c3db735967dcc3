"""One table of what is a secret: each row's sample is gone from the cassette, found by the search, and not in the log."""

from __future__ import annotations

import pytest

from pytest_spidra.secrets.scrubber import Scrubber
from pytest_spidra.secrets.search import find_secrets
from pytest_spidra.traffic.redaction import REDACTED, without_keys
from pytest_spidra.traffic.secret_patterns import SECRET_PATTERNS

ROWS = [pytest.param(row, id=row.what) for row in SECRET_PATTERNS]


@pytest.fixture(params=["{}", "see {}, please", '{{"result": "{}"}}'])
def text(request):
    """Put a sample into a text."""
    return request.param.format


@pytest.mark.parametrize("row", ROWS)
def test_the_scrubber_takes_the_sample_out(row, text):
    told = text("".join(row.sample))
    response = Scrubber([]).response(
        {"status": {"code": 200, "message": "OK"}, "headers": {}, "body": {"string": told}}
    )
    assert response["body"]["string"] == told.replace(row.sample[1], REDACTED).replace(
        row.sample[0] + REDACTED if row.group == 0 else "\0", REDACTED
    )


@pytest.mark.parametrize("row", ROWS)
def test_the_search_finds_the_sample(row, text):
    request = {"method": "GET", "uri": "https://api.spidra.io/api/batch/scrape", "body": None, "headers": {}}
    response = {"headers": {}, "body": {"string": text("".join(row.sample))}}
    assert [found.what for found in find_secrets(1, request, response)] == [row.what]


@pytest.mark.parametrize("row", ROWS)
def test_the_log_does_not_show_the_sample(row, text):
    shown = without_keys(text("".join(row.sample)), [])
    assert row.sample[1] not in shown
    assert REDACTED in shown
