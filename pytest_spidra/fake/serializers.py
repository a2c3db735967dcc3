"""A batch as the JSON of the documentation: field names, key order, nulls and dates."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_spidra.fake.batch import BatchState
    from pytest_spidra.fake.item import Item

Fineness = Literal["seconds", "milliseconds"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=1024)  # the dates of a batch are few, and every poll shows all of them
def date(microseconds: int | None, fineness: Fineness) -> str | None:
    """Return an ISO 8601 date in UTC with ``Z``, as all documented examples have it; None stays None."""
    if microseconds is None:
        return None
    moment = _EPOCH + timedelta(microseconds=microseconds)
    return moment.replace(tzinfo=None).isoformat(timespec=fineness) + "Z"


def item(one: Item, options: dict[str, Any], fineness: Fineness) -> dict[str, Any]:
    """Return an item as the status endpoint shows it."""
    shot = options.get("screenshot") and one.status == "completed"
    return {
        "uuid": one.id,
        "url": one.url,
        "jobId": one.job_id,
        "status": one.status,
        "result": one.result,
        "error": one.error,
        "creditsUsed": one.credits_used,
        "startedAt": date(one.started_at, fineness),
        "finishedAt": date(one.finished_at, fineness),
        "screenshotUrl": (
            f"https://screenshots.spidra.invalid/{one.id}.png?X-Amz-Expires=3600&X-Amz-Signature=0"
            if shot
            else None
        ),
    }


def batch(state: BatchState, fineness: Fineness) -> dict[str, Any]:
    """Return the body of the status endpoint. The batch's own id is not in it (documentation of status)."""
    return {
        "status": state.status,
        "totalUrls": len(state.items),
        "completedCount": state.count("completed"),
        "failedCount": state.count("failed"),
        "items": [item(one, state.options, fineness) for one in state.items],
        "createdAt": date(state.created_at, fineness),
        "finishedAt": date(state.finished_at, fineness),
    }


def job(state: BatchState, fineness: Fineness) -> dict[str, Any]:
    """Return a batch as the list shows it: no items, and the id is called ``uuid``."""
    return {
        "uuid": state.id,
        "status": state.status,
        "totalUrls": len(state.items),
        "completedCount": state.count("completed"),
        "failedCount": state.count("failed"),
        "outputFormat": state.options["output"],
        "scrapingChannel": "api",
        "createdAt": date(state.created_at, fineness),
        "finishedAt": date(state.finished_at, fineness),
    }


def page(
    shown: Sequence[BatchState], total: int, number: int, limit: int, fineness: Fineness
) -> dict[str, Any]:
    """Return one page of the list: the batches that stand on it, and of how many they are."""
    return {
        "jobs": [job(state, fineness) for state in shown],
        "pagination": {
            "page": number,
            "limit": limit,
            "total": total,
            "totalPages": -(-total // limit),
        },
    }
