"""Where a function sits that was handed to others: defaults, classes, plain containers, partials, closures.

``def poll(sleep=time.sleep)``, a dataclass with such a default, a class attribute, an entry of a module's dict or
list, ``partial(time.sleep, 2)``, a variable of a closure: the usual ways to inject it. What is looked at is what a
module's names lead to in a few steps; tuples stay as they are, as nobody can change them.
"""

from __future__ import annotations

import functools
import types
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_DEEPEST = 3
"""How many steps from a module's name containers and objects are followed."""

_LARGEST = 1_000
"""Entries of a container up to which it is looked at."""

_class_dict = vars(type)["__dict__"].__get__


class Place(Protocol):
    """Something that holds functions, one of which may be replaced."""

    def swap(self, replacement: Mapping[int, Any]) -> None:
        """Put the values of `replacement` in the place of what has its keys as ids."""


class _Defaults:
    def __init__(self, function: types.FunctionType) -> None:
        self._function = function

    def swap(self, replacement: Mapping[int, Any]) -> None:
        defaults = self._function.__defaults__ or ()
        if any(id(value) in replacement for value in defaults):
            self._function.__defaults__ = tuple(replacement.get(id(value), value) for value in defaults)


class _Entries:
    def __init__(self, container: dict[Any, Any] | list[Any]) -> None:
        self._container = container

    def swap(self, replacement: Mapping[int, Any]) -> None:
        for key, value in _entries(self._container):
            if id(value) in replacement:
                self._container[key] = replacement[id(value)]


class _Cell:
    def __init__(self, cell: types.CellType) -> None:
        self._cell = cell

    def swap(self, replacement: Mapping[int, Any]) -> None:
        value = _content(self._cell)
        if id(value) in replacement:
            self._cell.cell_contents = replacement[id(value)]


class _Partial:
    def __init__(self, partial: functools.partial[Any]) -> None:
        self._partial = partial

    def swap(self, replacement: Mapping[int, Any]) -> None:
        partial = self._partial
        held = (partial.func, *partial.args, *partial.keywords.values())
        if any(id(value) in replacement for value in held):

            def other(value: Any) -> Any:
                return replacement.get(id(value), value)

            keywords = {name: other(value) for name, value in partial.keywords.items()}
            state = (other(partial.func), tuple(map(other, partial.args)), keywords, vars(partial) or None)
            partial.__setstate__(state)  # type: ignore[attr-defined]  # the one way to change it, for pickle's sake


class _ClassAttribute:
    def __init__(self, owner: type, name: str) -> None:
        self._owner = owner
        self._name = name
        self._original: Any = None

    def swap(self, replacement: Mapping[int, Any]) -> None:
        found = _class_dict(self._owner).get(self._name)
        plain = _unwrapped(found)
        if id(plain) not in replacement:
            return
        new = replacement[id(plain)]
        if self._original is not None and _unwrapped(self._original) is new:
            new, self._original = self._original, None
        else:
            self._original = found
            # A function of C is no method when it stands in a class, one of Python would be.
            new = staticmethod(new)
        type.__setattr__(self._owner, self._name, new)


def places(value: Any, wanted: set[int], seen: set[int], depth: int = 0) -> Iterator[Place]:
    """Yield where, from this value on, something sits whose id is wanted; `seen` are ids that were looked at."""
    kind = type(value)
    if kind in _PLAIN or id(value) in seen or depth > _DEEPEST:
        return
    seen.add(id(value))
    look = _LOOKS.get(kind) or (_in_class if issubclass(kind, type) else None)
    if look is not None:
        yield from look(value, wanted, seen, depth)
    elif kind.__flags__ & _HEAP_TYPE and not issubclass(kind, types.ModuleType):
        names = _instance_dict(value)
        if names:
            yield from _in_entries(names, wanted, seen, depth)


_HEAP_TYPE = 1 << 9
_PLAIN = {str, int, float, bool, bytes, tuple, type(None), types.BuiltinFunctionType, types.ModuleType}


def _in_function(
    function: types.FunctionType, wanted: set[int], seen: set[int], depth: int
) -> Iterator[Place]:
    if any(id(value) in wanted for value in function.__defaults__ or ()):
        yield _Defaults(function)
    if function.__kwdefaults__:
        yield from _in_entries(function.__kwdefaults__, wanted, seen, depth)
    for cell in function.__closure__ or ():
        value = _content(cell)
        if id(value) in wanted:
            yield _Cell(cell)
        elif type(value) in {types.FunctionType, functools.partial}:
            yield from places(value, wanted, seen, depth + 1)


def _in_partial(
    partial: functools.partial[Any], wanted: set[int], seen: set[int], depth: int
) -> Iterator[Place]:
    if any(id(held) in wanted for held in (partial.func, *partial.args, *partial.keywords.values())):
        yield _Partial(partial)
    yield from places(partial.func, wanted, seen, depth + 1)


def _in_method(method: Any, wanted: set[int], seen: set[int], depth: int) -> Iterator[Place]:
    return places(method.__func__, wanted, seen, depth)


def _in_entries(
    container: dict[Any, Any] | list[Any], wanted: set[int], seen: set[int], depth: int
) -> Iterator[Place]:
    entries = _entries(container) if len(container) <= _LARGEST else []
    if any(id(value) in wanted for _, value in entries):
        yield _Entries(container)
    for _, value in entries:
        yield from places(value, wanted, seen, depth + 1)


def _in_class(owner: type, wanted: set[int], seen: set[int], depth: int) -> Iterator[Place]:
    for name, value in list(_class_dict(owner).items()):
        if id(_unwrapped(value)) in wanted:
            yield _ClassAttribute(owner, name)
        elif type(value) in {
            types.FunctionType,
            staticmethod,
            classmethod,
            functools.partial,
            dict,
            list,
            type,
        }:
            yield from places(value, wanted, seen, depth + 1)


_LOOKS: dict[type, Callable[[Any, set[int], set[int], int], Iterator[Place]]] = {
    types.FunctionType: _in_function,
    functools.partial: _in_partial,
    dict: _in_entries,
    list: _in_entries,
    staticmethod: _in_method,
    classmethod: _in_method,
}


def _entries(container: dict[Any, Any] | list[Any]) -> list[tuple[Any, Any]]:
    return list(container.items() if isinstance(container, dict) else enumerate(container))


def _unwrapped(value: Any) -> Any:
    return value.__func__ if type(value) is staticmethod else value


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # it is empty
        return None


def _instance_dict(value: Any) -> dict[Any, Any] | None:
    """Return an object's own attributes without asking it."""
    try:
        found = object.__getattribute__(value, "__dict__")
    except Exception:  # noqa: BLE001 - an object may be made so that it raises anything
        return None
    return found if type(found) is dict else None
