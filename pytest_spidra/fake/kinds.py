"""The kinds of jobs, by name. A new kind begins with a class of its own, and a line here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_spidra.fake.crawls import CRAWL
from pytest_spidra.fake.parses import PARSE, PARSE_BATCH
from pytest_spidra.fake.scrapes import SCRAPE
from pytest_spidra.fake.searches import SEARCH

if TYPE_CHECKING:
    from pytest_spidra.fake.job import JobKind

KINDS: dict[str, JobKind] = {kind.name: kind for kind in (SCRAPE, SEARCH, CRAWL, PARSE, PARSE_BATCH)}
