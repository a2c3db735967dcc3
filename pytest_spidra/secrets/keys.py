"""API keys as people give them."""

from __future__ import annotations

from pytest_spidra.traffic.secret_patterns import SHORTEST_KEY


def checked_key(given: str | None, source: str = "SPIDRA_API_KEY") -> str:
    """Return a key without the white space around it, which an editor or a shell has left there.

    Args:
        given: The key, or None.

        source: Where it comes from, for people.

    Raises:
        ValueError: It is none that could be sent and kept out of a cassette; the message does not show it.
    """
    key = (given or "").strip()
    if not key:
        msg = f"Recording needs an API key: set the environment variable {source}."
    elif not (key.isascii() and key.isprintable() and " " not in key):
        msg = (
            f"{source} holds characters that no header can carry: blanks, line breaks, control characters or letters "
            "beyond ASCII. Set it to the key alone."
        )
    elif len(key) < SHORTEST_KEY:
        msg = f"{source} has {len(key)} characters: too few to keep it out of a cassette."
    else:
        return key
    raise ValueError(msg)
