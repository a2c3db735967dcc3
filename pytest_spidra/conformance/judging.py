"""What is wrong with a run: each complaint says in one sentence what would happen in production.

Judged are the result (nothing lost, nothing invented, the last state of every page), the bill, the rounds, the
waits and the rules. What a careful runner may choose is left open: an `Expected` says how much.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from pytest_spidra.conformance.pages import (
    Page,
    and_paid,
    are,
    counted,
    in_credits,
    named,
    pages_of,
    short,
    were,
)
from pytest_spidra.conformance.runs import field_of, has_field
from pytest_spidra.verdicts.rules.judge import judge

if TYPE_CHECKING:
    from pytest_spidra.conformance.runs import Observed, Run

LONGEST_RUN = 1800.0
"""Seconds after which a run that meets a service that never ends its work is to have given up."""


class Expected(Enum):
    """What a careful runner is to do about a failure."""

    FINISH = "finish"
    """It gets over it and returns every page in its last state, after as many rounds as it was given."""

    FINISH_OR_RAISE = "finish or raise"
    """It gets over it, or it raises: either is careful, and to return less than everything is neither."""

    HONEST = "raise, or tell the truth"
    """It cannot finish. It raises, or returns every page with a state that is true."""


@dataclass
class Complaint:
    """One thing that is wrong.

    Args:
        word: What it is in a word or two, for the policy table.

        sentence: What would happen in production.

        numbers: The exchanges that show it.
    """

    word: str
    sentence: str
    numbers: set[int] = field(default_factory=set)


def complaints(
    observed: Observed,
    expected: Expected,
    longest: float = LONGEST_RUN,
    healing: dict[str, int] | None = None,
) -> list[Complaint]:
    """Return what is wrong with what was observed, the worst first.

    Args:
        observed: The runs and what answered them.

        expected: What a careful runner does.

        longest: Seconds that it may take at most.

        healing: For URLs that fail at first, the number of the attempt that completes, 0 for never; others
            complete in the first.
    """
    found: list[Complaint] = []
    pages = [page for run in observed.runs for page in pages_of(observed, run)]
    found += _endless(observed)
    found += _paid_twice(observed, pages)
    for run in observed.runs:
        if not run.endless:
            found += _of_run(observed, run, expected, healing or {})
    found += _too_long(observed, longest)
    found += _accusations(observed)
    return found


def _endless(observed: Observed) -> list[Complaint]:
    if not any(run.endless for run in observed.runs):
        return []
    log, seconds = observed.session.wiring.log, observed.elapsed
    going = f"after {len(log)} requests and {seconds:g} s it still goes on, and nothing that it sees changes any more"
    if log and log[-1].seen is None:
        going = "it waits for a reply that never comes, without a limit"
    elif not seconds:
        going = f"it has sent {len(log)} requests without a pause, and nothing that it sees changes any more"
    place = next(
        (found for one in observed.session.failures if (found := one.partition("Sent from ")[2])), ""
    )
    where = f" It is at {place}" if place else ""
    return [Complaint("hangs", f"The run would hang for ever: {going}.{where}")]


def _paid_twice(observed: Observed, pages: list[Page]) -> list[Complaint]:
    again = [page for page in pages if page.paid > 1]
    if not again:
        return []
    price = observed.session.mock.account.price_per_url
    lost = sum((page.paid - 1) * price for page in again)
    batches = list(dict.fromkeys(batch for page in again for batch in page.batches))
    sentence = (
        f"{in_credits(lost)} would be lost: {named(page.url for page in again)} {are(again)} scraped and billed "
        f"{'twice' if max(page.paid for page in again) == 2 else f'{max(page.paid for page in again)} times'}, in batches "
        f"{', '.join(batch.partition('-')[0] for batch in batches)}."
    )
    log = observed.session.wiring.log
    return [
        Complaint(
            "paid twice", sentence, {one.number for one in log if one.is_submit and one.batch_id in batches}
        )
    ]


def _of_run(observed: Observed, run: Run, expected: Expected, healing: dict[str, int]) -> list[Complaint]:
    pages = pages_of(observed, run)
    if run.error is not None:
        return _gave_up(observed, run, pages) if expected is Expected.FINISH else []
    if not run.urls:
        return _invented(run, pages)
    if not run.items:
        what = (
            "None"
            if run.returned is None
            else "an empty list"
            if run.items == []
            else f"a {type(run.returned).__name__}"
        )
        told = f"The run would return {what} where {counted(len(run.urls), 'page')} {were(pages)} asked for, and nobody is told"
        return [Complaint("silent", f"{told}{and_paid(observed, pages)}.")]
    return [
        *_lost(observed, run, pages),
        *_invented(run, pages),
        *_untrue(pages, run),
        *(_unfinished(observed, pages, healing, run) if expected is not Expected.HONEST else []),
        *_too_many_rounds(pages, run),
    ]


def _gave_up(observed: Observed, run: Run, pages: list[Page]) -> list[Complaint]:
    assert run.error is not None  # noqa: S101 - for type checkers
    text = " ".join(str(run.error).split())
    raised = type(run.error).__name__ + (f" ({text if len(text) < 80 else text[:79] + '…'})" if text else "")
    paid = [page for page in pages if page.paid]
    left = and_paid(observed, pages) if paid else ""
    return [
        Complaint(
            "gives up early",
            f"The run would end with {raised} where a second try would have done: {counted(len(pages), 'page')} "
            f"{are(pages)} missing{left}.",
        )
    ]


def _lost(observed: Observed, run: Run, pages: list[Page]) -> list[Complaint]:
    lost = [page for page in pages if not run.returned_of(page.url)]
    if not lost:
        return []
    sentence = f"{len(lost)} of {counted(len(pages), 'page')} would be missing from the result, and nobody is told: {named(page.url for page in lost)}{and_paid(observed, lost)}."
    return [Complaint("pages missing", sentence)]


def _invented(run: Run, pages: list[Page]) -> list[Complaint]:
    known = {page.url for page in pages}
    urls = [field_of(item, "url") for item in run.items or []]
    if strange := [url for url in urls if url not in known]:
        what = "items without a `url`" if strange[0] is None else f"{strange[0]}, which nobody has asked for"
        return [Complaint("invented", f"The result would hold {what}.")]
    twice = [page.url for page in pages if urls.count(page.url) > max(run.urls.count(page.url), 1)]
    if twice:
        return [
            Complaint(
                "invented",
                f"The result would hold {named(twice)} more than once: whoever adds it up counts too much.",
            )
        ]
    return []


def _untrue(pages: list[Page], run: Run) -> list[Complaint]:
    """Compare the last that the service knows of each page with what was returned of it."""
    for page in pages:
        for item in run.returned_of(page.url):
            if wrong := _wrong(page, item):
                word, sentence = wrong
                return [Complaint(word, f"{page.url} would be reported {sentence}.")]
    return []


def _wrong(page: Page, item: Any) -> tuple[str, str] | None:  # noqa: PLR0911 - one for each way to be wrong
    told, last = field_of(item, "status"), page.last
    if not isinstance(told, str):
        return (
            "no status",
            f"without a status ({told!r}): whoever reads the result cannot tell it from a good one",
        )
    true = last.status if last else None
    if told == "completed" and true != "completed":
        became = f"it is {true}" if true else "the service never had it"
        return "invented", f"completed, and {became}: whoever reads the result takes nothing for something"
    if last is None or true not in ("completed", "failed", "cancelled"):
        return None
    if true == "completed" and told != "completed":
        return "paid page lost", f"{told}, and its last attempt completed: it is paid for and thrown away"
    if true in ("failed", "cancelled") and told not in ("failed", "cancelled"):
        return "old state", f"{told}, and its last attempt has {true}: somebody waits for it in vain"
    if true == "completed" and field_of(item, "result") != last.result:
        return (
            "wrong result",
            f"with a result that is not its own ({short(field_of(item, 'result'))} in place of {short(last.result)})",
        )
    if told == "failed" == true and has_field(item, "error") and field_of(item, "error") != last.error:
        return (
            "old state",
            f"with the error {field_of(item, 'error')!r} of an earlier round, and the last one ended with {last.error!r}",
        )
    return None


def _unfinished(observed: Observed, pages: list[Page], healing: dict[str, int], run: Run) -> list[Complaint]:
    """Complain of pages that were left before their end, or after fewer rounds than were given."""
    left = [page for page in pages if page.last is None or not page.last.terminal]
    if left:
        return [
            Complaint(
                "leaves early",
                f"The run would end while {named(page.url for page in left)} {are(left)} still being scraped{and_paid(observed, left)}: the result is never fetched.",
            )
        ]
    for page in pages:
        needed = healing.get(page.url, 1) or run.rounds
        needed = min(needed, run.rounds)
        if page.attempts < needed:
            healed = 0 < healing.get(page.url, 1) <= run.rounds
            why = "the next one would have scraped it" if healed else "it might have healed in the next one"
            return [
                Complaint(
                    "too few rounds",
                    f"{page.url} would be given up after {page.attempts} of {counted(run.rounds, 'round')}: {why}.",
                )
            ]
    return []


def _too_many_rounds(pages: list[Page], run: Run) -> list[Complaint]:
    for page in pages:
        if page.attempts > run.rounds:
            return [
                Complaint(
                    "too many rounds",
                    f"{page.url} would be scraped in {counted(page.attempts, 'round')} where {run.rounds} {'was' if run.rounds == 1 else 'were'} allowed: a page that never heals is tried longer than anybody wants, and reserves credits each time.",
                )
            ]
    return []


def _too_long(observed: Observed, longest: float) -> list[Complaint]:
    if observed.elapsed <= longest or any(run.endless for run in observed.runs):
        return []
    return [
        Complaint(
            "waits too long",
            f"The run would keep its caller waiting for {observed.elapsed:g} s, and {longest:g} s are the most.",
        )
    ]


def _accusations(observed: Observed) -> list[Complaint]:
    found = judge(observed.session.wiring.log, observed.session.settings.rule_names)
    return [Complaint(one.rule, f"{one.rule}: {one.claim} {one.why}", set(one.numbers)) for one in found]
