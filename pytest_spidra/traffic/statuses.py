"""The words for the state of a batch and of its items (docs.spidra.io/api-reference/scraping/batch-scrape)."""

from __future__ import annotations

from typing import Literal

BatchStatus = Literal["pending", "running", "completed", "failed", "cancelled"]
ItemStatus = Literal["pending", "running", "completed", "failed", "cancelled"]

# Tuples: whether something of a reply is among them can be asked of any value, hashable or not.
UNFINISHED = ("pending", "running")
TERMINAL = ("completed", "failed", "cancelled")
