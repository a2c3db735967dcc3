"""One URL of a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_spidra.traffic.statuses import TERMINAL, ItemStatus

if TYPE_CHECKING:
    from pytest_spidra.fake.outcomes import Outcome

BROKEN = "The batch failed unexpectedly."
PRICE_OF_CAPTCHA = 5  # credits for each that was solved (the vendor's MCP server, after September 2026)


@dataclass
class Item:
    """One URL of a batch. `attempt` counts its attempts, `due` is when it ends by itself, `held` its credits."""

    id: str
    url: str
    status: ItemStatus = "pending"
    attempt: int = 0
    outcome: Outcome | None = None
    polls_left: int = 0
    due: int | None = None
    held: int = 0
    job_id: str | None = None
    result: Any = None
    error: str | None = None
    credits_used: int = 0
    started_at: int | None = None
    finished_at: int | None = None

    def reset(self) -> None:
        """Queue the item anew; what the last attempt left is gone."""
        self.status = "pending"
        self.outcome = self.due = self.job_id = self.result = self.error = None
        self.started_at = self.finished_at = None
        self.polls_left = self.credits_used = 0

    def close(self, status: ItemStatus, now: int) -> None:
        """End the attempt; a failed item without a text of its own says that its batch broke."""
        self.status = status
        self.due = None
        self.finished_at = now
        if status == "failed" and self.error is None:
            self.error = BROKEN

    @property
    def terminal(self) -> bool:
        """Whether the item's attempt has ended."""
        return self.status in TERMINAL


def price_of(item: Item) -> int:
    """Return the credits that an attempt costs when it ends as its outcome says."""
    outcome = item.outcome
    if outcome is None or outcome.ending != "completed":
        return 0
    if outcome.credits is not None:
        return outcome.credits
    return item.held + PRICE_OF_CAPTCHA * outcome.captchas


def own_time(item: Item) -> int | None:
    """Return the microseconds after which an attempt ends by itself, None when it waits for looks or hangs."""
    if item.outcome is None or item.outcome.ending == "stuck":
        return None
    return item.outcome.when.microseconds


def counts_polls(item: Item) -> bool:
    """Whether an item is in work and ends after a number of looks."""
    outcome = item.outcome
    return (
        item.status == "running"
        and outcome is not None
        and outcome.ending != "stuck"
        and outcome.when.microseconds is None
    )


def default_result(options: dict[str, Any], url: str) -> Any:
    """Return what an item's ``result`` holds when the script does not say.

    An object for ``json``, a text for ``markdown``; without prompt and schema the service sends raw Markdown
    whatever ``output`` says (documentation of submit).
    """
    if options.get("schema") is None and (not options.get("prompt") or options["output"] == "markdown"):
        return f"# {url}\n\nScraped."
    return {"url": url, "title": f"Scraped {url}"}
