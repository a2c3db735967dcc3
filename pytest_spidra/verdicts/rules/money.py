"""Rules about money: the same work paid twice. All senders of one key are judged together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_spidra.traffic import describe
from pytest_spidra.traffic.statuses import UNFINISHED
from pytest_spidra.verdicts.rules.base import Rule
from pytest_spidra.verdicts.rules.evidence import (
    FATE_UNKNOWN,
    Work,
    accepted,
    advice,
    ids_listed,
    is_fresh,
    keys_of,
    looked,
    told,
    urls_logged,
    work_of,
)

if TYPE_CHECKING:
    from pytest_spidra.traffic.exchanges import Exchange


class DoubleSubmission(Rule):
    """The service accepted the same work twice, the second time because the first reply was lost."""

    name = "double-submission"
    why = "Both batches are scraped and both are billed: the same pages are paid twice."
    fix = "After a submit whose reply was lost, look for the batch in GET /batch/scrape before sending it again."
    why_job = "Both jobs are done and both are billed: the same is paid twice."
    covers = frozenset({"blind-resend"})

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._unseen: dict[Work, Exchange] = {}
        self._lost: dict[str | None, Exchange] = {}
        self._roots: dict[int, Exchange] = {}  # of a submit that repeats another, the first of the row

    def sent(self, exchange: Exchange) -> None:
        if not exchange.is_paid or not accepted(exchange):
            return
        again: dict[int, list[Work]] = {}
        for work in work_of(exchange):
            first = self._unseen.pop(work, None)
            if first and is_fresh(first, exchange):
                again.setdefault(first.number, []).append(work)
                self._roots.setdefault(exchange.number, self._roots.get(first.number, first))
                last = first
        if again:
            root = self._roots[exchange.number]
            count = sum(map(len, again.values()))
            claim = (
                f"The service accepted the same {describe.things(exchange, count)} twice, in #{last.number} and "
                f"#{exchange.number}; of #{last.number} the client saw {describe.result(last)}."
            )
            why = None if exchange.family == "batch" else self.why_job
            self.accuse(root.number, claim, [last], exchange, why=why, fix=advice(exchange))

    def seen(self, exchange: Exchange) -> None:
        if exchange.is_paid and accepted(exchange):
            if not told(exchange):
                self._unseen |= dict.fromkeys(work_of(exchange), exchange)
                self._lost[exchange.batch_id] = exchange
        elif (exchange.is_look or exchange.is_cancel) and looked(exchange):
            self._found(exchange.batch_id)
        elif exchange.is_list and looked(exchange):
            for job in ids_listed(exchange):
                self._found(job)
            logged = urls_logged(exchange)
            for work in [work for work in self._unseen if work[2] in logged]:
                if self._unseen[work].family == exchange.lists:
                    del self._unseen[work]

    def _found(self, batch_id: str | None) -> None:
        """The client has found a batch: to submit the same again is on purpose now."""
        if found := self._lost.pop(batch_id, None):
            self._unseen = {work: lost for work, lost in self._unseen.items() if lost is not found}


class BlindResend(Rule):
    """A POST that may have worked was sent again without a look."""

    name = "blind-resend"
    why = "Nobody knows whether the first one worked. If it did, the second one is paid as well."
    fix = "Look first: look for the batch in GET /batch/scrape after a submit, then decide."
    why_retry = (
        "Nobody knows whether the first one worked. If it did, the batch is at work again and the second one is "
        "refused, which hides that the first was taken."
    )
    fix_retry = (
        "Look first: GET the batch after a retry; its status and failedCount tell whether it was taken."
    )

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._submits: dict[object, Exchange] = {}
        self._lost: dict[str, Exchange] = {}  # of those, the ones that made a batch, by its id
        self._retries: dict[str | None, Exchange] = {}
        self._roots: dict[int, Exchange] = {}

    def sent(self, exchange: Exchange) -> None:
        if exchange.is_retry:
            first = self._retries.pop(exchange.batch_id, None)
            if first and is_fresh(first, exchange) and keys_of(first) == keys_of(exchange):
                self._accuse(first, exchange, describe.request(exchange))
        elif exchange.is_paid:
            again = [self._submits.pop(work, None) for work in self._works(exchange)]
            firsts = [first for first in again if first and is_fresh(first, exchange)]
            if firsts:
                whole = len(firsts) == len(again)
                what = (
                    describe.request(exchange)
                    if whole
                    else f"{describe.things(exchange, len(firsts))} of #{firsts[-1].number}"
                )
                self._accuse(firsts[-1], exchange, what)

    def _accuse(self, first: Exchange, exchange: Exchange, what: str) -> None:
        root = self._roots.setdefault(exchange.number, self._roots.get(first.number, first))
        verb = "was" if not what[0].isdigit() or what.startswith("1 ") else "were"
        claim = (
            f"{what} {verb} sent again (#{exchange.number}) after {describe.result(first)} "
            f"(#{first.number}) without a look at what had become of it."
        )
        why, fix = (self.why_retry, self.fix_retry) if exchange.is_retry else (None, None)
        if exchange.is_paid:
            fix = advice(exchange)
        self.accuse(root.number, claim, [first], exchange, why=why, fix=fix)

    def seen(self, exchange: Exchange) -> None:
        if exchange.seen in FATE_UNKNOWN and exchange.is_paid:
            self._submits |= dict.fromkeys(self._works(exchange), exchange)
            if exchange.batch_id:
                self._lost[exchange.batch_id] = exchange
        elif exchange.seen in FATE_UNKNOWN and exchange.is_retry:
            self._retries[exchange.batch_id] = exchange
        elif exchange.is_list and looked(exchange):
            self._forget(self._submits, exchange.lists)
            self._forget(self._lost, exchange.lists)
            self._forget(self._retries, exchange.lists)
        elif exchange.is_look and looked(exchange):
            # It tells of this batch alone, and of a submit only when it is the very batch that was lost.
            self._retries.pop(exchange.batch_id, None)
            if lost := self._lost.pop(exchange.batch_id or "", None):
                self._submits = {work: one for work, one in self._submits.items() if one is not lost}

    @staticmethod
    def _forget(lost: dict[Any, Exchange], family: str) -> None:
        """The client has looked for whatever it may have submitted of that family."""
        for one in [one for one, exchange in lost.items() if exchange.family == family]:
            del lost[one]

    @staticmethod
    def _works(exchange: Exchange) -> list[object]:
        """Return what a submit asks for; of a body that names no URLs, the whole of it."""
        return [*work_of(exchange)] or [(keys_of(exchange), exchange.identity)]


class PaidAgain(Rule):
    """A page that the client had was bought again."""

    name = "paid-again"
    why = "The result was there already: the page is scraped and billed a second time."
    fix = "Keep the results you have; submit only what failed, or better, POST …/retry."

    def sent(self, exchange: Exchange) -> None:
        if not exchange.is_submit or not accepted(exchange):
            return
        had = {work: self.knowledge.completed.get(work) for work in work_of(exchange)}
        again = [(work, shown) for work, shown in had.items() if shown and is_fresh(shown, exchange)]
        if again:
            (_, _, url), shown = again[0]
            more = f" and {len(again) - 1} more" if len(again) > 1 else ""
            claim = (
                f"#{exchange.number} submits {url}{more} again, with the same options, though #{shown.number} "
                "had shown the result."
            )
            self.accuse(exchange.number, claim, [], exchange)


class ResubmittedUnfinished(Rule):
    """The same work was submitted again while the first batch was still at it."""

    name = "resubmitted-unfinished"
    why = "The first batch goes on and is billed when it ends; the second one is billed as well."
    fix = "Keep polling the batch you have, or cancel it before you submit its URLs again."
    why_job = "The first job goes on and is billed when it ends, whoever waits for it; the second one is billed as well."
    fix_job = "Keep the jobId and poll it on: a timeout of the client ends the waiting, not the job."

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._batch_of: dict[Work, str] = {}

    def sent(self, exchange: Exchange) -> None:
        if exchange.batch_id and not exchange.is_submit:
            # The client still holds the first batch: it wants both, or ends the first.
            self.withdraw(exchange.batch_id)
        if not exchange.is_submit or not accepted(exchange):
            return
        again: dict[str, int] = {}
        for work in work_of(exchange):
            if (batch_id := self._batch_of.get(work)) and self._unfinished(batch_id, work[2], exchange):
                again[batch_id] = again.get(batch_id, 0) + 1
        for batch_id, count in again.items():
            batch = self.knowledge.batches[batch_id]
            if batch.told:
                claim = (
                    f"#{exchange.number} submits the same {describe.things(exchange, count)} again while their {describe.noun(exchange)}, "
                    f"last known from #{batch.told.number}, was {batch.status}; the client never came back to it."
                )
                why, fix = (None, None) if exchange.family == "batch" else (self.why_job, self.fix_job)
                self.accuse(batch_id, claim, [batch.told], exchange, why=why, fix=fix)

    def _unfinished(self, batch_id: str, url: str, exchange: Exchange) -> bool:
        batch = self.knowledge.batches[batch_id]
        if batch.told is None or batch.status not in UNFINISHED or not is_fresh(batch.told, exchange):
            return False
        return batch.items.get(url, "pending") in UNFINISHED

    def seen(self, exchange: Exchange) -> None:
        if exchange.is_submit and exchange.batch_id and told(exchange):
            self._batch_of |= dict.fromkeys(work_of(exchange), exchange.batch_id)
        elif exchange.is_list and looked(exchange):
            for job in ids_listed(exchange):
                self.withdraw(job)


class DuplicateUrls(Rule):
    """One submit holds a URL more than once."""

    name = "duplicate-urls"
    why = "Each is an item of its own: the page is scraped and billed as often as it stands there."
    fix = "Take duplicates out before you submit: list(dict.fromkeys(urls))."
    shares_deeds = False

    def sent(self, exchange: Exchange) -> None:
        urls = describe.urls_of(exchange)
        if len(urls) == len(set(urls)) or not accepted(exchange):
            return
        url = next(url for place, url in enumerate(urls) if url in urls[:place])
        more = len(urls) - len(set(urls))
        claim = f"#{exchange.number} submits {url} {urls.count(url)} times; {describe.things(exchange, more)} too many in all."
        if more == 1:
            claim = f"#{exchange.number} submits {url} twice."
        self.accuse(tuple(sorted(urls)), claim, [], exchange)
