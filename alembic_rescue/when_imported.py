"""Change modules when they are imported, without importing any."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

Change = Callable[[ModuleType], None]
"""May be called again for a module that it has already changed."""


def change(changes: Mapping[str, Change]) -> None:
    """Change modules by name: at once if already imported, else right after their own code has run."""
    finder = next((one for one in sys.meta_path if isinstance(one, _Finder)), None)
    if finder is None:
        finder = _Finder()
        sys.meta_path.insert(0, finder)
    finder.changes.update(changes)
    for name, its_change in changes.items():
        if (module := sys.modules.get(name)) is not None:
            its_change(module)


class _Finder(MetaPathFinder):
    """Finds modules as the other finders do, and changes them when they are loaded."""

    def __init__(self) -> None:
        self.changes: dict[str, Change] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self.changes:
            return None
        for finder in sys.meta_path:
            if isinstance(finder, _Finder) or not hasattr(finder, "find_spec"):
                continue
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _Changing(spec.loader, self.changes[fullname])
                return spec
        return None


class _Changing(Loader):
    """Loads a module as `loader` does, changes it, and leaves no trace in it."""

    def __init__(self, loader: Loader, its_change: Change) -> None:
        self._loader = loader
        self._change = its_change

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._change(module)
