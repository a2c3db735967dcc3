"""What is a secret although nobody has said so: one row each, for log, scrubber and search alike.

A new secret is a row here. Its sample is sent through all three by a test.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class SecretPattern:
    """A kind of secret that its own form gives away.

    Args:
        what: What it is, for people.

        pattern: What it looks like.

        group: Which group of the pattern is the secret itself.

        hints: Texts, in lower case, without one of which it cannot be there: they are cheap to look for.

        sample: A text that holds one; in two parts, so that no scanner takes this file for a leak.
    """

    what: str
    pattern: re.Pattern[str]
    group: int
    hints: tuple[str, ...]
    sample: tuple[str, str]


SECRET_PATTERNS = (
    SecretPattern(
        "a Spidra key", re.compile(r"spd_[A-Za-z0-9_-]{8,}"), 0, ("spd_",), ("spd_", "4f9a81c2d7e6")
    ),
    # "The bearer certificate" is prose: a token has a digit, or is longer than words are.
    SecretPattern(
        "a bearer token",
        re.compile(
            r"(?i)\bbearer[\s+]++((?:(?=[A-Za-z._~+/-]*[0-9])|(?=[\w.~+/-]{24}))[\w.~+/-]{8,}=*)", re.ASCII
        ),
        1,
        ("bearer",),
        ("Bearer ", "a1b2c3d4e5"),
    ),
    SecretPattern(
        "a GitHub token",
        re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_\w{40,})"),
        0,
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
        ("ghp_", "0123456789abcdefABCDEF0123456789abcd"),
    ),
    SecretPattern(
        "an AWS access key id",
        re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
        0,
        ("akia", "asia"),
        ("AKIA", "ABCDEFGHIJ234567"),
    ),
    SecretPattern(
        "a Slack token",
        re.compile(r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}"),
        0,
        ("xox",),
        ("xoxb-", "1234567890-abcdef"),
    ),
    SecretPattern(
        "a Stripe key",
        re.compile(r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,}"),
        0,
        ("k_live_", "k_test_"),
        ("sk_live_", "0123456789abcdef"),
    ),
    SecretPattern(
        "a Google API key",
        re.compile(r"\bAIza[\w-]{35}"),
        0,
        ("aiza",),
        ("AIza", "0123456789abcdefghijklmnopqrstuvwxy"),
    ),
    SecretPattern(
        "a JSON web token",
        re.compile(r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}"),
        0,
        ("eyj",),
        ("eyJhbGciOiJIUzI1NiJ9.", "eyJzdWIiOiIxMjM0NSJ9.c2lnbmF0dXJlLW9mLWl0"),
    ),
)

# Parameters of URLs that are secret by their names, and headers and fields that are.
SECRET_PARAMETERS = re.compile(
    r"(?i)x-(?:amz|goog)-[\w-]+|(?:aws|google)access(?:key)?id|signature|policy|key-pair-id|sig"
    r"|(?:x-)?api[_-]?key|(?:access_|auth_|id_|refresh_)?token"
)
PARAMETER_HINTS = (
    *(
        "x-amz-",
        "x-goog-",
        "accessid",
        "keyid",
        "signature=",
        "policy=",
        "key-pair-id=",
        "sig=",
        "key=",
        "token=",
    ),
)
KEY_PARAMETERS = re.compile(r"(?i)(?:x-)?(?:api[_-]?)?key")
KEY_HEADERS = frozenset({"authorization", "x-api-key"})
SECRET_HEADERS = frozenset({"cookie", "proxy-authorization"})
SECRET_FIELDS = frozenset({"cookies"})

HINTS = (*(hint for row in SECRET_PATTERNS for hint in row.hints), *PARAMETER_HINTS)
"""In lower case: without one of them none of the patterns above matches."""
