"""The pages of the documentation, cut into what the tests look at: code blocks, tables, links, anchors."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple

ROOT = Path(__file__).parents[2]
PAGES: Dict[str, str] = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
}
"""The text of each page by its path from the root: README and its like, and all of `docs/`."""


class Block(NamedTuple):
    """One fenced block of a page, and the last heading above it. `title` is the name of the file that it shows."""

    page: str
    section: str
    language: str
    title: str
    code: str


class Table(NamedTuple):
    """One table: its heads, its cells without the heads, and the last heading above it."""

    page: str
    section: str
    heads: List[str]
    rows: List[List[str]]


_FENCE = re.compile(
    r"""^(?P<indent> *)```(?P<language>\w+)(?: title="(?P<title>[^"]+)")?\n(?P<code>.*?)^ *```$""", re.M | re.S
)
_HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def blocks(*languages: str) -> List[Block]:
    """All blocks in these languages, page by page."""
    return [block for page, text in PAGES.items() for block in _blocks_in(page, text) if block.language in languages]


def _blocks_in(page: str, text: str) -> Iterator[Block]:
    for match in _FENCE.finditer(text):
        code = "".join(line[len(match["indent"]) :] for line in match["code"].splitlines(keepends=True))
        yield Block(page, _section_at(text, match.start()), match["language"], match["title"] or "", code)


def prose(text: str) -> str:
    """The text without its code blocks, whose lines may look like headings and tables."""
    return _FENCE.sub(lambda match: "\n" * match.group(0).count("\n"), text)


def tables() -> List[Table]:
    """All tables, page by page."""
    found = []
    for page, text in PAGES.items():
        plain = prose(text)
        for match in re.finditer(r"^\|.+\|\n\|[-|]+\|\n(?:\|.+\|\n?)*", plain, re.MULTILINE):
            heads, _, *rows = [_cells(line) for line in match.group(0).splitlines()]
            found.append(Table(page, _section_at(plain, match.start()), heads, rows))
    return found


def _cells(line: str) -> List[str]:
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip()[1:-1])]


def _section_at(text: str, position: int) -> str:
    headings = [match.group(2) for match in _HEADING.finditer(prose(text[:position]))]
    return headings[-1] if headings else ""


def code_in(cell: str) -> List[str]:
    """What is set as code in a table's cell."""
    return re.findall(r"`([^`]+)`", cell)


def links(text: str) -> List[str]:
    """The targets of all links and pictures."""
    return _LINK.findall(prose(text))


def anchors(text: str) -> List[str]:
    """The anchors of all headings, as the site and GitHub make them."""
    titles = (re.sub(r"[^\w\- ]", "", title.lower()) for _, title in _HEADING.findall(prose(text)))
    return [title.strip().replace(" ", "-") for title in titles]
