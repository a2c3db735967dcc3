"""Recorded pages of the list beside those of the fake."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from pytest_spidra.cassettes.drift.shapes import Difference, differences
from pytest_spidra.fake import serializers
from pytest_spidra.fake.batches import LIST_LIMIT, LIST_LIMIT_MOST
from pytest_spidra.fake.service import Service
from pytest_spidra.traffic.statuses import TERMINAL, BatchStatus

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_spidra.cassettes.recording import Interaction


def of_list(one: Interaction, body: Any, sizes: Mapping[str, int]) -> Iterator[Difference]:
    """Yield where a recorded page differs from what the fake shows.

    Args:
        one: The interaction.

        body: The page.

        sizes: How many URLs batches have, by their ids, as far as the recording has told.
    """
    asked = one.request.parameters
    limit, page = (
        _number(asked.get("limit"), LIST_LIMIT, LIST_LIMIT_MOST),
        _number(asked.get("page"), 1, None),
    )
    jobs, pagination = body.get("jobs"), body.get("pagination")
    total = pagination.get("total") if isinstance(pagination, dict) else None
    shown = serializers.page([], total if type(total) is int else 0, page, limit, "seconds")
    for path, what in differences(body, shown, exact=("page", "limit", "totalPages")):
        yield Difference(one.number, path, what)
    if not isinstance(jobs, list):
        return
    if len(jobs) > limit:
        yield Difference(one.number, "$.jobs", f"{len(jobs)} batches were recorded on a page of {limit}")
    dates = [str(job.get("createdAt")) for job in jobs if isinstance(job, dict)]
    if dates != sorted(dates, reverse=True):
        yield Difference(one.number, "$.jobs", "the batches are in another order than newest first")
    for number, job in enumerate(jobs):
        for path, what in _of_job(job, f"$.jobs[{number}]", sizes):
            yield Difference(one.number, path, what)


def _of_job(job: Any, where: str, sizes: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    """Compare a line of the list with what the fake shows."""
    status = job.get("status") if isinstance(job, dict) else None
    shown = serializers.job(Service().create([], {"output": "json"}, 0), "seconds")
    shown["finishedAt"] = shown["createdAt"] if status in TERMINAL else None
    yield from differences(
        job, shown, where, free=("finishedAt",) if status in ("failed", "cancelled") else ()
    )
    if not isinstance(job, dict):
        return
    if status not in get_args(BatchStatus):
        yield (
            f"{where}.status",
            f"{status!r} was recorded, and the fake has {', '.join(get_args(BatchStatus))}",
        )
    size = sizes.get(str(job.get("uuid")))
    total, done, wrong = (job.get(name) for name in ("totalUrls", "completedCount", "failedCount"))
    if size is not None and total != size:
        yield f"{where}.totalUrls", f"{total!r} was recorded, and {size} URLs were submitted"
    if type(total) is type(done) is type(wrong) is int:
        together = done + wrong
        if together > total or (status == "completed" and together != total):
            yield (
                f"{where}.completedCount",
                f"{done} completed and {wrong} failed do not add up with {total} in all",
            )


def _number(text: str | None, default: int, most: int | None) -> int:
    number = max(int(text), 1) if text and text.isdecimal() else default
    return number if most is None else min(number, most)
