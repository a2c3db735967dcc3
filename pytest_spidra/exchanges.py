"""The exchange log: what the client did and what it saw, as frozen plain values.

The log is filled the same way whatever stands upstream, and everything that judges a client reads it alone.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

from pytest_spidra import mermaid
from pytest_spidra.fake.endpoints import check_name

if TYPE_CHECKING:
    from pytest_spidra.messages import Reply, Request

MICROSECONDS = 1_000_000

REDACTED = "[redacted]"

KEY_HEADERS = frozenset({"authorization", "x-api-key"})
SECRET_HEADERS = frozenset({"cookie", "proxy-authorization"})
SECRET_FIELDS = frozenset({"cookies"})

SHORTEST_KEY = 8
_KEY = re.compile(r"\bspd_[A-Za-z0-9_-]+")
_KEY_PARAMETER = re.compile(r"(?i)([?&](?:x-)?(?:api[_-]?)?(?:key|token)=)(?!\[redacted)[^&]+")


@dataclass(frozen=True)
class Exchange:
    """One request and what came of it.

    Args:
        number: 1 for the first exchange of the test.

        sent_at: Seconds since the test began, on the test's clock, when the request was sent.

        endpoint: The endpoint's name, ``batch.submit`` for instance.

        method: HTTP method.

        path: Path and query below the base URL.

        batch_id: The batch id in the path; after an accepted submit the new batch's id; else None.

        request_json: The request's body as JSON, secrets replaced; None when there was none.

        headers: The request's headers, lower-case, secrets replaced.

        seen: What the client saw: a status code, the name of a transport error such as ``"ReadTimeout"``,
            ``"cancelled"`` when the client stopped waiting, or None while it still waits.

        seen_at: Seconds since the test began when the client saw it, or None.

        seen_json: The body that the client saw, as JSON; None when there was none.

        seen_headers: The headers that the client saw, lower-case.

        answered: The status code that upstream replied, or None when the request never reached it.

        answered_json: The body that upstream replied, as JSON.

        scripted: The scripted step as it was written, or None.

        waited: Seconds from what the client saw last, of the same batch or of submit and list, to this
            request; None for the first.

        asked_wait: Seconds that the reply asked the client to wait: its ``Retry-After``, a number or a date,
            else ``retry_after`` of its body; 0 when it may come back at once, None when it asked for nothing.

        known: How many exchanges had been sent when the client saw what it saw. A later exchange was sent in
            the knowledge of this one when its number is greater.
    """

    number: int
    sent_at: float
    endpoint: str
    method: str
    path: str
    batch_id: str | None = None
    request_json: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    seen: int | str | None = None
    seen_at: float | None = None
    seen_json: Any = None
    seen_headers: Mapping[str, str] = field(default_factory=dict)
    answered: int | None = None
    answered_json: Any = None
    scripted: str | None = None
    waited: float | None = None
    asked_wait: float | None = None
    known: int | None = None

    @cached_property
    def identity(self) -> str:
        """What makes two requests the same: method, path, query and body."""
        return f"{self.method} {self.path} {json.dumps(self.request_json, sort_keys=True)}"

    @property
    def failed(self) -> bool:
        """Whether the client saw an error: a broken connection or a status from 400 on."""
        return isinstance(self.seen, str) or (self.seen is not None and self.seen >= 400)


@dataclass(frozen=True)
class Call:
    """One thing the client wanted: consecutive identical requests, all but the last of which failed."""

    exchanges: tuple[Exchange, ...]

    @property
    def endpoint(self) -> str:
        """The endpoint's name."""
        return self.exchanges[0].endpoint

    @property
    def attempts(self) -> int:
        """How many requests it took."""
        return len(self.exchanges)

    @property
    def outcomes(self) -> list[int | str | None]:
        """What the client saw each time: ``[503, "ReadTimeout", 202]``."""
        return [exchange.seen for exchange in self.exchanges]

    @property
    def waits(self) -> list[float]:
        """Seconds between what the client saw and its next request, one fewer than attempts."""
        pairs = zip(self.exchanges, self.exchanges[1:], strict=False)
        return [
            round(later.sent_at - (first.sent_at if first.seen_at is None else first.seen_at), 6)
            for first, later in pairs
        ]


class ExchangeLog(Sequence[Exchange]):
    """The exchanges of one test, in the order in which they were sent.

    Args:
        began_at: When the test began, in microseconds since the Unix epoch.

        virtual: Whether waits are exact, as they are on the virtual clock.
    """

    def __init__(self, *, began_at: int = 0, virtual: bool = True) -> None:
        self.began_at = began_at
        self.virtual = virtual
        self.changes: list[int] = []
        self._exchanges: list[Exchange] = []
        self._keys: dict[str, str] = {}
        self._cookies: dict[str, int] = {}
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
        return f"<ExchangeLog of {len(self)} exchanges>"

    def calls(self, endpoint: str | None = None) -> tuple[Call, ...]:
        """Return the calls, those to one endpoint when it is given, in the order of their first requests.

        A request belongs to the call before it when it repeats a failed request to the letter and the client
        did nothing else with the same batch in between. Submits of other bodies do not part the attempts of
        one submit, a list does: the client has looked.

        Args:
            endpoint: An endpoint's name, ``batch.get`` for instance.

        Raises:
            ValueError: No such endpoint.
        """
        if endpoint is not None:
            check_name(endpoint)
        found: list[list[Exchange]] = []
        submits: dict[str, list[Exchange]] = {}
        batches: dict[str, tuple[str, list[Exchange]]] = {}
        for exchange in self:
            identity = (
                f"{exchange.method} {exchange.path} {json.dumps(exchange.request_json, sort_keys=True)}"
            )
            if exchange.endpoint == "batch.list":
                submits.clear()
            if exchange.endpoint == "batch.submit":
                attempts = submits.get(identity, [])
            else:
                lane = exchange.path.partition("?")[0].removesuffix("/retry")
                before, attempts = batches.get(lane, ("", []))
                if before != identity:
                    attempts = []
            # Two requests under way at the same time are two calls, whatever becomes of them.
            last = attempts[-1] if attempts else None
            if last and last.failed and last.known is not None and last.known < exchange.number:
                attempts.append(exchange)
            else:
                attempts = [exchange]
                found.append(attempts)
            if exchange.endpoint == "batch.submit":
                submits[identity] = attempts
            else:
                batches[lane] = (identity, attempts)
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
        """Note that a request was sent; return its number."""
        batch_id = None if batch_id is None else _without_keys(batch_id, request.keys)
        with self._lock:
            number = len(self._exchanges) + 1
            last = self._last_seen.get(batch_id)
            self._exchanges.append(
                Exchange(
                    number=number,
                    sent_at=sent_at,
                    endpoint=endpoint,
                    method=request.method,
                    path=without_keys_in_url(request.target, request.keys),
                    batch_id=batch_id,
                    request_json=self._without_secrets(request.json, request.keys),
                    headers=self._headers(request),
                    scripted=scripted,
                    waited=None if last is None else round(sent_at - last, 6),
                )
            )
        return number

    def answered(self, number: int, reply: Reply) -> None:
        """Note what upstream replied."""
        reply = self._clean(reply)
        new = reply.json.get("batchId") if isinstance(reply.json, dict) else None
        exchange = self._exchanges[number - 1]
        self._put(
            number,
            answered=reply.status,
            answered_json=reply.json,
            batch_id=new if isinstance(new, str) else exchange.batch_id,
        )

    def seen(self, number: int, seen: Reply | str, at: float) -> None:
        """Note what the client saw: a reply, the name of an error, or ``"cancelled"``."""
        if isinstance(seen, str):
            changes: dict[str, Any] = {"seen": seen}
        else:
            seen = self._clean(seen)
            changes = {
                "seen": seen.status,
                "seen_json": seen.json,
                "seen_headers": dict(seen.headers),
                "asked_wait": _asked_wait(seen, self.began_at / MICROSECONDS + at),
            }
        self._put(number, seen_at=at, known=len(self._exchanges), **changes)
        exchange = self._exchanges[number - 1]
        self._last_seen[exchange.batch_id] = at
        if exchange.endpoint == "batch.submit":
            self._last_seen[None] = at

    def changed(self) -> None:
        """Note that the test changed the service's mind: what was refused before may be accepted now."""
        self.changes.append(len(self._exchanges))

    def _headers(self, request: Request) -> dict[str, str]:
        """Return the headers without secrets; two different keys can still be told apart."""
        for key in request.keys:
            self._keys.setdefault(key, f"[key {len(self._keys) + 1}]")
        return {name: self._header(name, value, request.keys) for name, value in request.headers.items()}

    def _header(self, name: str, value: str, keys: list[str]) -> str:
        if name in KEY_HEADERS:
            return next((self._keys[key] for key in keys if value.endswith(key)), REDACTED)
        return REDACTED if name in SECRET_HEADERS else _without_keys(value, keys)

    def _clean(self, reply: Reply) -> Reply:
        """Return a reply in which no key stands, should the service have repeated one."""
        keys = [key for key in self._keys if key.encode() in reply.content or key in str(reply.headers)]
        if not keys:
            return reply
        content, headers = reply.content, dict(reply.headers)
        for key in keys:
            content = content.replace(key.encode(), REDACTED.encode())
            headers = {name: value.replace(key, REDACTED) for name, value in headers.items()}
        return replace(reply, content=content, headers=headers)

    def _without_secrets(self, value: Any, keys: list[str]) -> Any:
        """Return JSON with cookies and keys replaced; two different cookies can still be told apart."""
        if isinstance(value, dict):
            return {
                name: self._cookie(one) if name in SECRET_FIELDS else self._without_secrets(one, keys)
                for name, one in value.items()
            }
        if isinstance(value, list):
            return [self._without_secrets(one, keys) for one in value]
        return _without_keys(value, keys) if isinstance(value, str) else value

    def _cookie(self, value: Any) -> str:
        number = self._cookies.setdefault(json.dumps(value, sort_keys=True), len(self._cookies) + 1)
        return REDACTED if number == 1 else f"{REDACTED[:-1]} {number}]"

    def _put(self, number: int, **changes: Any) -> None:
        with self._lock:
            self._exchanges[number - 1] = replace(self._exchanges[number - 1], **changes)


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


def without_keys_in_url(target: str, keys: list[str]) -> str:
    """Return path and query without keys: those in headers, and what a URL may hold in place of one."""
    return _KEY_PARAMETER.sub(rf"\1{REDACTED}", _without_keys(target, keys))


def _without_keys(text: str, keys: list[str]) -> str:
    """Return text with keys replaced; a key too short to be one would take other words with it."""
    for key in keys:
        if len(key) >= SHORTEST_KEY:
            text = text.replace(key, REDACTED)
    return _KEY.sub(REDACTED, text)
