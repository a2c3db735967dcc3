"""Assertions about batches: what was submitted, retried, polled."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pytest_spidra.traffic import describe
from pytest_spidra.traffic.batches import Batch, id_of
from pytest_spidra.traffic.statuses import TERMINAL, UNFINISHED
from pytest_spidra.verdicts.assertion_base import AssertionBase, count_of, seconds_of
from pytest_spidra.verdicts.assertion_base import times as in_words
from pytest_spidra.verdicts.rules.evidence import ROUNDING, accepted, dicts_in, field_of, id_in, looked

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_spidra.traffic.exchanges import Exchange


class BatchAssertions(AssertionBase):
    """Assertions about batches. Each raises AssertionError with claim, reason, evidence, way out."""

    def assert_submitted_once(self, urls: Iterable[str] | None = None) -> None:
        """The service accepted each URL just once, whatever the client saw of it, whatever the cut and the order.

        Args:
            urls: Count only these URLs; None: all that were submitted.

        Raises:
            AssertionError: It accepted one of them more often, or never; or none at all.

            TypeError: A single text in place of a list of URLs.
        """
        __tracebackhide__ = True
        if isinstance(urls, str | bytes):
            msg = f"assert_submitted_once(urls) takes a list of URLs, not {urls!r}"
            raise TypeError(msg)
        submits = self._accepted_submits()
        counts = Counter(url for exchange in submits for url in describe.urls_of(exchange))
        wanted = list(counts if urls is None else dict.fromkeys(urls))
        wrong = [url for url in wanted if counts[url] != 1]
        if wrong or not counts:
            often = f"{wrong[0]} {in_words(counts[wrong[0]], 'time')}" if wrong else "none"
            more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
            self._fail(
                f"The service was to accept each URL once, and accepted {often}{more}.",
                "Every accepted submit is scraped and billed, also one whose reply the client never saw.",
                [one for one in submits if not wrong or set(wrong) & set(describe.urls_of(one))],
                "To fix it, look for the batch in GET /batch/scrape before a submit is sent again. To allow "
                "several, count them: spidra_mock.exchanges.calls('batch.submit').",
            )

    def assert_batch_retried(self, batch: Batch | str, times: int = 1) -> None:
        """The service accepted so many retries of a batch.

        Args:
            batch: A `Batch` or an id.

            times: How many.

        Raises:
            AssertionError: It accepted more or fewer.
        """
        __tracebackhide__ = True
        count_of("assert_batch_retried(…, times)", times)
        sent = self._retries(batch)
        taken = [exchange for exchange in sent if accepted(exchange)]
        if len(taken) != times:
            refused = f" ({len(sent) - len(taken)} more were not accepted)" if len(sent) > len(taken) else ""
            self._fail(
                f"Batch {id_of(batch)} was to be retried {in_words(times, 'time')}, and was {len(taken)}{refused}.",
                "Too few retries lose pages that would have healed; each one too many reserves credits again.",
                sent,
                "To fix it, correct the client's rounds (N rounds are N-1 retries), or the number here.",
            )

    def assert_batch_not_retried(self, batch: Batch | str) -> None:
        """No retry of a batch was sent.

        Args:
            batch: A `Batch` or an id.

        Raises:
            AssertionError: One was.
        """
        __tracebackhide__ = True
        if sent := self._retries(batch):
            self._fail(
                f"Batch {id_of(batch)} was not to be retried, and {in_words(len(sent), 'retry', 'retries')} "
                f"{'was' if len(sent) == 1 else 'were'} sent.",
                "A retry reserves credits again, and the service refuses it when nothing has failed.",
                sent,
                f"To fix it, look at status and failedCount first. To allow it: assert_batch_retried(batch, {len(sent)}).",
            )

    def assert_only_failed_items_retried(self, batch: Batch | str) -> None:
        """What had failed in a batch was retried in it, and none of its URLs was submitted anew.

        Args:
            batch: A `Batch` or an id.

        Raises:
            AssertionError: A URL of the batch was submitted again, or no retry was accepted.
        """
        __tracebackhide__ = True
        retries = [exchange for exchange in self._retries(batch) if accepted(exchange)]
        first, urls = self._contents(batch)
        again = [
            exchange
            for exchange in self._accepted_submits()
            if exchange.number > first
            and exchange.batch_id != id_of(batch)
            and urls & set(describe.urls_of(exchange))
        ]
        if again or not retries:
            what = "URLs of it were submitted as a new batch" if again else "no retry of it was accepted"
            self._fail(
                f"Only the failed items of batch {id_of(batch)} were to be scraped again, and {what}.",
                "POST …/retry scrapes and bills just the failed items; a new batch pays for every URL in it.",
                again or self._retries(batch),
                "To fix it, send POST /batch/scrape/{batchId}/retry and poll the same id.",
            )

    def assert_polled_until_done(self, batch: Batch | str) -> None:
        """The client looked at a batch, itself or in the list, until it saw a terminal status, after the last accepted retry, too.

        Args:
            batch: A `Batch` or an id.

        Raises:
            AssertionError: It never looked, or stopped before the end.
        """
        __tracebackhide__ = True
        batch_id = self._id(batch)
        shown: str | None = None
        about = [exchange for exchange in self.exchanges if exchange.batch_id == batch_id]
        for exchange in self.exchanges:
            if exchange.batch_id == batch_id and exchange.is_retry and accepted(exchange):
                shown = "queued for a retry"
            elif (status := _status(exchange, batch_id)) is not None:
                shown = status
        if shown not in TERMINAL:
            found = "the client never looked at it" if shown is None else f"the client saw it last {shown}"
            self._fail(
                f"Batch {id_of(batch)} was to be polled until it was done, and {found}.",
                "Its pages are scraped and billed, and nobody fetches them.",
                about[-1:],
                "To fix it, poll until the status is completed, failed or cancelled.",
            )

    def assert_poll_interval(self, batch: Batch | str, at_least: float, at_most: float | None = None) -> None:
        """The client waited so long between what a look showed it and the next look, while the batch ran.

        Args:
            batch: A `Batch` or an id.

            at_least: Seconds.

            at_most: Seconds, or None for any length.

        Raises:
            AssertionError: A wait was shorter or longer, or there were no two looks at the running batch.
        """
        __tracebackhide__ = True
        batch_id = self._id(batch)
        seconds_of("assert_poll_interval(at_least)", at_least)
        if at_most is not None:
            seconds_of("assert_poll_interval(at_most)", at_most)
        gaps: list[tuple[float, Exchange]] = []
        last: Exchange | None = None
        for exchange in self.exchanges:
            status = _status(exchange, batch_id)
            if status is None and exchange.batch_id != batch_id:
                continue
            if (exchange.is_look or exchange.is_list) and last and last.seen_at is not None:
                gaps.append((round(exchange.sent_at - last.seen_at, 6), exchange))
            last = exchange if status in UNFINISHED else None
        bounds = f"at least {at_least:g} s" + ("" if at_most is None else f" and at most {at_most:g} s")
        wrong = [
            (gap, exchange)
            for gap, exchange in gaps
            if gap < at_least - ROUNDING or (at_most is not None and gap > at_most + ROUNDING)
        ]
        if wrong or not gaps:
            found = (
                f"one wait was {wrong[0][0]:g} s" if wrong else "there were no two looks at it while it ran"
            )
            self._fail(
                f"The client was to wait {bounds} between two looks at batch {id_of(batch)}, and {found}.",
                "Short intervals use up the quota of 300 requests in 15 minutes, long ones delay the results.",
                [exchange for _, exchange in wrong],
                "To fix it, set the client's poll interval; Spidra recommends 2 to 5 seconds.",
            )

    def _contents(self, batch: Batch | str) -> tuple[int, set[str]]:
        """Return from which exchange on a batch is known, and its URLs as far as the log shows them."""
        batch_id = id_of(batch)
        first, urls = 0, set(batch.urls) if isinstance(batch, Batch) else set()
        for exchange in self.exchanges:
            if exchange.batch_id != batch_id:
                continue
            if exchange.is_submit:
                first = exchange.number
                urls |= set(describe.urls_of(exchange))
            elif exchange.is_look and isinstance(exchange.answered_json, dict):
                urls |= {str(item.get("url")) for item in exchange.answered_json.get("items") or ()}
        return first, urls


def _status(exchange: Exchange, batch_id: str) -> str | None:
    """Return the status of a batch that the client saw in an exchange, of the batch itself or in the list."""
    if not looked(exchange):
        return None
    if exchange.is_look and exchange.batch_id == batch_id:
        return str(field_of(exchange, "status"))
    if exchange.is_list:
        for job in dicts_in(field_of(exchange, "jobs")):
            if id_in(job) == batch_id:
                return str(job.get("status"))
    return None
