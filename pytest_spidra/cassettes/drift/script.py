"""From a recording to a test: the outcomes and steps that make `spidra_mock` behave as recorded."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_spidra.fake import validation
from pytest_spidra.fake.item import default_result
from pytest_spidra.traffic.statuses import TERMINAL, UNFINISHED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_spidra.cassettes.recording import Interaction, Recording

WORDS = (
    *("completed", "failed", "gateway_error", "http_error", "ok", "payment_overdue", "queue_unavailable"),
    *("rate_limited", "service_busy", "too_many_pending"),
)
NATURAL = frozenset({"NO_FAILED_ITEMS", "ALREADY_TERMINAL"})
"""Codes of refusals that the fake gives by itself, in the recorded state."""


@dataclass
class _Page:
    """One item of a recorded batch: the outcomes of its attempts up to now, and the attempt that is under way."""

    url: str
    outcomes: list[str] = field(default_factory=list)
    looks: int = 0  # those that showed it unfinished
    at_work: int = 0  # of those, the ones that showed it running
    ended: bool = False


@dataclass
class _Batch:
    """What was recorded of one batch."""

    options: dict[str, Any]
    pages: list[_Page]
    looks: int = 0
    end: str = ""
    mine: bool = False  # whether the client has cancelled it


def script_of(recording: Recording) -> str:
    """Return a function that scripts `spidra_mock` so that it behaves as recorded, to be pasted and edited."""
    reader = _Reader()
    for one in recording.interactions:
        reader.read(one)
    lines = reader.lines()
    body = (
        "\n".join(f"    {line}" for line in lines)
        if lines
        else "    pass  # nothing failed, and everything completed with the default results"
    )
    words = [word for word in WORDS if any(f"{word}(" in line for line in lines)]
    imports = f"from pytest_spidra import {', '.join(words)}\n\n\n" if words else ""
    return f'{imports}def as_recorded(spidra_mock):\n    """Behave as {recording.path.name} was recorded."""\n{body}'


class _Reader:
    """Reads a recording in its order."""

    def __init__(self) -> None:
        self.batches: dict[str, _Batch] = {}
        self.steps: dict[tuple[str, str | None], list[str]] = defaultdict(list)
        self.concurrency = 0

    def read(self, one: Interaction) -> None:
        """Take in one exchange."""
        exchange = one.exchange
        if not exchange.kind:
            return
        of_batch = None if exchange.kind in ("submit", "list") else exchange.batch_id
        word = "ok()" if one.reply.status < 400 or self._is_natural(one) else step_word(one)
        self.steps[exchange.endpoint.rpartition(".")[2], of_batch].append(word)
        if one.reply.status < 400 and isinstance(one.reply.json, dict):
            self._learn(one, one.reply.json)

    def _learn(self, one: Interaction, body: dict[str, Any]) -> None:
        """Take in what a good reply tells."""
        kind, batch_id = one.exchange.kind, str(one.exchange.batch_id)
        batch = self.batches.get(batch_id)
        if kind == "submit":
            asked = one.request.json if isinstance(one.request.json, dict) else {}
            urls = [url for url in asked.get("urls", []) if isinstance(url, str)]
            options = {"output": "json", **{name: asked[name] for name in validation.FIELDS if name in asked}}
            self.batches[batch_id] = _Batch(options, [_Page(url) for url in urls])
        elif kind == "list":
            shown = {job.get("uuid") for job in body.get("jobs", []) if isinstance(job, dict)}
            for known in (
                known for known_id, known in self.batches.items() if known_id in shown and not known.end
            ):
                self._count(known)
        elif batch and kind == "look":
            self._look(batch, body)
        elif batch and kind == "cancel":
            batch.mine = True
        elif batch:
            for page in batch.pages:
                if page.ended and page.outcomes and page.outcomes[-1].startswith("failed("):
                    page.ended, page.looks, page.at_work = False, 0, 0

    def _is_natural(self, one: Interaction) -> bool:
        body = one.reply.json
        code = body.get("code") if isinstance(body, dict) else None
        unknown = one.reply.status == 404 and one.exchange.batch_id not in self.batches
        return code in NATURAL or one.reply.status == 422 or unknown

    @staticmethod
    def _count(batch: _Batch) -> None:
        """Count a look at the list, which shows no items: the fake moves on by it all the same."""
        batch.looks += 1
        for page in batch.pages:
            if not page.ended:
                page.looks, page.at_work = page.looks + 1, page.at_work + 1

    def _look(self, batch: _Batch, body: dict[str, Any]) -> None:
        items = [item for item in body.get("items", []) if isinstance(item, dict)]
        statuses = [item.get("status") for item in items]
        if "pending" in statuses and "running" in statuses:
            self.concurrency = max(self.concurrency, statuses.count("running"))
        status = body.get("status")
        broken = status in ("failed", "cancelled") and not batch.mine and not batch.end
        if broken:
            more = ', unfinished="cancelled"' if status == "failed" and "cancelled" in statuses else ""
            batch.end = f'spidra_mock.batch.ends("{status}", after_polls={batch.looks}{more})'
        for page, item in zip(batch.pages, items, strict=False):
            if page.ended:
                continue
            if broken and item.get("status") != "completed":
                page.outcomes.append(
                    f"completed(after_polls={page.looks + 1})"
                )  # the end of the batch comes first
                page.ended = True
            elif item.get("status") in TERMINAL:
                page.ended = True
                if item["status"] != "cancelled":
                    # In the fake the end comes first: what completed beside it is to have done so one look before.
                    page.outcomes.append(self._outcome(batch, page, item, sooner=int(broken)))
            elif item.get("status") in UNFINISHED:
                page.looks += 1
                page.at_work += item["status"] == "running"
        batch.looks += 1

    def _outcome(self, batch: _Batch, page: _Page, item: dict[str, Any], sooner: int = 0) -> str:
        polls = max((max(page.at_work, 1) if self.concurrency else page.looks) - sooner, 0)
        told = []
        if item["status"] == "failed":
            told += [_quoted(str(item.get("error")))] if item.get("error") != "Timeout" else []
        else:
            result = item.get("result")
            told += [_quoted(result)] if result != default_result(batch.options, page.url) else []
            told += [f"credits={item['creditsUsed']}"] if item.get("creditsUsed", 1) != 1 else []
        told += [f"after_polls={polls}"] if polls != 1 else []
        return f"{item['status']}({', '.join(told)})"

    def lines(self) -> list[str]:
        """Return the script."""
        lines = [f"spidra_mock.account.concurrency = {self.concurrency}"] if self.concurrency else []
        lines += self._outcome_lines()
        for number, batch in enumerate(self.batches.values(), 1):
            if batch.end:
                lines.append(batch.end if number == 1 else f"# before submit {number}: {batch.end}")
        return lines + list(self._step_lines())

    def _outcome_lines(self) -> list[str]:
        found: dict[str, list[str]] = {}
        lines, other = [], []
        for number, batch in enumerate(self.batches.values(), 1):
            for page in batch.pages:
                mine = list(page.outcomes)
                if not page.ended and page.looks > 1:
                    mine.append(f"completed(after_polls={page.looks})")
                while len(mine) > 1 and mine[-1] == mine[-2]:
                    mine.pop()  # the last one repeats
                if found.setdefault(page.url, mine) != mine:
                    other.append(f"# in batch {number}: {_quoted(page.url)}: [{', '.join(mine)}]")
        told = {url: several for url, several in found.items() if several not in ([], ["completed()"])}
        if told:
            lines = ["spidra_mock.batch.outcomes(", "    {"]
            lines += [f"        {_quoted(url)}: [{', '.join(several)}]," for url, several in told.items()]
            lines += ["    }", ")"]
        return lines + other

    def _step_lines(self) -> Iterable[str]:
        """Yield the steps of each endpoint: those of the first batch for all, others as comments."""
        scripted: dict[str, list[str]] = {}
        for (name, batch_id), words in self.steps.items():
            steps = list(words)
            while steps and steps[-1] == "ok()":
                steps.pop()
            if not steps or scripted.setdefault(name, steps) is not steps:
                if steps and scripted[name] != steps:
                    yield f"# batch {batch_id}: spidra_mock.batch.{name}.script({', '.join(steps)}, batch=…)"
                continue
            yield f"spidra_mock.batch.{name}.script({', '.join(steps)})"


def step_word(one: Interaction) -> str:
    """Return the step that answers as recorded, as a test writes it."""
    status, body, headers = one.reply.status, one.reply.json, one.reply.headers
    wait = headers.get("retry-after")
    told = body if isinstance(body, dict) else {}
    code = told.get("code")
    seconds = wait if wait and wait.isdecimal() else None
    if code == "SERVICE_BUSY" and status == 503:
        asked = told.get("retry_after", seconds)
        return f"service_busy(retry_after={asked}{'' if wait else ', header=False'})"
    if status == 429 and code is None and (seconds or not wait):
        return f"rate_limited(retry_after={seconds})"
    known = {"QUEUE_UNAVAILABLE": 503, "TOO_MANY_PENDING_JOBS": 429, "PAYMENT_OVERDUE": 402}
    if known.get(str(code)) == status:
        return {503: "queue_unavailable()", 429: "too_many_pending()", 402: "payment_overdue()"}[status]
    if status in (502, 503, 504) and not isinstance(body, dict):
        return f"gateway_error({status})"
    more = [f"code={_quoted(code)}"] if code else []
    more += [f"retry_after={seconds or _quoted(wait)}"] if wait else []
    return f"http_error({', '.join([str(status), *more])})" if more else str(status)


def _quoted(value: Any) -> str:
    """Return a value as Python, texts in double quotes."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
