"""Assertions about calls: attempts, waits, what was sent again, and budgets."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from pytest_spidra.traffic import describe
from pytest_spidra.traffic.endpoints import check_name
from pytest_spidra.verdicts.assertion_base import AssertionBase, count_of, in_seconds, seconds_of, times
from pytest_spidra.verdicts.messages import rules_report
from pytest_spidra.verdicts.rules.evidence import (
    LONGEST_WAIT,
    ROUNDING,
    asked_seconds,
    field_of,
    is_fresh,
    keys_of,
    looked,
    permanent,
    wait_after,
    work_of,
)
from pytest_spidra.verdicts.rules.judge import judge

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_spidra.traffic.exchanges import Call, Exchange


class CallAssertions(AssertionBase):
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
            for wish in _wishes(exchange):
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

    def assert_backed_off(
        self,
        endpoint: str,
        waits: Sequence[float | tuple[float, float]],
        jitter: float | Sequence[float] = 0.0,
    ) -> None:
        """Every call to `endpoint` that was retried waited just so between its requests.

        A call that needed fewer retries matches the beginning of `waits`.

        Args:
            endpoint: An endpoint's name.

            waits: Seconds before the second request, the third, and so on; or for each its bounds.

            jitter: Seconds by which each wait may differ, or a number for each of them.

        Raises:
            AssertionError: The waits were others, or nothing was retried.

            ValueError: No such endpoint, negative seconds, more jitters than waits.

            TypeError: Waits or jitters that are not numbers.
        """
        __tracebackhide__ = True
        bounds = _bounds(waits, jitter)
        retried = [call for call in self._calls(endpoint) if call.attempts > 1]
        wrong = [call for call in retried if not _within(call.waits, bounds)]
        if wrong or not retried:
            found = f"waited {in_seconds(wrong[0].waits)}" if wrong else "never sent a request twice"
            within = f" (each within {jitter:g} s)" if isinstance(jitter, int | float) and jitter else ""
            self._fail(
                f"The client was to wait {in_seconds(waits)}{within} between the attempts of {endpoint}, and {found}.",
                "Backing off is what lets a service recover; too short adds to its load, too long wastes time.",
                wrong[0].exchanges if wrong else [],
                "To fix it, correct the client's backoff, or the waits here; allow for jitter= seconds.",
            )

    def assert_respected_retry_after(self, cap: float = LONGEST_WAIT) -> None:
        """No request came back before the time that the service had asked for.

        A plain 429 asks for time before any request of the account. A date is known in whole seconds only.

        Args:
            cap: Seconds of waiting that are enough however much was asked for. The official SDK waits no
                longer than 30.

        Raises:
            AssertionError: One came back early, or no reply asked for a wait.

            ValueError: A negative number.

            TypeError: Not a number.
        """
        __tracebackhide__ = True
        seconds_of("assert_respected_retry_after(cap)", cap)
        asked: dict[object, Exchange] = {}
        anything = False
        for exchange in self.exchanges:
            wishes = [*_wishes(exchange), ("quota", keys_of(exchange))]
            firsts = [first for wish in wishes if (first := asked.pop(wish, None)) is not None]
            for first in firsts:
                under_way = first.known is None or first.known >= exchange.number
                waited = wait_after(first, exchange)
                if not under_way and waited < asked_seconds(first, cap) - ROUNDING:
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
                asked |= dict.fromkeys(_wishes(exchange), exchange)
                if exchange.seen == 429 and not field_of(exchange, "code"):
                    asked["quota", keys_of(exchange)] = exchange
        if not anything:
            self._fail(
                "No reply asked the client to wait.",
                "Without a Retry-After the test shows nothing about respecting it.",
                [],
                "To fix it, script one: spidra_mock.batch.submit.script(service_busy(retry_after=60)).",
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
            raise AssertionError(rules_report(found, self.exchanges))


def _wishes(exchange: Exchange) -> list[object]:
    """Return what a request asks for: of a submit each URL with its options and key, else the whole of it."""
    return [*work_of(exchange)] or [(exchange.identity, keys_of(exchange))]


def _outcomes(call: Call) -> str:
    return ", ".join(describe.result(exchange) for exchange in call.exchanges)


def _bounds(
    waits: Sequence[float | tuple[float, float]], jitter: float | Sequence[float]
) -> list[tuple[float, float]]:
    """Return the shortest and longest of each wait."""
    __tracebackhide__ = True
    if isinstance(waits, str | bytes) or not hasattr(waits, "__len__"):
        msg = f"assert_backed_off(…, waits) is a list of seconds, one for each retry, not {waits!r}"
        raise TypeError(msg)
    several = list(jitter) if isinstance(jitter, list | tuple) else [jitter] * len(waits)
    if len(several) != len(waits):
        msg = f"assert_backed_off(…) has {times(len(several), 'jitter')} for {times(len(waits), 'wait')}"
        raise ValueError(msg)
    bounds = []
    for wait, spread in zip(waits, several, strict=True):
        allowed = seconds_of("assert_backed_off(…, jitter)", spread) + ROUNDING
        low, high = wait if isinstance(wait, tuple) else (wait, wait)
        shortest, longest = (seconds_of("assert_backed_off(…, waits)", bound) for bound in (low, high))
        bounds.append((shortest - allowed, longest + allowed))
    return bounds


def _within(waits: Iterable[float], bounds: Sequence[tuple[float, float]]) -> bool:
    """Whether a call's waits are the first of those that were to be."""
    waited = list(waits)
    return len(waited) <= len(bounds) and all(
        low <= wait <= high for wait, (low, high) in zip(waited, bounds, strict=False)
    )
