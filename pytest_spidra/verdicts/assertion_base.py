"""What the assertions share: the log they read, the checks of their arguments, the form of their message."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from pytest_spidra.traffic.batches import Batch, id_of
from pytest_spidra.traffic.endpoints import check_name
from pytest_spidra.verdicts.messages import MARK, assertion_message
from pytest_spidra.verdicts.rules.evidence import accepted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_spidra.traffic.exchanges import Call, Exchange
    from pytest_spidra.traffic.log import ExchangeLog


class AssertionBase:
    """Reads the exchange log, and nothing else."""

    _way = MARK

    if TYPE_CHECKING:  # the class that has the assertions has the log

        @property
        def exchanges(self) -> ExchangeLog:
            """The log."""

    def _calls(self, endpoint: str) -> tuple[Call, ...]:
        __tracebackhide__ = True
        calls = self.exchanges.calls(check_name(endpoint))
        if not calls:
            self._never(endpoint)
        return calls

    def _never(self, endpoint: str) -> NoReturn:
        __tracebackhide__ = True
        self._fail(
            f"{endpoint} was never asked.",
            "An assertion about something that never happened would always hold and show nothing.",
            [],
            f"To fix it, let the client get there. To say that it does not, assert_attempts({endpoint!r}, 0).",
        )

    def _accepted_submits(self) -> list[Exchange]:
        return [exchange for exchange in self.exchanges if exchange.is_submit and accepted(exchange)]

    def _knows(self, batch_id: str) -> bool:
        """Whether this test ever had a batch of this id."""
        return any(exchange.batch_id == batch_id for exchange in self.exchanges)

    def _id(self, batch: Batch | str) -> str:
        """Return the id of one of this test's batches.

        Raises:
            ValueError: This test never had it.
        """
        __tracebackhide__ = True
        batch_id = id_of(batch)
        if not self._knows(batch_id):
            msg = f"this test never had a batch {batch_id!r}"
            raise ValueError(msg)
        return batch_id

    def _retries(self, batch: Batch | str) -> list[Exchange]:
        __tracebackhide__ = True
        batch_id = self._id(batch)
        return [one for one in self.exchanges if one.is_retry and one.batch_id == batch_id]

    def _fail(self, claim: str, why: str, guilty: Iterable[Exchange], *ways_out: str) -> NoReturn:
        __tracebackhide__ = True
        numbers = {exchange.number for exchange in guilty}
        raise AssertionError(assertion_message(claim, why, self.exchanges, numbers, *ways_out))


def count_of(what: str, value: object) -> int:
    """Return a count.

    Raises:
        TypeError: It is not a whole number.

        ValueError: It is negative.
    """
    __tracebackhide__ = True
    if type(value) is not int:
        msg = f"{what} is a whole number, not {value!r}"
        raise TypeError(msg)
    if value < 0:
        msg = f"{what} counts from 0 on, not {value}"
        raise ValueError(msg)
    return value


def seconds_of(what: str, value: object) -> float:
    """Return a number of seconds.

    Raises:
        TypeError: It is not a number.

        ValueError: It is negative.
    """
    __tracebackhide__ = True
    if isinstance(value, bool) or not isinstance(value, int | float):
        msg = f"{what} is a number of seconds, not {value!r}"
        raise TypeError(msg)
    if value < 0:
        msg = f"{what} counts seconds from 0 on, not {value}"
        raise ValueError(msg)
    return float(value)


def times(count: int, one: str, many: str | None = None) -> str:
    """Return a count in words: ``1 attempt``, ``2 attempts``."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def in_seconds(waits: Sequence[object]) -> str:
    """Return waits in words: ``[1, 2] s``, bounds as ``1-2``."""
    shown = [
        "-".join(f"{bound:g}" for bound in wait) if isinstance(wait, tuple) else f"{wait:g}" for wait in waits
    ]
    return f"[{', '.join(shown)}] s"
