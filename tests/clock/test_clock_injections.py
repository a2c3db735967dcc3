"""However sleep was taken: the usual ways to inject it are reached, and put back."""

from __future__ import annotations

import functools
import gc
import sched
import sys
import time
import types
import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from real_waits import REAL_SLEEP, jumps_only

from pytest_spidra.clock.virtual import VirtualClock

if TYPE_CHECKING:
    from collections.abc import Callable


def by_default(seconds, sleep=time.sleep):
    sleep(seconds)


def by_keyword(seconds, *, sleep=time.sleep):
    sleep(seconds)


def maker(sleep):
    def pause(seconds):
        sleep(seconds)

    return pause


def decorated(function):
    @functools.wraps(function)
    def inner(*args):
        return function(*args)

    return inner


@decorated
def by_decorated_default(seconds, sleep=time.sleep):
    sleep(seconds)


@dataclass
class Service:
    sleep: Callable[[float], None] = time.sleep
    again: Callable[[float], None] = field(default=time.sleep)

    @staticmethod
    def static(seconds, sleep=time.sleep):
        sleep(seconds)

    @classmethod
    def of_class(cls, seconds, sleep=time.sleep):
        sleep(seconds)


class Plain:
    pause = staticmethod(time.sleep)
    bare = time.sleep

    class Inner:
        """A class in a class."""

        pause = time.sleep


class Holder:
    def __init__(self, sleep=time.sleep):
        self.sleep = sleep


class Slotted:
    __slots__ = ("sleep",)

    def __init__(self):
        self.sleep = time.sleep


by_closure = maker(time.sleep)
PARTIAL = functools.partial(time.sleep, 2)
HANDED_ON = functools.partial(by_default, sleep=time.sleep)
TABLE = {"sleep": time.sleep, "deeper": {"sleep": time.sleep}}
LIST = [time.sleep]
HOLDER = Holder()
SCHEDULED = sched.scheduler

WAYS = {
    "a default": lambda: by_default(2),
    "a default by keyword": lambda: by_keyword(2),
    "a default below a decorator": lambda: by_decorated_default(2),
    "a default of a static method": lambda: Service.static(2),
    "a default of a class method": lambda: Service().of_class(2),
    "a dataclass": lambda: Service().sleep(2),
    "a field of a dataclass": lambda: Service().again(2),
    "a static method": lambda: Plain.pause(2),
    "a class attribute": lambda: Plain().bare(2),
    "a class attribute of an inner class": lambda: Plain.Inner().pause(2),
    "an attribute of an object": lambda: HOLDER.sleep(2),
    "a new object": lambda: Holder().sleep(2),
    "a closure": lambda: by_closure(2),
    "a partial": lambda: PARTIAL(),  # noqa: PLW0108 - the name is looked up when it is called
    "a partial that hands it on": lambda: HANDED_ON(2),
    "a dict": lambda: TABLE["sleep"](2),
    "a dict in a dict": lambda: TABLE["deeper"]["sleep"](2),
    "a list": lambda: LIST[0](2),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_sleep_that_was_handed_on_is_virtual(clock, way):
    with jumps_only(clock):
        WAYS[way]()
    assert clock.elapsed == 2


def test_the_scheduler_of_the_standard_library_is_reached(clock):
    """It takes both clock and sleep as defaults."""
    scheduler, ran = sched.scheduler(), []
    scheduler.enter(30, 1, lambda: ran.append(clock.elapsed))
    scheduler.run()
    assert ran == [30]


@pytest.mark.parametrize("times", [1, 3])
def test_all_of_it_is_put_back(times):
    for _ in range(times):
        with VirtualClock():
            pass
    real = REAL_SLEEP[0]
    assert by_default.__defaults__ == (real,)
    assert by_keyword.__kwdefaults__ == {"sleep": real}
    assert Service.__init__.__defaults__ == (real, real)
    assert vars(Service)["sleep"] is real
    assert vars(Plain)["bare"] is real
    assert type(vars(Plain)["pause"]) is staticmethod
    assert Plain.pause is real
    assert (PARTIAL.func, PARTIAL.args, PARTIAL.keywords) == (real, (2,), {})
    assert HANDED_ON.keywords == {"sleep": real}
    assert {"sleep": real, "deeper": {"sleep": real}} == TABLE
    assert [real] == LIST
    assert HOLDER.sleep is real
    assert by_closure.__closure__[0].cell_contents is real


def test_a_module_of_the_test_that_is_seen_only_at_the_end_is_put_right(monkeypatch):
    """It was made while the clock ran, so that its defaults are ours."""
    module = types.ModuleType("made_meanwhile")
    with VirtualClock():
        exec("import time\ndef pause(sleep=time.sleep): pass\n", vars(module))  # noqa: S102 - as an import does
        monkeypatch.setitem(sys.modules, "made_meanwhile", module)
    assert module.pause.__defaults__ == (REAL_SLEEP[0],)


def test_a_module_that_is_gone_is_not_kept():
    """Nor is what was in it."""

    class Kept:
        sleep = time.sleep

    module = types.ModuleType("gone")
    module.Kept = Kept
    sys.modules["gone"] = module
    with VirtualClock():
        assert Kept.sleep is time.sleep
    del sys.modules["gone"]
    with VirtualClock():
        pass
    kept = weakref.ref(Kept)
    del module, Kept
    gc.collect()
    assert kept() is None


def test_what_cannot_be_looked_into_is_left_alone(monkeypatch):
    """Objects that fail when asked, and those that keep their attributes in slots, which stay real."""

    class Touchy:
        def __getattribute__(self, name):
            raise RuntimeError(name)

    module = types.ModuleType("touchy_inside")
    module.touchy, module.slotted = Touchy(), Slotted()
    monkeypatch.setitem(sys.modules, "touchy_inside", module)
    with VirtualClock():
        assert module.slotted.sleep is REAL_SLEEP[0]
