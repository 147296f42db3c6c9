"""Check the built site: every link inside it leads somewhere, and the API page shows every public symbol.

Zensical checks the links in Markdown. This looks at what it wrote, so that links in docstrings, in the navigation
and in `llms.txt` are checked as well.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Set, Tuple
from urllib.parse import unquote, urlsplit

import honeyhive_litellm
import honeyhive_litellm.collector
import honeyhive_litellm.metrics
import honeyhive_litellm.testing

API_PAGE = Path("reference") / "api.html"
MODULES = (honeyhive_litellm, honeyhive_litellm.metrics, honeyhive_litellm.testing, honeyhive_litellm.collector)


class _Page(HTMLParser):
    """The anchors of a page and the addresses that it refers to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: Set[str] = set()
        self.addresses: List[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: List[Tuple[str, Optional[str]]]) -> None:
        for name, value in attrs:
            if value and name == "id":
                self.anchors.add(value)
            elif value and name in ("href", "src") and not (tag == "link" and value.startswith("http")):
                self.addresses.append(value)


def problems_of(site: Path) -> List[str]:
    """One line for each thing that is wrong."""
    pages = {path: _Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    problems = [f"{path.relative_to(site)}: {problem}" for path, problem in _broken_links(site, pages)]
    for name in ("llms.txt", "llms-full.txt"):
        text = (site / name).read_text(encoding="utf-8") if (site / name).is_file() else ""
        problems += [f"{name}: no {link}" for link in re.findall(r"\]\(([^):]+)\)", text) if not _is_there(site, link)]
    shown = pages[site / API_PAGE].anchors if site / API_PAGE in pages else set()
    problems += [f"{API_PAGE}: {symbol} is not shown" for symbol in public_symbols() if symbol not in shown]
    return problems


def public_symbols() -> Iterator[str]:
    """The full names of all that a user may import."""
    for module in (
        honeyhive_litellm,
        honeyhive_litellm.metrics,
        honeyhive_litellm.testing,
        honeyhive_litellm.collector,
    ):
        for name in module.__all__:
            if not name.startswith("__"):
                yield f"{module.__name__}.{name}"


def _broken_links(site: Path, pages: Dict[Path, _Page]) -> Iterator[Tuple[Path, str]]:
    for path, page in pages.items():
        if path.name == "404.html":
            continue  # its links start at the root of a server, and there is no server here
        for address in page.addresses:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if target.is_dir():
                target = target / "index.html"
            if not target.is_file():
                yield path, f"no {address}"
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
                yield path, f"no anchor {address}"


def _is_there(site: Path, link: str) -> bool:
    return (site / link.partition("#")[0]).is_file()
