"""Where Spidra's API lives (docs.spidra.io/api-reference/introduction)."""

from __future__ import annotations

REAL_HOST = "api.spidra.io"
BASE_URL = f"https://{REAL_HOST}/api"


def is_base_url(value: object) -> bool:
    """Whether an API can live below a value: a URL of http or https with a host."""
    if value == BASE_URL:
        return True  # what is nearly always said costs no import
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(value) if isinstance(value, str) else None
        return bool(parts and parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0)
    except ValueError:  # the port is not a number
        return False
