"""The floors of the package: imports go down only. See ARCHITECTURE.md for the map."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Dict, Iterator, List, Set, Tuple

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "honeyhive_litellm"

# Highest first. A file may import from the floors below its own and from its own folder. A file needs no line here:
# its folder has one. Files that lie flat in the package are leaves (the lowest floor), or faces (the highest).
FLOORS: Tuple[Tuple[str, ...], ...] = (
    ("_instrumentation", "_cli"),
    ("_runtime", "_relay"),
    ("_capture", "_delivery"),
    ("_broker",),
    ("_mapping", "_spool", "_config"),
    ("_privacy",),
)
FACES = {"__init__", "__main__", "proxy", "cli", "metrics"}
APART = {"collector", "testing"}
"""Programs of their own, which import our errors, our log codes and each other."""

CONTRACTS = {("_capture", "honeyhive_litellm._spool.record")}
"""What a folder may import of its own floor: `_capture` makes the records that `_spool` stores."""

ONLY = {
    "litellm": ("_instrumentation/",),
    "aiohttp": ("_delivery/sinks/",),
    "cryptography": ("_privacy/cipher.py",),
    "nats": ("_broker/", "_relay/", "_cli/relay/", "_delivery/sinks/"),
    "opentelemetry": ("_runtime/otel.py", "metrics.py"),
    "orjson": ("_json.py",),
    "prometheus_client": ("_cli/folder_metrics.py", "_cli/relay/metrics.py"),
}
"""Who may import these. The collector and the testing tools are apart."""

NO_IO_IN = {"_privacy", "_mapping"}
IO = {"asyncio", "sqlite3", "aiosqlite", "aiohttp", "litellm", "socket", "threading", "time"}
NO_SETTINGS_IN = {"_spool", "_privacy"}


def files() -> List[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def folder_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else path.stem


def floor_of(folder: str) -> int:
    """0 is the highest."""
    if folder in FACES:
        return -1
    return next((number for number, names in enumerate(FLOORS) if folder in names), len(FLOORS))


def imports_of(path: Path) -> Iterator[str]:
    """The full name of each module, or of each name of a module, that a file imports, wherever in it."""
    here = ["honeyhive_litellm", *path.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


IMPORTS: Dict[str, Set[str]] = {path.relative_to(PACKAGE).as_posix(): set(imports_of(path)) for path in files()}
OURS = [name for name in IMPORTS if folder_of(PACKAGE / name) not in APART]


def upward(name: str) -> List[str]:
    """What is wrong with the imports of a file, each with what to do about it."""
    folder = folder_of(PACKAGE / name)
    wrong = []
    for target in sorted(IMPORTS[name]):
        parts = target.split(".")
        if parts[0] != "honeyhive_litellm" or len(parts) < 2:
            continue
        other = parts[1]
        if floor_of(other) == floor_of(folder) == len(FLOORS):
            continue  # leaves are one folder
        if other == folder or (folder, ".".join(parts[:3])) in CONTRACTS:
            continue
        if floor_of(other) <= floor_of(folder) and floor_of(folder) != -1:
            wrong.append(
                f"{name} imports {target}: {other} is not below {folder}. "
                "Move what both need to a floor below them, or hand the object down as an argument (ARCHITECTURE.md)"
            )
    return wrong


@pytest.mark.parametrize("name", OURS)
def test_imports_go_down_only(name: str) -> None:
    assert upward(name) == []


def test_leaves_import_leaves_only() -> None:
    leaves = {path.stem for path in PACKAGE.glob("*.py")} - FACES
    for leaf in leaves:
        ours = {target.split(".")[1] for target in IMPORTS[f"{leaf}.py"] if target.startswith("honeyhive_litellm.")}
        assert ours <= leaves, f"{leaf}.py imports {ours - leaves}: a leaf imports only other leaves"


def test_every_folder_has_a_floor() -> None:
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == {name for names in FLOORS for name in names} | APART, "give a new folder its floor in FLOORS"


@pytest.mark.parametrize("foreign", sorted(ONLY))
def test_one_place_imports(foreign: str) -> None:
    importers = {name for name in OURS if any(target.split(".")[0] == foreign for target in IMPORTS[name])}
    assert importers
    assert {name for name in importers if not name.startswith(ONLY[foreign])} == set(), (
        f"only {ONLY[foreign]} may import {foreign}: hand in what it gives instead"
    )


@pytest.mark.parametrize("folder", sorted(NO_IO_IN))
def test_decisions_do_no_io(folder: str) -> None:
    for name in OURS:
        if name.startswith(f"{folder}/"):
            modules = {target.split(".")[0] for target in IMPORTS[name]}
            assert modules & IO == set(), f"{name} does IO: {folder} decides, its callers do the IO"


@pytest.mark.parametrize("folder", sorted(NO_SETTINGS_IN))
def test_settings_are_not_handed_down_whole(folder: str) -> None:
    for name in OURS:
        if name.startswith(f"{folder}/"):
            assert not any("._config." in target for target in IMPORTS[name]), f"{name}: take the values it needs"


def test_one_module_registers_at_fork() -> None:
    registering = [path for path in files() if "register_at_fork(" in path.read_text(encoding="utf-8")]
    assert registering == [PACKAGE / "_fork.py"], "call `_fork.on_fork`: the order at a fork is written down there"


def test_folders_have_a_docstring_and_export_nothing() -> None:
    for path in PACKAGE.rglob("__init__.py"):
        folder = folder_of(path)
        if folder.startswith("_") and folder != "__init__":
            body = ast.parse(path.read_text(encoding="utf-8")).body
            assert len(body) == 1 and isinstance(body[0], ast.Expr), f"{path}: one docstring and nothing else"


def test_collector_and_testing_stand_apart() -> None:
    for name in set(IMPORTS) - set(OURS):
        ours = {target for target in IMPORTS[name] if target.startswith("honeyhive_litellm.")}
        allowed = tuple(f"honeyhive_litellm.{name}" for name in ("collector", "testing", "_errors", "_log_codes"))
        assert {target for target in ours if not target.startswith(allowed)} == set(), name


def test_an_upward_import_is_refused_with_what_to_do() -> None:
    IMPORTS["_spool/deliberate.py"] = {"honeyhive_litellm._runtime.runtime.Runtime"}
    try:
        (message,) = upward("_spool/deliberate.py")
    finally:
        del IMPORTS["_spool/deliberate.py"]
    assert "_runtime is not below _spool" in message and "hand the object down" in message


MAX_LINES = 400


def test_a_file_can_be_read_in_one_sitting() -> None:
    long = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in files()}
    assert {name: lines for name, lines in long.items() if lines > MAX_LINES} == {}, "split them by job, not by length"
