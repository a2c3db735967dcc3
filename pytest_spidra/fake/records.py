"""What the customer can read of itself: logs, usage and account. They show what this test did.

Sources: docs.spidra.io (logs, usage statistics), the SDKs' types. In the logs are scrapes and the items of batches; that
nothing else is, no source says. The uuid of a log is not the id of its job, and no field names that.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pytest_spidra.fake.crawl_endpoints import bounded
from pytest_spidra.fake.crawls import CRAWL
from pytest_spidra.fake.job import JobState
from pytest_spidra.fake.scrapes import SCRAPE, uses_ai
from pytest_spidra.fake.serializers import date
from pytest_spidra.traffic import error_replies
from pytest_spidra.traffic.reply import Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pytest_spidra.fake.batch import BatchState
    from pytest_spidra.fake.item import Item
    from pytest_spidra.fake.jobs import Jobs
    from pytest_spidra.traffic.request import Request

LOGS, MOST_LOGS = 10, 100
RANGES = {"7d": (7, 1, "%a"), "30d": (30, 1, "%b %d"), "weekly": (7, 7, "Week %V")}
STATUSES = {"completed": "success", "failed": "error", "cancelled": "error"}
WRONG_RANGE = "range must be one of 7d, 30d, weekly"  # the wording is not known
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class _Log:
    """One log: a scrape, or an item of a batch."""

    uuid: str
    state: BatchState
    items: list[Item]

    @property
    def status(self) -> str:
        """``success``, ``error`` or ``in_progress``: a scrape succeeds when its job does."""
        status = self.state.status if isinstance(self.state, JobState) else self.items[0].status
        return STATUSES.get(status, "in_progress")

    @property
    def ends(self) -> int | None:
        """When it ended, in microseconds since the epoch."""
        ends = [item.finished_at for item in self.items]
        return max(one for one in ends if one is not None) if None not in ends else None


class Records:
    """The endpoints of logs, usage and account.

    Args:
        batches: The customer's batches and those of others, by id.

        jobs: All other jobs.
    """

    def __init__(self, batches: Mapping[str, BatchState], jobs: Jobs) -> None:
        self._batches = batches
        self._jobs = jobs
        self.endpoints: dict[str, Callable[[Request, str | None, int], Reply]] = {
            "logs.list": self._list,
            "logs.get": self._get,
            "usage.get": self._usage,
            "account.get": self._account,
        }

    def _mine(self, now: int) -> list[BatchState]:
        """Return everything of the customer's, brought up to now."""
        mine = [
            state
            for state in (*self._batches.values(), *self._jobs.states.values())
            if state.owner == self._jobs.owner
        ]
        for state in mine:
            state.advance(now)
        return mine

    def _logs(self, now: int) -> list[_Log]:
        """Return the logs, newest first."""
        found = []
        for state in self._mine(now):
            if isinstance(state, JobState):
                if state.kind is SCRAPE:
                    found.append(_Log(state.log_id, state, state.items))
            else:
                found += [_Log(f"{item.id[:19]}b{item.id[20:]}", state, [item]) for item in state.items]
        found.reverse()  # of two of one moment the later one goes first
        found.sort(key=lambda log: log.state.created_at, reverse=True)
        return found

    def _list(self, request: Request, _: str | None, now: int) -> Reply:
        given = request.parameters
        number = bounded(given.get("page"), 1, 1, None)
        limit = bounded(given.get("limit"), LOGS, 1, MOST_LOGS)
        logs = [log for log in self._logs(now) if _is_asked_for(log, given)]
        shown = [_row(log) for log in logs[(number - 1) * limit : number * limit]]
        return Reply.of(200, {"status": "success", "data": {"logs": shown, "total": len(logs)}})

    def _get(self, _: Request, uuid: str | None, now: int) -> Reply:
        for log in self._logs(now):
            if log.uuid == uuid:
                results = [item.result for item in log.items]
                data = results[0] if len(results) == 1 else results
                return Reply.of(200, {"status": "success", "data": {**_row(log), "result_data": data}})
        return error_replies.error_reply(404, "Log not found")

    def _usage(self, request: Request, _: str | None, now: int) -> Reply:
        wanted = RANGES.get(request.parameters.get("range", ""))
        if wanted is None:
            return error_replies.error_reply(400, WRONG_RANGE)
        count, days, form = wanted
        today = (_EPOCH + timedelta(microseconds=now)).date()
        mine = self._mine(now)
        rows = []
        for back in range(count - 1, -1, -1):
            last = today - timedelta(days=back * days)
            first = last - timedelta(days=days - 1)
            within = [
                state
                for state in mine
                if first <= (_EPOCH + timedelta(microseconds=state.created_at)).date() <= last
            ]
            rows.append({"label": last.strftime(form), "date": last.isoformat(), **_sums(within)})
        return Reply.of(200, {"status": "success", "data": rows})

    def _account(self, _: Request, __: str | None, now: int) -> Reply:
        account, ledger = self._jobs.account, self._jobs.accounting.ledger
        held = sum(item.held for state in self._mine(now) for item in state.items)
        held += sum(getattr(state, "rest", 0) for state in self._jobs.of(CRAWL))
        used = ledger.charged + held
        remaining = max(account.credits, 0)
        start = (_EPOCH + timedelta(microseconds=now)).replace(
            day=1, hour=0, minute=0, second=0, microsecond=0
        )
        data = {
            "plan": {"name": account.plan},
            "credits": {
                "limit": remaining + used,
                "used": used,
                "remaining": remaining,
                "billingCycleStart": start.replace(tzinfo=None).isoformat() + "Z",
            },
            "proxyBandwidth": {"limitMb": 1024, "usedMb": 0, "remainingMb": 1024},
            "subscription": {"status": "past_due" if account.payment_overdue else "active"},
        }
        return Reply.of(200, {"status": "success", "data": data})


def _is_asked_for(log: _Log, given: Mapping[str, str]) -> bool:
    """Whether a log passes the filters; a value that the documentation does not know filters nothing."""
    day = (date(log.state.created_at, "seconds") or "")[:10]
    term = given.get("searchTerm", "").lower()
    texts = [*(item.url for item in log.items), str(log.state.options.get("prompt") or "")]
    status = given.get("status")
    return (
        (status not in {"success", "error", "in_progress"} or status == log.status)
        and any(term in text.lower() for text in texts)
        and given.get("dateStart", "") <= day <= given.get("dateEnd", "9999")
        and given.get("channel") != "playground"
    )


def _row(log: _Log) -> dict[str, Any]:
    options, items = log.state.options, log.items
    good = [item for item in items if item.status == "completed"]
    tokens = len(good) if uses_ai(options) else 0
    wrong = [item.error for item in items if item.error]
    ends = log.ends
    return {
        "uuid": log.uuid,
        "urls": [{"url": item.url} for item in items],
        "status": log.status,
        "extraction_prompt": options.get("prompt"),
        "started_at": date(log.state.created_at, "seconds"),
        "finished_at": date(ends, "seconds"),
        "error_message": wrong[0] if wrong and log.status == "error" else None,
        "input_tokens": 312 * tokens,
        "output_tokens": 84 * tokens,
        "tokens_used": 396 * tokens,
        "captcha_solved_count": _captchas(good),
        "scraped_sites_count": len(good),
        "latency_ms": None if ends is None else (ends - log.state.created_at) // 1000,
        "credits_used": sum(item.credits_used for item in items),
        "ai_output_format": options.get("output"),
        "use_proxy": int(bool(options.get("useProxy"))),
        "proxy_country": options.get("proxyCountry"),
        "scrape_mode": options.get("scrapeMode", "default"),
        "extract_content_only": int(bool(options.get("extractContentOnly"))),
        "schema_json": json.dumps(options["schema"]) if "schema" in options else None,
        "screenshot": int(bool(options.get("screenshot"))),
        "full_page_screenshot": int(bool(options.get("fullPageScreenshot"))),
    }


def _sums(states: list[BatchState]) -> dict[str, Any]:
    """Return what a row of the usage counts."""
    crawls = [state for state in states if isinstance(state, JobState) and state.kind is CRAWL]
    items = [item for state in states for item in state.items]
    ended = list(_ended(states))
    good = [
        item
        for state in states
        if uses_ai(state.options)
        for item in state.items
        if item.status == "completed"
    ]
    return {
        "requests": sum(1 if isinstance(state, JobState) else len(state.items) for state in states),
        "crawls": len(crawls),
        "tokens": 396 * len(good),
        "captchas": _captchas([item for item in items if item.status == "completed"]),
        "latency": round(sum(ended) / len(ended), 2) if ended else 0,
        "credits": sum(item.credits_used for item in items),
    }


def _ended(states: list[BatchState]) -> Iterator[float]:
    """Yield the milliseconds that each finished part took."""
    for state in states:
        for item in state.items:
            if item.finished_at is not None:
                yield (item.finished_at - state.created_at) / 1000


def _captchas(items: list[Item]) -> int:
    return sum(item.outcome.captchas for item in items if item.outcome)
