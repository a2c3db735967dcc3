"""The words for the state of a batch and of its items, and of other jobs.

Batches: docs.spidra.io/api-reference/scraping/batch-scrape; scrapes: …/scraping/scrape-status.
"""

from __future__ import annotations

from typing import Literal

BatchStatus = Literal["pending", "running", "completed", "failed", "cancelled"]
ItemStatus = Literal["pending", "running", "completed", "failed", "cancelled"]

# Tuples: whether something of a reply is among them can be asked of any value, hashable or not.
UNFINISHED = ("pending", "running", "queued", "waiting", "active", "delayed")
TERMINAL = ("completed", "failed", "cancelled")
