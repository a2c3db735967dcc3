"""What can be asked of a crawl beside its status."""

from __future__ import annotations

import io
import json
import zipfile
from typing import TYPE_CHECKING, Any, cast

from pytest_spidra.fake.crawl_state import CrawlState, row, uses_ai
from pytest_spidra.fake.crawls import CRAWL, LONGEST, html, markdown, page
from pytest_spidra.fake.outcomes import completed
from pytest_spidra.traffic import error_replies
from pytest_spidra.traffic.reply import Reply
from pytest_spidra.traffic.strict_json import json_or_none

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_spidra.fake.item import Item
    from pytest_spidra.fake.jobs import Jobs
    from pytest_spidra.traffic.request import Request

USER = "00000000-0000-4000-8000-00000000000e"
MOST_PAGES = 1000
MOST_SKIPPED = 2000
SKIPPED = 200
HISTORY, MOST_HISTORY = 10, 100
MISSING = "Missing required field: transformInstruction"
TOO_LONG = f"transformInstruction must be {LONGEST} characters or fewer"
KINDS = ("html", "markdown", "data")
NO_DETAILS = ("user_uuid", "source_job_id", "use_proxy", "proxy_bandwidth_mb", "proxy_billing")


class CrawlEndpoints:
    """The endpoints of crawls, except submit and get.

    Args:
        jobs: Where they are kept.
    """

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self.endpoints: dict[str, Callable[[Request, str | None, int], Reply]] = {
            "crawl.cancel": self._cancel,
            "crawl.pages": self._pages,
            "crawl.extract": self._extract,
            "crawl.retry_page": self._retry_page,
            "crawl.download": self._download,
            "crawl.report": self._report,
            "crawl.details": self._details,
            "crawl.history": self._history,
            "crawl.stats": self._stats,
        }

    def _find(self, job_id: str | None, now: int) -> CrawlState | None:
        return cast("CrawlState | None", self._jobs.find(CRAWL, job_id, now))

    def _cancel(self, _: Request, job_id: str | None, now: int) -> Reply:
        state = self._find(job_id, now)
        if state is None:
            return error_replies.error_reply(404, CRAWL.not_found)
        if state.terminal:
            return error_replies.already_terminal(state.status, "crawl")
        state.stop(now, self._jobs.account.crawl_cancel)
        return Reply.of(200, {"status": "cancelled", "jobId": state.id})

    def _pages(self, request: Request, job_id: str | None, now: int) -> Reply:
        state = self._find(job_id, now)
        if state is None:
            return error_replies.error_reply(404, CRAWL.not_found)
        offset = bounded(request.parameters.get("offset"), 0, 0, None)
        limit = bounded(request.parameters.get("limit"), self._jobs.account.crawl_page_limit, 1, MOST_PAGES)
        pages = state.pages
        body = {
            "pages": [page(state, item, now) for item in pages[offset : offset + limit]],
            "total": len(pages),
            "offset": offset,
            "limit": limit,
            "hasMore": offset + limit < len(pages),
        }
        return Reply.of(200, body)

    def _extract(self, request: Request, job_id: str | None, now: int) -> Reply:
        """Queue an extraction over the good pages of a crawl: a crawl of its own, which leaves the other alone."""
        source = self._find(job_id, now)
        body = json_or_none(request.content)
        told = body.get("transformInstruction") if isinstance(body, dict) else None
        if not isinstance(told, str) or not 0 < len(told) <= LONGEST:
            return error_replies.error_reply(400, TOO_LONG if isinstance(told, str) and told else MISSING)
        if source is None:
            return error_replies.error_reply(404, "Source crawl job not found")
        if source.status != "completed":
            return error_replies.error_reply(400, "Source crawl job has not completed successfully")
        good = [item.url for item in source.items if item.status == "completed"]
        price = self._jobs.account.price_per_extraction
        if refusal := self._jobs.cannot_queue(CRAWL, price * len(good), now):
            return refusal
        options = {**source.options, "transformInstruction": told}
        state = cast("CrawlState", self._jobs.create(CRAWL, good, options, now, price=price))
        state.source = source.id
        state.queue(state.items, now)
        message = f"Extraction job queued. Poll /api/crawl/{state.id} for results."
        return Reply.of(202, {"status": "queued", "jobId": state.id, "message": message})

    def _retry_page(self, request: Request, job_id: str | None, now: int) -> Reply:
        """Let the AI look at a page again, at once; the data that it had is replaced."""
        state = self._find(job_id, now)
        page_id = request.path.rstrip("/").rpartition("/")[2]
        item = next((one for one in state.pages if one.id == page_id), None) if state else None
        if state is None or item is None:
            return _error(404, "Crawl job not found" if state is None else "Page not found")
        if not state.terminal or not uses_ai(state.options):
            return _error(
                400, "The crawl has no transformInstruction" if state.terminal else "The crawl is running"
            )
        price = self._jobs.account.price_per_extraction
        if self._jobs.account.payment_overdue:
            return error_replies.payment_overdue()
        if price > self._jobs.account.credits:
            return error_replies.error_reply(403, error_replies.CREDIT_LIMIT)
        outcome = self._jobs.next_outcome("crawl", item.url) or completed()
        if outcome.ending != "completed":
            return _error(400, outcome.error or "The page could not be transformed")
        used = price if outcome.credits is None else outcome.credits
        self._jobs.accounting.settle(0, used)
        item.status, item.error = "completed", None
        item.result = CRAWL.result(state, item) if outcome.result is None else outcome.result
        item.credits_used += used
        return Reply.of(
            200,
            {
                "success": True,
                "data": item.result,
                "tokensUsed": 50,
                "creditsUsed": used,
                "message": "Page transformation retried successfully",
            },
        )

    def _download(self, request: Request, job_id: str | None, now: int) -> Reply:
        state = self._find(job_id, now)
        if state is None:
            return error_replies.error_reply(404, CRAWL.not_found)
        if state.status not in {"completed", "cancelled"}:
            return error_replies.error_reply(400, "Crawl job has not completed")
        wanted = [one for one in request.parameters.get("include", ",".join(KINDS)).split(",") if one]
        if unknown := [one for one in wanted if one not in KINDS]:
            return error_replies.error_reply(
                400, f"include must be some of {', '.join(KINDS)}, not {unknown[0]}"
            )
        content = _zip([item for item in state.pages if item.status == "completed"], wanted)
        headers = {
            "content-type": "application/zip",
            "content-disposition": f'attachment; filename="{state.id}.zip"',
        }
        return Reply(200, content, headers)

    def _report(self, request: Request, job_id: str | None, now: int) -> Reply:
        state = self._find(job_id, now)
        if state is None:
            return error_replies.error_reply(404, CRAWL.not_found)
        if not state.terminal:
            return Reply.of(
                200,
                {"status": "success", "report": None, "message": "No report is available for this crawl."},
            )
        given = request.parameters
        skipped = self._jobs.skipped.get(state.options.get("baseUrl"), self._jobs.skipped.get(None, {}))
        reasons = {
            why: [url for url, one in skipped.items() if one == why]
            for why in dict.fromkeys(skipped.values())
        }
        asked = [(url, why) for url, why in skipped.items() if given.get("reason") in {None, why}]
        offset = bounded(given.get("offset"), 0, 0, None)
        limit = bounded(given.get("limit"), SKIPPED, 1, MOST_SKIPPED)
        report = {
            "understoodAs": state.options.get("crawlInstruction"),
            "navigationPages": 0,
            "skippedTotal": len(skipped),
            "skipped": [
                {"reason": why, "count": len(urls), "description": why.replace("_", " ")}
                for why, urls in reasons.items()
            ],
            "skippedUrls": [
                {"url": url, "reason": why, "foundOn": state.options.get("baseUrl")}
                for url, why in asked[offset : offset + limit]
            ],
            "skippedUrlsTotal": len(asked),
        }
        return Reply.of(200, {"status": "success", "report": report})

    def _details(self, _: Request, job_id: str | None, now: int) -> Reply:
        state = self._find(job_id, now)
        if state is None:
            return error_replies.error_reply(404, CRAWL.not_found)
        return Reply.of(
            200, {name: value for name, value in row(state, USER).items() if name not in NO_DETAILS}
        )

    def _history(self, request: Request, _: str | None, now: int) -> Reply:
        """Answer the history, newest first: the one place where a crawl whose reply was lost can be found."""
        number = bounded(request.parameters.get("page"), 1, 1, None)
        limit = bounded(request.parameters.get("limit"), HISTORY, 1, MOST_HISTORY)
        mine = self._jobs.of(CRAWL)[::-1]
        shown = mine[(number - 1) * limit : number * limit]
        for state in shown:
            state.advance(now)
        body: dict[str, Any] = {
            "jobs": [row(cast("CrawlState", state), USER) for state in shown],
            "total": len(mine),
            "page": number,
            "totalPages": -(-len(mine) // limit),
        }
        return Reply.of(200, body)

    def _stats(self, _: Request, __: str | None, ___: int) -> Reply:
        return Reply.of(200, {"total": len(self._jobs.of(CRAWL))})


def bounded(text: str | None, default: int, least: int, most: int | None) -> int:
    """Return a number of a query, moved into its bounds; what is none is the default. No source says."""
    try:
        number = max(int(text), least) if text else default
    except ValueError:
        return default
    return number if most is None else min(number, most)


def _error(status: int, text: str) -> Reply:
    """Return an error in the form of this one endpoint: ``{"error": …}`` (docstring of the SDK)."""
    return Reply.of(status, {"error": text})


def _zip(items: list[Item], wanted: list[str]) -> bytes:
    """Return an archive of pages, the same bytes for the same pages. What the names in it are, no source says."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for number, item in enumerate(items, 1):
            data = item.result if isinstance(item.result, str) else json.dumps(item.result)
            files = {
                "html": ("html", html(item.url)),
                "markdown": ("md", markdown(item.url)),
                "data": ("json", data),
            }
            for kind in wanted:
                suffix, text = files[kind]
                archive.writestr(zipfile.ZipInfo(f"{number:04d}.{suffix}"), text)
    return target.getvalue()
