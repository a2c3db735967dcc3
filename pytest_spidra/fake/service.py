"""The front desk of the fake service: who may ask, and which endpoint answers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_spidra.fake.account import Account
from pytest_spidra.fake.batches import Batches
from pytest_spidra.fake.crawl_endpoints import CrawlEndpoints
from pytest_spidra.fake.credits import CreditAccounting, Ledger
from pytest_spidra.fake.job import ME
from pytest_spidra.fake.jobs import Jobs
from pytest_spidra.fake.kinds import KINDS
from pytest_spidra.fake.maps import Maps
from pytest_spidra.fake.quota import Quota
from pytest_spidra.fake.records import Records
from pytest_spidra.fake.uploads import Uploads
from pytest_spidra.fake.uuids import Uuids
from pytest_spidra.traffic import error_replies
from pytest_spidra.traffic.endpoints import match
from pytest_spidra.traffic.reply import Reply

if TYPE_CHECKING:
    from pytest_spidra.fake.batch import BatchState
    from pytest_spidra.traffic.request import Request


class Service(Batches):
    """Spidra's API for one customer, as a state machine; `of_key` makes it one for several.

    Args:
        account: The customer's settings; a fresh `Account` when None.

        seed: A text that makes the ids of batches differ from another service's; the same text, the same ids.

        owner: Whose batches and jobs the customer sees.

        beside: The service of another customer, whose batches, jobs and scripts stand in the same places.
    """

    def __init__(
        self,
        account: Account | None = None,
        *,
        seed: str = "",
        owner: str = ME,
        beside: Service | None = None,
    ) -> None:
        account = account or Account()
        self._seed = seed
        self._of_keys: dict[str, Service] = {}
        self.ledger = Ledger()
        super().__init__(account, CreditAccounting(account, self.ledger), Uuids(seed), owner, beside)
        self.jobs: Jobs = Jobs(self, beside.jobs if beside else None)
        self._quota = Quota(account)
        for kind in KINDS.values():
            self._endpoints |= self.jobs.endpoints(kind)
        self.maps: Maps = Maps(self.jobs, beside.maps if beside else None)
        others = CrawlEndpoints(self.jobs), Uploads(self.jobs), Records(self.batches, self.jobs)
        for one in (self.maps, *others):
            self._endpoints |= one.endpoints

    def answer(self, request: Request, now: int) -> Reply:
        """Do what `request` asks for and answer it.

        Args:
            request: Its path is the one below the base URL.

            now: Microseconds since the epoch, never smaller than before.
        """
        if request.keys and (other := self._of_keys.get(request.keys[0])):
            return other.answer(request, now)
        headers, within = self._quota.count(now)
        if not within:
            return error_replies.too_many_requests(headers)
        reply = self._admit(request, now)
        return Reply(reply.status, reply.content, {**reply.headers, **headers}) if headers else reply

    def _admit(self, request: Request, now: int) -> Reply:
        found = match(request.method, request.path)
        if found and found[0].kind == "file":  # its URL is signed
            return self.jobs.files.answer(request, found[1], now)
        if not request.keys:
            return error_replies.error_reply(401)
        if not self.account.accepts(request.keys[0]):
            return error_replies.error_reply(self.account.invalid_key_status, error_replies.INVALID_KEY)
        if found is None:
            return error_replies.error_reply(404, error_replies.NO_ROUTE)
        endpoint, batch_id = found
        return self._endpoints[endpoint.name](request, batch_id, now)

    def of_key(self, key: str) -> Service:
        """Return the service of the customer with this key: account, credits, quota and jobs are that one's own."""
        if key not in self._of_keys:
            owner = f"key {len(self._of_keys) + 1}"
            other = Service(replace(self.account), seed=self._seed, owner=owner, beside=self)
            self._of_keys[key] = other
            if watch := vars(self.account).get("_watch"):
                other.account.watch(watch)
        return self._of_keys[key]

    @property
    def _states(self) -> list[BatchState]:
        """Every batch and job, whoever's it is."""
        return [*self.batches.values(), *self.jobs.states.values()]

    @property
    def scripted(self) -> tuple[Any, ...]:
        """What holds all that is scripted here, to be emptied or put back; what single batches were told aside."""
        jobs = self.jobs
        of_jobs = jobs.outcomes, jobs.attempts, jobs.ends, jobs.pages, jobs.skipped
        return self.ends, self.outcomes.for_all, *of_jobs, self.maps.sites

    def begin_chapter(self, now: int) -> None:
        """Let the ledger begin anew; batches and jobs go on as they were told to, whatever becomes of `scripted`.

        What is unfinished still holds credits, which count as reserved, as they do of one that was there from the
        beginning.
        """
        self.keep_outcomes(now)
        self.jobs.begin_attempts(now)
        for service in (self, *self._of_keys.values()):
            mine = [state for state in self._states if state.accounting is service.accounting]
            service.ledger.reserved = sum(item.held for state in mine for item in state.items)
            service.ledger.charged = service.ledger.refunded = 0

    def awaits_time(self, now: int) -> bool:
        """Whether time alone is going to change a batch or job: an ``after_seconds`` is not over yet."""
        for state in self._states:
            state.advance(now)
        return any(state.next_due() is not None for state in self._states)

    def bill(self, now: int) -> Ledger:
        """Return the ledger with what is accepted and will be charged, whether or not anybody looks.

        Args:
            now: Microseconds since the epoch.
        """
        unsettled = 0
        for state in self._states:
            if state.accounting is self.accounting:
                state.advance(now)
                unsettled += state.expected_charge()
        return replace(self.ledger, charged=self.ledger.charged + unsettled)
