"""Code, comments, tests and documentation keep to standard words: no private vocabulary, no riddles."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from pathlib import Path
from typing import Iterator, List, NamedTuple, Tuple

import pytest

ROOT = Path(__file__).parents[2]

IN_NAMES = frozenset(
    ("told", "said", "asked", "given", "known", "untold", "road", "courier", "teller", "around", "bodies", "watched")
).union(("whom", "lest"))
"""Parts of identifiers: `is_told` and `TOLD` have the part `told`, `unknown` and `asking` have none of these."""

IN_PROSE = re.compile(r"\b(whom|lest|courier|teller|untold|(?:tell|told|tells) of)\b", re.IGNORECASE)

CODE = ("honeyhive_litellm", "tests", "benchmarks", "examples", "tools")
PAGES = ("README.md", "CHANGELOG.md", "ARCHITECTURE.md", "docs", "benchmarks/README.md")

EXEMPT = frozenset(["tests/docs/test_words.py"])
"""Files that must name what they forbid."""

FOREIGN = frozenset(["_known_custom_logger_compatible_callbacks", "redact_bodies"])
"""LiteLLM's own names."""


class Finding(NamedTuple):
    place: str
    word: str

    def __str__(self) -> str:
        return f"{self.place}: {self.word}"


def names_in(source: str) -> Iterator[Tuple[int, str]]:
    """Each name that the code chooses: of a function, class, argument, variable, attribute or module.

    A name that it imports, such as hypothesis's `given`, is chosen where it is defined.
    """
    nodes = list(ast.walk(ast.parse(source)))
    imported = {alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names}
    for node in nodes:
        line = getattr(node, "lineno", 0)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield line, node.name
        elif isinstance(node, ast.Name) and node.id not in imported:
            yield line, node.id
        elif isinstance(node, ast.Attribute):
            yield line, node.attr
        elif isinstance(node, (ast.arg, ast.keyword)) and node.arg:
            yield line, node.arg
        elif isinstance(node, ast.ExceptHandler) and node.name:
            yield line, node.name
        elif isinstance(node, ast.alias) and node.asname:
            yield line, node.asname


def parts_of(name: str) -> List[str]:
    """The words of a name: "isToldOf" and "IS_TOLD_OF" have three each."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return [part for part in re.split(r"[_.\d]+", spaced.lower()) if part]


def prose_in(source: str) -> Iterator[Tuple[int, str]]:
    """Comments and docstrings, line by line."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        is_docstring = token.type == tokenize.STRING and token.line.strip().startswith(('"""', 'r"""'))
        if token.type == tokenize.COMMENT or is_docstring:
            for number, line in enumerate(token.string.splitlines()):
                yield token.start[0] + number, line


def findings_in(path: Path) -> List[Finding]:
    name = path.relative_to(ROOT).as_posix()
    if name in EXEMPT:
        return []
    text = path.read_text(encoding="utf-8")
    lines: Iterator[Tuple[int, str]] = iter(enumerate(text.splitlines(), 1))
    found = []
    if path.suffix == ".py":
        for number, identifier in names_in(text):
            if identifier not in FOREIGN and IN_NAMES.intersection(parts_of(identifier)):
                found.append(Finding(f"{name}:{number}", identifier))
        found += [Finding(name, part) for part in parts_of(path.stem) if part in IN_NAMES]
        lines = prose_in(text)
    for number, line in lines:
        found += [Finding(f"{name}:{number}", match.group()) for match in IN_PROSE.finditer(line)]
    return sorted(set(found))


def files_below(place: str) -> List[Path]:
    path = ROOT / place
    return [path] if path.is_file() else sorted(each for each in path.rglob("*") if each.suffix in (".py", ".md"))


@pytest.mark.parametrize("place", [*CODE, *PAGES])
def test_only_standard_words_are_used(place: str) -> None:
    found = [str(finding) for path in files_below(place) for finding in findings_in(path)]
    assert found == [], "use the words of docs/explanation/design.md instead"


def test_a_banned_part_of_a_name_and_a_banned_word_of_prose_are_found(tmp_path: Path) -> None:
    source = '"""Have whom it tells of."""\n\n\ndef f(is_told):  # lest it fails\n    return is_told.unknown\n'
    assert [part for _, name in names_in(source) for part in parts_of(name) if part in IN_NAMES] == ["told", "told"]
    assert [word for _, line in prose_in(source) for word in IN_PROSE.findall(line)] == ["whom", "tells of", "lest"]
