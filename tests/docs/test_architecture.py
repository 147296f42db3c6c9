"""ARCHITECTURE.md: every folder of the package is on its map, and every file and name that it mentions exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Dict, List, Optional, Set, Tuple

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "honeyhive_litellm"
PAGE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")


def paragraphs() -> List[str]:
    """Each list item, table row and paragraph: the names in one are looked for in the files that it mentions."""
    return re.split(r"\n(?=\d+\. |\||\n)", PAGE)


def in_code(text: str) -> List[str]:
    return re.findall(r"`([^`]+)`", text)


def path_of(word: str) -> Optional[Path]:
    """The file or folder that a word names; None for a word that is no path."""
    if "/" not in word and not word.endswith((".py", ".md")):
        return None
    return next((base / word for base in (PACKAGE, ROOT) if (base / word).exists()), PACKAGE / word)


def definitions(path: Path) -> Set[str]:
    """The functions, classes, methods and module-level names of a file: "a_function", "A_NAME", "Class.method"."""
    found: Set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            methods = (each for each in node.body if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef)))
            found.update(f"{node.name}.{method.name}" for method in methods)
        targets = node.targets if isinstance(node, ast.Assign) else [node.target] if hasattr(node, "target") else []
        found.update(target.id for target in targets if isinstance(target, ast.Name))
    return found


def mentions() -> List[Tuple[str, Dict[str, Path]]]:
    """Each name that the page mentions, with the files of its paragraph."""
    found = []
    for paragraph in paragraphs():
        words = in_code(paragraph)
        files = {word: path for word, path in ((word, path_of(word)) for word in words) if path is not None}
        found += [(word, files) for word in words if word not in files]
    return found


@pytest.mark.parametrize("word", sorted({word for word in in_code(PAGE) if path_of(word) is not None}))
def test_a_file_that_the_page_mentions_exists(word: str) -> None:
    path = path_of(word)
    assert path is not None and path.exists()


@pytest.mark.parametrize(("name", "files"), [pytest.param(*each, id=each[0]) for each in mentions()])
def test_a_name_that_the_page_mentions_is_defined_in_a_file_of_the_same_paragraph(
    name: str, files: Dict[str, Path]
) -> None:
    modules = [path for path in files.values() if path.suffix == ".py" and path.exists()]
    assert any(name in definitions(path) for path in modules), f"`{name}` is in none of {sorted(files)}"


def test_every_folder_and_module_of_the_package_is_on_the_map() -> None:
    on_map = {path for path in map(path_of, in_code(PAGE.split("## The way")[0])) if path is not None}
    folders = {path.parent for path in PACKAGE.rglob("*.py")} - {PACKAGE}
    flat = {path for path in PACKAGE.glob("*.py") if path.name != "_version.py"}
    assert {str(path.relative_to(PACKAGE)) for path in (folders | flat) - on_map} == set()


def test_the_way_of_an_event_has_ten_steps() -> None:
    steps = re.findall(r"^(\d+)\. ", PAGE, re.MULTILINE)
    assert steps == [str(number) for number in range(1, 11)]


def test_the_page_is_one_page() -> None:
    assert len(PAGE.splitlines()) <= 100
