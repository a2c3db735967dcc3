"""What is wrong with a run: each complaint says in one sentence what would happen in production.

Judged are the result (nothing lost, nothing invented, the last state of every page), the bill, the rounds, the
waits and the rules. What a careful runner may choose is left open: an `Expected` says how much.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from pytest_spidra.conformance.runs import field_of, has_field
from pytest_spidra.fake.item import price_of
from pytest_spidra.fake.service import ME
from pytest_spidra.verdicts.rules.judge import judge

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_spidra.conformance.runs import Observed, Run
    from pytest_spidra.fake.item import Item

LONGEST_RUN = 3600.0
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


@dataclass
class Page:
    """One URL of a run, as the service knows it: the items that stand for it, batch by batch."""

    url: str
    items: list[Item]
    batches: list[str]
    paid: int
    """How often it is or will be charged."""

    @property
    def attempts(self) -> int:
        """How many attempts the service has made or begun, in all batches."""
        return sum(item.attempt for item in self.items)

    @property
    def last(self) -> Item | None:
        """What became of it: an item that completed if there is one, else the newest."""
        done = [item for item in self.items if item.status == "completed"]
        return (done or self.items or [None])[-1]


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
    pages = [page for run in observed.runs for page in _pages(observed, run)]
    found += _endless(observed)
    found += _paid_twice(observed, pages)
    for run in observed.runs:
        if not run.endless:
            found += _of_run(observed, run, expected, healing or {})
    found += _too_long(observed, longest)
    found += _accusations(observed)
    return found


def _pages(observed: Observed, run: Run) -> list[Page]:
    mine = [
        state
        for state in observed.session.service.batches.values()
        if state.owner == ME and state.id not in observed.before
    ]
    pages = []
    for url in dict.fromkeys(run.urls):
        found = [(state, item) for state in mine for item in state.items if item.url == url]
        paid = [
            item.status == "completed" or (not item.terminal and not state.ending and price_of(item) > 0)
            for state, item in found
        ]
        pages.append(Page(url, [item for _, item in found], [state.id for state, _ in found], sum(paid)))
    return pages


def _endless(observed: Observed) -> list[Complaint]:
    if not any(run.endless for run in observed.runs):
        return []
    count, seconds = len(observed.session.wiring.log), observed.elapsed
    going = (
        f"after {count} requests and {seconds:g} s it still goes on"
        if seconds
        else f"it has sent {count} requests without a pause"
    )
    return [
        Complaint(
            "hangs", f"The run would hang for ever: {going}, and nothing that it sees changes any more."
        )
    ]


def _paid_twice(observed: Observed, pages: list[Page]) -> list[Complaint]:
    again = [page for page in pages if page.paid > 1]
    if not again:
        return []
    price = observed.session.mock.account.price_per_url
    lost = sum((page.paid - 1) * price for page in again)
    batches = list(dict.fromkeys(batch for page in again for batch in page.batches))
    sentence = (
        f"{_credits(lost)} would be lost: {_named(page.url for page in again)} {_are(again)} scraped and billed "
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
    pages = _pages(observed, run)
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
        told = f"The run would return {what} where {_count(len(run.urls), 'page')} {_were(pages)} asked for, and nobody is told"
        return [Complaint("silent", f"{told}{_and_paid(observed, pages)}.")]
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
    left = _and_paid(observed, pages) if paid else ""
    return [
        Complaint(
            "gives up early",
            f"The run would end with {raised} where a second try would have done: {_count(len(pages), 'page')} "
            f"{_are(pages)} missing{left}.",
        )
    ]


def _lost(observed: Observed, run: Run, pages: list[Page]) -> list[Complaint]:
    lost = [page for page in pages if not run.returned_of(page.url)]
    if not lost:
        return []
    sentence = f"{len(lost)} of {_count(len(pages), 'page')} would be missing from the result, and nobody is told: {_named(page.url for page in lost)}{_and_paid(observed, lost)}."
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
                f"The result would hold {_named(twice)} more than once: whoever adds it up counts too much.",
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


def _wrong(page: Page, item: Any) -> tuple[str, str] | None:
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
            f"with a result that is not its own ({_short(field_of(item, 'result'))} in place of {_short(last.result)})",
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
                f"The run would end while {_named(page.url for page in left)} {_are(left)} still being scraped{_and_paid(observed, left)}: the result is never fetched.",
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
                    f"{page.url} would be given up after {page.attempts} of {_count(run.rounds, 'round')}: {why}.",
                )
            ]
    return []


def _too_many_rounds(pages: list[Page], run: Run) -> list[Complaint]:
    for page in pages:
        if page.attempts > run.rounds:
            return [
                Complaint(
                    "too many rounds",
                    f"{page.url} would be scraped in {_count(page.attempts, 'round')} where {run.rounds} {'was' if run.rounds == 1 else 'were'} allowed: a page that never heals is tried longer than anybody wants, and reserves credits each time.",
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


def _and_paid(observed: Observed, pages: Iterable[Page]) -> str:
    """Return what is paid for pages that nobody gets, as the end of a sentence."""
    price = observed.session.mock.account.price_per_url
    paid = sum(page.paid for page in pages)
    return (
        f", though {_credits(paid * price)} {'is' if paid * price == 1 else 'are'} paid for {'it' if paid == 1 else 'them'}"
        if paid
        else ""
    )


def _named(urls: Iterable[str]) -> str:
    first, *more = list(urls)
    return f"{first} and {len(more)} more" if more else first


def _are(several: list[Page]) -> str:
    return "is" if len(several) == 1 else "are"


def _were(several: list[Page]) -> str:
    return "was" if len(several) == 1 else "were"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _credits(number: int) -> str:
    return _count(number, "credit")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 40 else f"{text[:39]}…"
