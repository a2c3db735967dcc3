"""Rules about API keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_spidra.traffic import describe
from pytest_spidra.traffic.redaction import REDACTED
from pytest_spidra.verdicts.rules.base import Rule
from pytest_spidra.verdicts.rules.evidence import keys_of

if TYPE_CHECKING:
    from pytest_spidra.traffic.exchanges import Exchange


class MissingKey(Rule):
    """A request carried no API key."""

    name = "missing-key"
    why = "The service answers it with 401."
    shares_deeds = False
    fix = "Send the header x-api-key, or Authorization: Bearer, with every request."

    def sent(self, exchange: Exchange) -> None:
        # A route of the user's own may be open to all.
        if (
            exchange.kind != "file"
            and not keys_of(exchange)
            and (exchange.endpoint or exchange.answered == 401)
        ):
            claim = (
                f"{describe.request(exchange)} (#{exchange.number}) has neither x-api-key nor a bearer token."
            )
            self.accuse("key", claim, [], exchange)


class KeyInUrl(Rule):
    """The API key stands in a URL."""

    name = "key-in-url"
    why = "URLs end up in the logs of every proxy and server on the way, and the key with them."
    shares_deeds = False
    fix = "Send the key in a header: x-api-key, or Authorization: Bearer."

    def sent(self, exchange: Exchange) -> None:
        if REDACTED in exchange.path:
            claim = f"The URL of {describe.request(exchange)} (#{exchange.number}) holds the API key."
            self.accuse("url", claim, [], exchange)
