"""Rules about looking at batches."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from pytest_spidra.traffic import describe
from pytest_spidra.traffic.statuses import TERMINAL, UNFINISHED
from pytest_spidra.verdicts.rules.base import Rule
from pytest_spidra.verdicts.rules.evidence import ROUNDING, dicts_in, field_of, looked

if TYPE_CHECKING:
    from pytest_spidra.traffic.exchanges import Exchange

SHORTEST_POLL = 1.0  # seconds between two looks at a running batch; Spidra's documentation says 2 to 5


class PollAfterTerminal(Rule):
    """The client went on polling a batch that had ended."""

    name = "poll-after-terminal"
    why = "Nothing changes any more: every look costs a request of the quota, and the loop may never end."
    fix = "End the loop on completed, failed and cancelled; one final fetch is fine."

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._ended: dict[str, Exchange] = {}
        self._looks: dict[str, list[Exchange]] = defaultdict(list)
        self._retried: dict[str, int] = {}

    def sent(self, exchange: Exchange) -> None:
        batch_id = exchange.batch_id
        if batch_id is None:
            return
        if exchange.is_retry:
            self._retried[batch_id] = exchange.number
            self._forget(batch_id)
        elif exchange.is_look and batch_id in self._ended:
            looks = self._looks[batch_id]
            if looks and looks[-1].seen is not None and not looked(looks[-1]):
                looks.pop()
            looks.append(exchange)
            if len(looks) > 1:
                ended = self._ended[batch_id]
                claim = (
                    f"{describe.request(exchange)} was sent more than once after #{ended.number} had shown the batch "
                    f"{field_of(ended, 'status')}."
                )
                self.accuse((batch_id, ended.number), claim, *(looks if len(looks) == 2 else [exchange]))

    def seen(self, exchange: Exchange) -> None:
        batch_id = exchange.batch_id
        if not exchange.is_look or batch_id is None or not looked(exchange):
            return
        if exchange.number < self._retried.get(batch_id, 0):
            return  # it shows the batch as it was before the retry
        ended = field_of(exchange, "status") in TERMINAL
        if not ended or (batch_id not in self._ended and self._at_work(exchange)):
            self._forget(batch_id)
        else:
            self._ended.setdefault(batch_id, exchange)

    @staticmethod
    def _at_work(exchange: Exchange) -> bool:
        """Whether an item is: what was in work when a batch was cancelled goes on, and is worth waiting for."""
        items = dicts_in(field_of(exchange, "items"))
        return any(item.get("status") in UNFINISHED for item in items)

    def _forget(self, batch_id: str) -> None:
        self._ended.pop(batch_id, None)
        self._looks.pop(batch_id, None)


class BusyPolling(Rule):
    """The client looked at a running batch again at once."""

    name = "busy-polling"
    why = "Polling costs requests: 300 in 15 minutes are allowed, and a page takes seconds."
    fix = "Wait 2 to 5 seconds between two looks, as Spidra's documentation says."
    exact_waits_only = True

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._looks: dict[str, Exchange] = {}

    def sent(self, exchange: Exchange) -> None:
        if exchange.batch_id is None or exchange.is_submit:
            return
        if not exchange.is_look:
            self._looks.pop(exchange.batch_id, None)  # to see what came of a cancel or a retry is no hurry
            return
        look = self._looks.get(exchange.batch_id)
        if look is None:
            return
        apart = max(exchange.sent_at - look.sent_at, exchange.sent_real - look.sent_real)
        if apart < SHORTEST_POLL - ROUNDING:
            claim = (
                f"{describe.request(exchange)} (#{exchange.number}) came {apart:.2f} s after "
                f"#{look.number}, which had shown the batch {field_of(look, 'status')}."
            )
            self.accuse(exchange.batch_id, claim, look, exchange)

    def seen(self, exchange: Exchange) -> None:
        if not exchange.is_look or exchange.batch_id is None or not looked(exchange):
            return
        if field_of(exchange, "status") in UNFINISHED:
            self._looks[exchange.batch_id] = exchange
        else:
            self._looks.pop(exchange.batch_id, None)
