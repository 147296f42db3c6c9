"""What the commands share: exit codes, JSON, and how errors, tables, colors and times look."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import textwrap
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Iterator, Optional, Sequence

import click

from honeyhive_litellm._errors import HoneyHiveError
from honeyhive_litellm._spool.status import FolderStatus

EXIT_LEFT = 3
"""Exit code: the command ran, and something is left undelivered or does not add up. (1: it failed; 2: wrong usage.)"""

json_option = click.option("--json", "as_json", is_flag=True, help="print one JSON object")


JSON_SCHEMA = 1
"""The number in every JSON object. It goes up when a member goes or changes its meaning, not when one is added."""


def print_json(**members: Any) -> None:
    """Print one JSON object with the number of its schema."""
    click.echo(json.dumps({"schema": JSON_SCHEMA, **members}, indent=2, ensure_ascii=False))


def style(text: str, **styles: Any) -> str:
    """`text` with color or weight at a terminal, unless NO_COLOR is set (https://no-color.org)."""
    return click.style(text, **styles) if sys.stdout.isatty() and not os.environ.get("NO_COLOR") else text


def wrapped(text: str, *, first: str, indent: int) -> str:
    """`text` after `first`, at a terminal in lines of its width; further lines are indented."""
    if not sys.stdout.isatty():
        return first + text
    width = shutil.get_terminal_size().columns
    lines = textwrap.wrap(text, max(20, width - indent), break_long_words=False, break_on_hyphens=False)
    return first + f"\n{' ' * indent}".join(lines)


@contextmanager
def errors_reported() -> Iterator[None]:
    """Print our errors without a traceback, and exit with 1."""
    try:
        yield
    except HoneyHiveError as error:
        raise click.ClickException(str(error)) from error


def table(title: str, heads: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A title and lines of columns, at a terminal in its width. Numbers are to the right."""
    if not rows:
        return
    click.echo(style(title, bold=True))
    cells = [["-" if cell is None else str(cell) for cell in row] for row in rows]
    are_numbers = [all(isinstance(row[i], int) for row in rows) for i in range(len(heads))]
    if sys.stdout.isatty():
        _print_in_width(heads, cells, are_numbers)
        return
    widths = [max(len(line[i]) for line in [heads, *cells]) for i in range(len(heads))]
    for line in [heads, *cells]:
        padded = [
            cell.rjust(width) if is_number else cell.ljust(width)
            for cell, width, is_number in zip(line, widths, are_numbers)
        ]
        click.echo("  " + "  ".join(padded).rstrip())


def _print_in_width(heads: Sequence[str], cells: Sequence[Sequence[str]], are_numbers: Sequence[bool]) -> None:
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for head, is_number in zip(heads, are_numbers):
        drawn.add_column(head, justify="right" if is_number else "left", overflow="fold")
    for row in cells:
        drawn.add_row(*(Text(cell) for cell in row))  # a server's words are not rich's markup
    Console(highlight=False).print(Padding(drawn, (0, 0, 0, 2)))


def moment(unix_s: Optional[float]) -> Optional[str]:
    """A time in the local time zone."""
    return None if unix_s is None else datetime.fromtimestamp(unix_s).astimezone().strftime("%Y-%m-%d %H:%M:%S %z")


def one_line(text: str, length: int) -> str:
    """`text` without line breaks and control characters, cut to `length`."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= length else f"{line[: length - 3]}..."


def duration(seconds: float) -> str:
    """A span of time in its largest unit: "45 s", "3 min", "2.5 h", "4 days"."""
    for unit, name in ((86_400, "days"), (3600, "h"), (60, "min")):
        if seconds >= unit:
            units = seconds / unit
            return f"{units:.1f} {name}" if units < 10 else f"{units:.0f} {name}"
    return f"{seconds:.0f} s"


def span(value: str) -> float:
    """An option's value as seconds: "300", "30s", "5m", "2h", "1d". Raises BadParameter."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([smhd]?)", value.strip())
    if match is None:
        raise click.BadParameter(f"{value!r} is no span of time: give 30s, 5m, 2h or 1d")
    return float(match.group(1)) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}[match.group(2)]


def locked_in(found: FolderStatus) -> Optional[str]:
    """What of a spool cannot be decrypted, in words; None if there is nothing."""
    if not found.locked and not found.locked_letters:
        return None
    ended = found.locked - found.locked_calls  # as many as wait, so that the numbers of one command agree
    numbers = (ended, "event"), (found.locked_calls, "interrupted call"), (found.locked_letters, "dead letter")
    parts = [counted(number, noun) for number, noun in numbers if number]
    what = " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))
    ids = f" (id {', '.join(sorted(found.missing_keys))})" if found.missing_keys else ""
    return f"{what} encrypted with a missing key{ids}"


def counted(number: int, noun: str) -> str:
    """A number with its noun: "1 event", "3 events", "2 processes"."""
    plural = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{number} {noun if number == 1 else plural}"
