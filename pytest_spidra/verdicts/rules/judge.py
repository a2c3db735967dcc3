"""The rules: what makes a client unsafe, expensive or impolite.

A rule accuses with evidence only. It reads the exchange log and nothing else, so it judges a replay as it
judges a live run. Each is a class with `sent` and, where it needs one, `seen`; the log is played to all of
them in the order in which things happened to the client: a request is sent, a reply is seen. What the client
knows when it sends a request is kept in `Knowledge`, so that no rule blames it for what it could not know.

A new rule is a class in one of this folder's files and its name in `RULES`.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from pytest_spidra.traffic.senders import merged
from pytest_spidra.verdicts.rules.errors import NoBackoff, PermanentErrorResent, RetryAfterIgnored
from pytest_spidra.verdicts.rules.keys import KeyInUrl, MissingKey
from pytest_spidra.verdicts.rules.knowledge import Knowledge
from pytest_spidra.verdicts.rules.money import (
    BlindResend,
    DoubleSubmission,
    DuplicateUrls,
    PaidAgain,
    ResubmittedUnfinished,
)
from pytest_spidra.verdicts.rules.polling import BusyPolling, PollAfterTerminal
from pytest_spidra.verdicts.rules.retries import NothingToRetry, RetryBeforeTerminal, RetryOfCancelled

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from pytest_spidra.traffic.exchanges import Exchange
    from pytest_spidra.traffic.log import ExchangeLog
    from pytest_spidra.verdicts.rules.base import Accusation, Rule

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
        DuplicateUrls,
    )
}


def judge(log: ExchangeLog, names: Collection[str] | None = None) -> list[Accusation]:
    """Return what the rules find in a log, in the order of `RULES`.

    Args:
        log: The exchanges.

        names: Only these rules; None for all.
    """
    knowledge = Knowledge()
    exchanges = list(log)
    senders = merged(exchanges)
    rules = [
        rule(knowledge, log.changes, senders)
        for name, rule in RULES.items()
        if (names is None or name in names) and (log.virtual or not rule.exact_waits_only)
    ]
    landed: dict[int | None, list[Exchange]] = defaultdict(list)
    for exchange in sorted(exchanges, key=lambda one: one.seen_at or 0.0):
        landed[exchange.known].append(exchange)
    for exchange in exchanges:
        for rule in rules:
            rule.sent(exchange)
        for one in landed[exchange.number]:
            for rule in rules:
                rule.seen(one)
            knowledge.learn(one)
    return _one_for_each_deed(rules)


def _one_for_each_deed(rules: Sequence[Rule]) -> list[Accusation]:
    """Return the accusations, each deed charged by the gravest rule, which names the others' remedies."""
    charged: dict[int, Accusation] = {}
    left: list[Accusation] = []
    for rule in rules:
        for accusation in rule.accusations:
            if rule.shares_deeds:
                graver = {id(charged[deed]): charged[deed] for deed in accusation.deeds if deed in charged}
                fresh = accusation.deeds - charged.keys()
                if not fresh:
                    for one in graver.values():
                        if rule.name not in RULES[one.rule].covers and accusation.fix not in (
                            one.fix,
                            *one.also,
                        ):
                            one.also.append(accusation.fix)
                    continue
                charged |= dict.fromkeys(fresh, accusation)
            left.append(accusation)
    return left
