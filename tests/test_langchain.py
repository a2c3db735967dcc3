"""langchain-spidra's loader and tools, where the package is installed: each mode, well and with a failure."""

from __future__ import annotations

import warnings

import pytest

from pytest_spidra import completed, failed, http_error

langchain_spidra = pytest.importorskip("langchain_spidra")

pytestmark = [
    pytest.mark.spidra(rules="off"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]

A, B = "https://a.example/", "https://b.example/"


@pytest.fixture
def settings(spidra_mock):
    return {"api_key": spidra_mock.api_key, "api_url": spidra_mock.base_url}


def loaded(settings, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return langchain_spidra.SpidraLoader(**options, **settings).load()


def test_raw_pages_become_a_document_each(settings):
    documents = loaded(settings, urls=[A, B])
    assert [document.metadata["source"] for document in documents] == [A, B]
    assert [document.page_content for document in documents] == [f"# {url}\n\nScraped." for url in (A, B)]


def test_a_prompt_becomes_one_document_with_its_flags(settings, spidra_mock):
    spidra_mock.scrape.outcomes({A: completed(ai_extraction_failed=True)})
    (document,) = loaded(settings, url=A, params={"prompt": "the price", "output": "json"})
    assert document.metadata["ai_extraction_failed"] is True


def test_a_failed_scrape_is_raised(settings, spidra_mock):
    spidra_mock.scrape.outcomes({A: failed("blocked")})
    with pytest.raises(Exception, match="blocked"):
        loaded(settings, url=A)


def test_failed_pages_of_a_crawl_are_dropped_without_a_word(settings, spidra_mock):
    spidra_mock.crawl.finds({A: completed(), B: failed()})
    assert [document.metadata["source"] for document in loaded(settings, url=A, mode="crawl")] == [A]


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_a_crawl_that_ends_badly_is_raised(settings, spidra_mock, status):
    spidra_mock.crawl.ends(status)
    with pytest.raises(Exception, match=r"(?i)crawl"):
        loaded(settings, url=A, mode="crawl")


def test_a_batch_is_loaded_and_what_failed_is_dropped(settings, spidra_mock):
    spidra_mock.batch.outcomes({B: failed()})
    assert len(loaded(settings, urls=[A, B], mode="batch")) == 1


TOOLS = {
    "SpidraScrape": ({"url": A}, "scrape"),
    "SpidraCrawl": ({"url": A}, "crawl"),
    "SpidraBatchScrape": ({"urls": [A, B]}, "batch"),
}


@pytest.mark.parametrize("name", TOOLS)
def test_a_tool_answers(settings, name):
    given, _ = TOOLS[name]
    answer = getattr(langchain_spidra, name)(**settings).invoke(given)
    assert answer
    assert not isinstance(answer, str)


@pytest.mark.parametrize("status", [401, 402, 403, 404, 422, 429, 500, 504])
@pytest.mark.parametrize("name", TOOLS)
def test_a_tools_error_is_its_answer(settings, spidra_mock, name, status):
    given, family = TOOLS[name]
    getattr(spidra_mock, family).submit.script(http_error(status))
    answer = getattr(langchain_spidra, name)(**settings).invoke(given)
    assert isinstance(answer, str)
    assert "Error" in answer
