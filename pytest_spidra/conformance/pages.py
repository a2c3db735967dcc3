"""The pages of a run as the service knows them, and the words for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_spidra.conformance.runs import Observed, Run


@dataclass
class Page:
    """One URL of a run, as the service knows it: the items that stand for it, batch by batch."""

    url: str
    items: list[Any]
    """The service's own."""
    batches: list[str]
    paid: int
    """How often it is or will be charged."""

    @property
    def attempts(self) -> int:
        """How many attempts the service has made or begun, in all batches."""
        return sum(item.attempt for item in self.items)

    @property
    def last(self) -> Any:
        """What became of it: an item that completed if there is one, else the newest."""
        done = [item for item in self.items if item.status == "completed"]
        several = done or self.items
        return several[-1] if several else None


def pages_of(observed: Observed, run: Run) -> list[Page]:
    """Return the pages of a run, as the service knows them now."""
    mine = [
        state
        for state in observed.session.service.batches.values()
        if state.owner == observed.session.service.owner and state.id not in observed.before
    ]
    pages = []
    for url in dict.fromkeys(run.urls):
        found = [(state, item) for state in mine for item in state.items if item.url == url]
        paid = [
            item.status == "completed" or (not item.terminal and not state.ending and state.charge(item) > 0)
            for state, item in found
        ]
        pages.append(Page(url, [item for _, item in found], [state.id for state, _ in found], sum(paid)))
    return pages


def and_paid(observed: Observed, pages: Iterable[Page]) -> str:
    """Return what is paid for pages that nobody gets, as the end of a sentence."""
    price = observed.session.mock.account.price_per_url
    paid = sum(page.paid for page in pages)
    return (
        f", though {in_credits(paid * price)} {'is' if paid * price == 1 else 'are'} paid for {'it' if paid == 1 else 'them'}"
        if paid
        else ""
    )


def named(urls: Iterable[str]) -> str:
    """Return URLs in words: the first, and how many more."""
    first, *more = list(urls)
    return f"{first} and {len(more)} more" if more else first


def are(several: list[Page]) -> str:
    """Return the verb of so many pages."""
    return "is" if len(several) == 1 else "are"


def were(several: list[Page]) -> str:
    """Return the verb of so many pages, of the past."""
    return "was" if len(several) == 1 else "were"


def counted(number: int, what: str) -> str:
    """Return a number of something in words."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def in_credits(number: int) -> str:
    """Return an amount of credits in words."""
    return counted(number, "credit")


def short(value: Any) -> str:
    """Return a value for a message, cut where it is long."""
    text = repr(value)
    return text if len(text) < 40 else f"{text[:39]}…"
