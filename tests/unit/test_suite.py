"""The suite itself: its files mirror the package's folders, and nothing in it waits without a deadline."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Iterator, List

import pytest

TESTS = Path(__file__).parents[1]
PACKAGE = TESTS.parent / "honeyhive_litellm"

WHOLE_PACKAGE = {"unit": ["layers", "public_api", "suite"], "integration": ["end_to_end"]}
"""Files that test no folder in particular."""

SLEEPS = {
    "waiting.py": "the one place that waits",
    "faults/emitter.py": "the pace of its calls",
    "faults/test_delivery_network.py": "the pace of a slow server, of a thin line and of an application",
    "faults/test_runtime_sidecar.py": "the moment of the kill is what is tried",
    "faults/test_spool_numbers.py": "the moment of the kill is what is tried",
    "integration/test_delivery_http_transport.py": "the pace of an answer that trickles",
}
"""Where a sleep is what a test makes happen, not how it waits."""


def folders() -> Iterator[str]:
    """The names that a test file may begin with: folders of the package, and its single modules."""
    for path in PACKAGE.iterdir():
        if path.name != "__pycache__" and path.suffix in ("", ".py"):
            yield path.stem.lstrip("_")


@pytest.mark.parametrize("kind", ["unit", "integration", "property", "faults"])
def test_a_file_is_named_after_the_folder_or_module_that_it_tests(kind: str) -> None:
    allowed = [*folders(), *WHOLE_PACKAGE.get(kind, [])]
    strangers = [
        path.name
        for path in (TESTS / kind).glob("test_*.py")
        if not any(f"{path.stem}_".startswith(f"test_{name}_") for name in allowed)
    ]
    assert strangers == [], f"name them test_<folder>_<module>.py; folders: {sorted(folders())}"


def sleeps(path: Path) -> List[int]:
    """The lines that call `sleep`, but for a turn of the loop: `sleep(0)`."""
    calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    return [
        call.lineno
        for call in calls
        if (call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")) == "sleep"
        and not (call.args and isinstance(call.args[0], ast.Constant) and call.args[0].value == 0)
    ]


def test_nothing_waits_by_a_bare_sleep() -> None:
    found = {str(path.relative_to(TESTS)): sleeps(path) for path in sorted(TESTS.rglob("*.py"))}
    bare = {name: lines for name, lines in found.items() if lines and name not in SLEEPS}
    assert bare == {}, "wait with `until` or `until_on_loop` of tests/waiting.py"
    assert [name for name in SLEEPS if not found.get(name)] == [], "no longer sleep: take them from the list"
