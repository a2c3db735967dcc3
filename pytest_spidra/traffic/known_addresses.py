"""Which names have resolved to which addresses in this process.

Code that has asked for an address before a test may connect to it in the test, and no name is asked for any more.
"""

from __future__ import annotations

import functools
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

LOOPBACK = ("127.", "::1")

_NAMES: dict[tuple[str, int | None], set[str]] = {}


def host_name(value: object) -> str | None:
    """Return a host's name as names are compared, or None when `value` is not a name."""
    if isinstance(value, bytes | bytearray):
        value = bytes(value).decode("ascii", "replace")
    if not isinstance(value, str):
        return None
    if not value.isascii():
        try:
            value = value.encode("idna").decode()
        except UnicodeError:
            return None
    return value.lower().rstrip(".")


def is_address_of(hosts: Collection[str], ip: str, port: int | None) -> bool:
    """Tell whether an address is known as one of these hosts', and of no other.

    Hosts behind one proxy share its addresses, so one that another name has resolved to as well says nothing. On
    this machine itself only the very port counts: whoever points a name at it does not mean every server here.
    """
    names = _NAMES.get(_key(ip, port), set())
    return bool(names) and names <= set(hosts)


def _key(ip: str, port: int | None) -> tuple[str, int | None]:
    return ip, port if ip.startswith(LOOPBACK) else None


def _remember(name: object, addresses: list[tuple[str, int | None]]) -> None:
    known_as = host_name(name)
    for ip, port in addresses:
        if known_as and known_as != ip:
            _NAMES.setdefault(_key(ip, port), set()).add(known_as)


def _of_getaddrinfo(result: Any) -> list[tuple[str, int | None]]:
    return [info[4][:2] for info in result if isinstance(info[4][0], str)]


def _of_gethostbyname(result: Any) -> list[tuple[str, int | None]]:
    return [(result, None)]


def _of_gethostbyname_ex(result: Any) -> list[tuple[str, int | None]]:
    return [(ip, None) for ip in result[2]]


_READ: dict[str, Callable[[Any], list[tuple[str, int | None]]]] = {
    "getaddrinfo": _of_getaddrinfo,
    "gethostbyname": _of_gethostbyname,
    "gethostbyname_ex": _of_gethostbyname_ex,
}


@contextmanager
def remember_addresses() -> Iterator[None]:
    """Remember what names resolve to, from now on."""
    olds = {name: getattr(socket, name) for name in _READ}
    ours = {name: _remembering(old, _READ[name]) for name, old in olds.items()}
    for name, new in ours.items():
        setattr(socket, name, new)
    try:
        yield
    finally:
        for name, new in ours.items():
            if getattr(socket, name) is new:  # else somebody stands before us, and we only pass on
                setattr(socket, name, olds[name])


def _remembering(
    function: Callable[..., Any], read: Callable[[Any], list[tuple[str, int | None]]]
) -> Callable[..., Any]:
    @functools.wraps(function)
    def resolve(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        _remember(args[0] if args else kwargs.get("host"), read(result))
        return result

    return resolve
