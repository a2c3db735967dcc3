"""The ledger of credits, and what moves them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_spidra.fake.account import Account


@dataclass
class Ledger:
    """What the credits of one test did, in whole credits.

    ``reserved`` counts every reservation of a submit or retry, and what a batch that the factory left
    unfinished still holds. Each reservation ends as ``charged`` (the item completed) or ``refunded`` (it
    failed, was cancelled, or cost less). An item that costs more than was reserved for it is charged in full.
    """

    reserved: int = 0
    charged: int = 0
    refunded: int = 0


@dataclass
class CreditAccounting:
    """Moves credits between the account and the ledger; the only place that does."""

    account: Account
    ledger: Ledger = field(default_factory=Ledger)

    def reserve(self, amount: int) -> None:
        """Take `amount` from the account and hold it."""
        self.account.credits -= amount
        self.ledger.reserved += amount

    def settle(self, held: int, used: int) -> None:
        """End a hold of `held` credits of which `used` are charged; the rest goes back."""
        self.account.credits += held - used
        self.ledger.charged += used
        self.ledger.refunded += max(held - used, 0)
