"""Tokens: what is secret although nobody knows the key."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pytest_spidra.secrets.encodings import REDACTED_IN_URLS, match_of
from pytest_spidra.traffic.redaction import REDACTED
from pytest_spidra.traffic.secret_patterns import SECRET_PARAMETERS, SECRET_PATTERNS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_spidra.secrets.encodings import DecodedText, Match

_QUERY = re.compile(r"[?&#][^\s\"'<>`\\)]*")
_PARAMETER = re.compile(r"[?&#](?:amp;)?([\w-]+)=([^&#?]*)")


def token_matches(decoded_text: DecodedText, names: re.Pattern[str] | None) -> Iterator[Match]:
    """Yield what is secret without a known key: tokens of a known form, and signatures of URLs.

    Args:
        decoded_text: The text, decoded.

        names: Names of parameters that are secret here beside those that are secret everywhere.
    """
    for row in SECRET_PATTERNS:
        for match in row.pattern.finditer(decoded_text.text):
            yield match_of(decoded_text, match.span(row.group), REDACTED, row.what)
    for query in _QUERY.finditer(decoded_text.text):
        given = list(_PARAMETER.finditer(decoded_text.text, *query.span()))
        signs = [
            one for one in given if SECRET_PARAMETERS.fullmatch(one[1]) or (names and names.fullmatch(one[1]))
        ]
        if signs:
            # When a URL expires is told beside its signature only; elsewhere it is nobody's secret.
            signs += [one for one in given if one[1].lower() == "expires"]
        for one in signs:
            if one[2] not in {"", REDACTED_IN_URLS, REDACTED}:
                yield match_of(decoded_text, one.span(2), REDACTED_IN_URLS, f"{one[1]} in a URL")
