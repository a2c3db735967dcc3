"""What is particular to the state of a crawl: pages that land one by one, a hold for those allowed, two ways to stop."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_spidra.fake.job import JobState
from pytest_spidra.fake.serializers import date

if TYPE_CHECKING:
    from pytest_spidra.fake.item import Item
    from pytest_spidra.fake.outcomes import BatchEnd


@dataclass
class CrawlState(JobState):
    """One crawl. `rest` is held for pages that it was allowed and did not find, `source` the crawl it was extracted from."""

    rest: int = 0
    source: str | None = None
    looks_to_stop: int | None = None

    @property
    def error(self) -> str | None:
        """Why it failed."""
        return "The crawl failed unexpectedly." if self.status == "failed" else None

    @property
    def pages(self) -> list[Item]:
        """The pages that have landed, in the order of the crawl."""
        return [item for item in self.items if item.status in {"completed", "failed"}]

    def hold_rest(self, amount: int) -> None:
        """Reserve what the pages it may still find would cost."""
        self.rest = amount
        self.accounting.reserve(amount)

    def look(self, now: int) -> None:
        """The client looks; a crawl that was told to stop does at its next check."""
        if self.looks_to_stop is None or self.terminal:
            super().look(now)
        elif self.looks_to_stop:
            self.looks_to_stop -= 1
        else:
            self._close(now, "completed" if self.pages else "cancelled")

    def advance(self, now: int) -> None:
        """Let everything happen that time alone makes happen; one that was told to stop does nothing more."""
        if self.looks_to_stop is None:
            super().advance(now)

    def expected_charge(self) -> int:
        """Return the credits that will be charged for what has not ended yet."""
        return 0 if self.looks_to_stop is not None else super().expected_charge()

    def stop(self, now: int, story: str) -> None:
        """Stop it, in one of the two ways of which the sources tell."""
        if story == "cancelled":
            self._close(now, "cancelled")
        else:
            self.looks_to_stop = 1

    def _close(self, now: int, status: Any) -> None:
        for item in self.items:
            if not item.terminal:
                self._settle(item, 0)
                item.close("cancelled", now)
        self.status, self.finished_at, self.ending = status, now, None
        self._release()

    def _conclude(self, now: int) -> None:
        super()._conclude(now)
        self._release()

    def _break(self, ending: BatchEnd, now: int) -> None:
        super()._break(ending, now)
        self._release()

    def _release(self) -> None:
        if self.terminal and self.rest:
            self.accounting.settle(self.rest, 0)
            self.rest = 0


def uses_ai(options: dict[str, Any]) -> bool:
    """Whether AI looks at the pages: without instruction and schema the data is raw Markdown, for no AI credits."""
    return bool(options.get("transformInstruction")) or options.get("schema") is not None


def row(state: CrawlState, owner: str) -> dict[str, Any]:
    """Return a crawl as the history shows it, in the types of its database."""
    options = state.options
    used = sum(item.credits_used for item in state.items)
    tokens = sum(item.status == "completed" for item in state.items) if uses_ai(options) else 0
    flags = ("allowSubdomains", "crawlEntireDomain", "ignoreQueryParams")
    allow, entire, ignore = (int(bool(options.get(name))) for name in flags)
    changed = max([state.created_at, *(item.finished_at for item in state.items if item.finished_at)])
    return {
        "id": state.id,
        "user_uuid": owner,
        "source_job_id": state.source,
        "base_url": options.get("baseUrl", ""),
        "crawl_instruction": options.get("crawlInstruction", ""),
        "transform_instruction": options.get("transformInstruction", ""),
        "output_schema": json.dumps(options["schema"]) if "schema" in options else None,
        "max_pages": options.get("maxPages"),
        "include_paths": options.get("includePaths"),
        "exclude_paths": options.get("excludePaths"),
        "max_depth": options.get("maxDepth"),
        "allow_subdomains": allow,
        "crawl_entire_domain": entire,
        "ignore_query_params": ignore,
        "webhook_url": options.get("webhookUrl"),
        "status": state.word,
        "input_tokens": 312 * tokens,
        "output_tokens": 84 * tokens,
        "credits_used": f"{used}.00" if state.terminal else None,
        "use_proxy": int(bool(options.get("useProxy"))),
        "proxy_bandwidth_mb": "0.00" if options.get("useProxy") else None,
        "proxy_billing": "billed" if options.get("useProxy") else "none",
        "created_at": date(state.created_at, "seconds"),
        "updated_at": date(changed, "seconds"),
        "pages_crawled": len(state.pages),
    }
