"""What the client knows when it sends a request: everything that it has seen so far."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_spidra.traffic.endpoints import new_id
from pytest_spidra.traffic.statuses import TERMINAL
from pytest_spidra.verdicts.rules.evidence import (
    Work,
    dicts_in,
    field_of,
    id_in,
    is_fresh,
    looked,
    results_in,
    work_of,
)

if TYPE_CHECKING:
    from pytest_spidra.traffic.exchanges import Exchange


@dataclass
class BatchKnowledge:
    """What the client knows of one batch: from the last look at it, or from what it did to it since."""

    works: dict[str, Work] = field(default_factory=dict)  # what the submit asked for, by URL
    accepted: Exchange | None = None  # the submit whose reply told its id
    status: str | None = None
    failed: int | None = None
    items: dict[str, str] = field(default_factory=dict)  # the last status seen of each URL
    completed: int = 0
    look: Exchange | None = None
    told: Exchange | None = None  # the exchange that told last; a reply to an earlier request is stale


@dataclass
class Knowledge:
    """What the client knows: everything that it has seen so far, whichever of its senders saw it."""

    batches: dict[str, BatchKnowledge] = field(default_factory=lambda: defaultdict(BatchKnowledge))
    completed: dict[Work, Exchange] = field(default_factory=dict)
    lists: dict[str, str] = field(default_factory=dict)

    def learn(self, exchange: Exchange) -> None:
        """Take in what the client has just seen."""
        if exchange.is_list and looked(exchange):
            self.lists[exchange.path] = _gist_of_list(exchange)
            for job in dicts_in(field_of(exchange, "jobs")):
                self._look(self.batches[id_in(job)], exchange, job)
        if exchange.batch_id is None:
            return
        batch = self.batches[exchange.batch_id]
        if exchange.is_look and looked(exchange):
            self._look(batch, exchange, exchange.seen_json)
        elif exchange.seen == 404:
            batch.status, batch.told = None, exchange
        else:
            self._act(batch, exchange)

    @staticmethod
    def _act(batch: BatchKnowledge, exchange: Exchange) -> None:
        """Take in what came of something that the client did to a batch."""
        if exchange.is_submit and looked(exchange) and new_id(exchange.endpoint, exchange.seen_json):
            batch.works, batch.accepted = {work[2]: work for work in work_of(exchange)}, exchange
            if batch.told is None:
                ended = field_of(exchange, "status")  # a submit that was held shows the end at once
                batch.status, batch.told = ended if ended in TERMINAL else "pending", exchange
        elif exchange.is_retry and not exchange.failed:
            batch.status, batch.failed, batch.told = "running", 0, exchange
            batch.items = {
                url: "pending" if status == "failed" else status for url, status in batch.items.items()
            }
        elif exchange.is_cancel and not exchange.failed:
            batch.status, batch.told = "cancelled", exchange
        elif exchange.is_cancel and field_of(exchange, "code") == "ALREADY_TERMINAL":
            batch.status = None  # it has ended, and the reply does not say how

    def shows_news(self, exchange: Exchange) -> bool:
        """Whether a look shows something that was not known: the first look at something does."""
        if exchange.is_list:
            return self.lists.get(exchange.path) != _gist_of_list(exchange)
        if not exchange.is_look or exchange.batch_id is None or not isinstance(exchange.seen_json, dict):
            return False
        batch, body = self.batches[exchange.batch_id], exchange.seen_json
        known = batch.look is not None
        return not known or (batch.status, batch.failed) != (body.get("status"), body.get("failedCount"))

    def retried(self, exchange: Exchange) -> BatchKnowledge | None:
        """Return what the client knows of the batch that it sends a retry to; None when it knows nothing fresh."""
        if not exchange.is_retry or exchange.batch_id is None:
            return None
        batch = self.batches.get(exchange.batch_id)
        if batch is None or batch.look is None or batch.told is None:
            return None
        return batch if is_fresh(batch.told, exchange) else None

    def _look(self, batch: BatchKnowledge, exchange: Exchange, body: dict[str, Any]) -> None:
        if batch.told is not None and exchange.number < batch.told.number:
            return
        status, count = body.get("status"), body.get("completedCount")
        batch.status = status if isinstance(status, str) else None
        batch.failed, batch.look, batch.told = body.get("failedCount"), exchange, exchange
        if "items" in body:
            items = dicts_in(body["items"])
            batch.items = {str(item.get("url")): str(item.get("status")) for item in items}
            if count == batch.completed:
                return
        batch.completed = count if isinstance(count, int) else 0
        for url in results_in(body) if batch.works else ():
            if work := batch.works.get(url):
                self.completed.setdefault(work, exchange)


def _gist_of_list(exchange: Exchange) -> str:
    kept = vars(exchange)  # asked twice of each
    if "_gist" not in kept:
        jobs = dicts_in(field_of(exchange, "jobs"))
        kept["_gist"] = repr([(id_in(job), job.get("status"), job.get("failedCount")) for job in jobs])
    return str(kept["_gist"])
