"""Scripts: what happens to the n-th request to an endpoint.

A step has two halves: whether the service does the work, and what the client sees. Each function here returns
a `Step`; a new failure kind is one more function.
"""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from pytest_spidra.fake import refusals
from pytest_spidra.messages import Lost, Reply

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Body = Literal["whole", "truncated", "empty"]

# The names by which httpx, and after it most clients, know a broken connection.
TRANSPORT_ERRORS = (
    "ConnectError",
    "ConnectTimeout",
    "PoolTimeout",
    "WriteError",
    "WriteTimeout",
    "ReadError",
    "ReadTimeout",
    "CloseError",
    "RemoteProtocolError",
    "LocalProtocolError",
    "ProxyError",
)


@dataclass(frozen=True)
class Step:
    """What happens to one request.

    Args:
        label: The step as it was written, for messages.

        processed: Whether the request reaches the service and its work is done.

        reply: What the client sees in place of the service's own reply; None: that reply.

        error: The name of the transport error the client sees in place of any reply.

        message: The text of that error.

        after: Seconds from the request to what the client sees, on the test's clock.

        body: Whether the reply's body comes whole, cut off in the middle, or not at all.
    """

    label: str
    processed: bool = True
    reply: Reply | None = None
    error: str | None = None
    message: str = ""
    after: float = 0.0
    body: Body = "whole"

    def __repr__(self) -> str:
        return self.label

    def shown(self, answer: Reply | None) -> Reply | Lost:
        """Return what the client sees when the service's own reply is `answer` (None: it was not asked)."""
        reply = self.reply or answer
        if self.error or reply is None:
            return Lost(self.error or "ConnectError", self.message)
        if self.body == "whole":
            return reply
        cut = len(reply.content) // 2 if self.body == "truncated" else 0
        return Reply(reply.status, reply.content[:cut], reply.headers)


def ok(*, after: float = 0.0, body: Body = "whole") -> Step:
    """The service does the work and answers.

    Args:
        after: Seconds until the client gets the reply, on the test's clock. When the client's own read
            timeout is shorter, the client sees ``ReadTimeout`` after that time, and the work is done all the
            same.

        body: ``"truncated"`` cuts the reply's body in the middle, ``"empty"`` leaves nothing of it: a reply
            that came, with a body that is no JSON.

    Raises:
        ValueError: A negative delay, an unknown `body`.

        TypeError: A delay that is no number.
    """
    __tracebackhide__ = True
    seconds("ok(after=…)", after)
    if body not in {"whole", "truncated", "empty"}:
        msg = f'ok(body=…) is "whole", "truncated" or "empty", not {body!r}'
        raise ValueError(msg)
    return Step(
        _label("ok", after=after or None, body=None if body == "whole" else body), after=after, body=body
    )


def http_error(
    status: int,
    code: str | None = None,
    message: str | None = None,
    retry_after: float | str | None = None,
    *,
    errors: Sequence[str] | None = None,
    headers: Mapping[str, str] | None = None,
    processed: bool = False,
    after: float = 0.0,
) -> Step:
    """The client sees an HTTP error; unless `processed`, the service never did the work.

    In a script a bare ``503`` is the same as ``http_error(503)``.

    Args:
        status: 400 to 599.

        code: The body's ``code``, one of the API's such as ``SERVICE_BUSY``.

        message: The body's ``message``; by default the API's own for this status where it is known.

        retry_after: The ``Retry-After`` header: seconds, or a text that is sent as it is (an HTTP date, say).

        errors: The body's ``errors``: one sentence for each problem, as a 422 carries them.

        headers: Further headers of the reply.

        processed: The service did the work before the error came: ``http_error(504, processed=True)`` after
            a submit leaves a batch that the client does not know of.

        after: Seconds until the client gets the reply, on the test's clock.

    Raises:
        ValueError: No error status, a negative number.

        TypeError: A status or a number that is none.
    """
    __tracebackhide__ = True
    if type(status) is not int or not 400 <= status <= 599:
        msg = f"http_error(…) takes an HTTP error status, 400 to 599, not {status!r}"
        raise ValueError(msg)
    more = {} if errors is None else {"errors": list(errors)}
    sent = {**_retry_after("http_error", retry_after), **_lower(headers)}
    reply = refusals.refusal(status, message, code, headers=sent, **more)
    label = _label(
        "http_error",
        status,
        code=code,
        retry_after=retry_after,
        processed=processed or None,
        after=after or None,
    )
    return Step(label, processed, reply, after=seconds("http_error(after=…)", after))


def service_busy(retry_after: float | None = 60, *, header: bool = True, processed: bool = False) -> Step:
    """503 ``SERVICE_BUSY``: the service is at capacity (docs.spidra.io/api-reference/errors).

    Args:
        retry_after: Seconds, in the body's ``retry_after`` as documented; None leaves it out.

        header: Whether ``Retry-After`` says the same. No documentation page names it; the SDKs read it.

        processed: Whether the service did the work all the same.
    """
    more = {} if retry_after is None else {"retry_after": retry_after}
    headers = _retry_after("service_busy", retry_after)
    reply = refusals.refusal(
        503, refusals.SERVICE_BUSY, "SERVICE_BUSY", headers=headers if header else None, **more
    )
    label = _label("service_busy", f"retry_after={retry_after}", processed=processed or None)
    return Step(label, processed, reply)


def queue_unavailable() -> Step:
    """503 ``QUEUE_UNAVAILABLE``: nothing was queued. Known from the SDKs only; the text is their tests'."""
    return Step(
        "queue_unavailable()",
        processed=False,
        reply=refusals.refusal(503, refusals.QUEUE_DOWN, "QUEUE_UNAVAILABLE"),
    )


def too_many_pending() -> Step:
    """429 ``TOO_MANY_PENDING_JOBS``: too many jobs wait (docs.spidra.io/api-reference/rate-limits)."""
    return Step("too_many_pending()", processed=False, reply=refusals.too_many_pending())


def rate_limited(retry_after: float | None = 60, *, limit: int = 300) -> Step:
    """429 without a code: too many requests (docs.spidra.io/api-reference/rate-limits).

    Args:
        retry_after: Seconds until the window ends, in ``Retry-After`` and ``RateLimit-Reset``; None leaves
            both out.

        limit: The window's quota of requests, in ``RateLimit-Limit``; ``RateLimit-Remaining`` is 0.
    """
    headers = {"ratelimit-limit": str(limit), "ratelimit-remaining": "0"}
    if retry_after is not None:
        headers |= _retry_after("rate_limited", retry_after)
        headers["ratelimit-reset"] = headers["retry-after"]
    return Step(
        _label("rate_limited", f"retry_after={retry_after}"),
        processed=False,
        reply=refusals.too_many_requests(headers),
    )


def payment_overdue() -> Step:
    """402 ``PAYMENT_OVERDUE`` (docs.spidra.io/api-reference/errors; the wording there is not shown)."""
    return Step("payment_overdue()", processed=False, reply=refusals.payment_overdue())


def gateway_error(status: int = 502, *, processed: bool = False) -> Step:
    """A gateway's HTML page in place of the API's JSON. The SDKs expect 502, 503 and 504.

    Args:
        status: 502, 503 or 504.

        processed: Whether the service did the work behind the gateway.

    Raises:
        ValueError: Another status.
    """
    __tracebackhide__ = True
    if status not in {502, 503, 504}:
        msg = f"gateway_error(…) is 502, 503 or 504, not {status!r}; http_error(…) takes any status"
        raise ValueError(msg)
    title = f"{status} {refusals.MESSAGES[status].rstrip('.') if status != 503 else 'Service unavailable'}"
    page = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
    reply = Reply(status, page.encode(), {"content-type": "text/html"})
    return Step(_label("gateway_error", status, processed=processed or None), processed, reply)


def reply_lost(error: str | type[Exception] | Exception = "ReadTimeout") -> Step:
    """The service does the work and the client never hears of it.

    Args:
        error: The transport error that the client sees, at once: its name as httpx has it, its class or an
            instance.

    Raises:
        ValueError: No transport error.
    """
    __tracebackhide__ = True
    return _lost("reply_lost", error, processed=True, default="ReadTimeout")


def request_lost(error: str | type[Exception] | Exception = "ConnectError") -> Step:
    """The request never reaches the service.

    Args:
        error: The transport error that the client sees, at once: its name as httpx has it, its class or an
            instance.

    Raises:
        ValueError: No transport error.
    """
    __tracebackhide__ = True
    return _lost("request_lost", error, processed=False, default="ConnectError")


def step_of(value: object) -> Step:
    """Return what a script says in one place: a `Step`, or for a bare status its `http_error`.

    Raises:
        TypeError: Neither; the message says what a step is.

        ValueError: A number that is no error status.
    """
    __tracebackhide__ = True
    if isinstance(value, Step):
        return value
    if type(value) is int:
        return http_error(value)
    called = f" (call it: {value.__name__}())" if callable(value) and hasattr(value, "__name__") else ""
    msg = (
        f"{value!r} is no step{called}. A step is an error status such as 503, or what ok(), http_error(…), "
        "request_lost(), reply_lost(), service_busy(), queue_unavailable(), too_many_pending(), "
        "rate_limited(…), payment_overdue() or gateway_error(…) return. How an item ends is no step: "
        "see spidra_mock.batch.outcomes(…)."
    )
    raise TypeError(msg)


@dataclass
class Script:
    """The steps of one endpoint, for every batch on its own or for one batch.

    Each batch goes through the steps from the first, whatever other batches do. Submit and list belong to no
    batch and have one course.
    """

    steps: list[Step] = field(default_factory=list)
    forever: Step | None = None
    forever_reached: bool = False
    reached: int = 0
    places: dict[str | None, int] = field(default_factory=lambda: defaultdict(int))

    def take(self, batch_id: str | None) -> Step | None:
        """Return the step for the next request of a batch, None when the service is healthy."""
        place = self.places[batch_id]
        if place < len(self.steps):
            self.places[batch_id] = place + 1
            self.reached = max(self.reached, place + 1)
            return self.steps[place]
        if self.forever:
            self.forever_reached = True
        return self.forever

    @property
    def unused(self) -> list[str]:
        """The steps that no request ever reached, each in words."""
        of = len(self.steps)
        left = [
            f"{step} (step {place} of {of})"
            for place, step in enumerate(self.steps, 1)
            if place > self.reached
        ]
        if self.forever and not self.forever_reached:
            left.append(f"always({self.forever})")
        return left


class Scripts:
    """The scripts of all endpoints of one test."""

    def __init__(self) -> None:
        self._scripts: dict[tuple[str, str | None], Script] = defaultdict(Script)
        self._lock = threading.Lock()

    def of(self, endpoint: str, batch_id: str | None = None) -> Script:
        """Return an endpoint's script: of one batch, or the one that every batch follows."""
        return self._scripts[endpoint, batch_id]

    def take(self, endpoint: str, batch_id: str | None) -> Step | None:
        """Return what happens to the next request, None when nothing is scripted.

        A script of the batch itself comes before the one for all batches.
        """
        with self._lock:
            if batch_id is not None and (own := self._scripts.get((endpoint, batch_id))):
                step = own.take(batch_id)
                if step:
                    return step
            script = self._scripts.get((endpoint, None))
            return script.take(batch_id) if script else None

    @property
    def unused(self) -> list[str]:
        """Every scripted step that was never reached, in words."""
        return [
            f"{endpoint}: {words}" + (f" for batch {batch_id}" if batch_id else "")
            for (endpoint, batch_id), script in self._scripts.items()
            for words in script.unused
        ]


def seconds(what: str, value: object) -> float:
    """Return a delay.

    Raises:
        TypeError: It is no number.

        ValueError: It is negative or endless.
    """
    __tracebackhide__ = True
    if isinstance(value, bool) or not isinstance(value, int | float):
        msg = f"{what} takes a number of seconds, not {value!r}"
        raise TypeError(msg)
    if not 0 <= value < float("inf"):
        msg = f"{what} counts seconds from 0 on, not {value}"
        raise ValueError(msg)
    return value


def _lost(name: str, error: object, *, processed: bool, default: str) -> Step:
    __tracebackhide__ = True
    kind = type(error) if isinstance(error, Exception) else error
    if isinstance(kind, type):
        known = [base.__name__ for base in kind.__mro__ if base.__name__ in TRANSPORT_ERRORS]
    else:
        known = [kind] if kind in TRANSPORT_ERRORS else []
    if not known:
        msg = f"{name}(…) takes a transport error, not {error!r}. These are known: {', '.join(TRANSPORT_ERRORS)}."
        raise ValueError(msg)
    (word, *_) = known
    label = f"{name}()" if word == default else f'{name}("{word}")'
    text = str(error) if isinstance(error, Exception) else ""
    return Step(label, processed, error=word, message=text or f"scripted: {label}")


def _retry_after(name: str, value: float | str | None) -> dict[str, str]:
    __tracebackhide__ = True
    if value is None:
        return {}
    if isinstance(value, str):
        return {"retry-after": value}
    return {"retry-after": f"{seconds(f'{name}(retry_after=…)', value):g}"}


def _lower(headers: Mapping[str, str] | None) -> dict[str, str]:
    return {name.lower(): value for name, value in (headers or {}).items()}


def _label(name: str, *words: object, **settings: object) -> str:
    """Return a call as it was probably written, defaults left out."""
    told = [
        f"{setting}={json.dumps(value)}" if isinstance(value, str) else f"{setting}={value}"
        for setting, value in settings.items()
        if value is not None
    ]
    return f"{name}({', '.join([*map(str, words), *told])})"
