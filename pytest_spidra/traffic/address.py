"""Where Spidra's API lives (docs.spidra.io/api-reference/introduction)."""

from __future__ import annotations

REAL_HOST = "api.spidra.io"
BASE_URL = f"https://{REAL_HOST}/api"
