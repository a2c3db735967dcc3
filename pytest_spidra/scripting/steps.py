"""Steps: what happens to one request.

A step has two halves: whether the service does the work, and what the client sees. Each function here returns
a `Step`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import TYPE_CHECKING, Literal

from pytest_spidra.traffic import error_replies
from pytest_spidra.traffic.pending import ConnectionLost
from pytest_spidra.traffic.reply import Reply

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Body = Literal["whole", "truncated", "empty", "cut"]


@dataclass(frozen=True)
class Step:
    """What happens to one request.

    Args:
        label: The step as it was written, for messages.

        processed: Whether the request reaches the service and its work is done.

        reply: What the client sees in place of the service's own reply; None: that reply.

        error: The name of the transport error the client sees in place of any reply.

        message: The text of that error.

        after: Seconds from the request to what the client sees, on the test's clock; None: it sees a timeout, when
            its own is over.

        body: Whether the reply's body comes whole, cut off in the middle, not at all, or until the connection breaks.
    """

    label: str
    processed: bool = True
    reply: Reply | None = None
    error: str | None = None
    message: str = ""
    after: float | None = 0.0
    body: Body = "whole"

    def __repr__(self) -> str:
        return self.label

    def shown(self, answer: Reply | None) -> Reply | ConnectionLost:
        """Return what the client sees when the service's own reply is `answer` (None: it was not asked)."""
        reply = self.reply or answer
        if self.error or reply is None:
            return ConnectionLost(self.error or "ConnectError", self.message)
        if self.body == "whole":
            return reply
        part = reply.content[: 0 if self.body == "empty" else len(reply.content) // 2]
        if self.body != "cut":
            return Reply(reply.status, part, reply.headers)
        promised = {**reply.headers, "content-length": str(max(len(reply.content), 1))}
        message = (
            f"{self.label}: the connection broke after {len(part)} of {promised['content-length']} bytes"
        )
        return ConnectionLost("RemoteProtocolError", message, partial=Reply(reply.status, part, promised))


def ok(*, after: float = 0.0, body: Body = "whole") -> Step:
    """The service does the work and answers.

    Args:
        after: Seconds until the client gets the reply, on the test's clock. When the client's own read
            timeout is shorter, the client sees ``ReadTimeout`` after that time, and the work is done all the
            same.

        body: ``"truncated"`` cuts the reply's body in the middle, ``"empty"`` leaves nothing of it: a reply
            that came, with a body that is no JSON. ``"cut"`` breaks the connection in the middle of the body: the
            client sees the status, and then ``RemoteProtocolError`` in place of the rest.

    Raises:
        ValueError: A negative delay, an unknown `body`.

        TypeError: A delay that is no number.
    """
    __tracebackhide__ = True
    seconds("ok(after=…)", after)
    if body not in {"whole", "truncated", "empty", "cut"}:
        msg = f'ok(body=…) is "whole", "truncated", "empty" or "cut", not {body!r}'
        raise ValueError(msg)
    return Step(
        label_of("ok", after=after or None, body=None if body == "whole" else body), after=after, body=body
    )


def http_error(
    status: int,
    code: str | None = None,
    message: str | None = None,
    retry_after: float | str | datetime | None = None,
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

        retry_after: The ``Retry-After`` header: seconds, a `datetime`, or an HTTP date as text.

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
    sent = {**retry_after_header("http_error", retry_after), **_lower(headers)}
    reply = error_replies.error_reply(status, message, code, headers=sent, **more)
    label = label_of(
        "http_error",
        status,
        code=code,
        retry_after=retry_after,
        processed=processed or None,
        after=after or None,
    )
    return Step(label, processed, reply, after=seconds("http_error(after=…)", after))


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


def retry_after_header(name: str, value: float | str | datetime | None) -> dict[str, str]:
    """Return the ``Retry-After`` header that says so; `name` is the function the user called.

    Raises:
        ValueError: A text that is not an HTTP date, a negative number.

        TypeError: Neither a number nor a date.
    """
    __tracebackhide__ = True
    if value is None:
        return {}
    if isinstance(value, datetime):
        return {"retry-after": format_datetime(value.astimezone(UTC), usegmt=True)}
    if isinstance(value, str):
        try:
            _ = value.strip().lstrip("+-").isdecimal() or parsedate_to_datetime(value)
        except ValueError:
            msg = f"{name}(retry_after=…) takes seconds, a datetime or an HTTP date, not {value!r}"
            raise ValueError(msg) from None
        return {"retry-after": value}
    return {"retry-after": f"{seconds(f'{name}(retry_after=…)', value):g}"}


def _lower(headers: Mapping[str, str] | None) -> dict[str, str]:
    return {name.lower(): value for name, value in (headers or {}).items()}


def label_of(name: str, *words: object, **settings: object) -> str:
    """Return a call as it was probably written, defaults left out."""
    told = [
        f"{setting}={json.dumps(value)}" if isinstance(value, str) else f"{setting}={value}"
        for setting, value in settings.items()
        if value is not None
    ]
    return f"{name}({', '.join([*map(str, words), *told])})"
