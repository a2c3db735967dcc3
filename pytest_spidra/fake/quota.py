"""The quota of requests: how many there may be, how many there were."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from pytest_spidra.clock.units import MICROSECONDS


@dataclass(frozen=True)
class RateLimit:
    """The quota of requests, all endpoints and polling included.

    Documented are 300 requests in 15 minutes (docs.spidra.io/api-reference/rate-limits). Windows are fixed
    and begin with their first request, as express-rate-limit counts them, which the service probably uses.

    Args:
        requests: How many requests a window allows.

        per_seconds: The window's length in seconds.

        reset: What ``RateLimit-Reset`` holds: ``"delta"``, seconds from now as both SDKs read it, or
            ``"timestamp"``, Unix seconds as the documentation says.

        style: Which headers tell: ``"draft-6"``, four of their own as the documentation has them, ``"draft-7"`` and
            ``"draft-8"``, all in ``RateLimit``. The vendor's own fixtures are of draft 8; no source shows a live reply.

        retry_after: Whether a 429 carries ``Retry-After``. No documentation page names it.
    """

    requests: int = 300
    per_seconds: float = 900.0
    reset: Literal["delta", "timestamp"] = "delta"
    retry_after: bool = True
    style: Literal["draft-6", "draft-7", "draft-8"] = "draft-6"

    def __post_init__(self) -> None:
        if type(self.requests) is not int or self.requests < 0:
            msg = f"RateLimit(requests=…) counts requests from 0 on, not {self.requests!r}"
            raise ValueError(msg)
        length = self.per_seconds
        if isinstance(length, bool) or not isinstance(length, int | float) or not 0 < length < float("inf"):
            msg = f"RateLimit(per_seconds=…) is a number of seconds above 0, not {length!r}"
            raise ValueError(msg)
        if self.reset not in ("delta", "timestamp"):
            msg = f'RateLimit(reset=…) is "delta" or "timestamp", not {self.reset!r}'
            raise ValueError(msg)
        if self.style not in ("draft-6", "draft-7", "draft-8"):
            msg = f'RateLimit(style=…) is "draft-6", "draft-7" or "draft-8", not {self.style!r}'
            raise ValueError(msg)
        if type(self.retry_after) is not bool:
            msg = f"RateLimit(retry_after=…) is True or False, not {self.retry_after!r}"
            raise ValueError(msg)


class HasRateLimit(Protocol):
    """Whoever says how many requests there may be."""

    rate_limit: RateLimit | None


@dataclass
class Quota:
    """Counts requests against the account's rate limit, in fixed windows."""

    account: HasRateLimit
    opened: int | None = None
    used: int = 0

    def count(self, now: int) -> tuple[dict[str, str], bool]:
        """Count one request.

        Returns:
            The headers of its reply, empty without a limit, and whether the request is within the limit.
        """
        limit = self.account.rate_limit
        if limit is None:
            self.opened = None
            return {}, True
        length = max(round(limit.per_seconds * MICROSECONDS), 1)
        if self.opened is None or now >= self.opened + length:
            self.opened, self.used = now, 0
        self.used += 1
        left = -(-(self.opened + length - now) // MICROSECONDS)
        reset = left if limit.reset == "delta" else -(-(self.opened + length) // MICROSECONDS)
        headers = _headers(limit, max(limit.requests - self.used, 0), reset)
        within = self.used <= limit.requests
        if not within and limit.retry_after:
            headers["retry-after"] = str(left)
        return headers, within


def _headers(limit: RateLimit, left: int, reset: int) -> dict[str, str]:
    """Return the headers that tell how many requests are left, and when there are more again."""
    window = f"{limit.per_seconds:g}"
    if limit.style == "draft-8":
        return {
            "ratelimit-policy": f'"default";q={limit.requests};w={window}',
            "ratelimit": f'"default";r={left};t={reset}',
        }
    policy = {"ratelimit-policy": f"{limit.requests};w={window}"}
    if limit.style == "draft-7":
        return {**policy, "ratelimit": f"limit={limit.requests}, remaining={left}, reset={reset}"}
    return {
        **policy,
        "ratelimit-limit": str(limit.requests),
        "ratelimit-remaining": str(left),
        "ratelimit-reset": str(reset),
    }
