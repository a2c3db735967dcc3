"""What may be behind an error of the network, in words."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SOCKETS_BLOCKED = (
    "pytest-socket forbids it: --disable-socket or --allow-hosts is in force. Run without them, or with "
    "--force-enable-socket."
)
OFFLINE = {errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTUNREACH}

CONNECTED = {"ReadError", "ReadTimeout", "RemoteProtocolError", "WriteError", "WriteTimeout"}


def sockets_blocked() -> bool:
    """Whether pytest-socket lets nobody make a socket: an event loop fails then before anything is sent."""
    return socket.socket.__module__.partition(".")[0] == "pytest_socket"


def innermost(error: BaseException) -> BaseException:
    """Return an error without the groups around it that hold nothing else."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def reasons(error: BaseException) -> Iterator[str]:
    """Yield sentences that say why there was no connection, as far as the error tells."""
    causes = list(_causes(error))
    texts = list(map(str, causes))
    # Where warnings are errors, pytest-socket's warning comes in place of its error.
    if any("A test tried to use socket." in text for text in texts):
        yield SOCKETS_BLOCKED
    elif any("Network is disabled" in text for text in texts):
        yield "pytest-recording forbids it: --block-network is in force. Run without it."
    elif type(error).__name__ in CONNECTED:
        return  # whatever else is among the causes was being handled at the time
    elif any(isinstance(cause, socket.gaierror) for cause in causes):
        yield "The host's name could not be resolved: this machine seems to be offline, or the name is wrong."
    elif any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        yield "Nobody listens there. The ini option spidra_base_url says where the API is."
    elif any(isinstance(cause, OSError) and cause.errno in OFFLINE for cause in causes):
        yield "There is no way there: this machine seems to be offline."


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it was made of; not what was merely being handled at the time."""
    waiting, seen = [error], set()
    while waiting:
        one = waiting.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions
        # httpcore says "from None" of what it has made of another error.
        mapped = type(one).__module__.partition(".")[0] == "httpcore"
        if cause := one.__cause__ or (one.__context__ if mapped else None):
            waiting.append(cause)
