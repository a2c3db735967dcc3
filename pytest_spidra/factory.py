"""The batch factory: batches that are there when the code under test begins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from pytest_spidra.fake import submissions
from pytest_spidra.fake.batch import BatchStatus
from pytest_spidra.mock import checked_outcomes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_spidra.batches import Batch
    from pytest_spidra.fake.account import Account
    from pytest_spidra.fake.outcomes import Outcome
    from pytest_spidra.fake.service import Service
    from pytest_spidra.mock import SpidraMock

STATUSES = get_args(BatchStatus)
FINISHED = ("completed", "failed", "cancelled")


class BatchFactory:
    """Makes batches; called as ``spidra_batch_factory(urls=3, failed=1)``.

    Args:
        mock: Whose batches they are.

        service: Where they are put.
    """

    unresolvable = False
    """Whether items that are to fail get URLs that cannot be resolved, which is all that can be ordered of the
    real service: so it is where the same test is recorded and replayed, too."""

    def __init__(self, mock: SpidraMock, service: Service) -> None:
        self._mock = mock
        self._service = service

    def __call__(
        self,
        urls: int | Iterable[str] | Mapping[str, Outcome | Sequence[Outcome]] = 3,
        *,
        failed: int = 0,
        status: BatchStatus = "completed",
        owner: str = "me",
        **submit_options: Any,
    ) -> Batch:
        """Return a batch that was submitted before the code under test begins.

        Making it is no exchange: it is in no log. What it cost before is in no ledger either; the credits
        that an unfinished batch still holds count as reserved.

        Args:
            urls: How many URLs, or the URLs, or for each URL how the attempts at it end, the first included.

            failed: How many items fail in their first attempt: the last ones. A retry completes them unless
                ``spidra_mock.batch.outcomes`` says otherwise.

            status: The state in which the code under test finds the batch: at its first look, a ``pending``
                or ``running`` one shows just that. In a ``cancelled`` one the items without an outcome of
                their own are cancelled; in a ``failed`` one every item has ended as its outcome says.

            owner: ``"me"``, or anybody else: then every endpoint answers 404.

            submit_options: Fields of the submit: ``prompt``, ``output``, ``schema``, ``useProxy`` …

        Raises:
            ValueError: A submit that the API would refuse, more failed items than URLs, an unknown status, or
                outcomes with which no batch is found in that status.

            TypeError: An outcome that is none.
        """
        __tracebackhide__ = True
        order = Order.of(urls, failed, status, owner, submit_options, self._mock.account)
        with self._mock.lock:
            state = self._service.place(
                order.urls(unresolvable=self.unresolvable),
                order.options,
                self._mock.clock.now,
                status=status,
                outcomes=order.outcomes,
                failing=failed,
                owner=owner,
            )
        return self._mock.handle(state)


@dataclass(frozen=True)
class Order:
    """What a test orders of a factory, checked.

    Args:
        listed: The URLs.

        outcomes: How attempts at them end.

        failed: How many of the last ones fail.

        status: The state in which the batch is to be found.

        owner: ``"me"`` or somebody else.

        options: The submit's other fields, with the service's defaults.

        given: The submit's other fields as they were given.
    """

    listed: list[str]
    outcomes: dict[str, list[Outcome]]
    failed: int
    status: BatchStatus
    owner: str
    options: dict[str, Any]
    given: dict[str, Any]

    @classmethod
    def of(
        cls,
        urls: int | Iterable[str] | Mapping[str, Outcome | Sequence[Outcome]],
        failed: int,
        status: BatchStatus,
        owner: str,
        given: dict[str, Any],
        account: Account,
    ) -> Order:
        """Return an order.

        Raises:
            ValueError: The API would refuse it, or no batch can be found like that.

            TypeError: An outcome that is none.
        """
        __tracebackhide__ = True
        mapping = checked_outcomes(urls) if isinstance(urls, Mapping) else {}
        listed = _urls(urls)
        if status not in STATUSES:
            msg = f"a batch is found {', '.join(STATUSES)}, not {status!r}"
            raise ValueError(msg)
        if type(failed) is not int or not 0 <= failed <= len(listed):
            msg = f"failed={failed!r} of a batch of {len(listed)}: give a number from 0 to {len(listed)}"
            raise ValueError(msg)
        if failed and mapping:
            msg = "failed=… and a mapping both say how items end: give one of them"
            raise ValueError(msg)
        if not isinstance(owner, str) or not owner:
            msg = f'owner is "me" or somebody else\'s name, not {owner!r}'
            raise ValueError(msg)
        body = {"urls": listed, **given}
        if errors := submissions.problems(body, account):
            msg = "the API would refuse this batch: " + " ".join(errors)
            raise ValueError(msg)
        unknown = [name for name in given if name not in submissions.FIELDS]
        if unknown:
            msg = (
                f"a submit has no field {unknown[0]!r}. The fields are those of the API: "
                f"{', '.join(submissions.FIELDS)}."
            )
            raise ValueError(msg)
        _check_status(status, mapping)
        return cls(listed, mapping, failed, status, owner, submissions.accepted(body), given)

    def urls(self, *, unresolvable: bool) -> list[str]:
        """Return the URLs; where only the real service decides, those that are to fail cannot be resolved.

        ``.invalid`` is reserved for names that never exist (RFC 2606).
        """
        good = len(self.listed) - self.failed
        if not unresolvable:
            return self.listed
        return self.listed[:good] + [
            f"https://unresolvable-{number}.invalid/" for number in range(1, self.failed + 1)
        ]


def _urls(urls: object) -> list[str]:
    __tracebackhide__ = True
    if type(urls) is int:
        return [f"https://example.com/{number}" for number in range(1, urls + 1)]
    if isinstance(urls, Iterable) and not isinstance(urls, str | bytes):
        return list(urls)
    msg = f"urls is a number, the URLs, or {{url: outcome}}, not {urls!r}"
    raise TypeError(msg)


def _check_status(status: str, outcomes: Mapping[str, Sequence[Outcome]]) -> None:
    """Refuse outcomes with which no batch is found in `status`."""
    __tracebackhide__ = True
    first = {url: several[0] for url, several in outcomes.items()}
    for url, outcome in first.items():
        if status in FINISHED and outcome.ending == "stuck":
            msg = f"a {status} batch has no item that is stuck, and {url!r} is"
            raise ValueError(msg)
        if status == "pending" and outcome.ends_at_once:
            msg = f"in a pending batch no item has begun, and {url!r} ends at once"
            raise ValueError(msg)
    if status == "running" and first and all(outcome.ends_at_once for outcome in first.values()):
        msg = "a running batch has an item that has not ended, and here every item ends at once"
        raise ValueError(msg)
