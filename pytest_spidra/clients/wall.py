"""The wall around the real API: what no adapter takes does not get through.

A request that an adapter does not see (another HTTP library, a transport of the user's own) would go to the
real service and could cost credits. It has to resolve the host's name first, or ask a proxy for it; both fail
here, loudly. Not covered are libraries that resolve names in C on their own (pycurl, uvloop).
"""

from __future__ import annotations

import http.client
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

REAL_HOST = "api.spidra.io"


@contextmanager
def walled(
    hosts: Collection[str],
    stop: Callable[[str], None],
    *,
    fixture: str = "spidra_mock",
    gate: Callable[[], bool] = lambda: False,
) -> Iterator[None]:
    """Call `stop` with a message when anything in this process asks the way to one of `hosts`.

    Args:
        hosts: Names of hosts, lower-case.

        stop: Called with the message.

        fixture: What the user's test has asked for.

        gate: Whether somebody may pass just now: a request that is being recorded.
    """

    def guarding(function: Callable[..., Any], place: int) -> Callable[..., Any]:
        """Look at the host in an argument before `function` does."""

        def guarded(*args: Any, **kwargs: Any) -> Any:
            asked = args[place] if len(args) > place else kwargs.get("host")
            if isinstance(asked, tuple):
                asked = asked[0]
            if isinstance(asked, bytes):
                asked = asked.decode("ascii", "replace")
            if isinstance(asked, str) and "://" in asked:  # what a proxy is asked for
                asked = urlsplit(asked).hostname
            if isinstance(asked, str) and asked.lower().rstrip(".") in hosts and not gate():
                stop(_message(asked, fixture))
            return function(*args, **kwargs)

        return guarded

    # The sockets of `socket` are a Python class above a C one: what it inherits is patched by adding a name.
    doors: list[tuple[Any, str, int]] = [
        (socket, "getaddrinfo", 0),
        (socket, "gethostbyname", 0),
        (socket, "gethostbyname_ex", 0),
        (socket.socket, "connect", 1),
        (socket.socket, "connect_ex", 1),
        (http.client.HTTPConnection, "set_tunnel", 1),
        (http.client.HTTPConnection, "putrequest", 2),
    ]
    olds = [(owner, name, vars(owner).get(name)) for owner, name, _ in doors]
    for owner, name, place in doors:
        setattr(owner, name, guarding(getattr(owner, name), place))
    try:
        yield
    finally:
        for owner, name, old in olds:
            if old is None:
                delattr(owner, name)
            else:
                setattr(owner, name, old)


def _message(host: str, fixture: str) -> str:
    return f"""Something tried to reach {host} past {fixture}.

{fixture} answers httpx clients that ask below its base URL. A request
of another HTTP library, of a transport that is not httpx's own, or to
another path of this host would have gone to the real service, with a
real key for real credits. It was stopped before it left.

To fix it, use httpx with its own transports, and {fixture}.base_url."""
