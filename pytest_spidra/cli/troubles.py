"""What ends a command before it has begun."""

from __future__ import annotations


class Trouble(Exception):  # noqa: N818 - people read it
    """A command cannot begin; the message is a sentence for people."""
