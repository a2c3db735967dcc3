"""Scrapes: up to three pages in one job, whose result holds one answer for all of them.

Sources: docs.spidra.io/api-reference/scraping/scrape and …/scrape-status, the SDKs' types, the vendor's MCP server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pytest_spidra.fake import validation
from pytest_spidra.fake.job import JobKind
from pytest_spidra.fake.urls import refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_spidra.fake.account import Account
    from pytest_spidra.fake.item import Item
    from pytest_spidra.fake.job import JobState, PagesOf

MOST_URLS = 3
MOST_ITEMS = 50
MOST_PAGES = 10
ACTIONS = ("click", "type", "check", "uncheck", "wait", "scroll", "forEach")
MODES = ("click", "inline", "navigate")
RAW = "\n\n---\n\n"
"""What stands between the pages of an answer that is raw Markdown."""


class Scrape(JobKind):
    """``POST /scrape`` and ``GET /scrape/{jobId}``."""

    name = "scrape"
    words: ClassVar = {"pending": "waiting", "running": "active"}
    delayed = "delayed"
    not_found = "Job not found"
    kept = 3600
    kept_failed = 24 * 3600
    cap = "scrape_pending_cap"

    def problems(self, body: dict[str, Any], account: Account) -> list[str]:
        """Return one sentence for each thing wrong with a submit's body."""
        found = _problems_of_urls(body.get("urls")) + validation.problems_of_options(body, account)
        if account.refuse_unknown_fields:
            found += validation.unknown_fields(body, ("urls", *validation.FIELDS))
        return found

    def accepted(self, body: dict[str, Any], account: Account) -> dict[str, Any]:
        """Return what is kept of an acceptable body; cookies never are."""
        options = {name: body[name] for name in validation.FIELDS if name in body and name != "cookies"}
        return {**options, "schema_warnings": validation.schema_warnings(body, account)}

    def parts(self, body: dict[str, Any], _: PagesOf) -> list[str]:
        """Return the URLs."""
        return [one["url"] for one in body["urls"]]

    def price(self, account: Account, _: Sequence[str], __: dict[str, Any]) -> int:
        """Return the credits for a page; the tokens that its AI used are not counted here."""
        return account.price_per_url

    def ordered(self, parts: list[str], given: dict[str, Any]) -> dict[str, Any]:
        """Return the body of a submit for such URLs."""
        return {"urls": [{"url": url} for url in parts], **given}

    def queued(self, state: JobState) -> dict[str, Any]:
        """Return the warnings about the schema, if there are any."""
        warnings = state.options["schema_warnings"]
        return {"schema_warnings": warnings} if warnings else {}

    def result(self, state: JobState, item: Item) -> Any:
        """Return what the AI says of a page, or its raw Markdown."""
        flags = item.outcome.flags if item.outcome else frozenset()
        if "extraction_empty" in flags:
            return {}
        if "ai_extraction_failed" in flags or not uses_ai(state.options):
            return _markdown(item.url)
        as_object = state.options.get("schema") is not None or state.options.get("output") == "json"
        return {"url": item.url, "title": f"Scraped {item.url}"} if as_object else f"{item.url} was scraped."

    def shown(self, state: JobState, now: int) -> dict[str, Any]:
        """Return the body of the status endpoint."""
        message = {"completed": "Scrape completed successfully", "failed": "Scrape failed"}.get(state.status)
        done = sum(one.terminal for one in state.items) / len(state.items)
        return {
            "status": state.word,
            "progress": {
                "message": message or _work(state),
                "progress": 1 if state.terminal else round(done, 2),
            },
            "result": _result(state, now) if state.status == "completed" else None,
            "error": state.error,
            **self.queued(state),
        }


SCRAPE = Scrape()


def _work(state: JobState) -> str:
    if state.status == "pending":
        return "Waiting to start..."
    return "Processing content with AI..." if uses_ai(state.options) else "Loading the page..."


def uses_ai(options: dict[str, Any]) -> bool:
    """Whether AI looks at the page: without prompt, schema and ``output: json`` the result is raw Markdown."""
    return bool(options.get("prompt") or options.get("schema") is not None or options.get("output") == "json")


def _result(state: JobState, now: int) -> dict[str, Any]:
    good = [item for item in state.items if item.status == "completed"]
    flags = {flag for item in good if item.outcome for flag in item.outcome.flags}
    ends = max(item.finished_at or state.created_at for item in state.items)
    tokens = 312 * len(good) if uses_ai(state.options) else 0
    written = 84 * len(good) if uses_ai(state.options) else 0
    result: dict[str, Any] = {
        "content": _content(state, good),
        "data": [_page(item) for item in state.items],
        "screenshots": [state.files.url(f"{item.id}.png", now) for item in good]
        if state.options.get("screenshot")
        else [],
        "ai_extraction_failed": "ai_extraction_failed" in flags,
    }
    if "extraction_empty" in flags:
        result["extraction_empty"] = True
    result["stats"] = {
        "durationMs": (ends - state.created_at) // 1000,
        "captchaSolvedCount": sum(item.outcome.captchas for item in good if item.outcome),
        "inputTokens": tokens,
        "outputTokens": written,
        "totalTokens": tokens + written,
    }
    return result


def _content(state: JobState, good: list[Item]) -> Any:
    """Return the one answer for all pages: what the AI says, or Markdown in sections."""
    if len(good) == 1 and len(state.items) == 1:
        return good[0].result
    answers = [item.result for item in good]
    if any(not isinstance(one, str) for one in answers):
        return answers
    return RAW.join(f"Content from: {item.url}\n\n{one}" for item, one in zip(good, answers, strict=True))


def _markdown(url: str) -> str:
    return f"# {url}\n\nScraped."


def _page(item: Item) -> dict[str, Any]:
    good = item.status == "completed"
    page: dict[str, Any] = {
        "url": item.url,
        "title": f"Scraped {item.url}" if good else None,
        "markdownContent": _markdown(item.url) if good else None,
        "success": good,
        "screenshotUrl": None,
    }
    if item.error is not None:
        page["error"] = item.error
    if item.outcome and "low_content" in item.outcome.flags:
        page["lowContent"] = True
    return page


def _problems_of_urls(urls: Any) -> list[str]:
    if urls is None or urls == []:
        return ["At least one URL is required."]
    if not isinstance(urls, list):
        return ["urls must be an array of objects."]
    found = []
    if len(urls) > MOST_URLS:
        found.append(f"A scrape takes at most {MOST_URLS} URLs.")
    for place, one in enumerate(urls):
        where = f"urls[{place}]"
        if not isinstance(one, dict) or not isinstance(one.get("url"), str):
            found.append(f"{where} must be an object with a url.")
            continue
        if (why := refused(one["url"])) is not None:
            found.append(f"{where}.url {why}.")
        if "instruction" in one and not isinstance(one["instruction"], str):
            found.append(f"{where}.instruction must be a string.")
        if "actions" in one:
            found += _problems_of_actions(one["actions"], f"{where}.actions")
    return found


def _problems_of_actions(actions: Any, where: str) -> list[str]:
    if not isinstance(actions, list):
        return [f"{where} must be an array of objects."]
    found = []
    for place, action in enumerate(actions):
        here = f"{where}[{place}]"
        if not isinstance(action, dict) or action.get("type") not in ACTIONS:
            found.append(f"{here}.type must be one of {', '.join(ACTIONS)}.")
            continue
        if "mode" in action and action["mode"] not in MODES:
            found.append(f"{here}.mode must be one of {', '.join(MODES)}.")
        if not _bounded(action.get("maxItems", 1), MOST_ITEMS):
            found.append(f"{here}.maxItems must be a number from 1 to {MOST_ITEMS}.")
        pagination = action.get("pagination", {})
        if not isinstance(pagination, dict) or not _bounded(pagination.get("maxPages", 1), MOST_PAGES):
            found.append(f"{here}.pagination.maxPages must be a number from 1 to {MOST_PAGES}.")
        if "actions" in action:
            found += _problems_of_actions(action["actions"], f"{here}.actions")
    return found


def _bounded(value: Any, most: int) -> bool:
    return type(value) is int and 1 <= value <= most
