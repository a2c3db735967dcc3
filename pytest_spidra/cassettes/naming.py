"""Names of cassettes: one for each test, whatever runs it, and none for two."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST = 150
"""Bytes of a file's name; most file systems take 255, and ``.yaml`` and a temporary file's ending come to it."""

_UNSAFE = re.compile(r'[<>:"/\\|?*\x00-\x20\x7f]|[^\x00-\x7f]|^\.|[. ]$')
_DEVICE = re.compile(r"(?i)(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?")  # Windows has no such files


def own_id(nodeid: str, parameters: Mapping[str, object], mode: str = "spidra_api") -> str:
    """Return the id of a test without what pytest-spidra and other plugins have put into it.

    That is the mode; the number of a repetition, by pytest-repeat and its like, whose parameters have names that
    begin with two underscores; and the group that pytest-xdist adds.

    Args:
        nodeid: The test's id as pytest has it: ``tests/test_shop.py::TestCart::test_it[1-replay]``.

        parameters: The test's parameters by name, as its ``callspec`` has them; empty when it has none.

        mode: The name of the parameter that is the mode.
    """
    path, _, rest = nodeid.partition("::")
    if grouped := re.fullmatch(r"([^\[@]*(?:\[.*\])?)@[^\]]*", rest, re.DOTALL):
        rest = grouped[1]
    test, bracket, ids = rest.partition("[")
    ids = ids.removesuffix("]")
    for name, value in parameters.items():
        if name == mode:
            ids = _without(ids, re.escape(str(value)), last=True)
        elif name == "__pytest_repeat_step_number" and isinstance(value, int):
            ids = _without(ids, rf"{value + 1}-[0-9]+", last=True)  # it comes after all others
        elif name.startswith("__"):
            ids = _without(ids, re.escape(str(value)), last=False)  # and pytest-flakefinder before them
    return f"{path}::{test}{f'[{ids}]' if bracket and ids else ''}"


def cassette_name(own: str) -> PurePosixPath:
    """Return where the cassette of a test is, below the folder of cassettes and without a suffix.

    Args:
        own: The test's id, as `own_id` returns it.
    """
    path, _, rest = own.partition("::")
    *folders, module = path.removesuffix(".py").split("/")
    test, bracket, ids = rest.partition("[")
    parts = [*(_safe(folder) for folder in folders if folder), _safe(module)]
    name = f"{test.replace('::', '.')}{bracket}{ids}"
    # Two names that differ in upper and lower case only are one file on Windows and macOS. Names of classes do not.
    function = test.rpartition("::")[2]
    return PurePosixPath(*parts, _safe(name, marked=f"{function}{ids}" != f"{function}{ids}".lower()))


def _without(ids: str, wanted: str, *, last: bool) -> str:
    """Return the ids of parameters without one of them."""
    found = list(re.finditer(rf"(?:^|(?<=-))(?=({wanted})(?:-|$))", ids))
    if not found:
        return ids
    start, end = found[-1 if last else 0].span(1)
    return "-".join(filter(None, [ids[:start].removesuffix("-"), ids[end:].removeprefix("-")]))


def _safe(name: str, *, marked: bool = False) -> str:
    """Return a name that every file system has, and no other name's: what is changed has a mark of its own."""
    clean = _UNSAFE.sub("_", name)
    if clean == name and not marked and len(name) <= LONGEST and not _DEVICE.fullmatch(name):
        return name
    mark = sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{clean[: LONGEST - 9]}-{mark}"
