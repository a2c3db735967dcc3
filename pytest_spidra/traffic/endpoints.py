"""The table of endpoints. A new endpoint begins with a row here."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from pytest_spidra.traffic.suggestions import did_you_mean

Kind = Literal["submit", "look", "list", "cancel", "retry"]
"""What a request is about, whatever it is a request for: rules and the log ask for the kind, not for the name."""


@dataclass(frozen=True)
class Endpoint:
    """One row: the name users write, its kind, the method, and the path below the base URL."""

    name: str
    kind: Kind
    method: str
    path: str

    @property
    def of_one_batch(self) -> bool:
        """Whether its path names a batch."""
        return "{batchId}" in self.path

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """The path as a regular expression.

        A trailing slash is taken, as Express does by default: no source says how Spidra does.
        """
        return re.compile(self.path.replace("{batchId}", r"(?P<batch>[^/?#]+)") + "/?")


ENDPOINTS = (
    Endpoint("batch.submit", "submit", "POST", "/batch/scrape"),
    Endpoint("batch.get", "look", "GET", "/batch/scrape/{batchId}"),
    Endpoint("batch.list", "list", "GET", "/batch/scrape"),
    Endpoint("batch.cancel", "cancel", "DELETE", "/batch/scrape/{batchId}"),
    Endpoint("batch.retry", "retry", "POST", "/batch/scrape/{batchId}/retry"),
)
BY_NAME = {endpoint.name: endpoint for endpoint in ENDPOINTS}
NAMES = tuple(BY_NAME)


def match(method: str, path: str) -> tuple[Endpoint, str | None] | None:
    """Return the endpoint that a request asks for and the batch id in its path, or None."""
    for endpoint in ENDPOINTS:
        if endpoint.method == method and (found := endpoint.pattern.fullmatch(path)):
            return endpoint, found.groupdict().get("batch")
    return None


def closest(method: str, path: str) -> Endpoint:
    """Return the endpoint that a request nobody answers most likely meant: the same path goes first."""
    asked = re.sub(r"(?<=^/batch/scrape)/[^/]+", "/{batchId}", path)

    def likeness(row: Endpoint) -> tuple[bool, float]:
        words, wanted = f"{method} {asked}", f"{row.method} {row.path}"
        return asked.rstrip("/") == row.path, difflib.SequenceMatcher(None, words, wanted).ratio()

    return max(ENDPOINTS, key=likeness)


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
