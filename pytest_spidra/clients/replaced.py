"""Libraries' own functions that other plugins replace: pytest-httpx, responses, requests-mock, aioresponses, vcrpy.

Whoever replaces a function asks the library no more, and so not what an adapter has patched below it. Before such a
replacement we put a function of our own, which goes straight to the library's. What only wraps is left alone.
"""

from __future__ import annotations

import functools
import sys
import weakref
from types import CellType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_spidra.clients.adapter import Attachment

    Address = tuple[str, str, int | None, str]

MOST_LOOKED_AT = 500  # objects, in search of a library's own function

_PUT_BEFORE: dict[int, tuple[weakref.ref[Any], Attachment, Any]] = {}
"""Our functions before those of others, by their identity: a wrapper shows every attribute of what it wraps."""


class ReplacedFunction:
    """A method of a library's, before whose replacements we stand.

    Args:
        attachment: As long as it is not closed.

        owner: The class.

        name: The method's name in it.

        address: Returns where a call goes (scheme, host, port, path and query), from the method's own arguments; None
            where it does not know.
    """

    def __init__(
        self, attachment: Attachment, owner: type, name: str, address: Callable[..., Address | None]
    ) -> None:
        self._attachment = attachment
        self._owner = owner
        self._name = name
        self._address = address

    def repatch(self) -> None:
        """Stand before everybody who has replaced it since."""
        current = _unpatched(vars(self._owner)[self._name])
        own = own_function(current, self._owner, self._name)
        if own is not None and not _leads_to(current, own):
            current = self._put_before(current, own)
        setattr(self._owner, self._name, current)

    def unpatch(self) -> None:
        """Put back what stood there before attachments that are closed."""
        setattr(self._owner, self._name, _unpatched(vars(self._owner)[self._name]))

    def _put_before(self, replaced: Any, own: Any) -> Any:
        attachment, address = self._attachment, self._address

        @functools.wraps(replaced)
        def call(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            ours = attachment.bypassed
            if not ours and not attachment.closed and (to := address(*args, **kwargs)) is not None:
                ours = attachment.takes(*to)
            return (own if ours else replaced)(*args, **kwargs)

        number = id(call)
        _PUT_BEFORE[number] = weakref.ref(call, lambda _: _PUT_BEFORE.pop(number, None)), attachment, replaced
        return call


def _ours(function: Any) -> tuple[Attachment, Any] | None:
    found = _PUT_BEFORE.get(id(function))
    return found[1:] if found else None


def _unpatched(function: Any) -> Any:
    while (ours := _ours(function)) and ours[0].closed:
        function = ours[1]
    return function


def _leads_to(function: Any, own: Any) -> bool:
    """Tell whether a function is the library's own, or one of ours, or a wrapper of such that calls it.

    vcrpy's functions say that they wrap a library's, and answer in its place. What goes outside is recorded here:
    another cassette beside would answer for the API, or keep a copy of what was sent, with the key in it.
    """
    while function is not None:
        ours = _ours(function)
        if function is own or (ours and not ours[0].closed):
            return True
        if str(getattr(function, "__globals__", {}).get("__name__")).startswith("vcr."):
            return False
        function = getattr(function, "__wrapped__", None)
    return False


def own_function(function: Any, owner: type, name: str) -> Any:
    """Return the library's own function, which others have wrapped or keep somewhere, or None."""
    library = owner.__module__.partition(".")[0]
    waiting: list[Any] = [function]
    seen: set[int] = set()
    while waiting and len(seen) < MOST_LOOKED_AT:
        one = waiting.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        if (
            type(one) is FunctionType  # a wrapper of wrapt's passes for what it wraps
            and one.__code__.co_qualname == f"{owner.__qualname__}.{name}"
            and one.__globals__["__name__"].partition(".")[0] == library
        ):
            return one
        waiting += _kept_in(one)
    return None


def _kept_in(one: Any) -> Iterator[Any]:
    """Yield where a replacement may keep what it replaces: as what it wraps, in a closure, a global, an attribute."""
    mock = sys.modules.get("unittest.mock")
    if mock and isinstance(one, mock.NonCallableMock):
        yield one.side_effect
        return
    yield getattr(one, "__wrapped__", None)
    if isinstance(one, FunctionType):
        yield getattr(one, "mock", None)  # of a mock with a specification
        yield from filter(_is_filled, one.__closure__ or ())
        yield from (value for value in one.__globals__.values() if isinstance(value, FunctionType))
    elif isinstance(one, MethodType):
        yield one.__func__
        yield from getattr(one.__self__, "__dict__", {}).values()
    elif isinstance(one, CellType):
        yield one.cell_contents
    elif mock and isinstance(one, mock._patch):  # noqa: SLF001 - its name for what it has replaced
        yield one.temp_original


def _is_filled(cell: CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018 - asking for it is the only way to know
    except ValueError:
        return False
    return True
