"""Rules about what a client does after an error."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from pytest_spidra.traffic import describe
from pytest_spidra.verdicts.rules.base import Rule
from pytest_spidra.verdicts.rules.evidence import LONGEST_WAIT, ROUNDING, keys_of, permanent, wait_after

if TYPE_CHECKING:
    from pytest_spidra.traffic.exchanges import Exchange

SHORTEST_BACKOFF = 0.1  # seconds
RESENDS_AT_ONCE = 3
PATIENT = 3  # waits as asked, in a row


class RetryAfterIgnored(Rule):
    """The client came back before the time that the service had asked for.

    One that has waited as asked three times in a row does not ignore the service: when its own patience ends
    then (the official SDK's does, and its polling goes on at its own pace), it is left alone.
    """

    name = "retry-after-ignored"
    why = "The service asked for time; coming back early adds to its load and is likely to be refused again."
    fix = f"Wait for Retry-After, or the body's retry_after; {LONGEST_WAIT:g} s are enough for this rule."

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._asked: dict[str, Exchange] = {}
        self._respected: dict[str, int] = defaultdict(int)

    def sent(self, exchange: Exchange) -> None:
        first = self._asked.pop(exchange.identity, None)
        if first is None or first.asked_wait is None or first.seen_at is None:
            return
        waited = wait_after(first, exchange)
        if waited >= min(first.asked_wait, LONGEST_WAIT) - ROUNDING:
            self._respected[exchange.identity] += 1
        elif self._respected[exchange.identity] < PATIENT:
            claim = (
                f"{describe.request(exchange)} was sent again (#{exchange.number}) {waited:.2f} s after #{first.number} "
                f"had asked for {first.asked_wait:g} s."
            )
            self.accuse(exchange.identity, claim, first, exchange)

    def seen(self, exchange: Exchange) -> None:
        if exchange.failed and exchange.asked_wait is not None:
            self._asked[exchange.identity] = exchange
        elif not exchange.failed:
            self._respected.pop(exchange.identity, None)


class PermanentErrorResent(Rule):
    """The same request was sent again after an error that will not go away by itself."""

    name = "permanent-error-resent"
    why = "The answer will be the same: the loop wastes its rounds and the request quota, or never ends."
    fix = "Stop on 400, 401, 402, 403, 404, 409 and 422 and report the error; retry 429, 502, 503 and 504."

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._refused: dict[tuple[str, frozenset[str]], Exchange] = {}
        self._invalid: dict[tuple[str, frozenset[str]], Exchange] = {}

    def sent(self, exchange: Exchange) -> None:
        same = exchange.identity, keys_of(exchange)
        first = self._refused.get(same) or self._invalid.get(same)
        if first and bisect_left(self.changes, first.number) == bisect_left(self.changes, exchange.number):
            claim = f"{describe.request(exchange)} was sent again (#{exchange.number}) after {describe.result(first)} (#{first.number})."
            self.accuse(exchange.identity, claim, first, exchange)

    def seen(self, exchange: Exchange) -> None:
        if permanent(exchange):
            # Of a submit that is no JSON the log does not hold enough to tell two of them apart.
            if not exchange.is_submit or exchange.request_json is not None:
                valid = exchange.seen != 422 or not exchange.is_submit
                refused = self._refused if valid else self._invalid
                refused[exchange.identity, keys_of(exchange)] = exchange
        elif not exchange.failed:
            # Whatever worked may have changed what the others were refused for; no body becomes valid by it.
            self._refused.clear()


class NoBackoff(Rule):
    """A failing request was repeated again and again without a pause."""

    name = "no-backoff"
    why = "A service that fails under load is hit hardest just then, by every client that does this."
    fix = "Wait before each repetition, longer each time: 1, 2, 4 seconds."
    exact_waits_only = True

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._failed: dict[str, Exchange] = {}
        self._streaks: dict[str, list[Exchange]] = defaultdict(list)

    def sent(self, exchange: Exchange) -> None:
        identity = exchange.identity
        first = self._failed.pop(identity, None)
        streak = self._streaks[identity]
        if first is None or first.seen_at is None or wait_after(first, exchange) >= SHORTEST_BACKOFF:
            streak.clear()
            return
        streak.append(exchange)
        if len(streak) >= RESENDS_AT_ONCE:
            claim = (
                f"{describe.request(exchange)} was sent again without a pause, {RESENDS_AT_ONCE} times or more in a "
                f"row, after {describe.result(first)}."
            )
            self.accuse(identity, claim, *streak[-RESENDS_AT_ONCE:])

    def seen(self, exchange: Exchange) -> None:
        # An error that asks for time, or that will not go away, is another rule's.
        if exchange.failed and exchange.asked_wait is None and not permanent(exchange):
            self._failed[exchange.identity] = exchange
