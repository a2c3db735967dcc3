"""Rules about retrying a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_spidra.traffic import describe
from pytest_spidra.traffic.statuses import UNFINISHED
from pytest_spidra.verdicts.rules.base import Rule
from pytest_spidra.verdicts.rules.evidence import FATE_UNKNOWN, accepted

if TYPE_CHECKING:
    from pytest_spidra.traffic.exchanges import Exchange


class RetryBeforeTerminal(Rule):
    """A retry was sent to a batch that was still at work."""

    name = "retry-before-terminal"
    why = "What fails afterwards is not retried, and what the service answers then is documented nowhere."
    fix = "Poll until the batch is completed, failed or cancelled, then look at failedCount."

    def sent(self, exchange: Exchange) -> None:
        batch = self.knowledge.retried(exchange)
        if batch and batch.status in UNFINISHED and batch.told:
            claim = f"{describe.request(exchange)} (#{exchange.number}) was sent while the batch was last seen {batch.status}."
            self.accuse(exchange.batch_id, claim, [batch.told], exchange)


class NothingToRetry(Rule):
    """A retry was sent although nothing had failed."""

    name = "nothing-to-retry"
    why = "The service refuses it with 400 NO_FAILED_ITEMS; a loop that does not look at failedCount goes on."
    fix = "Retry only when failedCount is above 0."

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._lost: dict[str | None, int] = {}

    def sent(self, exchange: Exchange) -> None:
        batch = self.knowledge.retried(exchange)
        if not batch or batch.status not in {"completed", "failed"} or batch.failed != 0 or not batch.look:
            return
        if self._lost.get(exchange.batch_id, 0) < batch.look.number:
            claim = (
                f"{describe.request(exchange)} (#{exchange.number}) was sent although #{batch.look.number} had shown "
                "a failedCount of 0."
            )
            self.accuse(exchange.batch_id, claim, [batch.look], exchange)

    def seen(self, exchange: Exchange) -> None:
        if exchange.is_retry and exchange.seen in FATE_UNKNOWN and exchange.known:
            self._lost[exchange.batch_id] = exchange.known


class RetryOfCancelled(Rule):
    """A retry was sent to a batch known to be cancelled."""

    name = "retry-of-cancelled"
    why = "A cancelled batch cannot be retried: the request is refused, and its items stay as they are."
    fix = "Take cancelled for an end; submit the URLs that are still wanted as a new batch."

    def sent(self, exchange: Exchange) -> None:
        batch_id = exchange.batch_id
        batch = self.knowledge.batches.get(batch_id) if exchange.is_retry and batch_id else None
        if batch and batch.told and batch.status == "cancelled" and not accepted(exchange):
            claim = f"{describe.request(exchange)} (#{exchange.number}) was sent although the batch was last seen cancelled."
            self.accuse(batch_id, claim, [batch.told], exchange)
