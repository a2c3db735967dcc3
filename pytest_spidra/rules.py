"""The rules: what makes a batch client unsafe, expensive or impolite.

A rule accuses with evidence only. It reads the exchange log and nothing else, so it judges a replay as it
judges a live run. Each is a class with `sent` and, where it needs one, `seen`; the log is played to all of
them in the order in which things happened to the client: a request is sent, a reply is seen. What the client
knows when it sends a request is kept in `Knowledge`, so that no rule blames it for what it could not know.

A new rule is a class here and its name in `RULES`.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_spidra import words
from pytest_spidra.exchanges import REDACTED

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from pytest_spidra.exchanges import Exchange, ExchangeLog

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


@dataclass
class Knowledge:
    """What the client knows: everything that it has seen so far."""

    batches: dict[str, BatchKnowledge] = field(default_factory=lambda: defaultdict(BatchKnowledge))
    completed: dict[tuple[str, str], int] = field(default_factory=dict)

    def learn(self, exchange: Exchange) -> None:
        """Take in what the client has just seen."""
        body = exchange.seen_json
        if exchange.batch_id is None:
            return
        batch = self.batches[exchange.batch_id]
        if exchange.endpoint == "batch.submit":
            batch.options = _options(exchange)
        if exchange.failed or not isinstance(body, dict):
            return
        if exchange.endpoint == "batch.retry":
            batch.status, batch.failed = "running", 0
        elif exchange.endpoint == "batch.cancel":
            batch.status = "cancelled"
        elif exchange.endpoint == "batch.get":
            self._look(batch, exchange, body)

    def _look(self, batch: BatchKnowledge, exchange: Exchange, body: dict[str, Any]) -> None:
        batch.status, batch.failed, batch.look = body.get("status"), body.get("failedCount"), exchange
        if batch.options is None or body.get("completedCount") == batch.completed:
            return
        batch.completed = body.get("completedCount") or 0
        for item in body.get("items") or ():
            if isinstance(item, dict) and item.get("status") == "completed":
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
        self._unseen: dict[str, list[Exchange]] = defaultdict(list)

    def sent(self, exchange: Exchange) -> None:
        if exchange.endpoint != "batch.submit" or not _accepted(exchange):
            return
        for first in self._unseen[exchange.identity]:
            claim = (
                f"The service accepted the same {_urls(exchange)} twice, in #{first.number} and "
                f"#{exchange.number}; of #{first.number} the client saw {words.sight(first)}."
            )
            self.accuse(first.number, claim, first, exchange)

    def seen(self, exchange: Exchange) -> None:
        body = exchange.seen_json
        told = not exchange.failed and isinstance(body, dict) and "batchId" in body
        if exchange.endpoint == "batch.submit" and _accepted(exchange) and not told:
            self._unseen[exchange.identity].append(exchange)


class BlindResend(Rule):
    """A POST that may have worked was sent again without a look."""

    name = "blind-resend"
    why = "Nobody knows whether the first one worked. If it did, the second one costs credits again."
    fix = "Look first: GET the batch after a retry, GET /batch/scrape after a submit, then decide."

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._open: dict[str, Exchange] = {}

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
        elif exchange.endpoint in {"batch.get", "batch.list"} and not exchange.failed:
            self._open = {
                identity: first
                for identity, first in self._open.items()
                if first.endpoint == "batch.retry" and exchange.batch_id not in {None, first.batch_id}
            }


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
        if exchange.endpoint != "batch.submit" or not _accepted(exchange):
            return
        batch_id = self._batch_of.get(exchange.identity)
        batch = self.knowledge.batches[batch_id] if batch_id else None
        if batch and batch.look and batch.status in {"pending", "running"}:
            claim = (
                f"#{exchange.number} submits the same {_urls(exchange)} again while their batch, last seen in "
                f"#{batch.look.number}, was {batch.status}."
            )
            self.accuse(exchange.number, claim, batch.look, exchange)

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
            self.accuse(exchange.batch_id, claim, exchange)


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
        if batch and batch.status == "cancelled":
            claim = f"{words.request(exchange)} (#{exchange.number}) was sent although the batch was last seen cancelled."
            self.accuse(exchange.batch_id, claim, exchange)


class RetryAfterIgnored(Rule):
    """The client came back before the time that the service had asked for."""

    name = "retry-after-ignored"
    why = "The service asked for time; coming back early adds to its load and is likely to be refused again."
    fix = f"Wait for Retry-After, or the body's retry_after; {LONGEST_WAIT:g} s are enough for this rule."

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._asked: dict[str, Exchange] = {}

    def sent(self, exchange: Exchange) -> None:
        first = self._asked.pop(exchange.identity, None)
        if first is None or first.asked_wait is None or first.seen_at is None:
            return
        waited = exchange.sent_at - first.seen_at
        if waited < min(first.asked_wait, LONGEST_WAIT) - ROUNDING:
            claim = (
                f"{words.request(exchange)} was sent again (#{exchange.number}) {waited:.2f} s after #{first.number} "
                f"had asked for {first.asked_wait:g} s."
            )
            self.accuse(exchange.identity, claim, first, exchange)

    def seen(self, exchange: Exchange) -> None:
        if exchange.failed and exchange.asked_wait is not None:
            self._asked[exchange.identity] = exchange


class PermanentErrorResent(Rule):
    """The same request was sent again after an error that will not go away by itself."""

    name = "permanent-error-resent"
    why = "The answer will be the same: the loop wastes its rounds and the request quota, or never ends."
    fix = "Stop on 400, 401, 402, 403, 404, 409 and 422 and report the error; retry 429, 502, 503 and 504."

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._refused: dict[str, Exchange] = {}

    def sent(self, exchange: Exchange) -> None:
        first = self._refused.get(exchange.identity)
        if not first or any(first.number <= change < exchange.number for change in self.changes):
            return
        if _keys(first) == _keys(exchange):
            claim = f"{words.request(exchange)} was sent again (#{exchange.number}) after {words.sight(first)} (#{first.number})."
            self.accuse(exchange.identity, claim, first, exchange)

    def seen(self, exchange: Exchange) -> None:
        code = exchange.seen_json.get("code") if isinstance(exchange.seen_json, dict) else None
        if exchange.seen in PERMANENT and code != "QUEUE_UNAVAILABLE":
            self._refused[exchange.identity] = exchange
        elif not exchange.failed:
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

    def sent(self, exchange: Exchange) -> None:
        batch_id = exchange.batch_id
        if batch_id is None:
            return
        if exchange.endpoint == "batch.retry":
            self._ended.pop(batch_id, None)
            self._looks.pop(batch_id, None)
        elif exchange.endpoint == "batch.get" and batch_id in self._ended:
            looks = self._looks[batch_id]
            if looks and looks[-1].failed:
                looks.pop()
            looks.append(exchange)
            if len(looks) > 1:
                ended = self._ended[batch_id]
                claim = (
                    f"{words.request(exchange)} was sent more than once after #{ended.number} had shown the batch "
                    f"{self.knowledge.batches[batch_id].status}."
                )
                self.accuse((batch_id, ended.number), claim, exchange)

    def seen(self, exchange: Exchange) -> None:
        body = exchange.seen_json
        looked = exchange.endpoint == "batch.get" and not exchange.failed and isinstance(body, dict)
        if looked and exchange.batch_id and body.get("status") in TERMINAL:
            self._ended.setdefault(exchange.batch_id, exchange)


class BusyPolling(Rule):
    """The client looked at a running batch again at once."""

    name = "busy-polling"
    why = "Polling costs requests: 300 in 15 minutes are allowed, and a page takes seconds."
    fix = "Wait 2 to 5 seconds between two looks, as Spidra's documentation says."
    exact_waits_only = True

    def sent(self, exchange: Exchange) -> None:
        if exchange.endpoint != "batch.get" or exchange.batch_id is None:
            return
        batch = self.knowledge.batches.get(exchange.batch_id)
        if not batch or not batch.look or batch.status not in {"pending", "running"}:
            return
        apart = exchange.sent_at - batch.look.sent_at
        # After a retry the batch runs again, and the last look was at what had ended.
        shown = batch.look.seen_json.get("status")
        if shown not in TERMINAL and apart < SHORTEST_POLL - ROUNDING:
            claim = (
                f"{words.request(exchange)} (#{exchange.number}) came {apart:.2f} s after #{batch.look.number}, "
                f"which had shown the batch {shown}."
            )
            self.accuse(exchange.batch_id, claim, batch.look, exchange)


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
        if first is None or first.seen_at is None or exchange.sent_at - first.seen_at >= SHORTEST_BACKOFF:
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
        if exchange.failed and exchange.asked_wait is None and exchange.seen not in PERMANENT:
            self._failed[exchange.identity] = exchange


class MissingKey(Rule):
    """A request carried no API key."""

    name = "missing-key"
    why = "The service answers it with 401."
    fix = "Send the header x-api-key, or Authorization: Bearer, with every request."

    def sent(self, exchange: Exchange) -> None:
        if not _keys(exchange):
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
    for exchange in exchanges:
        landed[exchange.known].append(exchange)
    for exchange in exchanges:
        for rule in rules:
            rule.sent(exchange)
        for one in landed[exchange.number]:
            for rule in rules:
                rule.seen(one)
            knowledge.learn(one)
    return [accusation for rule in rules for accusation in rule.accusations]


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


def _keys(exchange: Exchange) -> set[str]:
    """Return which keys a request carries, each under the name that the log gives it."""
    return {value for value in exchange.headers.values() if value.startswith("[key ")}
