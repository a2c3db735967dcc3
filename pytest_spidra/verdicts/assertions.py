"""Assertions about what the client did, for what a plain ``assert`` on the exchange log cannot say well.

They read the log and nothing else, so each holds on a mock, on a replay and on a loopback server. An assertion
about something that never happened fails: a test that cannot fail shows nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from pytest_spidra.traffic import describe
from pytest_spidra.traffic.batches import Batch, id_of
from pytest_spidra.traffic.endpoints import check_name
from pytest_spidra.traffic.statuses import TERMINAL, UNFINISHED
from pytest_spidra.verdicts.messages import assertion_message, rules_report
from pytest_spidra.verdicts.rules.evidence import LONGEST_WAIT, accepted, permanent
from pytest_spidra.verdicts.rules.judge import judge

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_spidra.traffic.exchanges import Call, Exchange
    from pytest_spidra.traffic.log import ExchangeLog

ROUNDING = 1e-6  # seconds


class Assertions:
    """The assertion methods of `SpidraApi`. Each raises AssertionError with claim, reason, evidence, way out."""

    exchanges: ExchangeLog

    # -- calls -----------------------------------------------------------------------------------------

    def assert_attempts(self, endpoint: str, count: int) -> None:
        """The call to `endpoint` that took most requests took `count`.

        Args:
            endpoint: An endpoint's name, ``"batch.submit"`` for instance.

            count: How many requests, the first included; 0: the endpoint was never asked.

        Raises:
            AssertionError: It took more or fewer.

            ValueError: No such endpoint.
        """
        __tracebackhide__ = True
        calls = self.exchanges.calls(check_name(endpoint))
        most = max((call.attempts for call in calls), default=0)
        if most != count:
            guilty = [one for call in calls if call.attempts == most for one in call.exchanges]
            self._fail(
                f"{endpoint} was to take {_times(count, 'attempt')} and took {most}.",
                "The number of attempts is the client's retry policy: fewer give up on a passing failure, more "
                "add load and, for a POST, risk paying again.",
                guilty,
                f"To fix it, correct the client's limit, or the number here: assert_attempts({endpoint!r}, {most}).",
            )

    def assert_not_retried(self, endpoint: str) -> None:
        """Every call to `endpoint` took one request.

        Args:
            endpoint: An endpoint's name.

        Raises:
            AssertionError: A failed request was sent again, or the endpoint was never asked.

            ValueError: No such endpoint.
        """
        __tracebackhide__ = True
        again = [call for call in self._calls(endpoint) if call.attempts > 1]
        if again:
            self._fail(
                f"{endpoint} was not to be retried and was: {_outcomes(again[0])}.",
                "A request that is sent again can do its work twice; for a submit that means paying twice.",
                [one for call in again for one in call.exchanges[1:]],
                "To fix it, let the client report the first error of this endpoint. To allow it, say how often: "
                f"assert_attempts({endpoint!r}, {again[0].attempts}).",
            )

    def assert_gave_up(self, endpoint: str, after: int) -> None:
        """The last call to `endpoint` ended in an error, after so many attempts.

        Args:
            endpoint: An endpoint's name.

            after: How many requests, the first included.

        Raises:
            AssertionError: It ended well, took more or fewer, or the endpoint was never asked.

            ValueError: No such endpoint.
        """
        __tracebackhide__ = True
        call = self._calls(endpoint)[-1]
        ended = "in an error" if call.exchanges[-1].failed else "well"
        if ended == "well" or call.attempts != after:
            self._fail(
                f"{endpoint} was to be given up after {_times(after, 'attempt')}; its last call ended {ended} "
                f"after {call.attempts}: {_outcomes(call)}.",
                "A client that never gives up hangs on an outage; one that gives up early fails on a hiccup.",
                call.exchanges,
                "To fix it, correct the client's limit, or script as long an outage as the client can meet: "
                f"spidra_mock.{endpoint}.always(503).",
            )

    def assert_backed_off(self, endpoint: str, waits: Sequence[float], jitter: float = 0.0) -> None:
        """Every call to `endpoint` that was retried waited just so between its requests.

        Args:
            endpoint: An endpoint's name.

            waits: Seconds before the second request, the third, and so on.

            jitter: Seconds by which each wait may differ.

        Raises:
            AssertionError: The waits were others, or nothing was retried.

            ValueError: No such endpoint.
        """
        __tracebackhide__ = True
        retried = [call for call in self._calls(endpoint) if call.attempts > 1]
        wrong = [call for call in retried if not _alike(call.waits, waits, jitter)]
        if wrong or not retried:
            found = f"waited {_seconds(wrong[0].waits)}" if wrong else "never sent a request twice"
            within = f" (each within {jitter:g} s)" if jitter else ""
            self._fail(
                f"The client was to wait {_seconds(waits)}{within} between the attempts of {endpoint}, and {found}.",
                "Backing off is what lets a service recover; too short adds to its load, too long wastes time.",
                wrong[0].exchanges if wrong else [],
                "To fix it, correct the client's backoff, or the waits here; allow for jitter= seconds.",
            )

    def assert_respected_retry_after(self, cap: float = LONGEST_WAIT) -> None:
        """No request came back before the time that the service had asked for.

        Args:
            cap: Seconds of waiting that are enough however much was asked for. The official SDK waits no
                longer than 30.

        Raises:
            AssertionError: One came back early, or no reply asked for a wait.
        """
        __tracebackhide__ = True
        asked: dict[str, Exchange] = {}
        anything = False
        for exchange in self.exchanges:
            first = asked.get(exchange.identity)
            if first and first.known is not None and first.known >= exchange.number:
                first = None  # it was under way already
            elif first:
                del asked[exchange.identity]
            if first and first.seen_at is not None and first.asked_wait is not None:
                waited = exchange.sent_at - first.seen_at
                if waited < min(first.asked_wait, cap) - ROUNDING:
                    self._fail(
                        f"{describe.request(exchange)} (#{exchange.number}) came back after {waited:.2f} s, and "
                        f"#{first.number} had asked for {first.asked_wait:g} s.",
                        "Coming back early adds to the service's load and is likely to be refused again.",
                        [first, exchange],
                        "To fix it, wait for Retry-After or the body's retry_after. To allow a shorter wait, "
                        "say what is enough: assert_respected_retry_after(cap=…) in seconds.",
                    )
            if exchange.failed and exchange.asked_wait:
                anything = True
                asked[exchange.identity] = exchange
        if not anything:
            self._fail(
                "No reply asked the client to wait.",
                "Without a Retry-After the test shows nothing about respecting it.",
                [],
                "To fix it, script one: spidra_mock.batch.submit.script(service_busy(retry_after=60)).",
            )

    def assert_only_transient_retried(self) -> None:
        """Nothing was sent again after an error that will not go away by itself.

        Raises:
            AssertionError: A request was repeated after 400, 401, 402, 403, 404, 409 or 422 (a body with
                the code ``QUEUE_UNAVAILABLE`` is transient whatever its status).
        """
        __tracebackhide__ = True
        for call in self.exchanges.calls():
            for exchange in call.exchanges[:-1]:
                if permanent(exchange):
                    self._fail(
                        f"{describe.request(exchange)} was sent again after {describe.result(exchange)} "
                        f"(#{exchange.number}).",
                        "The answer to the same request will be the same: the loop wastes its rounds, or never ends.",
                        call.exchanges,
                        "To fix it, retry 429, 502, 503 and 504 only and report everything else.",
                    )

    # -- batches ---------------------------------------------------------------------------------------

    def assert_submitted_once(self, urls: Iterable[str] | None = None) -> None:
        """The service accepted just one submit, whatever the client saw of it.

        Args:
            urls: Count only submits of just these URLs, in any order; None: all submits.

        Raises:
            AssertionError: It accepted none, or several.
        """
        __tracebackhide__ = True
        wanted = None if urls is None else sorted(urls)
        taken = [
            exchange
            for exchange in self._accepted_submits()
            if wanted is None or sorted(describe.urls_of(exchange)) == wanted
        ]
        if len(taken) != 1:
            what = "a batch" if wanted is None else f"a batch of these {len(wanted)} URLs"
            self._fail(
                f"The service was to accept {what} once, and accepted {len(taken)}.",
                "Every accepted submit is scraped and billed, also one whose reply the client never saw.",
                taken,
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
        sent = self._retries(batch)
        taken = [exchange for exchange in sent if accepted(exchange)]
        if len(taken) != times:
            refused = f" ({len(sent) - len(taken)} more were not accepted)" if len(sent) > len(taken) else ""
            self._fail(
                f"Batch {id_of(batch)} was to be retried {_times(times, 'time')}, and was {len(taken)}{refused}.",
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
                f"Batch {id_of(batch)} was not to be retried, and {_times(len(sent), 'retry', 'retries')} "
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
        """The client looked at a batch until it saw a terminal status, after the last accepted retry, too.

        Args:
            batch: A `Batch` or an id.

        Raises:
            AssertionError: It never looked, or stopped before the end.
        """
        __tracebackhide__ = True
        shown: str | None = None
        about = [exchange for exchange in self.exchanges if exchange.batch_id == id_of(batch)]
        for exchange in about:
            body = exchange.seen_json
            if exchange.is_retry and accepted(exchange):
                shown = "queued for a retry"
            elif exchange.is_look and not exchange.failed and isinstance(body, dict):
                shown = str(body.get("status"))
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
        gaps: list[tuple[float, Exchange]] = []
        last: Exchange | None = None
        for exchange in (one for one in self.exchanges if one.batch_id == id_of(batch)):
            if exchange.is_look and last and last.seen_at is not None:
                gaps.append((round(exchange.sent_at - last.seen_at, 6), exchange))
            body = exchange.seen_json if exchange.is_look and not exchange.failed else None
            running = isinstance(body, dict) and body.get("status") in UNFINISHED
            last = exchange if running else None
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

    def assert_rules(self) -> None:
        """No rule accuses the client of anything, up to now.

        Raises:
            AssertionError: One does.
        """
        __tracebackhide__ = True
        if found := judge(self.exchanges):
            raise AssertionError(rules_report(found, self.exchanges))

    # -- helpers ---------------------------------------------------------------------------------------

    def _calls(self, endpoint: str) -> tuple[Call, ...]:
        __tracebackhide__ = True
        calls = self.exchanges.calls(check_name(endpoint))
        if not calls:
            self._fail(
                f"{endpoint} was never asked.",
                "An assertion about something that never happened would always hold and show nothing.",
                [],
                "To fix it, let the client get there. To say that it does not, "
                f"assert_attempts({endpoint!r}, 0).",
            )
        return calls

    def _accepted_submits(self) -> list[Exchange]:
        return [exchange for exchange in self.exchanges if exchange.is_submit and accepted(exchange)]

    def _retries(self, batch: Batch | str) -> list[Exchange]:
        batch_id = id_of(batch)
        return [one for one in self.exchanges if one.is_retry and one.batch_id == batch_id]

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

    def _fail(self, claim: str, why: str, guilty: Iterable[Exchange], *ways_out: str) -> NoReturn:
        __tracebackhide__ = True
        numbers = {exchange.number for exchange in guilty}
        raise AssertionError(assertion_message(claim, why, self.exchanges, numbers, *ways_out))


def _times(count: int, one: str, many: str | None = None) -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"


def _seconds(waits: Sequence[float]) -> str:
    return f"[{', '.join(f'{wait:g}' for wait in waits)}] s"


def _outcomes(call: Call) -> str:
    return ", ".join(describe.result(exchange) for exchange in call.exchanges)


def _alike(waits: Sequence[float], wanted: Sequence[float], jitter: float) -> bool:
    return len(waits) == len(wanted) and all(
        abs(wait - want) <= jitter + ROUNDING for wait, want in zip(waits, wanted, strict=True)
    )
