"""Assertions about waits: backoff, and the time that the service asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_spidra.traffic import describe
from pytest_spidra.verdicts.assertion_base import AssertionBase, in_seconds, seconds_of, times
from pytest_spidra.verdicts.rules.evidence import (
    LONGEST_WAIT,
    ROUNDING,
    asked_seconds,
    field_of,
    keys_of,
    wait_after,
    work_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_spidra.traffic.exchanges import Exchange


class WaitAssertions(AssertionBase):
    """Assertions about waits. Each raises AssertionError with claim, reason, evidence, way out."""

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
            wishes = [*wishes_of(exchange), ("quota", keys_of(exchange))]
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
                asked |= dict.fromkeys(wishes_of(exchange), exchange)
                if exchange.seen == 429 and not field_of(exchange, "code"):
                    asked["quota", keys_of(exchange)] = exchange
        if not anything:
            self._fail(
                "No reply asked the client to wait.",
                "Without a Retry-After the test shows nothing about respecting it.",
                [],
                "To fix it, script one: spidra_mock.batch.submit.script(service_busy(retry_after=60)).",
            )


def wishes_of(exchange: Exchange) -> list[object]:
    """Return what a request asks for: of a submit each URL with its options and key, else the whole of it."""
    return [*work_of(exchange)] or [(exchange.identity, keys_of(exchange))]


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
