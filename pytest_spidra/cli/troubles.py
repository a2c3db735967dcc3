"""What ends a command before it has begun."""

from __future__ import annotations


class TroubleError(Exception):
    """A command cannot begin; the message is a sentence for people."""
