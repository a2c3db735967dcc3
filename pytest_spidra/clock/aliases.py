"""Replace functions wherever a module knows them, and put them back.

``from time import sleep`` copies the function into another module, so replacing ``time.sleep``
alone does not reach that module; nor does it reach a default argument or an entry of a dict (see
injections). The sweep looks through ``sys.modules`` once per process and remembers where the functions
were found; later it only looks at modules that are new or have gained or lost names. That makes the
second and every later swap cost a fraction of a millisecond.
"""

from __future__ import annotations

import sys
import types
from typing import TYPE_CHECKING, Any

from pytest_spidra.clock.injections import Place, places

if TYPE_CHECKING:
    from collections.abc import Mapping

Function = Any

REAL_TIME_PACKAGES = frozenset(
    {
        # The test runner measures and limits the test in real time.
        "_pytest",
        "pluggy",
        "pytest",
        "pytest_timeout",
        "xdist",
        "execnet",
        "coverage",
        # Debuggers.
        "debugpy",
        "pydevd",
        "_pydevd_bundle",
        "_pydev_bundle",
        # Other fakes of the time keep the real functions for themselves.
        "freezegun",
        "looptime",
        "sleepfake",
        "time_machine",
        # These wait in the operating system, for real, and measure that very wait with
        # time.monotonic. A clock that stands still would make them wait again for ever.
        "multiprocessing",
        "socketserver",
        "subprocess",
    }
)
"""Packages that stay in real time, whichever way they reach the functions."""

_HOME = __name__.partition(".")[0]
_OURS = f"{__package__}.functions"


def lives_in_real_time(module_name: str) -> bool:
    """Tell whether code of this module keeps using the real functions."""
    return module_name.partition(".")[0] in REAL_TIME_PACKAGES or module_name == _OURS


class AliasSweep:
    """Knows every place in ``sys.modules`` where some functions or their substitutes sit."""

    def __init__(self, home: str = "") -> None:
        """Start knowing nothing; the first swap looks everywhere but in the substitutes' home."""
        self._home = home
        self._known: dict[str, tuple[int, int]] = {}
        self._places: dict[str, set[str]] = {}
        self._inner: dict[str, list[Place]] = {}

    def swap(self, substitutes: Mapping[Function, Function], *, restoring: bool = False) -> None:
        """Put the values of `substitutes` where its keys are.

        Restoring looks into the real-time packages too: one imported for the first time in the
        meantime may have taken a substitute for the real thing.
        """
        replacement = {id(old): new for old, new in substitutes.items()}
        self._look_at_changed_modules(replacement.keys() | {id(new) for new in substitutes.values()})
        for inner in list(self._inner.values()):
            for place in inner:
                place.swap(replacement)
        for module_name, attributes in self._places.items():
            if not restoring and lives_in_real_time(module_name):
                continue
            namespace = _namespace(sys.modules.get(module_name))
            for attribute in attributes:
                value = namespace.get(attribute)
                if id(value) in replacement:
                    namespace[attribute] = replacement[id(value)]

    def _look_at_changed_modules(self, wanted: set[int]) -> None:
        known, named = self._known, self._places
        seen: set[int] = set()
        there = 0
        modules = list(sys.modules.items())
        for name, module in modules:
            namespace = _namespace(module)
            if not namespace or not isinstance(name, str) or name == self._home:
                continue
            there += 1
            # A reloaded module has another namespace, one that imported more has another size.
            state = (id(namespace), len(namespace))
            if known.get(name) == state:
                continue
            known[name] = state
            found = {key for key, value in list(namespace.items()) if id(value) in wanted}
            if found:
                # Earlier places stay: a substitute may come back there, through an undone patch.
                named[name] = named.get(name, set()) | found
            if _may_inject(name):
                values = list(namespace.values())
                self._inner[name] = [place for value in values for place in places(value, wanted, seen)]
        if len(known) > there:
            for gone in known.keys() - sys.modules.keys():
                del known[gone]
                named.pop(gone, None)
                self._inner.pop(gone, None)


def _may_inject(module_name: str) -> bool:
    """Tell whether a module is looked through: somebody's code, or the scheduler, the one of the library's that does."""
    package = module_name.partition(".")[0]
    return package == "sched" or not (
        package in sys.stdlib_module_names or package in REAL_TIME_PACKAGES or package == _HOME
    )


_dict_of_module = vars(types.ModuleType)["__dict__"].__get__


def _namespace(module: object) -> dict[str, Any]:
    """Return the names of a module without asking it, as that would load a lazy one; none for what is no module.

    Many a thing in ``sys.modules`` only says that it is one (cffi's libraries, proxies), and fails when asked.
    """
    if not issubclass(type(module), types.ModuleType):
        return {}
    namespace: dict[str, Any] | None = _dict_of_module(module)
    return namespace or {}
