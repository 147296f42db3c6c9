"""The benchmarks use public names, and two modules for the rest; none imports another that imports it."""

from __future__ import annotations

import ast
from typing import Dict, List, Set

from .scripts import FOLDER

MODULES = {path.stem: ast.parse(path.read_text(encoding="utf-8")) for path in FOLDER.glob("*.py")}


def imports(module: str) -> Set[str]:
    """What the module imports, at its top or inside a function."""
    found: Set[str] = set()
    for node in ast.walk(MODULES[module]):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def test_two_modules_alone_use_private_modules_of_the_package() -> None:
    private = {name for name in MODULES if any(each.startswith("honeyhive_litellm._") for each in imports(name))}
    assert private == {"_internals", "_relaying"}


def test_no_benchmark_imports_another_that_imports_it() -> None:
    graph: Dict[str, Set[str]] = {name: imports(name) & set(MODULES) for name in MODULES}
    circles: List[List[str]] = []

    def follow(path: List[str]) -> None:
        for after in graph[path[-1]]:
            if after in path:
                circles.append([*path[path.index(after) :], after])
            else:
                follow([*path, after])

    for name in MODULES:
        follow([name])
    assert circles == []
