"""The rules: what makes a batch client unsafe, expensive or impolite.

A rule accuses with evidence only. It reads the exchange log and nothing else, so it judges a replay as it
judges a live run. Each is a class with `sent` and, where it needs one, `seen`; the log is played to all of
them in the order in which things happened to the client: a request is sent, a reply is seen. What the client
knows when it sends a request is kept in `Knowledge`, so that no rule blames it for what it could not know.

A new rule is a class here and its name in `RULES`.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_spidra import words
from pytest_spidra.redaction import REDACTED

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from pytest_spidra.exchanges import Exchange
    from pytest_spidra.log import ExchangeLog

TERMINAL = frozenset({"completed", "failed", "cancelled"})

# The request was on its way, or may have been: the service may have done the work.
FATE_UNKNOWN = frozenset(
    {
        504,
        "ReadTimeout",
        "ReadError",
        "WriteTimeout",
        "WriteError",
        "CloseError",
        "RemoteProtocolError",
        "cancelled",
    }
)
PERMANENT = frozenset({400, 401, 402, 403, 404, 409, 422})

LONGEST_WAIT = 30.0  # seconds of Retry-After that count; the official SDK waits no longer either
SHORTEST_POLL = 1.0  # seconds between two looks at a running batch; Spidra's documentation says 2 to 5
SHORTEST_BACKOFF = 0.1  # seconds
RESENDS_AT_ONCE = 3
PATIENT = 3  # waits as asked, in a row
NO_RESULT: tuple[Any, ...] = (None, "", [], {})
ROUNDING = 1e-6  # seconds


@dataclass
class Accusation:
    """One rule broken in one way: what the client did, and which exchanges show it."""

    rule: str
    claim: str
    numbers: list[int]


@dataclass
class BatchKnowledge:
    """What the client knows of one batch: from the last look at it, or from what it did to it since."""

    options: str | None = None
    status: str | None = None
    failed: int | None = None
    completed: int = 0
    look: Exchange | None = None
    as_of: int = 0  # the exchange that told; a reply to an earlier request is stale


@dataclass
class Knowledge:
    """What the client knows: everything that it has seen so far."""

    batches: dict[str, BatchKnowledge] = field(default_factory=lambda: defaultdict(BatchKnowledge))
    completed: dict[tuple[str, str], int] = field(default_factory=dict)

    def learn(self, exchange: Exchange) -> None:
        """Take in what the client has just seen."""
        if exchange.endpoint == "batch.list":
            for job in _dicts(_field(exchange, "jobs")):
                self._look(self.batches[str(job.get("uuid"))], exchange, job)
        if exchange.batch_id is None:
            return
        batch = self.batches[exchange.batch_id]
        if exchange.endpoint == "batch.submit":
            batch.options = _options(exchange)
        elif exchange.endpoint == "batch.get" and looked(exchange):
            self._look(batch, exchange, exchange.seen_json)
        elif exchange.endpoint == "batch.retry" and not exchange.failed:
            batch.status, batch.failed, batch.as_of = "running", 0, exchange.number
        elif exchange.endpoint == "batch.cancel" and not exchange.failed:
            batch.status, batch.as_of = "cancelled", exchange.number
        elif exchange.endpoint == "batch.cancel" and _field(exchange, "code") == "ALREADY_TERMINAL":
            batch.status = None  # it has ended, and the reply does not say how

    def _look(self, batch: BatchKnowledge, exchange: Exchange, body: dict[str, Any]) -> None:
        if exchange.number < batch.as_of:
            return
        status, count = body.get("status"), body.get("completedCount")
        batch.status = status if isinstance(status, str) else None
        batch.failed, batch.look, batch.as_of = body.get("failedCount"), exchange, exchange.number
        if batch.options is None or "items" not in body or count == batch.completed:
            return
        batch.completed = count if isinstance(count, int) else 0
        for item in _dicts(body["items"]):
            if item.get("status") == "completed" and item.get("result") not in NO_RESULT:
                self.completed.setdefault((str(item.get("url")), batch.options), exchange.number)


class Rule:
    """One rule. `why` and `fix` are what a reader of its accusation needs to know."""

    name: ClassVar[str]
    why: ClassVar[str]
    fix: ClassVar[str]
    exact_waits_only: ClassVar[bool] = False

    def __init__(self, knowledge: Knowledge, changes: Iterable[int]) -> None:
        self.knowledge = knowledge
        self.changes = tuple(changes)
        self._accusations: dict[object, Accusation] = {}

    def sent(self, exchange: Exchange) -> None:
        """The client sends a request."""

    def seen(self, exchange: Exchange) -> None:
        """The client sees what came of a request. `knowledge` does not have it yet."""

    def accuse(self, subject: object, claim: str, *guilty: Exchange) -> None:
        """Accuse the client; more of the same `subject` adds to the evidence."""
        accusation = self._accusations.setdefault(subject, Accusation(self.name, claim, []))
        accusation.numbers += [one.number for one in guilty if one.number not in accusation.numbers[-3:]]

    def withdraw(self, subject: object) -> None:
        """Take an accusation back: what came later shows the client innocent."""
        self._accusations.pop(subject, None)

    @property
    def accusations(self) -> list[Accusation]:
        """What this rule has found."""
        return list(self._accusations.values())


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
        if exchange.endpoint != "batch.submit" or not _accepted(exchange):
            return
        if lost := self._unseen.pop(exchange.identity, None):
            first = lost[max(lost)]
            claim = (
                f"The service accepted the same {_urls(exchange)} twice, in #{first.number} and "
                f"#{exchange.number}; of #{first.number} the client saw {words.sight(first)}."
            )
            self.accuse(exchange.identity, claim, *lost.values(), exchange)

    def seen(self, exchange: Exchange) -> None:
        if exchange.endpoint == "batch.submit" and _accepted(exchange):
            if not (looked(exchange) and _field(exchange, "batchId")):
                self._unseen[exchange.identity][exchange.number] = exchange
                self._lost[exchange.batch_id] = exchange
        elif exchange.endpoint in {"batch.get", "batch.cancel"} and looked(exchange):
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
                f"{words.request(exchange)} was sent again (#{exchange.number}) after {words.sight(first)} "
                f"(#{first.number}) without a look at what had become of it."
            )
            self.accuse(exchange.identity, claim, first, exchange)

    def seen(self, exchange: Exchange) -> None:
        if exchange.endpoint in {"batch.submit", "batch.retry"} and exchange.seen in FATE_UNKNOWN:
            self._open[exchange.identity] = exchange
            self._about[exchange.batch_id].append(exchange.identity)
        elif exchange.endpoint == "batch.list" and looked(exchange):
            self._open.clear()
            self._about.clear()
        elif exchange.endpoint == "batch.get" and looked(exchange):
            # It tells of this batch alone, and nothing of a submit that is lost.
            for identity in self._about.pop(exchange.batch_id, ()):
                self._open.pop(identity, None)


class PaidAgain(Rule):
    """A page that the client had was bought again."""

    name = "paid-again"
    why = "The result was there already: the page is scraped and billed a second time."
    fix = "Keep the results you have; submit only what failed, or better, POST …/retry."

    def sent(self, exchange: Exchange) -> None:
        if exchange.endpoint != "batch.submit" or not _accepted(exchange):
            return
        options = _options(exchange)
        again = [url for url in words.urls_of(exchange) if (url, options) in self.knowledge.completed]
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
        if exchange.endpoint in {"batch.get", "batch.cancel"}:
            # The client still holds the first batch: it wants both, or ends the first.
            self.withdraw(exchange.batch_id)
        if exchange.endpoint != "batch.submit" or not _accepted(exchange):
            return
        batch_id = self._batch_of.get(exchange.identity)
        batch = self.knowledge.batches[batch_id] if batch_id else None
        if batch and batch.look and batch.status in {"pending", "running"}:
            claim = (
                f"#{exchange.number} submits the same {_urls(exchange)} again while their batch, last seen in "
                f"#{batch.look.number}, was {batch.status}; the client never came back to it."
            )
            self.accuse(batch_id, claim, batch.look, exchange)

    def seen(self, exchange: Exchange) -> None:
        if exchange.endpoint == "batch.submit" and not exchange.failed and exchange.batch_id:
            self._batch_of[exchange.identity] = exchange.batch_id


class RetryBeforeTerminal(Rule):
    """A retry was sent to a batch that was still at work."""

    name = "retry-before-terminal"
    why = "What fails afterwards is not retried, and what the service answers then is documented nowhere."
    fix = "Poll until the batch is completed, failed or cancelled, then look at failedCount."

    def sent(self, exchange: Exchange) -> None:
        batch = _retried(exchange, self.knowledge)
        if batch and batch.status in {"pending", "running"}:
            claim = f"{words.request(exchange)} (#{exchange.number}) was sent while the batch was last seen {batch.status}."
            self.accuse(exchange.batch_id, claim, *([batch.look] if batch.look else []), exchange)


class NothingToRetry(Rule):
    """A retry was sent although nothing had failed."""

    name = "nothing-to-retry"
    why = "The service refuses it with 400 NO_FAILED_ITEMS; a loop that does not look at failedCount goes on."
    fix = "Retry only when failedCount is above 0."

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._lost: dict[str | None, int] = {}

    def sent(self, exchange: Exchange) -> None:
        batch = _retried(exchange, self.knowledge)
        if not batch or batch.status not in {"completed", "failed"} or batch.failed != 0 or not batch.look:
            return
        if self._lost.get(exchange.batch_id, 0) < batch.look.number:
            claim = (
                f"{words.request(exchange)} (#{exchange.number}) was sent although #{batch.look.number} had shown "
                "a failedCount of 0."
            )
            self.accuse(exchange.batch_id, claim, batch.look, exchange)

    def seen(self, exchange: Exchange) -> None:
        if exchange.endpoint == "batch.retry" and exchange.seen in FATE_UNKNOWN and exchange.known:
            self._lost[exchange.batch_id] = exchange.known


class RetryOfCancelled(Rule):
    """A retry was sent to a batch known to be cancelled."""

    name = "retry-of-cancelled"
    why = "A cancelled batch cannot be retried: the request is refused, and its items stay as they are."
    fix = "End the loop when the status is cancelled; submit the URLs that are still wanted as a new batch."

    def sent(self, exchange: Exchange) -> None:
        batch = _retried(exchange, self.knowledge)
        if batch and batch.status == "cancelled" and not _accepted(exchange):
            claim = f"{words.request(exchange)} (#{exchange.number}) was sent although the batch was last seen cancelled."
            self.accuse(exchange.batch_id, claim, exchange)


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
        waited = _wait_after(first, exchange)
        if waited >= min(first.asked_wait, LONGEST_WAIT) - ROUNDING:
            self._respected[exchange.identity] += 1
        elif self._respected[exchange.identity] < PATIENT:
            claim = (
                f"{words.request(exchange)} was sent again (#{exchange.number}) {waited:.2f} s after #{first.number} "
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
        same = exchange.identity, _keys(exchange)
        first = self._refused.get(same) or self._invalid.get(same)
        if first and bisect_left(self.changes, first.number) == bisect_left(self.changes, exchange.number):
            claim = f"{words.request(exchange)} was sent again (#{exchange.number}) after {words.sight(first)} (#{first.number})."
            self.accuse(exchange.identity, claim, first, exchange)

    def seen(self, exchange: Exchange) -> None:
        if permanent(exchange):
            # Of a submit that is no JSON the log does not hold enough to tell two of them apart.
            if exchange.endpoint != "batch.submit" or exchange.request_json is not None:
                valid = exchange.seen != 422 or exchange.endpoint != "batch.submit"
                refused = self._refused if valid else self._invalid
                refused[exchange.identity, _keys(exchange)] = exchange
        elif not exchange.failed:
            # Whatever worked may have changed what the others were refused for; no body becomes valid by it.
            self._refused.clear()


class PollAfterTerminal(Rule):
    """The client went on polling a batch that had ended."""

    name = "poll-after-terminal"
    why = "Nothing changes any more: every look costs a request of the quota, and the loop may never end."
    fix = "End the loop on completed, failed and cancelled; one final fetch is fine."

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._ended: dict[str, Exchange] = {}
        self._looks: dict[str, list[Exchange]] = defaultdict(list)
        self._retried: dict[str, int] = {}

    def sent(self, exchange: Exchange) -> None:
        batch_id = exchange.batch_id
        if batch_id is None:
            return
        if exchange.endpoint == "batch.retry":
            self._retried[batch_id] = exchange.number
            self._forget(batch_id)
        elif exchange.endpoint == "batch.get" and batch_id in self._ended:
            looks = self._looks[batch_id]
            if looks and looks[-1].seen is not None and not looked(looks[-1]):
                looks.pop()
            looks.append(exchange)
            if len(looks) > 1:
                ended = self._ended[batch_id]
                claim = (
                    f"{words.request(exchange)} was sent more than once after #{ended.number} had shown the batch "
                    f"{_field(ended, 'status')}."
                )
                self.accuse((batch_id, ended.number), claim, *(looks if len(looks) == 2 else [exchange]))

    def seen(self, exchange: Exchange) -> None:
        batch_id = exchange.batch_id
        if exchange.endpoint != "batch.get" or batch_id is None or not looked(exchange):
            return
        if exchange.number < self._retried.get(batch_id, 0):
            return  # it shows the batch as it was before the retry
        ended = _field(exchange, "status") in tuple(TERMINAL)
        if not ended or (batch_id not in self._ended and self._at_work(exchange)):
            self._forget(batch_id)
        else:
            self._ended.setdefault(batch_id, exchange)

    @staticmethod
    def _at_work(exchange: Exchange) -> bool:
        """Whether an item is: what was in work when a batch was cancelled goes on, and is worth waiting for."""
        items = _dicts(_field(exchange, "items"))
        return any(item.get("status") in ("pending", "running") for item in items)

    def _forget(self, batch_id: str) -> None:
        self._ended.pop(batch_id, None)
        self._looks.pop(batch_id, None)


class BusyPolling(Rule):
    """The client looked at a running batch again at once."""

    name = "busy-polling"
    why = "Polling costs requests: 300 in 15 minutes are allowed, and a page takes seconds."
    fix = "Wait 2 to 5 seconds between two looks, as Spidra's documentation says."
    exact_waits_only = True

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._looks: dict[str, Exchange] = {}

    def sent(self, exchange: Exchange) -> None:
        if exchange.batch_id is None or exchange.endpoint == "batch.submit":
            return
        if exchange.endpoint != "batch.get":
            self._looks.pop(exchange.batch_id, None)  # to see what came of a cancel or a retry is no hurry
            return
        look = self._looks.get(exchange.batch_id)
        if look is None:
            return
        apart = max(exchange.sent_at - look.sent_at, exchange.sent_real - look.sent_real)
        if apart < SHORTEST_POLL - ROUNDING:
            claim = (
                f"{words.request(exchange)} (#{exchange.number}) came {apart:.2f} s after "
                f"#{look.number}, which had shown the batch {_field(look, 'status')}."
            )
            self.accuse(exchange.batch_id, claim, look, exchange)

    def seen(self, exchange: Exchange) -> None:
        if exchange.endpoint != "batch.get" or exchange.batch_id is None or not looked(exchange):
            return
        if _field(exchange, "status") in ("pending", "running"):
            self._looks[exchange.batch_id] = exchange
        else:
            self._looks.pop(exchange.batch_id, None)


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
        if first is None or first.seen_at is None or _wait_after(first, exchange) >= SHORTEST_BACKOFF:
            streak.clear()
            return
        streak.append(exchange)
        if len(streak) >= RESENDS_AT_ONCE:
            claim = (
                f"{words.request(exchange)} was sent again without a pause, {RESENDS_AT_ONCE} times or more in a "
                f"row, after {words.sight(first)}."
            )
            self.accuse(identity, claim, *streak[-RESENDS_AT_ONCE:])

    def seen(self, exchange: Exchange) -> None:
        # An error that asks for time, or that will not go away, is another rule's.
        if exchange.failed and exchange.asked_wait is None and not permanent(exchange):
            self._failed[exchange.identity] = exchange


class MissingKey(Rule):
    """A request carried no API key."""

    name = "missing-key"
    why = "The service answers it with 401."
    fix = "Send the header x-api-key, or Authorization: Bearer, with every request."

    def sent(self, exchange: Exchange) -> None:
        # A route of the user's own may be open to all.
        if not _keys(exchange) and (exchange.endpoint or exchange.answered == 401):
            claim = (
                f"{words.request(exchange)} (#{exchange.number}) has neither x-api-key nor a bearer token."
            )
            self.accuse("key", claim, exchange)


class KeyInUrl(Rule):
    """The API key stands in a URL."""

    name = "key-in-url"
    why = "URLs end up in the logs of every proxy and server on the way, and the key with them."
    fix = "Send the key in a header: x-api-key, or Authorization: Bearer."

    def sent(self, exchange: Exchange) -> None:
        if REDACTED in exchange.path:
            claim = f"The URL of {words.request(exchange)} (#{exchange.number}) holds the API key."
            self.accuse("url", claim, exchange)


RULES: dict[str, type[Rule]] = {
    rule.name: rule
    for rule in (
        DoubleSubmission,
        BlindResend,
        PaidAgain,
        ResubmittedUnfinished,
        RetryBeforeTerminal,
        NothingToRetry,
        RetryOfCancelled,
        RetryAfterIgnored,
        PermanentErrorResent,
        PollAfterTerminal,
        BusyPolling,
        NoBackoff,
        MissingKey,
        KeyInUrl,
    )
}


def judge(log: ExchangeLog, names: Collection[str] | None = None) -> list[Accusation]:
    """Return what the rules find in a log, in the order of `RULES`.

    Args:
        log: The exchanges.

        names: Only these rules; None for all.
    """
    knowledge = Knowledge()
    rules = [
        rule(knowledge, log.changes)
        for name, rule in RULES.items()
        if (names is None or name in names) and (log.virtual or not rule.exact_waits_only)
    ]
    landed: dict[int | None, list[Exchange]] = defaultdict(list)
    exchanges = list(log)
    for exchange in sorted(exchanges, key=lambda one: one.seen_at or 0.0):
        landed[exchange.known].append(exchange)
    for exchange in exchanges:
        for rule in rules:
            rule.sent(exchange)
        for one in landed[exchange.number]:
            for rule in rules:
                rule.seen(one)
            knowledge.learn(one)
    return [accusation for rule in rules for accusation in rule.accusations]


def _wait_after(first: Exchange, later: Exchange) -> float:
    """Return the seconds from what the client saw to its later request: virtual ones, or real if those are more."""
    virtual = later.sent_at - (first.sent_at if first.seen_at is None else first.seen_at)
    return max(virtual, later.sent_real - first.seen_real)


def looked(exchange: Exchange) -> bool:
    """Whether a reply told the client anything: no error, and a body that it could read."""
    return not exchange.failed and isinstance(exchange.seen_json, dict)


def _field(exchange: Exchange, name: str) -> Any:
    """Return a field of the body that the client saw, None when there is none."""
    return exchange.seen_json.get(name) if isinstance(exchange.seen_json, dict) else None


def _dicts(value: Any) -> list[dict[str, Any]]:
    """Return the objects in a list; a reply of a user's own route may hold anything."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _options(exchange: Exchange) -> str:
    """Return a submit's body without its URLs, as text that can be compared."""
    body = exchange.request_json
    rest = {name: value for name, value in body.items() if name != "urls"} if isinstance(body, dict) else body
    return json.dumps(rest, sort_keys=True)


def _accepted(exchange: Exchange) -> bool:
    return exchange.answered is not None and exchange.answered < 300


def _urls(exchange: Exchange) -> str:
    count = len(words.urls_of(exchange))
    return "URL" if count == 1 else f"{count} URLs"


def _retried(exchange: Exchange, knowledge: Knowledge) -> BatchKnowledge | None:
    """Return what the client knows of the batch that it sends a retry to."""
    if exchange.endpoint != "batch.retry" or exchange.batch_id is None:
        return None
    return knowledge.batches.get(exchange.batch_id)


def permanent(exchange: Exchange) -> bool:
    """Whether the client saw an error that will not go away by itself: one that asks for time may."""
    queue_down = _field(exchange, "code") == "QUEUE_UNAVAILABLE"
    return exchange.seen in PERMANENT and not queue_down and exchange.asked_wait is None


def _keys(exchange: Exchange) -> frozenset[str]:
    """Return which keys a request carries, each under the name that the log gives it."""
    return frozenset(value for value in exchange.headers.values() if value.startswith("[key "))
