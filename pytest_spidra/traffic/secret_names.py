"""What announces a secret: the names of fields, headers and parameters, and what a value looks like."""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import unquote

KEY_HEADERS = frozenset({"authorization", "x-api-key"})


# What a value looks like --------------------------------------------------------------------------------------

# Words and numbers as people write them: "blue-widget", "BlueWidget", "v2", "2026-11-23".
_WORD = re.compile(r"(?:[A-Z]?[a-z]{0,14}|[A-Z]{1,15}|(?:[A-Z][a-z]{2,14}){2,5})[0-9]{0,4}|[0-9]{1,14}")
_APART = re.compile(r"[^A-Za-z0-9]+")
_SAYS_SO = re.compile(
    r"(?i)[\W_]*(?:\[?secret[ -]?[0-9]*\]?|redacted|filtered|removed|masked|hidden|scrubbed|dummy|fake|placeholder"
    r"|example|x+)[\W_]*[0-9]*[\W_]*"
)


def is_placeholder(value: str) -> bool:
    """Tell whether a value only says that a secret stood there: ours, and those that people and vcrpy write."""
    return _SAYS_SO.fullmatch(unquote(value)) is not None or not value.strip("*•. ")


def looks_random(value: str) -> bool:
    """Tell whether a value looks like a token, and not like words, numbers or the address of a page."""
    value = unquote(value)
    if len(value) < 8 or "://" in value or value.startswith("/") or any(map(str.isspace, value)):
        return False
    if is_placeholder(value):
        return False
    return not all(_WORD.fullmatch(part) for part in _APART.split(value))


# What a name announces ----------------------------------------------------------------------------------------

_SECRETS = (
    r"token|secret|passw(?:or)?d|passphrase|passcode|sess(?:ion)?id|session|cookies?|csrf|xsrf|csrfmiddlewaretoken"
    r"|signature|credentials?|authorization|bearer|apikey|apisecret|(?:access|private|signing|encryption|auth)key"
)
_NAMED = re.compile(rf"(?:{_SECRETS}|auth)(?:id|key|value|hash|string|data|header|raw|code)?[0-9]*")
_ENDS = re.compile(rf".*?{_NAMED.pattern}|pass|pwd|sid|jwt|sig|connectsid")
_HOLDS = re.compile(
    rf"{_SECRETS.replace('token', 'token(?!s)', 1)}|auth(?:[-_]|$)|(?:^|[-_])(?:pass|pwd|jwt|sig)$"
)
_ABOUT = re.compile(
    r".*(?:count|type|policy|mode|limit|method|version|expires?(?:in|at)?|name|ttl|status|affinity|url|usage"
    r"|length|lifetime|required|enabled|consent)"
)
_ALWAYS = re.compile(r".*(?:passw(?:or)?d|passphrase|passcode|secret|cookies?|pwd|^pass)[0-9]*")
_BARE_WORD = re.compile(r"[a-z]+|[A-Z][a-z]+|[0-9]{1,4}|")


@lru_cache(maxsize=4096)  # the same few names in thousands of bodies
def plain_name(name: str) -> str:
    """Return a name's letters and digits in lower case: names are spelt in any way."""
    return "".join(filter(str.isalnum, name.lower()))


@lru_cache(maxsize=4096)
def names_a_secret(name: str) -> bool:
    """Tell whether the name of a field, header or parameter ends in saying that its value is a secret.

    ``authToken``, ``X-CSRF-Token`` and ``PASSWD`` do; ``token_count``, ``author`` and ``cookie-policy`` do not.
    """
    if len(name) > 64 or set(name) & set("/=?{ "):  # a text, or a URL
        return False
    plain = plain_name(name)
    return _ENDS.fullmatch(plain) is not None and not _ABOUT.fullmatch(plain)


@lru_cache(maxsize=4096)
def header_names_a_secret(name: str) -> bool:
    """Tell whether a header that a client sends says anywhere in its name that it carries a secret."""
    if names_a_secret(name):
        return True
    return _HOLDS.search(name.lower()) is not None and not _ABOUT.fullmatch(plain_name(name))


def is_secret_for_its_name(name: str, value: str, *, sent: bool) -> bool:
    """Tell whether a value is secret for its name, which `names_a_secret`.

    Args:
        name: The name.

        value: The value. One that says nothing (``Bearer``, ``basic``, ``none``) is no secret.

        sent: Whether the client sends it: then it is meant to let somebody in. Scraped pages are full of
            fields called token that hold words, so elsewhere the value has to look like one, too.
    """
    if is_placeholder(value) or "://" in value:
        return False
    plain = plain_name(name)
    if _ALWAYS.fullmatch(plain):
        return bool(value.strip()) if sent else len(value) > 5 and not any(map(str.isspace, value))
    return not _BARE_WORD.fullmatch(value.strip()) if sent else looks_random(value)
