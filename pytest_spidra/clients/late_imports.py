"""Patch a module that is imported later, at the moment when it is."""

from __future__ import annotations

import importlib.util
import sys
import threading
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from importlib.machinery import ModuleSpec
    from types import ModuleType


@contextmanager
def on_import(names: Collection[str], call: Callable[[str], None]) -> Iterator[None]:
    """Call `call` with the name of each of these modules that is imported from now on, right after it is."""
    finder = _Finder(names, call)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path[:] = [one for one in sys.meta_path if one is not finder]


class _Finder(MetaPathFinder):
    """Lets the others find a module, and stands between it and its loader."""

    def __init__(self, names: Collection[str], call: Callable[[str], None]) -> None:
        self._names = frozenset(names)
        self._call = call
        self._asking = threading.local()

    def find_spec(
        self,
        fullname: str,
        path: Any = None,  # noqa: ARG002 - the signature is importlib's
        target: ModuleType | None = None,  # noqa: ARG002 - likewise
    ) -> ModuleSpec | None:
        """Return the spec that the others find, with a loader that tells when it has loaded."""
        if fullname not in self._names or getattr(self._asking, "now", False):
            return None
        self._asking.now = True
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._asking.now = False
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self._call)
        return spec


class _Loader(Loader):
    """A module's own loader, and a call when it has done its work."""

    def __init__(self, loader: Any, call: Callable[[str], None]) -> None:
        self._loader = loader
        self._call = call

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Do as the module's own loader does."""
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Load the module, leave it with its own loader, and tell."""
        if module.__spec__ is not None:
            module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._call(module.__name__)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)
