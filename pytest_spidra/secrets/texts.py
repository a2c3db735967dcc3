"""Texts: one line of what goes into a cassette, with placeholders where secrets stood."""

from __future__ import annotations

import re
from itertools import chain
from typing import TYPE_CHECKING

from pytest_spidra.secrets.encodings import HiddenKeyError, forms_of, key_in
from pytest_spidra.secrets.placeholders import PLACEHOLDER, Numbers, placeholder
from pytest_spidra.traffic.secret_names import is_placeholder
from pytest_spidra.traffic.secret_patterns import SHORT, fields_in, secrets_in

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator


class TextScrubber:
    """Takes secrets out of texts, numbers them, and notes where each was.

    Args:
        keys: API keys that must not get in.

    Attributes:
        numbers: Numbers the secrets.

        found: Where each secret was, and what it is, for people: ``("request body", "a bearer token")``.

    Raises:
        ValueError: A key is too short to be told from other text.
    """

    def __init__(self, keys: Collection[str] = ()) -> None:
        self.found: list[tuple[str, str]] = []
        self._forms = forms_of(keys)
        forms = "|".join(map(re.escape, self._forms.plain))
        self._keys = re.compile(forms) if forms else None
        self._folded = re.compile(forms, re.IGNORECASE) if forms else None
        self.numbers = Numbers()
        # What stands in every interaction is looked through once.
        self._innocent: set[tuple[str, bool, bool | None]] = set()
        self._keyless: set[tuple[str, bool]] = set()
        self._place = ""
        self._sent = False

    def note(self, what: str) -> None:
        """Note what was found in the place that is looked at."""
        self.found.append((self._place, what))

    def _instead(self, secret: str, what: str, *, in_url: bool = False) -> str:
        self.note(what)
        return placeholder(self.numbers.of(secret), in_url=in_url)

    def _checked(self, text: str, *, fold: bool = False) -> str:
        """Return a text in which no key is left.

        Raises:
            HiddenKeyError: One is.
        """
        if (text, fold) not in self._keyless:
            if how := key_in(text, self._forms, fold=fold):
                raise HiddenKeyError(self._place, how)
            if len(text) <= SHORT:
                self._keyless.add((text, fold))
        return text

    def _string(self, text: str, *, in_url: bool = False, sent: bool | None = None) -> str:
        """Return a text without keys and without what gives itself away.

        Args:
            text: The text, whatever it is.

            in_url: Whether it is a URL: keys are keys in lower case, too, and a placeholder has no brackets.

            sent: Whether fields of JSON in it were sent to let somebody in; None when it holds no JSON.
        """
        if (text, in_url, sent) in self._innocent:
            return text
        spans = sorted(self._spans(text, fold=in_url, sent=sent), key=lambda span: (span[0], -span[1]))
        if not spans:
            if len(text) <= SHORT:
                self._innocent.add((text, in_url, sent))
            return text
        parts = []
        last = 0
        for start, end, secret, what in spans:
            if start >= last:
                in_authority = text.startswith("@", end) and text.startswith("://", max(start - 3, 0))
                parts += [text[last:start], self._instead(secret, what, in_url=in_url or in_authority)]
            last = max(last, end)  # of two that overlap, one number is enough
        return "".join([*parts, text[last:]])

    def _spans(self, text: str, *, fold: bool, sent: bool | None) -> Iterator[tuple[int, int, str, str]]:
        pattern = self._folded if fold else self._keys
        for found in pattern.finditer(text) if pattern else ():
            key = self._forms.plain.get(found[0], found[0].lower())
            yield *found.span(), key, "an API key"
        named = () if sent is None else fields_in(text, sent=sent)
        for start, end, what in chain(named, secrets_in(text)):
            secret = text[start:end]
            if not is_placeholder(secret) and not PLACEHOLDER.fullmatch(secret):
                yield start, end, secret, what
