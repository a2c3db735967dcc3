"""What the client knows when it sends a request."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_spidra.verdicts.rules.evidence import NO_RESULT, dicts_in, field_of, looked, options_of

if TYPE_CHECKING:
    from pytest_spidra.traffic.exchanges import Exchange


@dataclass
class BatchKnowledge:
    """What the client knows of one batch: from the last look at it, or from what it did to it since."""

    options: str | None = None
    status: str | None = None
    failed: int | None = None
    completed: int = 0
    look: Exchange | None = None
    as_of: int = 0  # the exchange that told; a reply to an earlier request is stale


@dataclass
class Knowledge:
    """What the client knows: everything that it has seen so far."""

    batches: dict[str, BatchKnowledge] = field(default_factory=lambda: defaultdict(BatchKnowledge))
    completed: dict[tuple[str, str], int] = field(default_factory=dict)

    def learn(self, exchange: Exchange) -> None:
        """Take in what the client has just seen."""
        if exchange.is_list:
            for job in dicts_in(field_of(exchange, "jobs")):
                self._look(self.batches[str(job.get("uuid"))], exchange, job)
        if exchange.batch_id is None:
            return
        batch = self.batches[exchange.batch_id]
        if exchange.is_submit:
            batch.options = options_of(exchange)
        elif exchange.is_look and looked(exchange):
            self._look(batch, exchange, exchange.seen_json)
        elif exchange.is_retry and not exchange.failed:
            batch.status, batch.failed, batch.as_of = "running", 0, exchange.number
        elif exchange.is_cancel and not exchange.failed:
            batch.status, batch.as_of = "cancelled", exchange.number
        elif exchange.is_cancel and field_of(exchange, "code") == "ALREADY_TERMINAL":
            batch.status = None  # it has ended, and the reply does not say how

    def _look(self, batch: BatchKnowledge, exchange: Exchange, body: dict[str, Any]) -> None:
        if exchange.number < batch.as_of:
            return
        status, count = body.get("status"), body.get("completedCount")
        batch.status = status if isinstance(status, str) else None
        batch.failed, batch.look, batch.as_of = body.get("failedCount"), exchange, exchange.number
        if batch.options is None or "items" not in body or count == batch.completed:
            return
        batch.completed = count if isinstance(count, int) else 0
        for item in dicts_in(body["items"]):
            if item.get("status") == "completed" and item.get("result") not in NO_RESULT:
                self.completed.setdefault((str(item.get("url")), batch.options), exchange.number)


def retried_batch(exchange: Exchange, knowledge: Knowledge) -> BatchKnowledge | None:
    """Return what the client knows of the batch that it sends a retry to."""
    if not exchange.is_retry or exchange.batch_id is None:
        return None
    return knowledge.batches.get(exchange.batch_id)
