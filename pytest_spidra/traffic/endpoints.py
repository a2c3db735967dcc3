"""The table of endpoints. A new endpoint begins with a row here."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from pytest_spidra.traffic.suggestions import did_you_mean

Kind = Literal["submit", "look", "list", "cancel", "retry", "instant", "read", "upload", "drop", "file"]
"""What a request is about, whatever it is a request for: rules and the log ask for the kind, not for the name.

A look shows how a job stands, a read something else of it; an instant one does paid work at once, and queues nothing; an
upload asks for a place for a file, a drop deletes one; a file goes by a signed URL, without a key.
"""


@dataclass(frozen=True)
class Endpoint:
    """One row: the name users write, its kind, the method, and the path below the base URL."""

    name: str
    kind: Kind
    method: str
    path: str
    lists: str = ""
    """Of a list, the family whose submits can be found in it."""

    @cached_property
    def family(self) -> str:
        """What it belongs to: ``batch``, ``scrape``."""
        return self.name.partition(".")[0]

    @property
    def of_one_job(self) -> bool:
        """Whether its path names a batch or a job."""
        return "{" in self.path

    @property
    def id_field(self) -> str:
        """The field of a submit's reply that names what was queued."""
        return "batchId" if "batch" in self.name else "jobId"

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """The path as a regular expression, in which ``job`` is the id of a batch or job.

        A trailing slash is taken, as Express does by default: no source says how Spidra does.
        """
        first = re.sub(r"\{\w+\}", r"(?P<job>[^/?#]+)", self.path, count=1)
        return re.compile(re.sub(r"\{\w+\}", r"[^/?#]+", first) + "/?")


# Where two match, the first one does: literal paths stand before those with ids.
ENDPOINTS = (
    Endpoint("batch.submit", "submit", "POST", "/batch/scrape"),
    Endpoint("batch.get", "look", "GET", "/batch/scrape/{batchId}"),
    Endpoint("batch.list", "list", "GET", "/batch/scrape", lists="batch"),
    Endpoint("batch.cancel", "cancel", "DELETE", "/batch/scrape/{batchId}"),
    Endpoint("batch.retry", "retry", "POST", "/batch/scrape/{batchId}/retry"),
    Endpoint("scrape.submit", "submit", "POST", "/scrape"),
    Endpoint("scrape.get", "look", "GET", "/scrape/{jobId}"),
    Endpoint("search.submit", "submit", "POST", "/search"),
    Endpoint("search.get", "look", "GET", "/search/{jobId}"),
    Endpoint("search.cancel", "cancel", "DELETE", "/search/{jobId}"),
    Endpoint("crawl.submit", "submit", "POST", "/crawl"),
    Endpoint("crawl.history", "list", "GET", "/crawl/history", lists="crawl"),
    Endpoint("crawl.stats", "read", "GET", "/crawl/stats"),
    Endpoint("crawl.details", "read", "GET", "/crawl/job/{jobId}"),
    Endpoint("crawl.get", "look", "GET", "/crawl/{jobId}"),
    Endpoint("crawl.cancel", "cancel", "DELETE", "/crawl/{jobId}"),
    Endpoint("crawl.pages", "read", "GET", "/crawl/{jobId}/pages"),
    Endpoint("crawl.extract", "submit", "POST", "/crawl/{jobId}/extract"),
    Endpoint("crawl.retry_page", "instant", "POST", "/crawl/{jobId}/retry/{pageId}"),
    Endpoint("crawl.download", "read", "GET", "/crawl/{jobId}/download"),
    Endpoint("crawl.report", "read", "GET", "/crawl/{jobId}/report"),
    Endpoint("map.submit", "instant", "POST", "/map"),
    Endpoint("parse.submit", "submit", "POST", "/parse"),
    Endpoint("parse.batch_submit", "submit", "POST", "/parse/batch"),
    Endpoint("parse.upload", "upload", "POST", "/parse/uploads"),
    Endpoint("parse.batch_get", "look", "GET", "/parse/batch/{batchId}"),
    Endpoint("parse.delete_file", "drop", "DELETE", "/parse/files/{fileId}"),
    Endpoint("parse.get", "look", "GET", "/parse/{jobId}"),
    Endpoint("logs.list", "list", "GET", "/scrape-logs", lists="scrape"),
    Endpoint("logs.get", "read", "GET", "/scrape-logs/{uuid}"),
    Endpoint("usage.get", "read", "GET", "/usage-stats"),
    Endpoint("account.get", "read", "GET", "/account"),
    Endpoint("storage.get", "file", "GET", "/storage/{fileId}"),
    Endpoint("storage.put", "file", "PUT", "/storage/{fileId}"),
)
BY_NAME = {endpoint.name: endpoint for endpoint in ENDPOINTS}
NAMES = tuple(BY_NAME)


def names_of(family: str) -> tuple[str, ...]:
    """Return the names of a family's endpoints."""
    return tuple(endpoint.name for endpoint in ENDPOINTS if endpoint.family == family)


def match(method: str, path: str) -> tuple[Endpoint, str | None] | None:
    """Return the endpoint that a request asks for and the id of the batch or job in its path, or None."""
    for endpoint in ENDPOINTS:
        if endpoint.method == method and (found := endpoint.pattern.fullmatch(path)):
            return endpoint, found.groupdict().get("job")
    return None


def new_id(name: str, reply: Any) -> str | None:
    """Return the id of what a submit to the endpoint of that name has queued, None where its reply names none."""
    endpoint = BY_NAME.get(name)
    if endpoint is None or endpoint.kind != "submit" or not isinstance(reply, dict):
        return None
    found = reply.get(endpoint.id_field)
    return found if isinstance(found, str) and found else None


def closest(method: str, path: str) -> Endpoint:
    """Return the endpoint that a request nobody answers most likely meant: the same path goes first."""

    def likeness(row: Endpoint) -> tuple[bool, float]:
        asked = _in_the_form_of(row.path, path)
        words, wanted = f"{method} {asked}", f"{row.method} {row.path}"
        return asked.rstrip("/") == row.path, difflib.SequenceMatcher(None, words, wanted).ratio()

    return max(ENDPOINTS, key=likeness)


def _in_the_form_of(row: str, path: str) -> str:
    """Return a path with the row's placeholder in the id's place, as far as the two are the same before it."""
    before, _, rest = row.partition("{")
    if not rest or not path.startswith(before):
        return path
    _, slash, after = path.removeprefix(before).partition("/")
    return f"{before}{{{rest.partition('}')[0]}}}{slash}{after}"


def check_name(name: object) -> str:
    """Return `name` when it is an endpoint's.

    Raises:
        ValueError: It is not; the message lists the names and the one that was probably meant.
    """
    __tracebackhide__ = True
    if isinstance(name, str) and name in NAMES:
        return name
    msg = f"{name!r} is no endpoint.{did_you_mean(name, NAMES)} The endpoints are {', '.join(NAMES)}."
    raise ValueError(msg)
