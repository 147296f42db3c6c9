from __future__ import annotations

import ast
from pathlib import Path
from typing import Dict, List, Set

import pytest

PACKAGE = Path(__file__).parents[2] / "honeyhive_litellm"

# Lowest first. A module may import from the floors below its own and, in its own, from those named before it.
FLOORS: List[List[str]] = [
    ["_errors", "_version", "_log", "_record", "_spans", "_sql", "_patterns"],
    ["_config", "_event", "_stats"],
    [
        "_bounds",
        "_media",
        "_credentials",
        "_redaction",
        "_mapping_read",
        "_around",
        "_mapping_caller",
        "_mapping_asked",
        "_mapping_request",
        "_mapping_outputs",
        "_mapping_measures",
        "_mapping_stream",
        "_mapping_passthrough",
        "_mapping_realtime",
        "_mapping",
        "_capacity",
        "_losses",
        "_redactor",
        "_attempt",
        "_bodies",
        "_outcomes",
        "_route",
        "_delivery",
        "_interrupted",
    ],
    [
        "_intake",
        "_sqlite",
        "_lease",
        "_salvage",
        "_segment",
        "_ledger",
        "_published",
        "_accounts",
        "_adoption",
        "_dead",
        "_spool",
        "_writer",
        "_publisher",
        "_late",
        "_transport",
        "_recorder",
    ],
    ["_ingestion", "_road", "_courier", "_flusher", "_retry", "_status"],
    ["_runtime", "_drain"],
    ["_watched", "_watch_streams", "_watch_untold", "_watch", "_callback", "_proxy_logger"],
    [
        "proxy",
        "collector",
        "testing",
        "_cli_common",
        "_cli_dead",
        "_cli_proxy",
        "_cli_spool",
        "cli",
        "__main__",
        "__init__",
    ],
]
PURE = {"asyncio", "sqlite3", "aiosqlite", "aiohttp", "litellm", "socket", "threading"}


def imported(path: Path) -> Set[str]:
    """The package's own modules, and the foreign ones, that a file imports, wherever in it."""
    names: Set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            if node.level and node.module:
                names.add(node.module.split(".")[0])
            elif node.level:
                names.update(alias.name for alias in node.names)
            elif node.module:
                names.add(node.module.split(".")[0])
        elif isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
    return names


MODULES: Dict[str, Set[str]] = {path.stem: imported(path) for path in PACKAGE.glob("*.py")}
ORDER = [name for floor in FLOORS for name in floor]


def test_every_module_has_a_floor() -> None:
    assert set(MODULES) | {"collector", "testing"} == set(ORDER)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_imports_go_down_only(name: str) -> None:
    above = ORDER[ORDER.index(name) :]
    if name in FLOORS[-1]:
        return_to_face = {"__init__"}
        assert MODULES[name] & return_to_face == set()
        return
    assert MODULES[name] & set(above) == set()


def test_decisions_do_no_io() -> None:
    for name in [*FLOORS[2], "_patterns"]:
        assert MODULES[name] & PURE == set(), name


def test_only_the_callbacks_import_litellm() -> None:
    assert {name for name, imports in MODULES.items() if "litellm" in imports} == {"_callback", "_proxy_logger"}


def test_only_the_event_module_imports_orjson() -> None:
    assert {name for name, imports in MODULES.items() if "orjson" in imports} == {"_event"}
