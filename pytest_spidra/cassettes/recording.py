"""A recording: what a cassette holds, once it was read."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pytest_spidra.clock.units import MICROSECONDS
from pytest_spidra.traffic import endpoints
from pytest_spidra.traffic.exchanges import Exchange

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_spidra.traffic.reply import Reply
    from pytest_spidra.traffic.request import Request


@dataclass(frozen=True)
class Times:
    """When an interaction was recorded, and in what company.

    Args:
        at: Seconds from the beginning of the test to the request, on the test's clock.

        took: Seconds from the request to its reply.

        known: How many requests had been sent when the reply was seen, this one included.

        date: When it was sent: ISO 8601, UTC.

        concurrent: Whether another thread or task of the client had sent a request before.

        in_teardown: Whether the test itself was over: a fixture cleared up.
    """

    at: float
    took: float
    known: int
    date: str
    concurrent: bool = False
    in_teardown: bool = False


@dataclass(frozen=True)
class Interaction:
    """A recorded request and its reply.

    Args:
        number: 1 for the first that was sent.

        stored: The request as vcrpy has it.

        request: The request; its path begins below the API's root.

        reply: The reply, decompressed.

        times: When it was recorded; None in a cassette that vcrpy made by itself.
    """

    number: int
    stored: Any
    request: Request
    reply: Reply
    times: Times | None

    @cached_property
    def exchange(self) -> Exchange:
        """The interaction as an exchange, for people."""
        found = endpoints.match(self.request.method, self.request.path)
        name = found[0].name if found else ""
        at = self.times.at if self.times else 0.0
        return Exchange(
            number=self.number,
            sent_at=at,
            endpoint=name,
            method=self.request.method,
            path=self.request.target,
            batch_id=endpoints.new_id(name, self.reply.json) or (found[1] if found else None),
            request_json=self.request.described,
            headers=self.request.headers,
            seen=self.reply.status,
            seen_at=at + (self.times.took if self.times else 0.0),
            seen_json=self.reply.json,
            seen_headers=self.reply.headers,
            answered=self.reply.status,
            answered_json=self.reply.json,
        )


@dataclass(frozen=True)
class Recording:
    """A cassette that was read.

    Args:
        path: Where it came from.

        interactions: Those with the batch API, in the order of the file.

        others: How many interactions with something else it holds.

        test: The id of the test whose recording it is; empty when the file does not say.
    """

    path: Path
    interactions: list[Interaction]
    others: int = 0
    test: str = ""

    @property
    def began_at(self) -> int | None:
        """When the recorded test began, in microseconds since the Unix epoch; None when nothing tells."""
        for one in self.interactions[:1]:
            if one.times:
                with suppress(ValueError):
                    sent = datetime.fromisoformat(one.times.date).timestamp()
                    return round((sent - one.times.at) * MICROSECONDS)
            with suppress(ValueError, TypeError, LookupError, OverflowError):
                return round(parsedate_to_datetime(one.reply.headers["date"]).timestamp() * MICROSECONDS)
        return None

    def older_than(self, days: float, now: float) -> str | None:
        """Return a warning when the recording is older than that, else None.

        Args:
            days: How old it may be.

            now: The time, in seconds since the Unix epoch.
        """
        if self.began_at is None:
            return None
        age = (now - self.began_at / MICROSECONDS) / 86_400
        if age <= days:
            return None
        return (
            f"{self.path} was recorded {age:.0f} days ago, and the ini option spidra_cassette_max_age takes {days:g}: the "
            "API may answer otherwise by now, and a replay would not show it. Raise the limit, or record it anew, with a "
            "key and for credits:"
        )
