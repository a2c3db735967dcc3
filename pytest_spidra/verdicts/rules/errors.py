"""Rules about what a client does after an error. Each sender is judged by itself."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_spidra.traffic import describe
from pytest_spidra.verdicts.rules.base import Rule
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
)

if TYPE_CHECKING:
    from pytest_spidra.traffic.exchanges import Exchange

SHORTEST_BACKOFF = 0.1  # seconds; a wait that is shorter is none
RESENDS_AT_ONCE = 3
SHORT_BACKOFF = 1.0  # seconds
RESENDS_IN_HASTE = 6
PATIENT = 3  # waits as asked, in a row
MOMENTS = 30.0  # seconds in which a batch that was accepted may still be unknown to a look


class RetryAfterIgnored(Rule):
    """The client came back before the time that the service had asked for.

    One that has waited as asked three times in a row does not ignore the service: when its own patience ends
    then (the official SDK's does, and its polling goes on at its own pace), it is left alone. A plain 429 is the
    account's quota, and asks for time before any request.
    """

    name = "retry-after-ignored"
    merges_senders = False
    why = "The service asked for time; coming back early adds to its load and is likely to be refused again."
    fix = f"Wait for Retry-After, or the body's retry_after; {LONGEST_WAIT:g} s are enough for this rule."

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._asked: dict[object, Exchange] = {}
        self._quota: dict[object, Exchange] = {}
        self._respected: dict[object, int] = defaultdict(int)

    def sent(self, exchange: Exchange) -> None:
        sender = self.sender(exchange)
        first = self._asked.pop((sender, exchange.identity), None)
        quota = self._quota.get((sender, keys_of(exchange)))
        if first is not None and first.asked_wait is not None:
            subject: object = (sender, exchange.identity)
            what = f"{describe.request(exchange)} was sent again"
        elif quota is not None:
            first, subject = quota, (sender, "quota", quota.number)
            what = f"{describe.request(exchange)} was sent"
        else:
            return
        waited = wait_after(first, exchange)
        if waited >= asked_seconds(first) - ROUNDING:
            self._respected[subject] += 1
            self._quota.pop((sender, keys_of(exchange)), None)
        elif self._respected[subject] < PATIENT:
            claim = f"{what} (#{exchange.number}) {waited:.2f} s after #{first.number} had asked for {first.asked_wait:g} s"
            claim += " before any request of the account." if first is quota else "."
            self.accuse(subject, claim, [first], exchange, sender=sender)

    def seen(self, exchange: Exchange) -> None:
        sender = self.sender(exchange)
        if exchange.failed and exchange.asked_wait is not None:
            self._asked[sender, exchange.identity] = exchange
            if exchange.seen == 429 and not field_of(exchange, "code"):
                self._quota[sender, keys_of(exchange)] = exchange
        elif not exchange.failed:
            self._respected.pop((sender, exchange.identity), None)


@dataclass
class _Refused:
    """A request that was refused for good, until something changes."""

    last: Exchange
    look: int  # how many looks had been seen before it
    repeated: int = 0


class PermanentErrorResent(Rule):
    """The same request was sent again after an error that will not go away by itself."""

    name = "permanent-error-resent"
    merges_senders = False
    why = (
        "Nothing that the client saw in between gave reason to hope for another answer: such requests use up the "
        "quota, and a loop of them may never end."
    )
    fix = "Stop on 400, 401, 402, 403, 404, 409 and 422 and report the error; retry 429, 502 and 503, and looks after 504."

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._refused: dict[object, _Refused] = {}
        self._invalid: dict[object, _Refused] = {}  # submits that no change of anything else makes valid
        self._looks = 0

    def sent(self, exchange: Exchange) -> None:
        sender = self.sender(exchange)
        subject = sender, exchange.identity, keys_of(exchange)
        refused = self._refused.get(subject) or self._invalid.get(subject)
        if refused is None:
            return
        last = refused.last
        changed = bisect_left(self.changes, last.number) != bisect_left(self.changes, exchange.number)
        if changed or not is_fresh(last, exchange):
            self._refused.pop(subject, None)
            self._invalid.pop(subject, None)
            return
        refused.repeated += 1
        allowed = 1 if refused.look < self._looks or self._may_be_new(last) else 0
        if refused.repeated > allowed:
            claim = (
                f"{describe.request(exchange)} was sent again (#{exchange.number}) after {describe.result(last)} "
                f"(#{last.number})."
            )
            self.accuse(subject, claim, [last], exchange, sender=sender)

    def seen(self, exchange: Exchange) -> None:
        subject = self.sender(exchange), exchange.identity, keys_of(exchange)
        if permanent(exchange):
            # Of a submit that is no JSON the log does not hold enough to tell two of them apart.
            if not exchange.is_submit or exchange.request_json is not None:
                invalid = exchange.is_submit and exchange.seen == 422
                known = self._invalid if invalid else self._refused
                known.setdefault(subject, _Refused(exchange, self._looks)).last = exchange
        elif looked(exchange) and (exchange.is_look or exchange.is_list):
            refused = self._refused.get(subject)
            if refused and refused.last.seen == 404 and refused.repeated == 1:
                self.withdraw(subject)  # the batch was there, and its row late: one more look was right
            self._looks += 1
            if self.knowledge.shows_news(exchange):
                self._refused.clear()
        elif not exchange.failed:
            self._refused.clear()  # something has changed that others may have been refused for

    def _may_be_new(self, last: Exchange) -> bool:
        """Whether a batch is not found that was accepted moments ago: its row may not be there yet."""
        batch = self.knowledge.batches.get(last.batch_id or "")
        submit = batch.accepted if batch else None
        return last.seen == 404 and submit is not None and wait_after(submit, last) <= MOMENTS


class NoBackoff(Rule):
    """A failing request was repeated again and again without a pause, or with one that is no more than a blink."""

    name = "no-backoff"
    why = "A service that fails under load is hit hardest just then, by every client that does this."
    fix = "Wait before each repetition, longer each time: 1, 2, 4 seconds."
    exact_waits_only = True

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._failed: dict[object, Exchange] = {}
        self._at_once: dict[object, list[Exchange]] = defaultdict(list)
        self._in_haste: dict[object, list[Exchange]] = defaultdict(list)

    def sent(self, exchange: Exchange) -> None:
        sender = self.sender(exchange)
        subject = sender, exchange.identity
        first = self._failed.pop(subject, None)
        if first is None or first.seen_at is None:
            self._at_once.pop(subject, None)
            self._in_haste.pop(subject, None)
            return
        # From sending to sending: a timeout of five seconds is a pause for the service, too.
        wait = exchange.sent_at - first.sent_at
        for streak, shortest, most, pause in (
            (self._at_once[subject], SHORTEST_BACKOFF, RESENDS_AT_ONCE, "without a pause"),
            (self._in_haste[subject], SHORT_BACKOFF, RESENDS_IN_HASTE, "less than a second apart"),
        ):
            if wait >= shortest - ROUNDING:
                streak.clear()
                continue
            streak.append(exchange)
            if len(streak) >= most:
                claim = (
                    f"{describe.request(exchange)} was sent again {pause}, {most} times or more in a "
                    f"row, after {describe.result(first)}."
                )
                self.accuse(subject, claim, [], *streak[-most:], sender=sender)
                break

    def seen(self, exchange: Exchange) -> None:
        # An error that asks for time, or that will not go away, is another rule's.
        if exchange.failed and exchange.asked_wait is None and not permanent(exchange):
            self._failed[self.sender(exchange), exchange.identity] = exchange
