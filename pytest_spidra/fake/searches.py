"""Searches: one query over several sources, which may be answered within its submit.

Sources: the SDKs' types, which agree with the vendor's MCP server; no page of the documentation could be read. That
wrong bodies are a 422 with sentences, as a scrape's, and that a search needs one credit to begin, no source says.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_spidra.fake import validation
from pytest_spidra.fake.job import JobKind
from pytest_spidra.traffic import error_replies
from pytest_spidra.traffic.reply import Reply

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_spidra.fake.account import Account
    from pytest_spidra.fake.item import Item
    from pytest_spidra.fake.job import Answer, Customer, JobState, PagesOf
    from pytest_spidra.traffic.request import Request

SOURCES = ("web", "news", "images", "videos", "research", "developer")
WITHOUT_DOMAINS = ("research", "developer")
RANGES = ("hour", "day", "week", "month", "year")
MOST = 20
LIMIT = 10
SCRAPED = 10  # results whose pages are fetched, unless maxResults says otherwise
PAGES = 3  # how many pages of results the fake finds for any query
RESULTS_FOR_A_CREDIT = 10

_TYPES: dict[str, tuple[type, str]] = {
    "query": (str, "a string"),
    "sources": (list, "an array of strings"),
    "limit": (int, "a number"),
    "page": (int, "a number"),
    "pageTokens": (dict, "an object"),
    "timeRange": (str, "a string"),
    "country": (str, "a string"),
    "includeDomains": (list, "an array of strings"),
    "excludeDomains": (list, "an array of strings"),
    "filetype": (str, "a string"),
    "scrapeOptions": (dict, "an object"),
    "wait": (bool, "a boolean"),
}


class Search(JobKind):
    """``POST /search``, ``GET /search/{jobId}`` and ``DELETE /search/{jobId}``."""

    name = "search"
    words: ClassVar = {"pending": "waiting", "running": "active"}
    delayed = "delayed"
    not_found = "Job not found"
    kept = 3600
    kept_failed = 24 * 3600

    def others(self, customer: Customer) -> dict[str, Answer]:
        """Return what answers a cancel."""
        return {"search.cancel": partial(self._cancel, customer)}

    def _cancel(self, customer: Customer, _: Request, job_id: str | None, now: int) -> Reply:
        """Cancel a search: one at work ends ``failed``, one that waits is removed (the vendor's MCP server).

        The SDK has no such method. The path, the answer, which is a crawl's, and the 404 of what was removed follow from
        nothing but likeness.
        """
        state = customer.find(self, job_id, now)
        if state is None:
            return error_replies.error_reply(404, self.not_found)
        if state.terminal:
            return error_replies.already_terminal(state.status, "search")
        if state.status == "pending":
            state.owner = ""
        for item in state.items:
            item.error = "Search cancelled"
            item.close("failed", now)
        state.status, state.finished_at = "failed", now
        return Reply.of(200, {"status": "cancelled", "jobId": state.id})

    def problems(self, body: dict[str, Any], account: Account) -> list[str]:
        """Return one sentence for each thing wrong with a submit's body."""
        found = validation.problems_of_types(body, _TYPES)
        if not found:
            found = list(_problems(body))
        if account.refuse_unknown_fields:
            found += validation.unknown_fields(body, _TYPES)
        return found

    def accepted(self, body: dict[str, Any], _: Account) -> dict[str, Any]:
        """Return what is kept of an acceptable body."""
        return {name: body[name] for name in _TYPES if name in body and name != "wait"}

    def parts(self, body: dict[str, Any], _: PagesOf) -> list[str]:
        """Return the query."""
        return [body["query"]]

    def price(self, *_: object) -> int:
        """Return 0: what a search costs is known when it has ended, and charged then."""
        return 0

    def needed(self, *_: object) -> int:
        """Return the credits without which it does not begin."""
        return 1

    def charge(self, state: JobState, item: Item) -> int:
        """Return the credits it costs: one for ten results of a source, an empty one is free, and each page fetched."""
        told = item.outcome.result if item.outcome else None
        found = self.result(state, item) if told is None else told
        credits_ = sum(-(-len(results) // RESULTS_FOR_A_CREDIT) for results in found.values())
        scrape = state.options.get("scrapeOptions")
        if scrape is not None:
            fetched = min(scrape.get("maxResults", SCRAPED), sum(map(len, found.values())))
            credits_ += fetched * state.price_of_page
        return credits_

    def waits(self, body: dict[str, Any], account: Account) -> float | None:
        """Return how long the submit is held for its result; with pages to fetch it never is."""
        return account.search_wait if body.get("wait") and "scrapeOptions" not in body else None

    def ordered(self, parts: list[str], given: dict[str, Any]) -> dict[str, Any]:
        """Return the body of a submit for a query."""
        return {"query": parts[0] if parts else "", **given}

    def result(self, state: JobState, _: Item) -> dict[str, list[dict[str, Any]]]:
        """Return what the requested sources find when the script does not say."""
        options = state.options
        limit = options.get("limit", LIMIT)
        return {
            source: [
                _found(source, options["query"], place)
                for place in range((number - 1) * limit + 1, number * limit + 1)
            ]
            if (number := _page_of(source, options)) <= PAGES
            else []
            for source in options.get("sources", ["web"])
        }

    def shown(self, state: JobState, _: int) -> dict[str, Any]:
        """Return the body of the status endpoint."""
        if not state.terminal:
            return {
                "status": state.word,
                "progress": {"message": "Searching the web...", "progress": 0},
                "result": None,
                "error": None,
            }
        good = state.status == "completed"
        return {"status": state.word, "result": _result(state) if good else None, "error": state.error}


SEARCH = Search()


def _page_of(source: str, options: dict[str, Any]) -> int:
    """Return the number of the page that is asked for; a token that is stale asks for the first."""
    tokens = options.get("pageTokens")
    if tokens is None:
        number: int = options.get("page", 1)
        return number
    known = {f"{source}-{number}": number for number in range(2, PAGES + 1)}
    token = tokens.get(source)
    return known.get(token, 1) if isinstance(token, str) else 1


def _found(source: str, query: str, place: int) -> dict[str, Any]:
    return {
        "title": f"{query}: result {place}",
        "url": f"https://results.example/{source}/{place}",
        "position": place,
        "description": f"What {source} says about {query}.",
    }


def _result(state: JobState) -> dict[str, Any]:
    (item,) = state.items
    options, found = state.options, item.result
    data: dict[str, Any] = {}
    scrape = options.get("scrapeOptions")
    left = scrape.get("maxResults", SCRAPED) if scrape is not None else 0
    for source in options.get("sources", ["web"]):
        if source in found:
            results = found[source]
            data[source] = [*map(_with_page, results[:left]), *results[left:]]
            left = max(left - len(results), 0)
    tokens = {
        source: f"{source}-{_page_of(source, options) + 1}"
        for source in data
        if data[source] and _page_of(source, options) < PAGES
    }
    data["extras"] = {"relatedSearches": [f"{options['query']} explained"]}
    data["nextPageTokens"] = tokens
    ends = (item.finished_at or state.created_at) - state.created_at
    return {
        "success": "unsuccessful" not in (item.outcome.flags if item.outcome else ()),
        "data": data,
        "stats": {"durationMs": ends // 1000},
        "logUuid": state.log_id,
    }


def _with_page(result: dict[str, Any]) -> dict[str, Any]:
    return {**result, "markdown": f"# {result.get('title')}\n\nScraped."}


def _problems(body: dict[str, Any]) -> Iterator[str]:
    """Yield one sentence for each thing wrong with a body whose fields are of their types."""
    sources = body.get("sources", ["web"])
    domains = [name for name in ("includeDomains", "excludeDomains") if body.get(name)]
    scrape = body.get("scrapeOptions", {})
    most = scrape.get("maxResults", 1)
    lists = [body.get(name, []) for name in ("sources", "includeDomains", "excludeDomains")]
    texts = all(isinstance(one, str) for listed in lists for one in listed)
    checks = (
        (body.get("query", "").strip(), "query is required."),
        (texts, "sources, includeDomains and excludeDomains must be arrays of strings."),
        (
            sources and all(one in SOURCES for one in sources),
            f"sources must be some of {', '.join(SOURCES)}.",
        ),
        (1 <= body.get("limit", LIMIT) <= MOST, f"limit must be a number from 1 to {MOST}."),
        (body.get("page", 1) >= 1, "page must be a number from 1 on."),
        (body.get("timeRange", "day") in RANGES, f"timeRange must be one of {', '.join(RANGES)}."),
        (body.get("filetype", "pdf") == "pdf", "filetype must be pdf."),
        (len(domains) < 2, "includeDomains and excludeDomains cannot be used together."),
        (
            not domains or not any(one in WITHOUT_DOMAINS for one in sources),
            f"Domains cannot be chosen for {' and '.join(WITHOUT_DOMAINS)}.",
        ),
        (scrape.get("formats", ["markdown"]) == ["markdown"], 'scrapeOptions.formats must be ["markdown"].'),
        (
            type(most) is int and 1 <= most <= MOST,
            f"scrapeOptions.maxResults must be a number from 1 to {MOST}.",
        ),
    )
    return (sentence for holds, sentence in checks if not holds)
