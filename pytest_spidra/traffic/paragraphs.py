"""Paragraphs: what messages are made of."""

from __future__ import annotations

import textwrap

WIDTH = 72


def paragraph(text: str, indent: str = "") -> str:
    """Return text wrapped to the width of all that is shown."""
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
