"""The fake, driven into the states that a recording shows, exchange by exchange.

What cannot be reached by any transition that the fake knows is a difference; so is whatever the fake would have
answered otherwise in the recorded state.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any, get_args

from pytest_spidra.cassettes.drift.errors import of_error, of_headers
from pytest_spidra.cassettes.drift.lists import of_list
from pytest_spidra.cassettes.drift.shapes import Difference, differences, kind_of
from pytest_spidra.fake import serializers
from pytest_spidra.fake.account import Account
from pytest_spidra.fake.outcomes import completed, failed
from pytest_spidra.fake.service import Service
from pytest_spidra.traffic.statuses import TERMINAL, BatchStatus, ItemStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_spidra.cassettes.recording import Interaction, Recording
    from pytest_spidra.fake.batch import BatchState
    from pytest_spidra.fake.item import Item
    from pytest_spidra.traffic.request import Request

BATCH_STATUSES, ITEM_STATUSES = get_args(BatchStatus), get_args(ItemStatus)

# What an item may be seen as next, when nobody has sent a retry.
NEXT: dict[str, tuple[str, ...]] = {
    "pending": ("pending", "running", "completed", "failed", "cancelled"),
    "running": ("running", "completed", "failed", "cancelled"),
    "completed": ("completed",),
    "failed": ("failed",),
    "cancelled": ("cancelled",),
}
NEXT_OF_BATCH = {"pending": BATCH_STATUSES, "running": BATCH_STATUSES[1:]}

# What no source tells of items that were cancelled, and of batches that broke or were cancelled.
UNTOLD_OF_CANCELLED = ("jobId", "startedAt", "finishedAt")


def drift_of(recording: Recording) -> list[Difference]:
    """Return where a recording and the fake differ, in the order of the recording."""
    mirror = Mirror()
    return [difference for one in recording.interactions for difference in mirror.check(one)]


class Mirror:
    """The fake, as far as a recording has driven it."""

    def __init__(self) -> None:
        self._service = Service(Account(credits=10**9))
        self._states: dict[str, BatchState] = {}
        self._uuids: dict[str, list[Any]] = defaultdict(list)
        self._found: set[str] = set()  # batches that were there before: their options are not known
        self._ended: set[str] = set()  # batches that were seen at their end, and not touched since
        self._checks: dict[str, Callable[[Interaction, Any, int], Iterator[Difference]]] = {
            "submit": self._submit,
            "look": self._look,
            "list": self._list,
            "cancel": self._cancel,
            "retry": self._retry,
        }

    def check(self, one: Interaction) -> Iterator[Difference]:
        """Drive the fake on by one recorded exchange, and yield in what it would have answered otherwise."""
        exchange = one.exchange
        now = round(((one.times.at + one.times.took) if one.times else one.number) * 1_000_000)
        yield from of_headers(one)
        if one.reply.status >= 400:
            batch_id = exchange.batch_id or ""
            yield from of_error(one, self._states.get(batch_id), looked=batch_id in self._ended)
        elif exchange.kind:
            good = 202 if exchange.kind in ("submit", "retry") else 200
            if one.reply.status != good:
                yield Difference(
                    one.number, "status", f"{one.reply.status} was recorded, and the fake answers {good}"
                )
            if not isinstance(one.reply.json, dict):
                yield Difference(
                    one.number, "$", f"{kind_of(one.reply.json)} was recorded, and the fake has an object"
                )
                return
            yield from self._checks[exchange.kind](one, one.reply.json, now)

    def _submit(self, one: Interaction, body: Any, now: int) -> Iterator[Difference]:
        warned = "schema_warnings" in body
        self._service.account.schema_warnings = ("a warning",) if warned else ()
        reply = self._service.answer(_with_a_key(one.request), now)
        if reply.status >= 400:
            problems = reply.json.get("errors") or reply.json["message"]
            yield Difference(
                one.number, "status", f"the API took this submit, and the fake refuses it: {problems}"
            )
            return
        batch_id = str(body.get("batchId"))
        self._states[batch_id] = self._service.batches[reply.json["batchId"]]
        for path, what in differences(body, reply.json, exact=("status", "total")):
            yield Difference(one.number, path, what)
        location, wanted = one.reply.headers.get("location"), f"/api/batch/scrape/{batch_id}"
        if location != wanted:
            yield Difference(
                one.number, "location", f"{location!r} was recorded, and the fake has {wanted!r}"
            )

    def _look(self, one: Interaction, body: Any, now: int) -> Iterator[Difference]:
        batch_id = one.exchange.batch_id or ""
        items = body.get("items")
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            yield Difference(one.number, "$.items", "no array of objects was recorded, and the fake has one")
            return
        state = self._states.get(batch_id)
        if state is None:
            state = self._states[batch_id] = self._service.create(
                [str(item.get("url")) for item in items], {"output": "json"}, now
            )
            self._found.add(batch_id)
        if len(items) != len(state.items):
            yield Difference(
                one.number, "$.items", f"{len(items)} items were recorded, of {len(state.items)} URLs"
            )
            return
        status, before = body.get("status"), state.status
        for number, (item, told) in enumerate(zip(state.items, items, strict=True)):
            where = f"$.items[{number}]"
            for path, what in self._drive(
                state, item, told, status, now, found=batch_id in self._found and not self._uuids[batch_id]
            ):
                yield Difference(one.number, f"{where}.{path}", what)
        uuids = [item.get("uuid") for item in items]
        if self._uuids[batch_id] and uuids != self._uuids[batch_id]:
            yield Difference(
                one.number, "$.items[*].uuid", "the items have other ids than before, or another order"
            )
        for path, what in self._drive_batch(state, status, before, batch_id):
            yield Difference(one.number, path, what)
        self._uuids[batch_id] = uuids
        if status not in BATCH_STATUSES:
            return
        state.finished_at = now if status in TERMINAL else None
        (self._ended.add if status in TERMINAL else self._ended.discard)(batch_id)
        yield from self._compare(one, body, state, batch_id)

    def _compare(self, one: Interaction, body: Any, state: BatchState, batch_id: str) -> Iterator[Difference]:
        """Compare a look with what the fake shows in the same state."""
        shown = serializers.batch(state, "seconds")
        rest = {name: value for name, value in body.items() if name != "items"}
        free = ("finishedAt",) if state.status in ("failed", "cancelled") else ()
        counts = ("totalUrls", "completedCount", "failedCount")
        for path, what in differences(rest, {**shown, "items": 0}, free=(*free, "items"), exact=counts):
            yield Difference(one.number, path, what)
        for number, (told, item) in enumerate(zip(body["items"], shown["items"], strict=True)):
            free = ("result",) if item["status"] == "completed" else ()
            if item["status"] == "cancelled" or state.status in ("failed", "cancelled"):
                free = (*free, *UNTOLD_OF_CANCELLED)
            if item["status"] == "completed" and "result" not in told:
                yield Difference(
                    one.number, f"$.items[{number}].result", "the field is missing, and the fake has it"
                )
            if batch_id in self._found:
                free = (*free, "screenshotUrl")
            for path, what in differences(told, item, f"$.items[{number}]", free=free, exact=("url",)):
                yield Difference(one.number, path, what)

    @staticmethod
    def _drive(
        state: BatchState, item: Item, told: Any, ending: Any, now: int, *, found: bool
    ) -> Iterator[tuple[str, str]]:
        """Bring an item into its recorded state; yield why that cannot be."""
        status, before = told.get("status"), item.status
        if status not in ITEM_STATUSES:
            yield "status", f"{status!r} was recorded, and the fake has {', '.join(ITEM_STATUSES)}"
            return
        ended = ending in ("failed", "cancelled")
        if not found and (status not in NEXT[before] or (status == "cancelled" != before and not ended)):
            why = "the fake does so only after a retry" if before == "failed" else "the fake never does so"
            yield "status", f"it went from {before} to {status}, and {why}"
        if status == before:
            return
        item.reset()
        if status in ("running", "completed", "failed"):
            state.start(item, now)
        error, used = told.get("error"), told.get("creditsUsed")
        if status == "completed":
            item.outcome = completed("", credits=used if type(used) is int and used >= 0 else None)
            state.finish(item, now)
        elif status == "failed":
            item.outcome = failed(error if isinstance(error, str) else "failed")
            state.finish(item, now)
        elif status == "cancelled":
            item.close("cancelled", now)

    def _drive_batch(
        self, state: BatchState, status: Any, before: BatchStatus, batch_id: str
    ) -> Iterator[tuple[str, str]]:
        """Bring the batch itself into its recorded state; yield why that cannot be."""
        if status not in BATCH_STATUSES:
            yield "$.status", f"{status!r} was recorded, and the fake has {', '.join(BATCH_STATUSES)}"
            return
        if self._uuids[batch_id] and status not in NEXT_OF_BATCH.get(before, (before,)):
            why = "only after a retry" if before != "running" else "never"
            yield "$.status", f"the batch went from {before} to {status}, and in the fake it does so {why}"
        state.status = status
        terminal = [item.terminal for item in state.items]
        if status == "completed" and not all(terminal):
            yield (
                "$.status",
                f"completed was recorded with {terminal.count(False)} items that have not ended, and in the fake all have",
            )
        elif status in ("pending", "running") and all(terminal):
            yield (
                "$.status",
                f"{status} was recorded with items that have all ended, and the fake has completed",
            )
        elif status == "pending" and any(item.status != "pending" for item in state.items):
            yield "$.status", "pending was recorded with items that have begun, and the fake has running"

    def _list(self, one: Interaction, body: Any, _: int) -> Iterator[Difference]:
        sizes = {batch_id: len(state.items) for batch_id, state in self._states.items()}
        yield from of_list(one, body, sizes)

    def _cancel(self, one: Interaction, body: Any, _: int) -> Iterator[Difference]:
        batch_id = one.exchange.batch_id or ""
        state = self._states.get(batch_id)
        shown = {"status": "cancelled", "cancelledItems": 0, "creditsRefunded": 0}
        for path, what in differences(body, shown, exact=("status",)):
            yield Difference(one.number, path, what)
        count, refund = body.get("cancelledItems"), body.get("creditsRefunded")
        if type(count) is type(refund) is int and (refund % count if count else refund):
            yield Difference(
                one.number,
                "$.creditsRefunded",
                f"{refund} credits for {count} items: the fake gives each item as much",
            )
        if state is None:
            return
        if batch_id in self._ended:
            yield Difference(
                one.number,
                "status",
                f"a {state.status} batch was cancelled, and the fake refuses that with 409",
            )
        waiting = sum(not item.terminal for item in state.items)
        if type(count) is int and count > waiting:
            yield Difference(
                one.number, "$.cancelledItems", f"{count} were recorded, and {waiting} had not ended"
            )
        state.status = "cancelled"

    def _retry(self, one: Interaction, body: Any, now: int) -> Iterator[Difference]:
        batch_id = one.exchange.batch_id or ""
        state = self._states.get(batch_id)
        for path, what in differences(body, {"status": "queued", "retriedCount": 0}, exact=("status",)):
            yield Difference(one.number, path, what)
        if state is None:
            return
        count, known = body.get("retriedCount"), state.count("failed")
        if batch_id in self._ended and count != known:
            yield Difference(
                one.number, "$.retriedCount", f"{count!r} was recorded, and {known} items had failed"
            )
        self._ended.discard(batch_id)
        state.retry(now)


def _with_a_key(request: Request) -> Request:
    """Return a request with a key of some kind: recordings keep none."""
    return replace(request, headers={**request.headers, "x-api-key": "spd_recorded"})
