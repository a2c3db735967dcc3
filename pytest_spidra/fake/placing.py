"""Batches and jobs that are there when a test begins, as its factories order them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_spidra.clock.units import MICROSECONDS
from pytest_spidra.fake.account import Account
from pytest_spidra.fake.credits import CreditAccounting
from pytest_spidra.fake.job import ME
from pytest_spidra.fake.outcomes import completed, failed
from pytest_spidra.traffic.statuses import TERMINAL

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from pytest_spidra.fake.batch import BatchState
    from pytest_spidra.fake.item import Item
    from pytest_spidra.fake.job import JobKind, JobState
    from pytest_spidra.fake.outcomes import Outcome
    from pytest_spidra.fake.service import Service
    from pytest_spidra.traffic.statuses import BatchStatus


def place(
    service: Service,
    urls: Sequence[str],
    options: dict[str, Any],
    now: int,
    *,
    status: BatchStatus,
    outcomes: Mapping[str, Sequence[Outcome]],
    failing: int = 0,
    owner: str = ME,
) -> BatchState:
    """Put a batch there that was submitted before the test began.

    What it cost then is in no ledger and took nothing from the account's credits; what it still holds
    counts as reserved.

    Args:
        service: Where it is put.

        urls: One item each.

        options: An acceptable submit's options.

        now: Microseconds since the epoch.

        status: The state in which a client finds the batch. A finished one was submitted a minute ago.

        outcomes: How the attempts at URLs end, the first included. Of other URLs it is what is scripted
            for all batches, unless the batch could not be in `status` then.

        failing: How many of the last items fail in their first attempt.

        owner: `ME`, or anybody to whom alone the batch exists.
    """
    finished = status in TERMINAL
    state = service.create(
        urls,
        options,
        now - 60 * MICROSECONDS if finished else now,
        owner=owner,
        looks_before_start=1 if status == "pending" else 0,
    )
    doomed = {item.id for item in state.items[len(state.items) - failing :]}

    def first_then_scripted(_: BatchState, item: Item) -> Outcome:
        if item.attempt == 1 and item.id in doomed:
            return failed()
        outcome = service.outcome_of(state, item)
        unfit = outcome.ending == "stuck" if finished else outcome.ends_at_once
        return completed() if item.attempt == 1 and unfit and item.url not in outcomes else outcome

    state.outcome_of = first_then_scripted
    service.script_outcomes(outcomes, state.id)
    untold = {item.id for item in state.items if item.url not in outcomes} - doomed
    _bring_to(service, state, status, now, untold=untold)
    return state


def place_job(
    service: Service,
    kind: JobKind,
    body: dict[str, Any],
    now: int,
    *,
    status: BatchStatus,
    outcomes: Mapping[str, Outcome],
    listed: list[str] | None = None,
    owner: str = ME,
) -> JobState:
    """Put a job there that was submitted before the test began, with the same books as `place`.

    Args:
        service: Where it is put.

        kind: What it is.

        body: An acceptable submit's body.

        now: Microseconds since the epoch.

        status: The state in which a client finds it, in the machine's word. A finished one was submitted a minute ago.

        outcomes: How its parts end. Others complete, or in a job that failed do not.

        listed: The pages that a crawl has found; None: what crawls find.

        owner: `ME`, or anybody to whom alone it exists.
    """
    finished = status in TERMINAL
    parts = kind.parts(body, service.jobs.pages_of if listed is None else lambda _: listed)
    state = service.jobs.create(
        kind,
        parts,
        kind.accepted(body, service.account),
        now - 60 * MICROSECONDS if finished else now,
        price=kind.price(service.account, parts, body),
        owner=owner,
        looks_before_start=1 if status == "pending" else 0,
    )
    other = failed() if status == "failed" else completed()
    state.outcome_of = lambda _, item: outcomes.get(item.url, other)
    _bring_to(service, state, status, now)
    return state


def _bring_to(
    service: Service, state: BatchState, status: BatchStatus, now: int, *, untold: Collection[str] = ()
) -> None:
    state.accounting = CreditAccounting(Account())
    state.queue(state.items, state.created_at)
    if status in TERMINAL:
        _end_as(state, status, untold)
    elif status == "running":
        state.begin(now)
    if state.owner == ME:
        state.accounting = service.accounting
        service.ledger.reserved += sum(item.held for item in state.items)


def _end_as(state: BatchState, status: BatchStatus, untold: Collection[str]) -> None:
    """End every item that has not ended, half a minute after the batch was created, and the batch with `status`."""
    then = state.created_at + 30 * MICROSECONDS
    for item in state.items:
        if item.terminal:
            continue
        if status == "cancelled" and item.id in untold:
            item.held = 0
            item.close("cancelled", then)
        else:
            state.start(item, state.created_at + 10 * MICROSECONDS)
            state.finish(item, then)
    state.status, state.finished_at = status, then
