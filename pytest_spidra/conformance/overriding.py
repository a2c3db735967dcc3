"""Cases that are switched off: with a reason, and visibly."""

from __future__ import annotations

import functools
from typing import Any

import pytest


class xfail:  # noqa: N801 - it reads as pytest's own word
    """Say that a runner does not pass a case, and why: ``test_submit_bad_gateway_done = xfail(reason="…")``.

    The case still runs, and fails the run when it passes after all.

    Args:
        reason: Why, in a sentence.

    Raises:
        ValueError: There is none.
    """

    def __init__(self, reason: str) -> None:
        if not isinstance(reason, str) or not reason.strip():
            msg = "xfail(reason=…) of a case takes the reason, in a sentence"
            raise ValueError(msg)
        self.reason = reason

    def __set_name__(self, owner: type, name: str) -> None:
        inherited = next((vars(base)[name] for base in owner.__mro__[1:] if name in vars(base)), None)
        if inherited is None:
            msg = f"there is no case {name!r}: {owner.__name__} switches off nothing"
            raise TypeError(msg)

        @functools.wraps(inherited)  # pytest asks for the fixtures of what is wrapped
        def test(self: Any, **fixtures: Any) -> None:
            getattr(super(owner, self), name)(**fixtures)

        test.pytestmark = []  # type: ignore[attr-defined]  # the class's marks are the class's
        setattr(owner, name, pytest.mark.xfail(reason=self.reason, strict=True)(test))


def switched_off(kind: type, names: list[str], base: type) -> list[str]:
    """Return a sentence for each case that a class overrides without ``xfail(reason=…)``."""
    found = []
    for name in names:
        mine = getattr(kind, name, None)
        if mine is getattr(base, name):
            continue
        marks = [mark for mark in getattr(mine, "pytestmark", []) if mark.name == "xfail"]
        if not any(
            isinstance(mark.kwargs.get("reason"), str) and mark.kwargs["reason"].strip() for mark in marks
        ):
            found.append(f"{name} is overridden without a reason")
        elif others := [m.name for m in mine.pytestmark if m.name in ("skip", "skipif")]:  # type: ignore[union-attr]  # it has marks
            found.append(f"{name} is marked {others[0]}")
        elif any(mark.args or mark.kwargs.get("run") is False for mark in marks):
            found.append(f"{name} does not run, or only sometimes")
    return found
