"""What stands in sys.modules, and that the clock neither breaks it nor breaks at it."""

from __future__ import annotations

import sys
import time
import types

import pytest

from pytest_spidra.clock.virtual import VirtualClock


class SaysItIsAModule:
    """Like a library of cffi: no module, though it says so, and without ``__dict__``."""

    __slots__ = ()

    @property
    def __class__(self):
        return types.ModuleType

    @property
    def __dict__(self):
        raise AttributeError


class Touchy(types.ModuleType):
    """A module that fails whoever asks it for anything."""

    def __getattribute__(self, name):
        raise RuntimeError(name)


class Importing(types.ModuleType):
    """A module that imports something when it is asked for a name."""

    asked: list[str]

    def __getattr__(self, name):
        type(self).asked.append(name)
        return 1


class OwnDict(types.ModuleType):
    """A module whose names come from somewhere else."""

    @property
    def __dict__(self):
        raise RuntimeError


class Proxy:
    """A proxy that fails whatever it is asked."""

    def __getattribute__(self, name):
        raise RuntimeError(name)


ZOO = {
    "a library of cffi": SaysItIsAModule,
    "a touchy module": lambda: Touchy("touchy"),
    "a module that imports": lambda: Importing("importing"),
    "a module with a dict of its own": lambda: OwnDict("own"),
    "a module that was never set up": lambda: types.ModuleType.__new__(types.ModuleType),
    "a proxy": Proxy,
    "nothing": lambda: None,
    "a string": lambda: "module",
    "a class": lambda: Proxy,
}


@pytest.mark.parametrize("kind", ZOO)
def test_the_clock_survives_whatever_calls_itself_a_module(monkeypatch, kind):
    """It starts, works and stops, and asks nothing of it."""
    Importing.asked = []
    monkeypatch.setitem(sys.modules, "zoo", ZOO[kind]())
    with VirtualClock():  # which loads asyncio and thread pools the first time
        pass
    before = set(sys.modules)
    for _ in range(2):
        with VirtualClock() as clock:
            time.sleep(3)
        assert clock.elapsed == 3
    assert Importing.asked == []
    assert set(sys.modules) - before == set()


def test_the_clock_survives_a_name_that_is_no_string(monkeypatch):
    monkeypatch.setitem(sys.modules, 7, types.ModuleType("seven"))
    with VirtualClock():
        pass


def test_a_module_that_fails_when_asked_is_reached_all_the_same(monkeypatch):
    """Its names are read and written without it."""
    module = Touchy("touchy")
    names = types.ModuleType.__dict__["__dict__"].__get__(module)
    names["pause"] = real = time.sleep
    monkeypatch.setitem(sys.modules, "touchy", module)
    with VirtualClock() as clock:
        names["pause"](3)
        assert clock.elapsed == 3
    assert names["pause"] is real
