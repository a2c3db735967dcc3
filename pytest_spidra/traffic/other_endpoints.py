"""Endpoints of the real API beside those in `endpoints`: what is asked of them is no mistake, and nothing here answers it.

The paths are those of the official SDK's methods (spidra on PyPI, 0.5).
"""

from __future__ import annotations

import re

from pytest_spidra.traffic import endpoints

_OTHERS = """
GET /parse/files/{id}
"""
OTHERS = tuple(line for line in _OTHERS.splitlines() if line)
_PATTERNS = tuple(re.compile(line.replace("{id}", "[^/ ]+") + "/?") for line in OTHERS)


def is_beyond_the_fake(method: str, path: str) -> bool:
    """Whether the real API has an endpoint for a request, and the fake has not."""
    if endpoints.match(method, path):
        return False
    return any(pattern.fullmatch(f"{method} {path}") for pattern in _PATTERNS)
