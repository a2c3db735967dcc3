"""Maps: the URLs of a site, in one request, for one credit or for none where nothing is found.

Sources: the SDKs' types and docstrings; no page of the documentation could be read. That a wrong body is a 422 with
sentences no source says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_spidra.fake import validation
from pytest_spidra.fake.urls import refused
from pytest_spidra.traffic import error_replies
from pytest_spidra.traffic.reply import Reply
from pytest_spidra.traffic.strict_json import parse_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_spidra.fake.jobs import Jobs
    from pytest_spidra.traffic.request import Request

PRICE = 1
LIMIT, MOST = 500, 5000
SITEMAPS = ("include", "only", "skip")
NOTHING = "No URLs were found."

_TYPES: dict[str, tuple[type, str]] = {
    "url": (str, "a string"),
    "search": (str, "a string"),
    "limit": (int, "a number"),
    "sitemap": (str, "a string"),
    "includeSubdomains": (bool, "a boolean"),
    "respectRobots": (bool, "a boolean"),
    "ignoreQueryParams": (bool, "a boolean"),
    "cookies": (str, "a string"),
}


class Maps:
    """``POST /map``.

    Args:
        jobs: Whose account and credits these are.

        beside: Those of another customer, whose sites are the same.
    """

    def __init__(self, jobs: Jobs, beside: Maps | None = None) -> None:
        self._jobs = jobs
        self.sites: dict[str | None, list[str]] = beside.sites if beside else {}
        self.endpoints = {"map.submit": self._submit}

    def _submit(self, request: Request, _: str | None, __: int) -> Reply:
        account = self._jobs.account
        try:
            body = parse_json(request.content)
        except ValueError:
            return error_replies.error_reply(400, error_replies.NO_JSON)
        problems = (
            validation.problems_of_types(body, _TYPES) or list(_problems(body))
            if isinstance(body, dict)
            else ["The request body must be a JSON object."]
        )
        if not problems and account.refuse_unknown_fields:
            problems = validation.unknown_fields(body, _TYPES)
        if problems:
            return error_replies.invalid(problems)
        if account.payment_overdue:
            return error_replies.payment_overdue()
        if account.credits < PRICE:
            return error_replies.error_reply(403, error_replies.CREDIT_LIMIT)
        return Reply.of(200, self._found(body))

    def _found(self, body: dict[str, Any]) -> dict[str, Any]:
        url: str = body["url"]
        site = self.sites.get(url, self.sites.get(None))
        scanned = [url, *(f"{url.rstrip('/')}/{number}" for number in (1, 2))] if site is None else site
        matching = [one for one in scanned if body.get("search", "").lower() in one.lower()]
        links = matching[: body.get("limit", LIMIT)]
        price = PRICE if links else 0
        self._jobs.accounting.settle(0, price)
        answer: dict[str, Any] = {
            "status": "success",
            "links": [{"url": one, "title": f"Page {one}"} for one in links],
            "total": len(matching),
            "scanned": len(scanned),
            "sources": {
                "sitemap": 0 if body.get("sitemap") == "skip" else len(scanned),
                "pages": len(scanned) if body.get("sitemap") == "skip" else 0,
            },
            "creditsUsed": price,
            "durationMs": 900,
        }
        return answer if links else {**answer, "message": NOTHING}


def _problems(body: dict[str, Any]) -> Iterator[str]:
    url = body.get("url")
    why = refused(url) if url else None
    checks = (
        (url, "url is required."),
        (why is None, f"url {why}."),
        (1 <= body.get("limit", LIMIT) <= MOST, f"limit must be a number from 1 to {MOST}."),
        (body.get("sitemap", "only") in SITEMAPS, f"sitemap must be one of {', '.join(SITEMAPS)}."),
    )
    return (sentence for holds, sentence in checks if not holds)
