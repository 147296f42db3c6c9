"""The pages as plain Markdown, for programs that read: a `.md` file beside each page, `llms.txt`, `llms-full.txt`.

`llms.txt` follows https://llmstxt.org: a title, a summary, and for each part of the site a list of links.
"""

from __future__ import annotations

import importlib
import inspect
import re
import textwrap
from pathlib import Path
from typing import Any, Callable, Iterator, List, Mapping, NamedTuple, Tuple

_DIRECTIVE = re.compile(r"^::: (\S+)\n(?:    .*\n|\n(?=    ))*", re.MULTILINE)
_COMMENT = re.compile(r"^<!--.*?-->\n", re.MULTILINE | re.DOTALL)


class Page(NamedTuple):
    """One page of the site."""

    part: str
    path: str
    text: str

    @property
    def title(self) -> str:
        return self.text.partition("\n")[0].lstrip("# ")

    @property
    def summary(self) -> str:
        """The first sentence after the title."""
        paragraph = self.text.partition("\n")[2].strip().partition("\n\n")[0]
        return re.split(r"(?<=\.)\s", " ".join(paragraph.split()))[0]


def write_plain_text(settings: Mapping[str, Any], docs: Path, site: Path) -> None:
    """Write a `.md` file for each page of the navigation, and the two files that name and hold all of them."""
    pages = [
        Page(part, path, plain((docs / path).read_text(encoding="utf-8")))
        for part, path in pages_of(settings["nav"], "")
    ]
    for page in pages:
        target = site / page.path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(page.text, encoding="utf-8")
    head = f"# {settings['site_name']}\n\n> {settings['site_description']}\n"
    lines = [head]
    for part in dict.fromkeys(page.part for page in pages):
        lines.append(f"\n## {part or settings['site_name']}\n\n" if part else "\n")
        lines += [f"- [{page.title}]({page.path}): {page.summary}\n" for page in pages if page.part == part]
    (site / "llms.txt").write_text("".join(lines), encoding="utf-8")
    whole = [f"\n<!-- {page.path} -->\n\n{_with_site_links(page)}" for page in pages]
    (site / "llms-full.txt").write_text(head + "".join(whole), encoding="utf-8")


def pages_of(nav: List[Mapping[str, Any]], part: str) -> Iterator[Tuple[str, str]]:
    """Part and path of each page, in the order of the navigation."""
    for entry in nav:
        for title, target in entry.items():
            if isinstance(target, str):
                yield part, target
            else:
                yield from pages_of(target, part or title)


def plain(text: str) -> str:
    """A page's Markdown without what only the site understands."""
    return _COMMENT.sub("", _DIRECTIVE.sub(lambda match: described(match.group(1)) + "\n", text))


def described(symbol: str) -> str:
    """A public symbol with its signature, its docstring, and those of its public members."""
    module, _, name = symbol.rpartition(".")
    target = getattr(importlib.import_module(module), name)
    parts = [_entry(symbol, target)]
    if inspect.isclass(target):
        for member, value in vars(target).items():
            if not member.startswith("_") and inspect.getdoc(value) and not isinstance(value, type):
                parts.append(_entry(f"{name}.{member}", value))
    return "\n".join(parts)


class _Bare(str):
    """An annotation, which `inspect` would show in quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _entry(name: str, target: object) -> str:
    signature = _signature_of(target) if callable(target) else ""
    doc = textwrap.indent(inspect.getdoc(target) or "", "  ")
    return f"`{name}{signature}`\n\n{doc}\n"


def _signature_of(target: Callable[..., Any]) -> str:
    try:
        found = inspect.signature(target)
    except ValueError:
        return ""  # an error takes what every exception takes
    parameters = [
        one.replace(annotation=_Bare(one.annotation)) if isinstance(one.annotation, str) else one
        for one in found.parameters.values()
    ]
    returned = found.return_annotation
    returned = _Bare(returned) if isinstance(returned, str) else returned
    return str(found.replace(parameters=parameters, return_annotation=returned))


def _with_site_links(page: Page) -> str:
    """The page's text with links that start at the site's root, since all pages stand in one file there."""

    def rooted(match: re.Match[str]) -> str:
        link = match.group(1)
        if re.match(r"[a-z]+:", link):
            return match.group(0)
        if link.startswith("#"):
            return f"]({page.path}{link})"
        parts: List[str] = []
        for part in [*Path(page.path).parent.parts, *link.split("/")]:
            parts = parts[:-1] if part == ".." else [*parts, part]
        return f"]({'/'.join(parts)})"

    return re.sub(r"\]\(([^)\s]+)\)", rooted, page.text)
