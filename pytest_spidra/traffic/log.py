"""The exchange log: filled the same way whatever stands upstream, and read by everything that judges a client."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, overload

from pytest_spidra.traffic import mermaid, timeline
from pytest_spidra.traffic.endpoints import check_name, new_id
from pytest_spidra.traffic.exchanges import Call, Exchange
from pytest_spidra.traffic.redaction import Redaction, without_keys, without_keys_in_url
from pytest_spidra.traffic.senders import Senders, merged

if TYPE_CHECKING:
    from pytest_spidra.traffic.reply import Reply
    from pytest_spidra.traffic.request import Request


LONGEST_CALL = 900.0  # seconds between two attempts of one call; who asks again later begins anew


class ExchangeLog(Sequence[Exchange]):
    """The exchanges of one test, in the order in which they were sent.

    Args:
        began_at: When the test began, in microseconds since the Unix epoch.

        virtual: Whether waits are exact, as they are on the virtual clock.

        secrets: Takes the secrets that are found.
    """

    def __init__(self, *, began_at: int = 0, virtual: bool = True, secrets: set[str] | None = None) -> None:
        self.began_at = began_at
        self.virtual = virtual
        self.changes: list[int] = []
        self._exchanges: list[Exchange] = []
        self._before = 0  # how many exchanges were forgotten
        self._redaction = Redaction(secrets)
        self._senders = Senders()
        self._last_seen: dict[str | None, float] = {}
        self._lock = threading.Lock()

    @overload
    def __getitem__(self, index: int) -> Exchange: ...
    @overload
    def __getitem__(self, index: slice) -> list[Exchange]: ...
    def __getitem__(self, index: int | slice) -> Exchange | list[Exchange]:
        return self._exchanges[index]

    def __len__(self) -> int:
        return len(self._exchanges)

    def __iter__(self) -> Iterator[Exchange]:
        return iter(list(self._exchanges))

    def __repr__(self) -> str:
        return f"<ExchangeLog of {len(self)} exchange{'' if len(self) == 1 else 's'}>"

    def __str__(self) -> str:
        """Return the timeline: ``print(spidra_mock.exchanges)``."""
        return timeline.render(self) if self else "no exchanges"

    def calls(self, endpoint: str | None = None) -> tuple[Call, ...]:
        """Return the calls, those to one endpoint when it is given, in the order of their first requests.

        A request belongs to the call before it when it repeats, within 15 minutes, a failed request of the same
        sender to the letter, and the sender did nothing else with the same batch in between. Submits of other bodies
        do not part the attempts of one submit, a list does: the client has looked.

        Args:
            endpoint: An endpoint's name, ``batch.get`` for instance.

        Raises:
            ValueError: No such endpoint.
        """
        __tracebackhide__ = True
        if endpoint is not None:
            check_name(endpoint)
        found: list[list[Exchange]] = []
        submits: dict[int, dict[str, list[Exchange]]] = {}
        batches: dict[tuple[int, str], tuple[str, list[Exchange]]] = {}
        senders = merged(self)
        for exchange in self:
            identity, sender = exchange.identity, senders[exchange.sender]
            place = sender, exchange.path.partition("?")[0].removesuffix("/retry")
            if exchange.is_list:
                submits.pop(sender, None)
            if exchange.is_submit:
                attempts = submits.get(sender, {}).get(identity, [])
            else:
                before, attempts = batches.get(place, ("", []))
                if before != identity:
                    attempts = []
            if attempts and _follows(attempts[-1], exchange):
                attempts.append(exchange)
            else:
                attempts = [exchange]
                found.append(attempts)
            if exchange.is_submit:
                submits.setdefault(sender, {})[identity] = attempts
            else:
                batches[place] = identity, attempts
        return tuple(
            Call(tuple(attempts))
            for attempts in found
            if endpoint is None or attempts[0].endpoint == endpoint
        )

    def to_mermaid(self) -> str:
        """Return the exchanges as a Mermaid sequence diagram, for a pull request."""
        return mermaid.render(self)

    # -- filling it ------------------------------------------------------------------------------------

    def begin(
        self, request: Request, endpoint: str, batch_id: str | None, sent_at: float, scripted: str | None
    ) -> int:
        """Note that a request was sent; return the ticket by which what comes of it is noted."""
        batch_id = None if batch_id is None else without_keys(batch_id, request.keys)
        with self._lock:
            number = len(self._exchanges) + 1
            senders = self._senders.sends(number)
            last = self._last_seen.get(batch_id)
            self._exchanges.append(
                Exchange(
                    number=number,
                    sent_at=sent_at,
                    sender=senders.pop(number),
                    endpoint=endpoint,
                    method=request.method,
                    path=without_keys_in_url(request.target, request.keys),
                    batch_id=batch_id,
                    request_json=self._redaction.body(request.described, request.keys),
                    headers=self._redaction.headers(request),
                    scripted=scripted,
                    waited=None if last is None else round(sent_at - last, 6),
                )
            )
            for earlier, sender in senders.items():
                self._exchanges[earlier - 1] = replace(self._exchanges[earlier - 1], sender=sender)
            return self._before + number

    def answered(self, ticket: int, reply: Reply) -> None:
        """Note what upstream replied."""
        reply = self._redaction.reply(reply)
        place = ticket - self._before - 1
        exchange = self._exchanges[place] if place >= 0 else None
        new = new_id(exchange.endpoint, reply.json) if exchange else None
        changes = {"batch_id": new} if new else {}
        self._put(ticket, answered=reply.status, answered_json=reply.json, **changes)

    def is_open(self, ticket: int) -> bool:
        """Whether the client has seen nothing yet of what came of a request."""
        place = ticket - self._before - 1
        return place < 0 or self._exchanges[place].seen is None

    def seen(self, ticket: int, seen: Reply | str, at: float) -> None:
        """Note what the client saw: a reply, the name of an error, or ``"cancelled"``."""
        if isinstance(seen, str):
            changes: dict[str, Any] = {"seen": seen}
        else:
            seen = self._redaction.reply(seen)
            changes = {
                "seen": seen.status,
                "seen_json": seen.json,
                "seen_headers": dict(seen.headers),
                "asked_wait": _asked_wait(seen, timedelta(microseconds=self.began_at).total_seconds() + at),
            }
        exchange = self._put(ticket, seen_at=at, known=len(self._exchanges), **changes)
        if exchange is None:
            return
        self._last_seen[exchange.batch_id] = at
        if exchange.is_submit:
            self._last_seen[None] = at

    def changed(self) -> None:
        """Note that the test changed the service's mind: what was refused before may be accepted now."""
        self.changes.append(len(self._exchanges))

    def clear(self) -> None:
        """Begin anew; what is under way belongs to what was before."""
        with self._lock:
            self._before += len(self._exchanges)
            self._exchanges, self.changes = [], []
            self._senders = Senders()
            self._last_seen.clear()

    def _put(self, ticket: int, **changes: Any) -> Exchange | None:
        """Change an exchange, unless it is forgotten."""
        with self._lock:
            place = ticket - self._before - 1
            if place < 0:
                return None
            self._exchanges[place] = replace(self._exchanges[place], **changes)
            return self._exchanges[place]


def _follows(last: Exchange, exchange: Exchange) -> bool:
    """Whether a request is the next attempt after one that failed: two under way at the same time are two calls."""
    if not last.failed or last.known is None or last.known >= exchange.number:
        return False
    seen_at = last.sent_at if last.seen_at is None else last.seen_at
    return exchange.sent_at - seen_at <= LONGEST_CALL


def _asked_wait(reply: Reply, now: float) -> float | None:
    """Return how many seconds a reply asks to wait; a time that has passed is no wait, and yet an answer."""
    text = reply.headers.get("retry-after")
    body = reply.json.get("retry_after") if isinstance(reply.json, dict) else None
    try:
        asked = float(body if text is None else text)  # type: ignore[arg-type]  # None is caught below
    except (TypeError, ValueError):
        try:
            asked = parsedate_to_datetime(text or "").timestamp() - now
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
    return max(asked, 0.0) if asked < float("inf") else None
