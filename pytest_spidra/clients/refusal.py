"""What the network guard says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_spidra.traffic.other_endpoints import is_beyond_the_fake
from pytest_spidra.traffic.paragraphs import paragraph

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_spidra.clients.asked_request import AskedRequest

POOLS = "the connection pools of urllib3 2"
ANSWERED_LIBRARIES = {
    "httpx": "transports of its own, httpx.HTTPTransport and httpx.AsyncHTTPTransport",
    "httpx2": "transports of its own, httpx2.HTTPTransport and httpx2.AsyncHTTPTransport",
    "requests": POOLS,
    "urllib3": POOLS,
    "aiohttp": "connectors of its own",
}
"""What is answered in process, and through what it sends."""


def refusal(
    host: str, asked: AskedRequest, how: str, *, base_url: str, fixture: str, early: bool = False
) -> str:
    """Say what was stopped, why, and what would have answered it.

    Args:
        host: The guarded host, or an address of it.

        asked: What was on its way.

        how: What it did last: ``"it asked for the address of api.spidra.io"``.

        base_url: Below which URL `fixture` answers.

        fixture: What the user's test has asked for.

        early: Whether it has yet to be set up.
    """
    what = " ".join(filter(None, [asked.method, asked.url])) or "A request"
    by = f" by {asked.library}" if asked.library else ""
    claim = f"{what}{by} was on its way to the real {host}, past {fixture}."
    why = (
        "The real service would have answered it, for real credits with a real key. It was stopped when "
        f"{how}."
    )
    order = (
        f"{fixture} is not set up yet. To fix it, let the fixture that sends this ask for {fixture}, so that it comes "
        "after it."
    )
    ways = [order] if early else _ways_out(asked, base_url, fixture)
    return "\n\n".join(map(paragraph, [claim, why, *ways]))


def _ways_out(asked: AskedRequest, base_url: str, fixture: str) -> Iterator[str]:
    below = asked.url == base_url or asked.url.startswith(f"{base_url}/")
    if below and is_beyond_the_fake(asked.method, asked.url.removeprefix(base_url)):
        yield f"The real API has this endpoint; the fake behind {fixture} does not have it."
        return
    known = asked.library in ANSWERED_LIBRARIES
    if not known:
        yield (
            f"{fixture} answers {', '.join(ANSWERED_LIBRARIES)} and the official SDK, below {fixture}.base_url. "
            f"{asked.library or 'Everything else'} is answered by spidra_server, the same fake on a port of this machine: ask for that fixture, and take "
            "spidra_server.base_url for the API's URL."
        )
    if known and below:
        yield (
            f"{fixture} answers what {asked.library} sends through {ANSWERED_LIBRARIES[asked.library]}. To fix it, use "
            "these; what goes another way is answered by spidra_server."
        )
    elif known or not asked.url:
        yield f"To fix it, build the URL on {fixture}.base_url, which is {base_url}."
