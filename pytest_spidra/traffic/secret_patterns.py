r"""What is a secret although nobody has said so: the one table, for the log, cassettes and ``spidra-cassette check``.

A new secret is a row with a sample, which a test sends through all three.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from pytest_spidra.traffic.secret_names import (
    is_placeholder,
    is_secret_for_its_name,
    looks_random,
    names_a_secret,
    plain_name,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SHORTEST_KEY = 8
"""Characters of an API key that can be looked for without finding it in every word."""

SHORT = 512
"""Characters of a text that is worth remembering: a header, a field."""


@dataclass(frozen=True)
class SecretPattern:
    """A kind of secret that can be told in any text.

    Args:
        what: What it is, for people.

        pattern: How it is found.

        hints: Texts in lower case without one of which the pattern never matches; they are found much faster.

        sample: One, for the tests; in parts, so that nobody takes it for a real one.

        group: The part of the match that is the secret.

        is_one: Whether a match is one indeed.
    """

    what: str
    pattern: re.Pattern[str]
    hints: tuple[str, ...]
    sample: tuple[str, ...]
    group: int = 0
    is_one: Callable[[re.Match[str]], bool] = bool


def _basic(found: re.Match[str]) -> bool:
    try:
        return b":" in base64.b64decode(found[1], validate=True)
    except ValueError:
        return False


def _parameter(found: re.Match[str]) -> bool:
    return (names_a_secret(found[1]) or plain_name(found[1]) in {"key", "policy"}) and looks_random(found[2])


def _digits_and_letters(found: re.Match[str]) -> bool:
    return bool(re.search("[0-9]", found[0])) and looks_random(found[0])


_VALUE = r"((?:(?!%26|%23|%3F|&amp;)[^&#?\s\"'<>`\\)\]}])+)"
_BEFORE = r"(?:[?&#;]|%3F|%26|%23)"
_IS = r"(?:=|%3D)"

SECRET_PATTERNS = (
    SecretPattern(
        "a Spidra key",
        re.compile(r"spd_([A-Za-z0-9_-]{8,})"),
        ("spd_",),
        ("spd_", "Live7Qz9Kx3WmT2b"),
        is_one=lambda found: looks_random(found[1]),  # spd_documentation_page is a word
    ),
    SecretPattern(
        "a bearer token",
        # "The bearer certificate" is prose: a token has a digit, or is longer than words are.
        re.compile(
            r"(?i)\bbearer(?:[\s+]|%20)++((?:(?=[A-Za-z._~+/-]*[0-9])|(?=[\w.~+/-]{24}))[\w.~+/-]{8,}=*)",
            re.ASCII,
        ),
        ("bearer",),
        ("Bearer ", "mF9.B5f-4.1JqM"),
        1,
    ),
    SecretPattern(
        "a user's name and password",
        re.compile(r"(?i)\bbasic\s+([A-Za-z0-9+/]{8,}={0,2})"),
        ("basic",),
        ("Basic ", "dXNlcjpodW50ZXIy"),
        1,
        _basic,
    ),
    SecretPattern(
        "a password in a URL",
        re.compile(r"(?<=://)([^\s/@\"'<>?#:]{0,256}:[^\s/@\"'<>?#]{1,256})(?=@)"),
        ("://",),
        ("https://user:hunter2", "@internal.example/feed"),
        is_one=lambda found: not is_placeholder(found[0].partition(":")[2]),
    ),
    SecretPattern(
        "a token in a URL",
        re.compile(r"(?<=://)[^\s/@\"'<>?#:]{8,256}(?=@)"),
        ("://",),
        ("https://9f8e7d6c5b4a39281706", "@git.example/repository"),
        is_one=lambda found: looks_random(found[0]),
    ),
    SecretPattern(
        "the signature of a URL",
        re.compile(
            rf"(?i){_BEFORE}(?:amp;)?((?:x-(?:amz|goog)-(?:signature|credential|security-token))"
            rf"|(?:aws|google)access(?:key)?id|key-pair-id){_IS}{_VALUE}"
        ),
        ("x-amz-", "x-goog-", "accesskeyid", "accessid", "key-pair-id"),
        ("https://s3.example/shot.png?w=1&X-Amz-Signature=", "5e1f"),
        2,
        lambda found: not is_placeholder(found[2]),
    ),
    SecretPattern(
        "a secret in a URL",
        re.compile(rf"(?i){_BEFORE}(?:amp;)?([\w.-]{{1,64}}?){_IS}{_VALUE}"),
        ("=", "%3d"),
        ("https://a.example/?page=2&access_token=", "6mQ9zR4tV1xK"),
        2,
        _parameter,
    ),
    SecretPattern(
        "a JSON Web Token",
        re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.e[A-Za-z0-9_-]{2,}\.[A-Za-z0-9_-]*"),
        ("eyj",),
        ("eyJhbGciOiJIUzI1NiJ9", ".eyJzdWIiOiIxMjM0In0.dozjgNryP4J3"),
    ),
    SecretPattern(
        "a GitHub token",
        re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,})"),
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
        ("ghp_", "0123456789abcdefghijABCDEFGHIJ012345"),
    ),
    SecretPattern(
        "an AWS access key id",
        re.compile(r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b"),
        ("akia", "asia"),
        ("AKIA", "QYLPMN5HFIQR7XYA"),
    ),
    SecretPattern(
        "an AWS secret key",
        re.compile(r"(?i)aws_?secret_?(?:access_?)?key[\"']?\s*[:=]\s*[\"']?([A-Za-z0-9/+=]{40})"),
        ("aws_secret", "awssecret"),
        ("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/", "bPxRfiCYzzzzzzzzzz"),
        1,
    ),
    SecretPattern(
        "a Slack token",
        re.compile(r"\bx(?:ox[abeoprs]|app)-[A-Za-z0-9-]{10,}"),
        ("xox", "xapp-"),
        ("xoxb-", "123456789012-AbCdEfGhIjKl"),
    ),
    SecretPattern(
        "a Slack webhook",
        re.compile(r"hooks\.slack\.com/services/(T[A-Z0-9]+/B[A-Z0-9]+/[A-Za-z0-9]{20,})"),
        ("hooks.slack.com",),
        ("https://hooks.slack.com/services/", "T00000000/B00000000/abcdefghijklmnopqrstuvwx"),
        1,
    ),
    SecretPattern(
        "a Stripe key",
        re.compile(r"\b(?:[sr]k_(?:live|test)_[A-Za-z0-9]{16,}|whsec_[A-Za-z0-9+/=]{24,})"),
        ("sk_live_", "sk_test_", "rk_live_", "rk_test_", "whsec_"),
        ("sk_live_", "4eC39HqLyjWDarjtT1zdp7dc"),
    ),
    SecretPattern(
        "a Google key",
        re.compile(r"\b(?:AIza[A-Za-z0-9_-]{35}|ya29\.[A-Za-z0-9_-]{20,}|GOCSPX-[A-Za-z0-9_-]{20,})"),
        ("aiza", "ya29.", "gocspx-"),
        ("AIza", "SyA1234567890abcdefghijklmnopqrstuv"),
    ),
    SecretPattern(
        "a key of an AI service",
        re.compile(r"\bsk-[A-Za-z0-9_-]{20,}"),
        ("sk-",),
        ("sk-", "proj-Ab1Cd2Ef3Gh4Ij5Kl6Mn7"),
        is_one=_digits_and_letters,
    ),
    SecretPattern(
        "a GitLab token",
        re.compile(r"\bgl(?:pat|dt|ft|soat|rt|cbt|ptt|agent|oas)-[A-Za-z0-9_-]{20,}"),
        tuple(f"gl{kind}-" for kind in ("pat", "dt", "ft", "soat", "rt", "cbt", "ptt", "agent", "oas")),
        ("glpat-", "1a2B3c4D5e6F7g8H9i0J"),
    ),
    SecretPattern(
        "an npm token",
        re.compile(r"\bnpm_[A-Za-z0-9]{36}"),
        ("npm_",),
        ("npm_", "0123456789abcdefghijABCDEFGHIJ012345"),
    ),
    SecretPattern(
        "a PyPI token",
        re.compile(r"\bpypi-AgE[A-Za-z0-9_-]{40,}"),
        ("pypi-age",),
        ("pypi-", "AgEIcHlwaS5vcmcCJDAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5"),
    ),
    SecretPattern(
        "a SendGrid key",
        re.compile(r"\bSG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}"),
        ("sg.",),
        ("SG.", "0123456789abcdefghijAB", ".0123456789abcdefghijABCDEFGHIJ0123456789abc"),
    ),
    SecretPattern(
        "a Square token",
        re.compile(r"\bsq0(?:csp|atp)-[A-Za-z0-9_-]{22,43}"),
        ("sq0csp-", "sq0atp-"),
        ("sq0csp-", "0123456789abcdefghijABCDEFGHIJ0123456789abc"),
    ),
    SecretPattern(
        "a Telegram token",
        re.compile(r"\b[0-9]{8,10}:AA[A-Za-z0-9_-]{33}\b"),
        (":aa",),
        ("110201543", ":AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw0"),
    ),
    SecretPattern(
        "a Mailchimp key",
        re.compile(r"\b[0-9a-f]{32}-us[0-9]{1,2}\b"),
        ("-us",),
        ("0123456789abcdef0123456789abcdef", "-us12"),
    ),
    SecretPattern(
        "a Discord token",
        re.compile(r"\b[MNO][A-Za-z0-9_-]{23,25}\.[A-Za-z0-9_-]{6}\.[A-Za-z0-9_-]{27,38}\b"),
        (".",),
        ("MTk4NjIyNDgzNDcxOTI1MjQ4", ".Cl2FMQ.", "ZnCjm1XVW7vRze4b7Cq4se7kKWs"),
        is_one=_digits_and_letters,
    ),
    SecretPattern(
        "an Azure storage key",
        re.compile(r"AccountKey=([A-Za-z0-9+/=]{86,88})"),
        ("accountkey=",),
        ("AccountKey=", "0123456789abcdefghijABCDEFGHIJ01" * 2, "0123456789abcdefghijAB=="),
        1,
    ),
    SecretPattern(
        "a private key",
        re.compile(r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----(.+?)(?:-----END|\Z)", re.DOTALL),
        ("private key",),
        ("-----BEGIN RSA ", "PRIVATE KEY-----\nMIIEowIBAAKCAQEA1234\n-----END RSA PRIVATE KEY-----"),
        1,
        lambda found: not is_placeholder(found[1]),
    ),
)


def secrets_in(text: str) -> tuple[tuple[int, int, str], ...]:
    """Return where secrets stand in a text that give themselves away: from, to, and what each is, for people."""
    return _short_ones(text) if len(text) <= SHORT else _secrets_in(text)


def _secrets_in(text: str) -> tuple[tuple[int, int, str], ...]:
    lower = text.lower()
    spans: list[tuple[int, int, str]] = []
    for row in SECRET_PATTERNS:
        for hint in row.hints:
            if hint in lower:
                found = filter(row.is_one, row.pattern.finditer(text))
                spans += [(*one.span(row.group), row.what) for one in found]
                break
    return tuple(spans)


_short_ones = lru_cache(maxsize=4096)(_secrets_in)  # headers and fields say the same in thousands of requests


# "name": "value", whole or cut off, in what is not quite JSON: lines of it, events, a body that ends too early.
_FIELD = re.compile(r'"([^"\\\s]{1,64})"\s*:\s*"((?:[^"\\]|\\.)*)')


def fields_in(text: str, *, sent: bool) -> Iterator[tuple[int, int, str]]:
    """Yield where values of JSON stand in a text that are secret for their names, as `secrets_in` does.

    Args:
        text: The text.

        sent: As for `is_secret_for_its_name`.
    """
    for found in _FIELD.finditer(text) if '"' in text else ():
        if names_a_secret(found[1]) and is_secret_for_its_name(found[1], found[2], sent=sent):
            yield *found.span(2), f"{found[1]} not redacted"
