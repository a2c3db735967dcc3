"""The snippets of the official SDK's own README run against the fake, unchanged but for the id of a log."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import warnings
from importlib import metadata

import pytest
import spidra

from pytest_spidra import completed

pytestmark = [pytest.mark.slow, pytest.mark.spidra(rules="off")]

README = str(metadata.metadata("spidra").get_payload() or metadata.metadata("spidra")["Description"])
SNIPPETS = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)

WITHOUT = {
    "report.pdf": "needs a file of that name",
    "pydantic": "needs pydantic",
    "request.": "runs in a web server",
    "verify_webhook": "runs in a web server",
}
"""What a snippet needs that is not there."""

CRAWLED = "https://docs.spidra.io"


@pytest.fixture
def there(spidra_mock, spidra_job_factory, spidra_batch_factory, tmp_path, monkeypatch, client):
    """Make what the snippets take for granted."""
    monkeypatch.chdir(tmp_path)
    spidra_mock.crawl.finds([CRAWLED], skipped={f"{CRAWLED}/x": "not_relevant"})
    crawl = spidra_job_factory("crawl", transformInstruction="x")
    spidra_mock.scrape.outcomes({"https://www.amazon.de/gp/bestsellers": completed()})
    page = client.get(f"/crawl/{crawl.id}/pages").json()["pages"][0]["id"]
    log = spidra_job_factory("scrape")
    uuid = client.get("/scrape-logs").json()["data"]["logs"][0]["uuid"]
    names = {name: value for name, value in vars(spidra).items() if not name.startswith("_")}
    return {
        **names,
        "client": spidra.AsyncSpidra(api_key=spidra_mock.api_key),
        "params": spidra.ScrapeParams(urls=[spidra.ScrapeUrl(url=CRAWLED)]),
        "batch_id": spidra_batch_factory(status="running").id,
        "job_id": crawl.id,
        "source_job_id": crawl.id,
        "page_id": page,
        "uuid": uuid,
        "job": log,
        "urls": [CRAWLED],
    }


@pytest.mark.spidra(allow_unused_steps=True)
@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_a_snippet_runs(there, spidra_mock, number):
    snippet = SNIPPETS[number].replace('"log-uuid"', repr(there["uuid"]))
    if missing := [why for what, why in WITHOUT.items() if what in snippet]:
        pytest.skip(missing[0])
    code = compile(snippet, f"README of spidra, snippet {number}", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        if code.co_flags & inspect.CO_COROUTINE:
            asyncio.run(eval(code, there))  # noqa: S307 - it is the README's
        else:
            there["client"] = spidra.Spidra(api_key=spidra_mock.api_key)
            exec(code, there)  # noqa: S102 - it is the README's
    assert all(one.seen != 404 for one in spidra_mock.exchanges)


def test_most_snippets_are_run():
    left = [one for one in SNIPPETS if not any(what in one for what in WITHOUT)]
    assert len(left) >= 45
