"""Steps of which the client sees a broken connection."""

from __future__ import annotations

import json

from pytest_spidra.scripting.steps import Step, label_of, seconds

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


def reply_lost(
    error: str | type[Exception] | Exception = "ReadTimeout", *, after: float | None = None
) -> Step:
    """The service does the work and the client never hears of it.

    A timeout lands when the client's own is over, which its library has as a setting: ``ReadTimeout`` after its read
    timeout, and so on. A client that waits without a limit would wait for ever, so the test fails and says so, unless
    something else ends the wait within an hour of the test's clock (a minute of real time). All other errors come
    at once.

    Args:
        error: The transport error that the client sees: its name as httpx has it, its class or an instance.

        after: Seconds until the client sees it, on the test's clock, whatever error it is; a timeout of its own
            that is shorter comes first.

    Raises:
        ValueError: No transport error, a negative delay.

        TypeError: A delay that is no number.
    """
    __tracebackhide__ = True
    return _lost("reply_lost", error, after, processed=True, default="ReadTimeout")


def request_lost(
    error: str | type[Exception] | Exception = "ConnectError", *, after: float | None = None
) -> Step:
    """The request never reaches the service.

    A timeout lands when the client's own is over, as with `reply_lost`: ``ConnectTimeout`` after its connect timeout.
    For a client without one, that is the operating system's, 127 seconds as on Linux.

    Args:
        error: The transport error that the client sees: its name as httpx has it, its class or an instance.

        after: Seconds until the client sees it, on the test's clock, whatever error it is; a timeout of its own
            that is shorter comes first.

    Raises:
        ValueError: No transport error, a negative delay.

        TypeError: A delay that is no number.
    """
    __tracebackhide__ = True
    return _lost("request_lost", error, after, processed=False, default="ConnectError")


def _lost(name: str, error: object, after: float | None, *, processed: bool, default: str) -> Step:
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
    label = label_of(name, *([] if word == default else [json.dumps(word)]), after=after)
    text = str(error) if isinstance(error, Exception) else ""
    if after is None:
        after = None if word.endswith("Timeout") else 0.0
    else:
        seconds(f"{name}(after=…)", after)
    return Step(label, processed, error=word, message=text or f"scripted: {label}", after=after)
