"""The pages of a document, and how it is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_spidra.fake.item import Item
    from pytest_spidra.fake.job import JobState

PAGE = 3000  # characters that are a page of a format without pages
PAGES = 2  # of a document of which no test says what is in it


def document(state: JobState, item: Item) -> dict[str, Any]:
    """Return a document as a job object."""
    good = item.status == "completed"
    pages = pages_of_result(item.result, item.url) if good else []
    shown = [pages[number - 1] for number in selected(len(pages), state.options)]
    texts = [text for text in shown if text is not None]
    wants = state.options.get("prompt") or state.options.get("schema") is not None
    link = "://" in item.url
    body: dict[str, Any] = {
        "jobId": state.id if len(state.items) == 1 else item.id,
        "status": "queued" if item.status == "pending" else item.status,
        "fileName": item.url.rpartition("/")[2] if link else item.url,
        "sourceUrl": item.url if link else None,
        "fileId": state.options.get("fileId"),
        "format": format_of(item.url),
        "totalPages": len(pages) if good else None,
        "pagesParsed": len(texts) if good else None,
        "creditsUsed": item.credits_used,
        "error": item.error,
        "progress": None if item.terminal else {"message": "Reading the document...", "progress": 0},
        "markdown": "\n\n".join(texts) if good else None,
        "json": {"title": item.url} if good and wants else None,
        "warnings": [],
        "metadata": {},
        "durationMs": None if item.finished_at is None else (item.finished_at - state.created_at) // 1000,
    }
    if state.options.get("includePages"):
        body["pages"] = page_objects(state, item)
    return body


def page_objects(state: JobState, item: Item) -> list[dict[str, Any]]:
    """Return the pages that were asked for, one by one."""
    if item.status != "completed":
        return []
    pages = pages_of_result(item.result, item.url)
    method = "ocr" if state.options.get("mode") == "ocr" else "text"
    return [
        {
            "pageNumber": number,
            "markdown": pages[number - 1] or "",
            "method": method,
            "error": "The page could not be read" if pages[number - 1] is None else None,
        }
        for number in selected(len(pages), state.options)
    ]


def pages_of_result(result: Any, name: str) -> list[str | None]:
    """Return the pages of a document: those of a list, or of a text one for each 3,000 characters."""
    if isinstance(result, list):
        return [one if isinstance(one, str) else None for one in result]
    if isinstance(result, str):
        return [result[at : at + PAGE] for at in range(0, max(len(result), 1), PAGE)]
    return [f"# {name}, page {number}" for number in range(1, PAGES + 1)]


def selected(total: int, options: dict[str, Any]) -> list[int]:
    """Return the numbers of the pages that are asked for: ``"1-5, 9"``, ``"10-"``, at most ``maxPages``."""
    wanted: list[int] = []
    for piece in options.get("pages", "1-").split(","):
        first, dash, last = (word.strip() for word in piece.partition("-"))
        stop = min(int(last or total), total) if dash else min(int(first), total)
        wanted += range(max(int(first), 1), stop + 1)
    numbers = sorted(set(wanted))
    most: int = options.get("maxPages", len(numbers))
    return numbers[:most]


def format_of(name: str) -> str:
    """Return a document's format, by the suffix of its name."""
    suffix = name.rpartition(".")[2].lower()
    return suffix if suffix.isalnum() and len(suffix) < 6 and suffix != name.lower() else "pdf"
