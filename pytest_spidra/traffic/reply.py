"""A reply as a plain value, whatever library brings it to the client."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pytest_spidra.traffic.strict_json import json_or_none

if TYPE_CHECKING:
    from collections.abc import Mapping

JSON_HEADERS = {"content-type": "application/json; charset=utf-8"}


@dataclass(frozen=True)
class Reply:
    """One reply: a status code, lower-case headers and the body's bytes.

    Args:
        status: HTTP status code.

        content: The body, decompressed.

        headers: Lower-case names to values.

        took: Seconds that it was under way, on the test's clock; 0 for the fake's, which answers at once.
    """

    status: int
    content: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    took: float = 0.0

    @classmethod
    def of(cls, status: int, value: Any, headers: Mapping[str, str] | None = None) -> Reply:
        """Return a JSON reply with `value` as its body."""
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        content = text.encode("utf-8", "backslashreplace")  # half a surrogate pair, as JSON escapes it
        return cls(status, content, {**JSON_HEADERS, **(headers or {})})

    @cached_property
    def json(self) -> Any:
        """The body as JSON, None when it is empty or no JSON."""
        return json_or_none(self.content)
