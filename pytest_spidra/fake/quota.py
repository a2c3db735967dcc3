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

        retry_after: Whether a 429 carries ``Retry-After``. No documentation page names it.
    """

    requests: int = 300
    per_seconds: float = 900.0
    reset: Literal["delta", "timestamp"] = "delta"
    retry_after: bool = True

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
        headers = {
            "ratelimit-policy": f"{limit.requests};w={limit.per_seconds:g}",
            "ratelimit-limit": str(limit.requests),
            "ratelimit-remaining": str(max(limit.requests - self.used, 0)),
            "ratelimit-reset": str(
                left if limit.reset == "delta" else -(-(self.opened + length) // MICROSECONDS)
            ),
        }
        within = self.used <= limit.requests
        if not within and limit.retry_after:
            headers["retry-after"] = str(left)
        return headers, within
