"""Rules about looking at batches. Each sender is judged by itself."""

from __future__ import annotations

from collections import defaultdict, deque
from typing import TYPE_CHECKING, Any

from pytest_spidra.traffic import describe
from pytest_spidra.traffic.statuses import TERMINAL, UNFINISHED
from pytest_spidra.verdicts.rules.base import Rule
from pytest_spidra.verdicts.rules.evidence import (
    LONGEST_MEMORY,
    ROUNDING,
    dicts_in,
    field_of,
    is_fresh,
    looked,
)

if TYPE_CHECKING:
    from pytest_spidra.traffic.exchanges import Exchange

SHORTEST_POLL = 1.0  # seconds between two looks at a running batch; Spidra's documentation says 2 to 5
LOOKS_IN_HASTE = 3  # one look for the log and then the first of a loop are two
LISTS_IN_HASTE = 5
LOOKS_AFTER_THE_END = 3  # a report and an archive fetch it once each
QUOTA = 300  # requests in 15 minutes that are allowed (docs.spidra.io/api-reference/rate-limits)
FAR_BEYOND = 2 * QUOTA  # who polls every two seconds, as documented, is above the quota already


class PollAfterTerminal(Rule):
    """The client went on polling a batch that had ended."""

    name = "poll-after-terminal"
    why = "Nothing changes any more, and every look costs a request of the quota."
    fix = "Take the look that showed completed, failed or cancelled for the last, and keep what it showed."

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._ended: dict[tuple[int, str], Exchange] = {}
        self._looks: dict[tuple[int, str], list[Exchange]] = defaultdict(list)
        self._retried: dict[str, int] = {}

    def sent(self, exchange: Exchange) -> None:
        batch_id, sender = exchange.batch_id, self.sender(exchange)
        if batch_id is None:
            return
        if exchange.is_retry:
            self._retried[batch_id] = exchange.number
            for one in [one for one in self._ended if one[1] == batch_id]:
                self._forget(one)
            return
        ended = self._ended.get((sender, batch_id)) if exchange.is_look else None
        if ended is None or not is_fresh(ended, exchange):
            return
        looks = self._looks[sender, batch_id]
        if looks and looks[-1].seen is not None and not looked(looks[-1]):
            looks.pop()
        looks.append(exchange)
        if len(looks) >= LOOKS_AFTER_THE_END:
            claim = (
                f"{describe.request(exchange)} was sent {LOOKS_AFTER_THE_END} times or more after #{ended.number} had "
                f"shown the {describe.noun(ended)} {field_of(ended, 'status')}."
            )
            evidence = [ended, *looks[:-1]] if len(looks) == LOOKS_AFTER_THE_END else []
            self.accuse((sender, batch_id, ended.number), claim, evidence, exchange, sender=sender)

    def seen(self, exchange: Exchange) -> None:
        batch_id, sender = exchange.batch_id, self.sender(exchange)
        if not exchange.is_look or batch_id is None or not looked(exchange):
            return
        if exchange.number < self._retried.get(batch_id, 0):
            return  # it shows the batch as it was before the retry
        one = sender, batch_id
        if field_of(exchange, "status") not in TERMINAL or (
            one not in self._ended and self._at_work(exchange)
        ):
            self._forget(one)
        else:
            self._ended.setdefault(one, exchange)

    @staticmethod
    def _at_work(exchange: Exchange) -> bool:
        """Whether an item is: what was in work when a batch was cancelled goes on, and is worth waiting for."""
        return any(item.get("status") in UNFINISHED for item in dicts_in(field_of(exchange, "items")))

    def _forget(self, one: tuple[int, str]) -> None:
        self._ended.pop(one, None)
        self._looks.pop(one, None)


class BusyPolling(Rule):
    """The client looked again and again, with hardly a pause."""

    name = "busy-polling"
    why = f"Polling costs requests: {QUOTA} in 15 minutes are allowed, and a page takes seconds."
    fix = "Wait 2 to 5 seconds between two looks, as Spidra's documentation says."
    exact_waits_only = True

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._looks: dict[object, list[Exchange]] = defaultdict(list)
        self._shown: dict[object, Exchange] = {}  # the last look that showed a batch unfinished
        self._recent: dict[int, deque[Exchange]] = defaultdict(deque)

    def sent(self, exchange: Exchange) -> None:
        sender = self.sender(exchange)
        self._count(sender, exchange)
        if exchange.is_list:
            # Workers that each look once at the list know nothing of each other: senders are not merged here.
            self._hurry((exchange.sender, exchange.identity), exchange, LISTS_IN_HASTE)
        elif exchange.batch_id is not None and not exchange.is_submit:
            one = sender, exchange.batch_id
            if not exchange.is_look:
                self._looks.pop(one, None)  # to see what came of a cancel or a retry is no hurry
            elif one in self._shown:
                self._hurry(one, exchange, LOOKS_IN_HASTE)
            else:
                self._looks[one] = [exchange]

    def _hurry(self, one: tuple[int, str], exchange: Exchange, most: int) -> None:
        looks = self._looks[one]
        while looks and looks[-1].seen is not None and not looked(looks[-1]):
            looks.pop()  # an error is another rule's
        if looks and exchange.sent_at - looks[-1].sent_at >= SHORTEST_POLL - ROUNDING:
            looks.clear()
        looks.append(exchange)
        if len(looks) >= most:
            apart = exchange.sent_at - looks[-2].sent_at
            claim = (
                f"{describe.request(exchange)} was sent {most} times or more in a row less than {SHORTEST_POLL:g} s "
                f"apart: #{exchange.number} came {apart:.2f} s after #{looks[-2].number}."
            )
            self.accuse(one, claim, looks[-most:-1], exchange, sender=one[0])

    def _count(self, sender: int, exchange: Exchange) -> None:
        """Notice who sends far more than the quota allows, at whatever pace."""
        recent = self._recent[sender]
        recent.append(exchange)
        while exchange.sent_at - recent[0].sent_at > LONGEST_MEMORY:
            recent.popleft()
        if len(recent) > FAR_BEYOND:
            claim = f"{len(recent)} requests were sent within 15 minutes, and {QUOTA} are allowed."
            self.accuse((sender, "quota"), claim, [], exchange, sender=sender)

    def seen(self, exchange: Exchange) -> None:
        if not exchange.is_look or exchange.batch_id is None or not looked(exchange):
            return
        one = self.sender(exchange), exchange.batch_id
        if field_of(exchange, "status") in UNFINISHED:
            self._shown[one] = exchange
        else:
            self._shown.pop(one, None)
            self._looks.pop(one, None)
