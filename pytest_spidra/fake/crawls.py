"""Crawls: a site's pages in one job, found one after the other; an extraction over one is a crawl again.

Sources: docs.spidra.io/api-reference/crawling (status, pages, extract, details, history), SDKs, the vendor's MCP server.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_spidra.fake import validation
from pytest_spidra.fake.crawl_state import CrawlState, uses_ai
from pytest_spidra.fake.job import JobKind
from pytest_spidra.fake.serializers import date
from pytest_spidra.fake.urls import refused
from pytest_spidra.traffic import error_replies

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_spidra.fake.account import Account
    from pytest_spidra.fake.item import Item
    from pytest_spidra.fake.job import JobState, PagesOf
    from pytest_spidra.traffic.reply import Reply

MAX_PAGES = 5
FOUND = 3  # pages of a site of which no test says what is found
INLINE = 100
LONGEST = 5000  # characters of a transformInstruction

_TYPES: dict[str, tuple[type, str]] = {
    "baseUrl": (str, "a string"),
    "crawlInstruction": (str, "a string"),
    "transformInstruction": (str, "a string"),
    "schema": (dict, "a JSON Schema object"),
    "maxPages": (int, "a number"),
    "maxDepth": (int, "a number"),
    "includePaths": (list, "an array of strings"),
    "excludePaths": (list, "an array of strings"),
    "allowSubdomains": (bool, "a boolean"),
    "crawlEntireDomain": (bool, "a boolean"),
    "ignoreQueryParams": (bool, "a boolean"),
    "respectRobots": (bool, "a boolean"),
    "useSitemap": (bool, "a boolean"),
    "webhookUrl": (str, "a string"),
    "useProxy": (bool, "a boolean"),
    "proxyCountry": (str, "a string"),
    "cookies": (str, "a string"),
    "scrapeMode": (str, "a string"),
}


class Crawl(JobKind):
    """``POST /crawl`` and ``GET /crawl/{jobId}``; the other endpoints are in `crawl_endpoints`."""

    name = "crawl"
    words: ClassVar = {"pending": "waiting"}
    delayed = "delayed"
    not_found = "Crawl job not found"
    cap = "crawl_pending_cap"
    all_failed = "completed"
    state = CrawlState

    def problems(self, body: dict[str, Any], account: Account) -> list[str]:
        """Return one sentence for each thing wrong with a submit's body."""
        found = validation.problems_of_types(body, _TYPES)
        if not found:
            found = list(_problems(body, account))
        if account.refuse_unknown_fields:
            found += validation.unknown_fields(body, _TYPES)
        return found

    def refusal(self, problems: list[str]) -> Reply:
        """Return a 400 with one sentence: the page of extract shows that of the crawl's routes."""
        return error_replies.error_reply(400, problems[0])

    def accepted(self, body: dict[str, Any], _: Account) -> dict[str, Any]:
        """Return what is kept of an acceptable body; cookies never are."""
        return {
            "maxPages": MAX_PAGES,
            **{name: body[name] for name in _TYPES if name in body and name != "cookies"},
        }

    def parts(self, body: dict[str, Any], pages_of: PagesOf) -> list[str]:
        """Return the pages that are found, the most that are allowed at most."""
        site = body["baseUrl"].rstrip("/")
        found = pages_of(body["baseUrl"])
        pages = (
            [body["baseUrl"], *(f"{site}/{number}" for number in range(1, FOUND))] if found is None else found
        )
        if body.get("maxDepth") == 0:
            pages = pages[:1]
        return pages[: body.get("maxPages", MAX_PAGES)]

    def price(self, account: Account, _: Sequence[str], __: dict[str, Any]) -> int:
        """Return the credits for a page that is returned."""
        return account.price_per_url

    def needed(self, account: Account, _: Sequence[str], body: dict[str, Any]) -> int:
        """Return what all pages cost that are allowed."""
        allowed: int = body.get("maxPages", MAX_PAGES)
        return account.price_per_url * allowed

    def ordered(self, parts: list[str], given: dict[str, Any]) -> dict[str, Any]:
        """Return the body of a submit for a site."""
        most = {"maxPages": len(parts)} if len(parts) > MAX_PAGES else {}
        return {"baseUrl": parts[0] if parts else "", "crawlInstruction": "Find all pages", **most, **given}

    def result(self, state: JobState, item: Item) -> Any:
        """Return what the AI says of a page, or its raw Markdown."""
        if uses_ai(state.options):
            return {"url": item.url, "title": f"Scraped {item.url}"}
        return markdown(item.url)

    def shown(self, state: JobState, now: int) -> dict[str, Any]:
        """Return the body of the status endpoint: of the pages the first hundred only."""
        done = [item for item in state.items if item.status in {"completed", "failed"}]
        if not state.terminal:
            return {"status": state.word, "progress": _progress(state, len(done)), "error": None}
        if state.status != "completed":
            return {"status": state.word, "error": state.error}
        body: dict[str, Any] = {
            "status": "completed",
            "progress": {"message": "Crawl complete", "progress": 1},
            "result": [_inline(state, item, now) for item in done[:INLINE]],
            "error": None,
        }
        if len(done) > INLINE:
            body |= {"totalPages": len(done), "resultTruncated": True}
        return body


CRAWL = Crawl()


def markdown(url: str) -> str:
    """Return a page's Markdown."""
    return f"# {url}\n\nScraped."


def html(url: str) -> str:
    """Return a page's HTML."""
    return f"<html><head><title>Scraped {url}</title></head><body><h1>{url}</h1></body></html>"


def page(state: JobState, item: Item, now: int) -> dict[str, Any]:
    """Return a page as the endpoint of the pages shows it: ``data`` is JSON text there, unless the account says so."""
    data = item.result if isinstance(item.result, str | None) else json.dumps(item.result)
    return {
        "id": item.id,
        "url": item.url,
        "title": f"Scraped {item.url}" if item.status == "completed" else None,
        "status": "success" if item.status == "completed" else "failed",
        "data": item.result if state.shows == "object" else data,
        "error_message": item.error,
        **_links(state, item, now),
        "created_at": date(item.finished_at, "seconds"),
    }


def _progress(state: JobState, done: int) -> dict[str, Any]:
    allowed = state.options.get("maxPages", MAX_PAGES)
    where = state.items[min(done, len(state.items) - 1)].url if state.items else ""
    message = (
        f"Scraping ({done + 1}/{allowed}) {where}" if state.status == "running" else "Waiting to start..."
    )
    if state.counts_pages:
        return {"message": message, "pagesCrawled": done, "maxPages": allowed}
    return {"message": message, "progress": round(done / allowed, 2)}


def _inline(state: JobState, item: Item, now: int) -> dict[str, Any]:
    first = state.items[0]
    return {
        "url": item.url,
        "title": f"Scraped {item.url}" if item.status == "completed" else None,
        "status": "success" if item.status == "completed" else "failed",
        "data": item.result,
        **_links(state, item, now),
        "depth": 0 if item is first else 1,
        "parentUrl": None if item is first else first.url,
    }


def _links(state: JobState, item: Item, now: int) -> dict[str, str | None]:
    good = item.status == "completed"
    return {
        "html": state.files.url(f"{item.id}.html", now) if good else None,
        "markdown": state.files.url(f"{item.id}.md", now) if good else None,
    }


def _problems(body: dict[str, Any], account: Account) -> Iterator[str]:
    """Yield one sentence for each thing wrong with a body whose fields are of their types."""
    why = refused(body["baseUrl"]) if body.get("baseUrl") else None
    lists = [body.get(name, []) for name in ("includePaths", "excludePaths")]
    root = body.get("schema", {}).get("type", "object")
    checks = (
        (body.get("baseUrl"), "Missing required field: baseUrl"),
        (why is None, f"baseUrl {why}"),
        (
            1 <= body.get("maxPages", 1) <= account.crawl_max_pages,
            f"maxPages must be between 1 and {account.crawl_max_pages}",
        ),
        (body.get("maxDepth", 0) >= 0, "maxDepth must be 0 or more"),
        (root == "object", "schema must have an object at its root"),
        (
            all(isinstance(one, str) for listed in lists for one in listed),
            "includePaths and excludePaths must be arrays of strings",
        ),
        (body.get("scrapeMode", "fast") in {"default", "fast"}, "scrapeMode must be one of default, fast"),
        (
            len(body.get("transformInstruction", "")) <= LONGEST,
            f"transformInstruction must be {LONGEST} characters or fewer",
        ),
    )
    return (sentence for holds, sentence in checks if not holds)
