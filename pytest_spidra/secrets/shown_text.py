"""Shown text: what pytest shows and reports of a run that records, without the secrets that are sent in it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pytest_spidra.secrets.encodings import forms_of, key_in
from pytest_spidra.traffic.redaction import REDACTED, without_keys
from pytest_spidra.traffic.secret_names import is_secret_for_its_name, names_a_secret
from pytest_spidra.traffic.secret_patterns import SHORTEST_KEY

if TYPE_CHECKING:
    from collections.abc import Collection

# A value beside its name, as Python shows mappings, pairs and local variables; JSON is known elsewhere.
_NAMED = re.compile(
    r"""\b(?P<name>[\w-]{1,64})["']?(?:[:,]\ ?|\s*=\ ?)b?(?P<quote>["'])(?P<value>(?:(?!(?P=quote))[^\\\n]|\\.)+)(?P=quote)""",
    re.VERBOSE,
)


def _without_value(found: re.Match[str]) -> str:
    if not names_a_secret(found["name"]) or not is_secret_for_its_name(
        found["name"], found["value"], sent=True
    ):
        return found[0]
    start, end = (place - found.start() for place in found.span("value"))
    return f"{found[0][:start]}{REDACTED}{found[0][end:]}"


class ShownText:
    """Takes secrets out of what is shown. Nothing depends on it, so what cannot be replaced is left out as a whole.

    Args:
        keys: API keys, which are found in any encoding.

    Attributes:
        known: Other secrets; whoever learns of one adds it. Short ones are found as words only.
    """

    def __init__(self, keys: Collection[str]) -> None:
        self.known: set[str] = set()
        self._keys = forms_of(keys)
        self._forms: dict[str, Any] = {}
        self._count = 0

    def clean(self, text: str) -> str:
        """Return a text without secrets."""
        if self._count < len(self.known):
            known = self.known.copy()  # threads may add to it meanwhile
            self._count = len(known)
            forms = forms_of([one for one in known if len(one) >= SHORTEST_KEY]).plain
            self._forms = dict.fromkeys([*forms, *sorted(known, key=len, reverse=True)])
        for form in (*self._keys.plain, *self._keys.encoded, *self._forms):
            if form in text:
                around = "" if len(form) >= SHORTEST_KEY else "\\b"
                text = re.sub(f"{around}{re.escape(form)}{around}", REDACTED, text)
        text = without_keys(_NAMED.sub(_without_value, text), ())
        if key_in(text, self._keys):
            text = "\n".join(
                f"[a line with an API key {how}]" if (how := key_in(line, self._keys)) else line
                for line in text.split("\n")
            )
        how = key_in(text, self._keys)
        return f"[a text with an API key {how}]" if how else text

    def cleaned(self, value: Any) -> Any:
        """Return a value without secrets, text or made of texts; a part of a traceback is changed in place."""
        if isinstance(value, str):
            return self.clean(value)
        if isinstance(value, dict):
            return {self.cleaned(name): self.cleaned(one) for name, one in value.items()}
        if type(value) in {list, tuple}:
            return type(value)(self.cleaned(one) for one in value)
        # Anything else that hangs on a report may lead anywhere: xdist's worker, to all of pytest.
        if hasattr(value, "toterminal") and not isinstance(value, type):
            self.clean_attributes(value)
        return value

    def clean_attributes(self, value: Any, *, but: Collection[str] = ()) -> None:
        """Take secrets out of an object's attributes."""
        for name, one in list(vars(value).items()):
            if name not in but and (cleaned := self.cleaned(one)) is not one:
                object.__setattr__(value, name, cleaned)
