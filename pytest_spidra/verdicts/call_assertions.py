"""Assertions about calls: attempts, waits, what was sent again, and budgets."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from pytest_spidra.traffic import describe
from pytest_spidra.traffic.endpoints import check_name
from pytest_spidra.verdicts.assertion_base import count_of, seconds_of, times
from pytest_spidra.verdicts.messages import rules_report
from pytest_spidra.verdicts.rules.evidence import (
    ROUNDING,
    is_fresh,
    keys_of,
    looked,
    permanent,
)
from pytest_spidra.verdicts.rules.judge import judge
from pytest_spidra.verdicts.wait_assertions import WaitAssertions, wishes_of

if TYPE_CHECKING:
    from pytest_spidra.traffic.exchanges import Call, Exchange


class CallAssertions(WaitAssertions):
    """Assertions about calls. Each raises AssertionError with claim, reason, evidence, way out."""

    def assert_attempts(self, endpoint: str, count: int) -> None:
        """The call to `endpoint` that took most requests took `count`.

        Args:
            endpoint: An endpoint's name, ``"batch.submit"`` for instance.

            count: How many requests, the first included; 0: the endpoint was never asked.

        Raises:
            AssertionError: It took more or fewer.

            ValueError: No such endpoint, a negative number.

            TypeError: A count that is not a whole number.
        """
        __tracebackhide__ = True
        count_of("assert_attempts(…, count)", count)
        calls = self.exchanges.calls(check_name(endpoint))
        most = max((call.attempts for call in calls), default=0)
        if most != count:
            guilty = [one for call in calls if call.attempts == most for one in call.exchanges]
            self._fail(
                f"{endpoint} was to take {times(count, 'attempt')} and took {most}.",
                "The number of attempts is the client's retry policy: fewer give up on a passing failure, more "
                "add load and, for a POST, risk paying again.",
                guilty,
                f"To fix it, correct the client's limit, or the number here: assert_attempts({endpoint!r}, {most}).",
            )

    def assert_not_retried(self, endpoint: str) -> None:
        """Nothing that had failed at `endpoint` was sent again, also not in part, in another order or after a look.

        Args:
            endpoint: An endpoint's name.

        Raises:
            AssertionError: A failed request was sent again, or the endpoint was never asked.

            ValueError: No such endpoint.
        """
        __tracebackhide__ = True
        calls = self._calls(endpoint)
        failed: dict[object, Exchange] = {}
        again: list[tuple[Exchange, Exchange]] = []
        for exchange in (one for one in self.exchanges if one.endpoint == endpoint):
            for wish in wishes_of(exchange):
                first = failed.pop(wish, None)
                if (
                    first
                    and first.known is not None
                    and first.known < exchange.number
                    and is_fresh(first, exchange)
                ):
                    again.append((first, exchange))
                if exchange.failed:
                    failed[wish] = exchange
        if again:
            first, second = again[0]
            call = next(call for call in calls if first in call.exchanges)
            outcomes = (
                _outcomes(call) if second in call.exchanges else f"#{second.number} repeats #{first.number}"
            )
            self._fail(
                f"{endpoint} was not to be retried and was: {outcomes}.",
                "A request that is sent again can do its work twice; for a submit that means paying twice.",
                [later for _, later in again],
                "To fix it, let the client report the first error of this endpoint. To allow it, say how often: "
                f"assert_attempts({endpoint!r}, {max(call.attempts, 2)}).",
            )

    def assert_gave_up(self, endpoint: str, after: int) -> None:
        """The last call to `endpoint` ended in an error, after so many attempts.

        Args:
            endpoint: An endpoint's name.

            after: How many requests, the first included.

        Raises:
            AssertionError: It ended well, took more or fewer, or the endpoint was never asked.

            ValueError: No such endpoint, a negative number.

            TypeError: A count that is not a whole number.
        """
        __tracebackhide__ = True
        count_of("assert_gave_up(…, after)", after)
        call = self._calls(endpoint)[-1]
        ended = "in an error" if call.exchanges[-1].failed else "well"
        if ended == "well" or call.attempts != after:
            self._fail(
                f"{endpoint} was to be given up after {times(after, 'attempt')}; its last call ended {ended} "
                f"after {call.attempts}: {_outcomes(call)}.",
                "A client that never gives up hangs on an outage; one that gives up early fails on a hiccup.",
                call.exchanges,
                "To fix it, correct the client's limit, or script as long an outage as the client can meet: "
                f"spidra_mock.{endpoint}.always(503).",
            )

    def assert_only_transient_retried(self) -> None:
        """Nothing was sent again after an error that will not go away by itself, with a look in between or without.

        Raises:
            AssertionError: A request was repeated after 400, 401, 402, 403, 404, 409 or 422 (a body with
                the code ``QUEUE_UNAVAILABLE`` is transient whatever its status), or nothing was sent at all.
        """
        __tracebackhide__ = True
        if not self.exchanges:
            self._fail(
                "The client sent no request at all.",
                "An assertion about something that never happened would always hold and show nothing.",
                [],
                "To fix it, let the client send something before this line.",
            )
        refused: dict[object, Exchange] = {}
        changes = self.exchanges.changes
        for exchange in self.exchanges:
            wish = exchange.identity, keys_of(exchange)
            first = refused.get(wish)
            if first and bisect_left(changes, first.number) == bisect_left(changes, exchange.number):
                self._fail(
                    f"{describe.request(exchange)} was sent again after {describe.result(first)} (#{first.number}).",
                    "Nothing in between gave reason to hope for another answer: such requests use up the quota, and a "
                    "loop of them may never end.",
                    [first, exchange],
                    "To fix it, retry 429, 502 and 503, and looks after 504, and report everything else.",
                )
            if permanent(exchange):
                refused[wish] = exchange
            elif not exchange.failed and not (looked(exchange) and (exchange.is_look or exchange.is_list)):
                refused.clear()  # something was done that others may have been refused for

    def assert_within(
        self,
        *,
        seconds: float | None = None,
        requests: int | None = None,
        credits: int | None = None,  # noqa: A002 - the word of the API and of its users
    ) -> None:
        """The whole test stayed within a budget.

        Args:
            seconds: From the first request to what the client saw last, on the test's clock; None: any time.

            requests: How many requests at most; None: any number.

            credits: How many credits at most are charged for what was accepted, with the fake service only; None:
                any number.

        Raises:
            AssertionError: It took more, or nothing was sent.

            ValueError: No budget at all, a negative number.

            TypeError: A number that is none.
        """
        __tracebackhide__ = True
        if seconds is None and requests is None and credits is None:
            msg = "assert_within(…) takes at least one of seconds, requests and credits"
            raise ValueError(msg)
        if not self.exchanges:
            self._fail("The client sent no request at all.", "A budget that nothing uses shows nothing.", [])
        ends = [one.sent_at if one.seen_at is None else one.seen_at for one in self.exchanges]
        took = max(ends) - self.exchanges[0].sent_at
        over = []
        if seconds is not None and took > seconds_of("assert_within(seconds)", seconds) + ROUNDING:
            over.append(f"{took:g} s of {seconds:g}")
        if requests is not None and len(self.exchanges) > count_of("assert_within(requests)", requests):
            over.append(f"{len(self.exchanges)} requests of {requests}")
        if credits is not None and (charged := self._charged()) > count_of("assert_within(credits)", credits):
            over.append(f"{charged} credits of {credits}")
        if over:
            self._fail(
                f"The test was to stay within its budget, and took {', '.join(over)}.",
                "What a run costs in time, quota and credits grows unnoticed, a retry at a time.",
                [],
                "To fix it, look where it went; to allow it, raise the number here.",
            )

    def _charged(self) -> int:
        """Return the credits that are charged; only the fake service tells."""
        msg = "assert_within(credits=…) needs the fake service: credits are in no reply of the API"
        raise ValueError(msg)

    def assert_rules(self) -> None:
        """No rule accuses the client of anything, up to now.

        Raises:
            AssertionError: One does.
        """
        __tracebackhide__ = True
        if found := judge(self.exchanges):
            raise AssertionError(rules_report(found, self.exchanges, self._way))


def _outcomes(call: Call) -> str:
    return ", ".join(describe.result(exchange) for exchange in call.exchanges)
