"""Rules about money: the same work paid twice."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from pytest_spidra.traffic import describe
from pytest_spidra.traffic.statuses import UNFINISHED
from pytest_spidra.verdicts.rules.base import Rule
from pytest_spidra.verdicts.rules.evidence import (
    FATE_UNKNOWN,
    accepted,
    field_of,
    looked,
    options_of,
    url_count,
)

if TYPE_CHECKING:
    from pytest_spidra.traffic.exchanges import Exchange


class DoubleSubmission(Rule):
    """The service accepted the same work twice, the second time because the first reply was lost."""

    name = "double-submission"
    why = "Both batches are scraped and both are billed: the same pages are paid twice."
    fix = "After a submit whose reply was lost, look for the batch in GET /batch/scrape before sending it again."

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._unseen: dict[str, dict[int, Exchange]] = defaultdict(dict)
        self._lost: dict[str | None, Exchange] = {}

    def sent(self, exchange: Exchange) -> None:
        if not exchange.is_submit or not accepted(exchange):
            return
        if lost := self._unseen.pop(exchange.identity, None):
            first = lost[max(lost)]
            claim = (
                f"The service accepted the same {url_count(exchange)} twice, in #{first.number} and "
                f"#{exchange.number}; of #{first.number} the client saw {describe.result(first)}."
            )
            self.accuse(exchange.identity, claim, *lost.values(), exchange)

    def seen(self, exchange: Exchange) -> None:
        if exchange.is_submit and accepted(exchange):
            if not (looked(exchange) and field_of(exchange, "batchId")):
                self._unseen[exchange.identity][exchange.number] = exchange
                self._lost[exchange.batch_id] = exchange
        elif (exchange.is_look or exchange.is_cancel) and looked(exchange):
            # The client has found the batch: to submit the same again is on purpose now.
            found = self._lost.pop(exchange.batch_id, None)
            if found:
                self._unseen[found.identity].pop(found.number, None)


class BlindResend(Rule):
    """A POST that may have worked was sent again without a look."""

    name = "blind-resend"
    why = "Nobody knows whether the first one worked. If it did, the second one costs credits again."
    fix = "Look first: GET the batch after a retry, GET /batch/scrape after a submit, then decide."

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._open: dict[str, Exchange] = {}
        self._about: dict[str | None, list[str]] = defaultdict(list)

    def sent(self, exchange: Exchange) -> None:
        first = self._open.pop(exchange.identity, None)
        if first:
            claim = (
                f"{describe.request(exchange)} was sent again (#{exchange.number}) after {describe.result(first)} "
                f"(#{first.number}) without a look at what had become of it."
            )
            self.accuse(exchange.identity, claim, first, exchange)

    def seen(self, exchange: Exchange) -> None:
        if (exchange.is_submit or exchange.is_retry) and exchange.seen in FATE_UNKNOWN:
            self._open[exchange.identity] = exchange
            self._about[exchange.batch_id].append(exchange.identity)
        elif exchange.is_list and looked(exchange):
            self._open.clear()
            self._about.clear()
        elif exchange.is_look and looked(exchange):
            # It tells of this batch alone, and nothing of a submit that is lost.
            for identity in self._about.pop(exchange.batch_id, ()):
                self._open.pop(identity, None)


class PaidAgain(Rule):
    """A page that the client had was bought again."""

    name = "paid-again"
    why = "The result was there already: the page is scraped and billed a second time."
    fix = "Keep the results you have; submit only what failed, or better, POST …/retry."

    def sent(self, exchange: Exchange) -> None:
        if not exchange.is_submit or not accepted(exchange):
            return
        options = options_of(exchange)
        again = [url for url in describe.urls_of(exchange) if (url, options) in self.knowledge.completed]
        if again:
            number = self.knowledge.completed[again[0], options]
            more = f" and {len(again) - 1} more" if len(again) > 1 else ""
            claim = (
                f"#{exchange.number} submits {again[0]}{more} again, with the same options, though #{number} "
                "had shown the result."
            )
            self.accuse(exchange.number, claim, exchange)


class ResubmittedUnfinished(Rule):
    """The same work was submitted again while the first batch was still at it."""

    name = "resubmitted-unfinished"
    why = "The first batch goes on and is billed when it ends; the second one is billed as well."
    fix = "Keep polling the batch you have, or cancel it before you submit its URLs again."

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._batch_of: dict[str, str] = {}

    def sent(self, exchange: Exchange) -> None:
        if exchange.is_look or exchange.is_cancel:
            # The client still holds the first batch: it wants both, or ends the first.
            self.withdraw(exchange.batch_id)
        if not exchange.is_submit or not accepted(exchange):
            return
        batch_id = self._batch_of.get(exchange.identity)
        batch = self.knowledge.batches[batch_id] if batch_id else None
        if batch and batch.look and batch.status in UNFINISHED:
            claim = (
                f"#{exchange.number} submits the same {url_count(exchange)} again while their batch, last seen in "
                f"#{batch.look.number}, was {batch.status}; the client never came back to it."
            )
            self.accuse(batch_id, claim, batch.look, exchange)

    def seen(self, exchange: Exchange) -> None:
        if exchange.is_submit and not exchange.failed and exchange.batch_id:
            self._batch_of[exchange.identity] = exchange.batch_id
