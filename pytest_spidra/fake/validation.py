"""What a submit may say: the body's fields, and the sentences for what is wrong with it.

Fields, types and defaults are those of docs.spidra.io/api-reference/scraping/batch-scrape, with ``scrapeMode``
from the SDKs. The page's errors table could not be read: 422 with one sentence for each problem follows the
SDKs and their tests. One bad URL refuses the whole request; duplicate URLs are taken as items of their own;
``proxyCountry`` without ``useProxy`` and ``fullPageScreenshot`` without ``screenshot`` are ignored. No source
says otherwise.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from pytest_spidra.fake.account import Account

MOST_URLS = 50

# IPv4-compatible, IPv4-mapped and NAT64: the last 32 bits are the address that is meant.
_HOLDS_IPV4 = tuple(map(ipaddress.IPv6Network, ("::/96", "::ffff:0:0/96", "64:ff9b::/96")))

_TYPES: dict[str, tuple[type, str]] = {
    "prompt": (str, "a string"),
    "output": (str, "a string"),
    "schema": (dict, "a JSON Schema object"),
    "useProxy": (bool, "a boolean"),
    "proxyCountry": (str, "a string"),
    "extractContentOnly": (bool, "a boolean"),
    "cookies": (str, "a string"),
    "screenshot": (bool, "a boolean"),
    "fullPageScreenshot": (bool, "a boolean"),
    "scrapeMode": (str, "a string"),
}

FIELDS = tuple(_TYPES)


def problems(body: Any, account: Account) -> list[str]:
    """Return one sentence for each thing wrong with a submit's body; empty when it can be accepted."""
    if not isinstance(body, dict):
        return ["The request body must be a JSON object."]
    found = _problems_of_urls(body.get("urls"))
    for name, (kind, words) in _TYPES.items():
        if name in body and not isinstance(body[name], kind):
            found.append(f"{name} must be {words}.")
    output = body.get("output")
    if isinstance(output, str) and output not in account.outputs:
        found.append(f"output must be one of {', '.join(account.outputs)}.")
    mode = body.get("scrapeMode")
    if isinstance(mode, str) and mode not in {"default", "fast"}:
        found.append("scrapeMode must be one of default, fast.")
    schema = body.get("schema")
    # That the root must be an object is documented for crawls only.
    if isinstance(schema, dict) and schema.get("type", "object") != "object":
        found.append("schema must have an object at its root.")
    if account.refuse_unknown_fields:
        found += [f"Unknown field: {name}." for name in body if name != "urls" and name not in _TYPES]
    return found


def accepted(body: dict[str, Any]) -> dict[str, Any]:
    """Return the options that the service keeps of an acceptable body.

    Cookies are never kept, and a schema forces ``output`` to ``json`` (documentation of submit).
    """
    options = {name: body[name] for name in _TYPES if name in body and name != "cookies"}
    options["output"] = "json" if "schema" in body else options.get("output", "json")
    return options


def _problems_of_urls(urls: Any) -> list[str]:
    if urls is None or urls == []:
        return ["At least one URL is required."]
    if not isinstance(urls, list):
        return ["urls must be an array of strings."]
    found = []
    if len(urls) > MOST_URLS:
        found.append(f"A batch takes at most {MOST_URLS} URLs.")
    for place, url in enumerate(urls):
        if not isinstance(url, str):
            found.append(f"urls[{place}] must be a string.")
        elif (why := _refused(url)) is not None:
            found.append(f"urls[{place}] {why}.")
    return found


def _refused(url: str) -> str | None:
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


def page_number(text: str | None, default: int, most: int | None) -> int:
    """Return a number of a query, moved into its bounds; no source says what becomes of one that is out of them."""
    try:
        number = max(int(text), 1) if text else default
    except ValueError:
        return default
    return number if most is None else min(number, most)
