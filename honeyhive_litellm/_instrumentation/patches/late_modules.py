"""Patch modules of LiteLLM that it imports when it needs them: they are heavy, or need its proxy's dependencies."""

from __future__ import annotations

import functools
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Callable, Dict, List, Optional, Sequence

from .notify import guarded


def on_import(patches: Dict[str, List[Callable[[], None]]]) -> None:
    """Call the functions that `patches` has under a module's name: now if it is imported, else once it is."""
    awaited = {}
    for name, functions in patches.items():
        if name in sys.modules:
            for function in functions:
                guarded(function)
        else:
            awaited[name] = functions
    sys.meta_path.insert(0, _Finder(awaited))


class _Finder(MetaPathFinder):
    """Finds what the other finders find, and adds to the loading of the awaited modules."""

    def __init__(self, awaited: Dict[str, List[Callable[[], None]]]) -> None:
        self._awaited = awaited

    def find_spec(
        self, fullname: str, path: Optional[Sequence[str]], target: Optional[ModuleType] = None
    ) -> Optional[ModuleSpec]:
        functions = self._awaited.get(fullname)
        if functions is None:
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(fullname, path, target)
            if spec is not None:
                if spec.loader is not None and hasattr(spec.loader, "exec_module"):
                    loader: Any = spec.loader
                    loader.exec_module = functools.partial(_load, loader.exec_module, functions)
                return spec
        return None


def _load(exec_module: Callable[[ModuleType], None], functions: List[Callable[[], None]], module: ModuleType) -> None:
    exec_module(module)
    for function in functions:
        guarded(function)
