"""Write the generated parts of the documentation anew. A test fails if they are not up to date.

    python -m tools.docs.generate

A generated part of a page stands between `<!-- generated: NAME -->` and `<!-- end -->`.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Callable, Dict

from tests import coverage_table
from tools.docs import commands, event_fields, log_messages, metrics, options

DOCS = Path(__file__).parents[2] / "docs"

PARTS: Dict[str, Callable[[], str]] = {
    "options": options.table,
    "commands": commands.sections,
    "standard fields": event_fields.standard,
    "kinds of call": event_fields.kinds,
    "log messages": log_messages.table,
    "metrics": metrics.table,
    **{f"fields of {group}": functools.partial(event_fields.table, group) for group in event_fields.GROUPS},
}

_PART = re.compile(r"(<!-- generated: ([a-z ]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def filled(text: str) -> str:
    """A page's text with its generated parts as they are now."""
    return _PART.sub(lambda match: f"{match.group(1)}\n{PARTS[match.group(2)]()}\n{match.group(3)}", text)


def main() -> None:
    coverage_table.PAGE.write_text(coverage_table.page(), encoding="utf-8")
    for path in sorted(DOCS.rglob("*.md")):
        text = path.read_text(encoding="utf-8")
        new = filled(text)
        if new != text:
            path.write_text(new, encoding="utf-8")
            print(path)


if __name__ == "__main__":
    main()
