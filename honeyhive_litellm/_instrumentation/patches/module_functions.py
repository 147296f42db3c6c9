"""Wrap functions as LiteLLM's modules see them: by their bare names, or as attributes of another module."""

from __future__ import annotations

import importlib
from typing import Any, Callable


def wrap_function(module_name: str, function: str, wrap: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Replace a function in one module by its wrapper, unless this LiteLLM has none there.

    The other modules that have imported the function by name go on calling the original.
    """
    module = imported(module_name)
    original = getattr(module, function, None)
    if original is not None:
        setattr(module, function, wrap(original))


def imported(module_name: str) -> Any:
    """The module; None if this LiteLLM lacks it or cannot import it."""
    try:
        return importlib.import_module(module_name)
    except Exception:
        return None


class ModuleView:
    """A module as one other module sees it: the values of some names pass through a function at each access."""

    def __init__(self, module: Any, **functions: Callable[[Any], Any]) -> None:
        self.__dict__["_module"] = module
        self.__dict__["_functions"] = functions

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._module, name)
        function = self._functions.get(name)
        return value if function is None else function(value)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._module, name, value)
