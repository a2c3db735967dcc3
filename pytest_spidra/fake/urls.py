"""What a URL is, as far as the service cares before it goes there."""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import unquote, urlsplit

NO_SUCH_HOST = "net::ERR_NAME_NOT_RESOLVED"
"""What a page fails with whose host cannot be found: Chromium's words, as no source shows the service's."""

# IPv4-compatible, IPv4-mapped and NAT64: the last 32 bits are the address that is meant.
_HOLDS_IPV4 = tuple(map(ipaddress.IPv6Network, ("::/96", "::ffff:0:0/96", "64:ff9b::/96")))


def refused(url: str) -> str | None:
    """Return why a URL is refused, to be read after its name; None when it is taken."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
        parts.port  # noqa: B018 - reading it checks it
    except ValueError:
        return "is not a valid URL"
    if parts.scheme not in {"http", "https"}:
        return "must begin with http:// or https://"
    if not host or any(sign.isspace() or not sign.isprintable() for sign in url):
        return "is not a valid URL"
    return "points to a private or internal address" if _private(host) else None


def _private(host: str) -> bool:
    host = unquote(host)
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        try:
            # Browsers and Node read 2130706433, 0x7f.1 and 127.1 as 127.0.0.1, and so does inet_aton.
            address = ipaddress.ip_address(socket.inet_aton(host))
        except (OSError, UnicodeError, ValueError):
            return False
    if isinstance(address, ipaddress.IPv6Address):
        if any(address in network for network in _HOLDS_IPV4):
            address = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        elif address.is_site_local:
            return True
    return not address.is_global


def cannot_resolve(url: str) -> bool:
    """Whether a URL's host is below ``invalid``, the top-level domain that never exists (RFC 2606)."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    return host == "invalid" or host.endswith(".invalid")
