"""Tokens: what is secret although nobody knows the key."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pytest_spidra.secrets.encodings import REDACTED_IN_URLS, match_of
from pytest_spidra.traffic.redaction import REDACTED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_spidra.secrets.encodings import DecodedText, Match

_TOKEN = re.compile(r"spd_[A-Za-z0-9_-]{8,}")
# "The bearer certificate" is prose: a token has a digit, or is longer than words are.
_BEARER = re.compile(
    r"(?i)\bbearer[\s+]++((?:(?=[A-Za-z._~+/-]*[0-9])|(?=[\w.~+/-]{24}))[\w.~+/-]{8,}=*)", re.ASCII
)
_QUERY = re.compile(r"[?&#][^\s\"'<>`\\)]*")
_PARAMETER = re.compile(r"[?&#](?:amp;)?([\w-]+)=([^&#?]*)")
_SIGNS = re.compile(
    r"(?i)x-(?:amz|goog)-[\w-]+|(?:aws|google)access(?:key)?id|signature|policy|key-pair-id|sig"
    r"|(?:x-)?api[_-]?key|(?:access_|auth_|id_|refresh_)?token"
)
KEY_PARAMETERS = re.compile(r"(?i)(?:x-)?(?:api[_-]?)?key")
# Cheap to look for, in lower case: without one of them none of the patterns above matches.
HINTS = (
    *("spd_", "bearer", "x-amz-", "x-goog-", "accessid", "keyid", "signature=", "policy=", "key-pair-id="),
    *("sig=", "key=", "token="),
)


def token_matches(decoded_text: DecodedText, names: re.Pattern[str] | None) -> Iterator[Match]:
    """Yield what is secret without a known key: tokens of Spidra and of bearers, and signatures of URLs.

    Args:
        decoded_text: The text, decoded.

        names: Names of parameters that are secret here beside those that are secret everywhere.
    """
    for pattern, group, what in ((_TOKEN, 0, "a Spidra key"), (_BEARER, 1, "a bearer token")):
        for match in pattern.finditer(decoded_text.text):
            yield match_of(decoded_text, match.span(group), REDACTED, what)
    for query in _QUERY.finditer(decoded_text.text):
        given = list(_PARAMETER.finditer(decoded_text.text, *query.span()))
        signs = [one for one in given if _SIGNS.fullmatch(one[1]) or (names and names.fullmatch(one[1]))]
        if signs:
            # When a URL expires is told beside its signature only; elsewhere it is nobody's secret.
            signs += [one for one in given if one[1].lower() == "expires"]
        for one in signs:
            if one[2] not in {"", REDACTED_IN_URLS, REDACTED}:
                yield match_of(decoded_text, one.span(2), REDACTED_IN_URLS, f"{one[1]} in a URL")
