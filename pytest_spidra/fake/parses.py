"""Documents turned into Markdown: one, or several in a batch.

Sources: the SDKs and the vendor's MCP server; no page of the documentation could be read. No source says which codes
answer, what ``counts`` holds and how long a submit is held: 202 and 200, the four numbers below, and 50 seconds, a setting.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_spidra.fake import validation
from pytest_spidra.fake.document_pages import (
    document,
    format_of,
    page_objects,
    pages_of_result,
    selected,
)
from pytest_spidra.fake.job import JobKind
from pytest_spidra.fake.urls import refused
from pytest_spidra.traffic import error_replies
from pytest_spidra.traffic.multipart import parts_of
from pytest_spidra.traffic.reply import Reply
from pytest_spidra.traffic.strict_json import json_or_none, parse_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_spidra.fake.account import Account
    from pytest_spidra.fake.item import Item
    from pytest_spidra.fake.job import Customer, JobState, PagesOf
    from pytest_spidra.traffic.request import Request

MOST = 50  # documents of a batch
MODES = ("auto", "fast", "ocr")
NO_FILE = "File not found"

_TYPES: dict[str, tuple[type, str]] = {
    "url": (str, "a string"),
    "fileId": (str, "a string"),
    "urls": (list, "an array of strings"),
    "fileIds": (list, "an array of strings"),
    "mode": (str, "a string"),
    "pages": (str, "a string"),
    "maxPages": (int, "a number"),
    "pageMarkers": (bool, "a boolean"),
    "includePages": (bool, "a boolean"),
    "prompt": (str, "a string"),
    "schema": (dict, "a JSON Schema object"),
    "wait": (bool, "a boolean"),
    "dryRun": (bool, "a boolean"),
}
_RANGES = re.compile(r"\s*\d+\s*(-\s*\d*)?\s*(,\s*\d+\s*(-\s*\d*)?\s*)*")


class Parse(JobKind):
    """``POST /parse`` and ``GET /parse/{jobId}``. A part is a document."""

    name = "parse"
    words: ClassVar = {"pending": "queued"}
    delayed = "running"
    not_found = "Parse job not found"

    def body_of(self, request: Request, jobs: Customer, now: int) -> Any:
        """Return what a submit says; a file that came with it has an id then."""
        parts = parts_of(request.headers.get("content-type", ""), request.content)
        if parts is None:
            return parse_json(request.content)
        body: dict[str, Any] = {}
        files = []
        for part in parts:
            if part.file_name is not None:
                files.append(jobs.documents.add(part.file_name, part.content, now))
            elif part.name == "options":
                told = json_or_none(part.content)
                body |= told if isinstance(told, dict) else {"options": None}
            else:
                body[part.name] = json_or_none(part.content)
        return self.with_files(body, files)

    def with_files(self, body: dict[str, Any], files: list[str]) -> dict[str, Any]:
        """Return a body that names the files that came with it."""
        return {**body, "fileId": files[0]} if files else body

    def problems(self, body: dict[str, Any], account: Account) -> list[str]:
        """Return one sentence for each thing wrong with a submit's body."""
        found = validation.problems_of_types(body, _TYPES) or list(self.wrong(body))
        if account.refuse_unknown_fields:
            found += validation.unknown_fields(body, _TYPES)
        return found

    def wrong(self, body: dict[str, Any]) -> Iterator[str]:
        """Yield one sentence for each thing wrong with fields that are of their types."""
        url = body.get("url")
        why = refused(url) if url else None
        checks = (
            ((url is None) != (body.get("fileId") is None), "Give either url or fileId or a file."),
            (url != "" and why is None, f"url {why or 'is required'}."),
            *_checks(body),
        )
        return (sentence for holds, sentence in checks if not holds)

    def accepted(self, body: dict[str, Any], _: Account) -> dict[str, Any]:
        """Return what is kept of an acceptable body."""
        return {name: body[name] for name in _TYPES if name in body and name not in {"wait", "dryRun"}}

    def inline(self, body: dict[str, Any], jobs: Customer, now: int) -> Reply | None:
        """Return the answer to what is not found, and to a dry run, which queues nothing and is free."""
        if (file_id := body.get("fileId")) is not None:
            document = jobs.documents.find(file_id, now)
            if document is None or document.content is None:
                return error_replies.error_reply(404, NO_FILE)
            if len(document.content) > jobs.account.parse_max_bytes:
                return error_replies.error_reply(413, "The file is too large.")
        if not body.get("dryRun"):
            return None
        name = _name(body, jobs, now)
        outcome = jobs.coming_outcome(self.name, name)
        told = outcome.result if outcome else None
        total = len(pages_of_result(told, name))
        wanted = len(selected(total, body))
        estimate = {
            "fileId": body.get("fileId") or jobs.documents.add(name, b"", now),
            "fileName": name,
            "format": format_of(name),
            "totalPages": total,
            "pagesToParse": wanted,
            "credits": wanted,
        }
        return Reply.of(200, estimate)

    def named(self, body: dict[str, Any], jobs: Customer, now: int) -> dict[str, Any]:
        """Return a body with the name of its document, by which it is scripted."""
        return {**body, "fileName": _name(body, jobs, now)}

    def parts(self, body: dict[str, Any], _: PagesOf) -> list[str]:
        """Return the document, by its URL or its file's name."""
        return [body.get("fileName") or body.get("url") or body.get("fileId", "")]

    def price(self, *_: object) -> int:
        """Return 0: what a document costs is known when it was parsed, and charged then."""
        return 0

    def needed(self, *_: object) -> int:
        """Return the credits without which it does not begin."""
        return 1

    def charge(self, state: JobState, item: Item) -> int:
        """Return the credits it costs: one for each page that was parsed."""
        pages = pages_of_result(item.outcome.result if item.outcome else None, item.url)
        return sum(pages[number - 1] is not None for number in selected(len(pages), state.options))

    def waits(self, body: dict[str, Any], account: Account) -> float | None:
        """Return how long the submit is held for its result."""
        return account.parse_wait if body.get("wait") else None

    def ordered(self, parts: list[str], given: dict[str, Any]) -> dict[str, Any]:
        """Return the body of a submit for a link."""
        return {"url": parts[0] if parts else "", **given}

    def result(self, _: JobState, item: Item) -> Any:
        """Return the pages of a document."""
        return pages_of_result(None, item.url)

    def queued(self, state: JobState) -> dict[str, Any]:
        """Return the whole job: a submit shows it, whatever its state."""
        return {**document(state, state.items[0]), "status": state.word}

    def look(self, state: JobState, request: Request, now: int) -> dict[str, Any]:
        """Return the body of the status endpoint; ``pages=true`` adds the pages."""
        body = self.shown(state, now)
        if request.parameters.get("pages") == "true":
            body["pages"] = page_objects(state, state.items[0])
        return body

    def shown(self, state: JobState, _: int) -> dict[str, Any]:
        """Return the job as it stands."""
        return {**document(state, state.items[0]), "status": state.word}


class ParseBatch(Parse):
    """``POST /parse/batch`` and ``GET /parse/batch/{batchId}``: it runs, and then it is completed."""

    name = "parse_batch"
    scripted_as = "parse"
    submit_name = "parse.batch_submit"
    get_name = "parse.batch_get"
    words: ClassVar = {"pending": "running"}
    not_found = "Parse batch not found"
    all_failed = "completed"

    def with_files(self, body: dict[str, Any], files: list[str]) -> dict[str, Any]:
        """Return a body that names the files that came with it."""
        listed = body.get("fileIds")
        return {**body, "fileIds": [*(listed if isinstance(listed, list) else []), *files]}

    def wrong(self, body: dict[str, Any]) -> Iterator[str]:
        """Yield one sentence for each thing wrong with fields that are of their types."""
        urls, ids = body.get("urls", []), body.get("fileIds", [])
        texts = all(isinstance(one, str) for one in [*urls, *ids])
        why = [sentence for url in urls if isinstance(url, str) and (sentence := refused(url))]
        checks = (
            (texts, "urls and fileIds must be arrays of strings."),
            (not why, f"urls: one {why[0] if why else ''}."),
            (1 <= len(urls) + len(ids) <= MOST, f"A batch takes 1 to {MOST} documents."),
            *_checks(body),
        )
        return (sentence for holds, sentence in checks if not holds)

    def inline(self, body: dict[str, Any], jobs: Customer, now: int) -> Reply | None:
        """Return the answer to files that are not found."""
        found = [jobs.documents.find(one, now) for one in body.get("fileIds", [])]
        if any(one is None or one.content is None for one in found):
            return error_replies.error_reply(404, NO_FILE)
        return None

    def named(self, body: dict[str, Any], jobs: Customer, now: int) -> dict[str, Any]:
        """Return a body with the names of its documents, by which they are scripted."""
        names = [_name({"fileId": one}, jobs, now) for one in body.get("fileIds", [])]
        return {**body, "fileNames": [*body.get("urls", []), *names]}

    def parts(self, body: dict[str, Any], _: PagesOf) -> list[str]:
        """Return the documents, by their URLs or their files' names."""
        named: list[str] = body.get("fileNames") or body.get("urls", [])
        return named

    def waits(self, *_: object) -> None:
        """Return None: a batch is never held."""

    def ordered(self, parts: list[str], given: dict[str, Any]) -> dict[str, Any]:
        """Return the body of a submit for links."""
        return {"urls": parts, **given}

    def answer(self, state: JobState) -> dict[str, Any]:
        """Return the answer to a submit."""
        return {"batchId": state.id}

    def look(self, state: JobState, request: Request, now: int) -> dict[str, Any]:
        """Return the body of the status endpoint; ``include=results`` adds the documents."""
        body = self.shown(state, now)
        if request.parameters.get("include") == "results":
            body["documents"] = [document(state, item) for item in state.items]
        return body

    def shown(self, state: JobState, _: int) -> dict[str, Any]:
        """Return the batch as it stands."""
        counts = {"completed": state.count("completed"), "failed": state.count("failed")}
        left = len(state.items) - sum(counts.values())
        return {
            "status": state.word,
            "counts": {"total": len(state.items), **counts, "running": left},
            "creditsUsed": sum(item.credits_used for item in state.items),
        }


PARSE = Parse()
PARSE_BATCH = ParseBatch()


def _checks(body: dict[str, Any]) -> Sequence[tuple[object, str]]:
    return (
        (body.get("mode", "auto") in MODES, f"mode must be one of {', '.join(MODES)}."),
        (
            _RANGES.fullmatch(body.get("pages", "1")) and len(body.get("pages", "")) < 200,
            'pages must be like "1-5, 9".',
        ),
        (body.get("maxPages", 1) >= 1, "maxPages must be a number from 1 on."),
    )


def _name(body: dict[str, Any], jobs: Customer, now: int) -> str:
    document = jobs.documents.find(body.get("fileId"), now)
    return document.name if document else str(body.get("url", ""))
