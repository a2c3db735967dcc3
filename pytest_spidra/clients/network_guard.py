"""The network guard around the real API: what no adapter takes does not get through.

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

from pytest_spidra.clients.network_errors import sockets_blocked

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator


class HostGuard:
    """Looks at the hosts that functions are asked for."""

    def __init__(
        self, hosts: Collection[str], stop: Callable[[str], None], allow: Callable[[], bool]
    ) -> None:
        self._hosts = hosts
        self._stop = stop
        self._allow = allow
        self.standing = True

    def guarding(self, function: Callable[..., Any], place: int) -> Callable[..., Any]:
        """Return a function that looks at the host in its argument at `place` before it does what it does."""

        def guarded(*args: Any, **kwargs: Any) -> Any:
            if self.standing:  # else somebody has put us back who found us here
                self._look(args[place] if len(args) > place else kwargs.get("host"))
            return function(*args, **kwargs)

        return guarded

    def _look(self, asked: Any) -> None:
        if isinstance(asked, tuple):
            asked = asked[0]
        if isinstance(asked, bytes):
            asked = asked.decode("ascii", "replace")
        if isinstance(asked, str) and "://" in asked:  # what a proxy is asked for
            asked = urlsplit(asked).hostname
        if isinstance(asked, str) and asked.lower().rstrip(".") in self._hosts and not self._allow():
            self._stop(asked)


@contextmanager
def block_hosts(
    hosts: Collection[str],
    stop: Callable[[str], None],
    *,
    fixture: str = "spidra_mock",
    allow: Callable[[], bool] = lambda: False,
) -> Iterator[None]:
    """Call `stop` with a message when anything in this process asks the way to one of `hosts`.

    Args:
        hosts: Names of hosts, lower-case.

        stop: Called with the message.

        fixture: What the user's test has asked for.

        allow: Whether somebody may pass just now: a request that is being recorded.
    """
    guard = HostGuard(hosts, lambda host: stop(_message(host, fixture)), allow)
    # Within a cassette of vcrpy's, its own class stands there, which has no such methods.
    connection = getattr(http.client.HTTPConnection, "_baseclass", http.client.HTTPConnection)
    # The sockets of `socket` are a Python class above a C one: what it inherits is patched by adding a name.
    doors: list[tuple[Any, str, int]] = [
        (socket, "getaddrinfo", 0),
        (socket, "gethostbyname", 0),
        (socket, "gethostbyname_ex", 0),
        (socket.socket, "connect", 1),
        (socket.socket, "connect_ex", 1),
        (connection, "set_tunnel", 1),
        (connection, "putrequest", 2),
    ]
    if sockets_blocked():
        # Nobody gets an address, and pytest-socket puts back only what it finds as it has left it.
        doors = [handler for handler in doors if not handler[1].startswith("get")]
    olds = [(owner, name, vars(owner).get(name)) for owner, name, _ in doors]
    ours = [guard.guarding(getattr(owner, name), place) for owner, name, place in doors]
    for (owner, name, _), new in zip(doors, ours, strict=True):
        setattr(owner, name, new)
    try:
        yield
    finally:
        guard.standing = False
        for (owner, name, old), new in zip(olds, ours, strict=True):
            if vars(owner).get(name) is not new:
                continue  # others have cleared up before us (pytest-socket does), or stand before us
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
