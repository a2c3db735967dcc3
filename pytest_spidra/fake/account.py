"""The customer: settings that a test changes."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, fields
from typing import Any, Literal

from pytest_spidra.fake.quota import RateLimit
from pytest_spidra.traffic.reply import Reply
from pytest_spidra.traffic.suggestions import did_you_mean

RetryAnswer = Literal["accept"] | int | Reply


def _count(value: object) -> bool:
    return type(value) is int and value >= 0


def _answer(value: object) -> bool:
    return value == "accept" or isinstance(value, Reply) or (type(value) is int and 400 <= value <= 599)


def _texts(value: object) -> bool:
    return (
        isinstance(value, Collection)
        and not isinstance(value, str | bytes)
        and all(isinstance(one, str) for one in value)
    )


_TAKES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "credits": ("a whole number of credits", lambda value: type(value) is int),
    "price_per_url": ("a whole number of credits from 0 on", _count),
    "keys": (
        "None (any key is good) or a collection of keys",
        lambda value: value is None or _texts(value),
    ),
    "invalid_key_status": ("401 or 403", lambda value: type(value) is int and value in {401, 403}),
    "payment_overdue": ("True or False", lambda value: type(value) is bool),
    "pending_cap": (
        "None (no cap) or a number of items from 0 on",
        lambda value: value is None or _count(value),
    ),
    "scrape_pending_cap": (
        "None (no cap) or a number of jobs from 0 on",
        lambda value: value is None or _count(value),
    ),
    "rate_limit": (
        "None (no limit) or a RateLimit",
        lambda value: value is None or isinstance(value, RateLimit),
    ),
    "retry_of_running": ('"accept", an error status or a Reply', _answer),
    "retry_of_failed": ('"accept", an error status or a Reply', _answer),
    "retry_of_cancelled": ('"accept", an error status or a Reply', _answer),
    "concurrency": (
        "None (all at once) or a number of items from 1 on",
        lambda value: value is None or (_count(value) and value > 0),
    ),
    "outputs": ("a collection of output names", _texts),
    "schema_warnings": (
        "None (derived from the schema) or a collection of sentences",
        lambda value: value is None or _texts(value),
    ),
    "refuse_unknown_fields": ("True or False", lambda value: type(value) is bool),
    "invalid_hosts_fail": ("True or False", lambda value: type(value) is bool),
    "crawl_pending_cap": (
        "None (no cap) or a number of jobs from 0 on",
        lambda value: value is None or _count(value),
    ),
    "crawl_max_pages": ("a whole number from 1 on", lambda value: _count(value) and value > 0),
    "crawl_cancel": ('"completed" or "cancelled"', lambda value: value in ("completed", "cancelled")),
    "crawl_progress": ('"message" or "pages"', lambda value: value in ("message", "pages")),
    "crawl_data": ('"text" or "object"', lambda value: value in ("text", "object")),
    "crawl_page_limit": (
        "a number of pages from 1 to 1000",
        lambda value: _count(value) and 1 <= value <= 1000,
    ),
    "price_per_extraction": ("a whole number of credits from 0 on", _count),
    "parse_wait": (
        "a number of seconds from 0 on",
        lambda value: type(value) in (int, float) and 0 <= value < float("inf"),
    ),
    "parse_max_bytes": ("a whole number of bytes from 0 on", _count),
    "plan": ("a name", lambda value: isinstance(value, str)),
    "search_wait": (
        "a number of seconds from 0 on",
        lambda value: type(value) in (int, float) and 0 <= value < float("inf"),
    ),
    "timestamps": ('"seconds" or "milliseconds"', lambda value: value in ("seconds", "milliseconds")),
}


@dataclass
class Account:
    """The settings of the customer whose key the code under test uses; change them at any time in a test.

    A wrong name or value is refused at the assignment.

    Args:
        credits: Credits left. Falls when credits are reserved and rises when they come back; a submit or a
            retry that needs more than are left is refused with 403 (documentation of retry). Set it before a
            round to let the credits run out.

        price_per_url: Credits reserved for each URL. 1 is the newest price (the SDK's bulk helper and the vendor's
            MCP server); the documentation of cancel still shows 2.

        keys: The keys that are good; None takes any non-empty one.

        invalid_key_status: 401 or 403 for a key that is not good. Documentation and SDK versions contradict
            each other; current SDKs expect 401. A missing key is always 401.

        payment_overdue: Refuse submit and retry with 402 ``PAYMENT_OVERDUE``.

        pending_cap: Most items that may wait (queued, not yet in work) over all batches; one more is 429
            ``TOO_MANY_PENDING_JOBS``. Documented is 50 for batches, and that single items are counted is a
            conclusion from the SDK's bulk helper. Off by default: items of the fake wait until the client
            looks. Retried items count, too.

        scrape_pending_cap: Most scrapes that may be queued, 429 ``TOO_MANY_PENDING_JOBS`` beyond. Documented is 10;
            off by default, as jobs of the fake wait until the client looks.

        crawl_pending_cap: The same for crawls; documented is 5.

        crawl_max_pages: Most pages that a crawl may ask for, by plan 100 to 10,000 (SDK docstrings, October 2026).

        crawl_cancel: What becomes of a crawl that is cancelled. ``"completed"``: it stops at its next check and ends
            ``completed`` if pages had been returned, else ``cancelled`` (the vendor's newest tool text);
            ``"cancelled"``: it is at once, and keeps its pages (SDK docstring).

        crawl_progress: What a running crawl's progress holds: a ``"message"`` (newest) or ``"pages"``, counted.

        crawl_data: What ``data`` of a page is in the list of pages: JSON ``"text"`` (SDK) or an ``"object"`` (docs).

        crawl_page_limit: How many pages the list of pages shows unless asked for less or more. No source says.

        price_per_extraction: Credits for the AI's tokens of one page, at an extract or a page that is retried.

        rate_limit: A `RateLimit`; off by default.

        retry_of_running: What a retry of a pending or running batch answers: ``"accept"`` retries what has
            failed so far; an HTTP status or a `Reply` refuses. No source says.

        retry_of_failed: The same for a batch that broke. No source says.

        retry_of_cancelled: The same for a cancelled batch. The vendor's MCP server says that it cannot be
            retried; status and wording are not known.

        concurrency: Most items of one batch in work at a time; None: all at once. Not documented.

        outputs: The values of ``output`` that are taken; the MCP server also names ``text`` and ``table``.

        schema_warnings: What ``schema_warnings`` of a submit with a schema holds; empty: the field is absent; None:
            a sentence for each ``anyOf`` and ``$ref`` in the schema, which are ignored.

        refuse_unknown_fields: Whether a submit with a field the API does not have is a 422 (which finds
            ``use_proxy`` for ``useProxy``). No source says; ignored by default.

        invalid_hosts_fail: Whether a URL without outcomes fails when its host ends in ``.invalid``, which cannot
            resolve (RFC 2606). Off by default: a URL without outcomes completes. A server has it on, as code
            that knows nothing of scripts gets its failing items from such URLs.

        search_wait: Seconds for which a search with ``wait`` is held at most; "about 20" in the SDKs' docstrings.

        parse_wait: Seconds for which a parse with ``wait`` is held at most; no source says.

        parse_max_bytes: The size up to which a document is taken, 50 MB in the SDKs' docstrings; a 413 beyond.

        plan: The name of the plan that the account shows.

        timestamps: How fine dates are. Documented examples have whole seconds; a JavaScript backend may send
            milliseconds.
    """

    credits: int = 10_000
    price_per_url: int = 1
    keys: Collection[str] | None = None
    invalid_key_status: int = 401
    payment_overdue: bool = False
    pending_cap: int | None = None
    scrape_pending_cap: int | None = None
    crawl_pending_cap: int | None = None
    crawl_max_pages: int = 10_000
    crawl_cancel: Literal["completed", "cancelled"] = "completed"
    crawl_progress: Literal["message", "pages"] = "message"
    crawl_data: Literal["text", "object"] = "text"
    crawl_page_limit: int = 1000
    price_per_extraction: int = 1
    rate_limit: RateLimit | None = None
    retry_of_running: RetryAnswer = "accept"
    retry_of_failed: RetryAnswer = "accept"
    retry_of_cancelled: RetryAnswer = 409
    concurrency: int | None = None
    outputs: Collection[str] = ("json", "markdown")
    schema_warnings: Collection[str] | None = None
    refuse_unknown_fields: bool = False
    invalid_hosts_fail: bool = False
    search_wait: float = 20.0
    parse_wait: float = 50.0
    parse_max_bytes: int = 50 * 1024 * 1024
    plan: str = "Free"
    timestamps: Literal["seconds", "milliseconds"] = "seconds"

    def __setattr__(self, name: str, value: Any) -> None:
        __tracebackhide__ = True
        if name not in _TAKES:
            hint = did_you_mean(name, _TAKES)
            names = ", ".join(one.name for one in fields(self))
            msg = f"the account has no setting {name!r}.{hint} The settings are {names}."
            raise AttributeError(msg)
        words, fits = _TAKES[name]
        if not fits(value):
            msg = f"account.{name} takes {words}, not {value!r}"
            raise ValueError(msg)
        object.__setattr__(self, name, value)
        if watch := vars(self).get("_watch"):
            watch()

    @property
    def get(self) -> Any:
        """The script of ``GET /account``, with `script` and `always`, where a test has one."""
        return vars(self)["_get"]

    def script_with(self, script: object) -> None:
        """Take the script of ``GET /account``."""
        vars(self)["_get"] = script

    def watch(self, changed: Callable[[], None]) -> None:
        """Call `changed` whenever a setting changes, credits that move included."""
        vars(self)["_watch"] = changed

    def accepts(self, key: str) -> bool:
        """Whether `key` is one of the customer's."""
        return self.keys is None or key in self.keys
