"""What the commands share: exit codes, and how errors, tables and times look."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from datetime import datetime
from typing import Iterator, Optional, Sequence

import click

from honeyhive_litellm._errors import HoneyHiveError

LEFT = 3
"""Exit code: the command ran, and something is left undelivered or does not add up. (1: it failed; 2: wrong usage.)"""


@contextmanager
def errors_reported() -> Iterator[None]:
    """Print our errors without a traceback, and exit with 1."""
    try:
        yield
    except HoneyHiveError as error:
        raise click.ClickException(str(error)) from error


def table(title: str, heads: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table for a person at a terminal; for anybody else a heading and lines of columns."""
    if not rows:
        return
    cells = [["-" if cell is None else str(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        drawn = Table(title=title, title_justify="left")
        for head in heads:
            drawn.add_column(head, overflow="fold")
        for row in cells:
            drawn.add_row(*(Text(cell) for cell in row))  # a server's words are not rich's markup
        Console().print(drawn)
        return
    click.echo(f"{title}:")
    widths = [max(len(line[i]) for line in [heads, *cells]) for i in range(len(heads))]
    for line in [heads, *cells]:
        click.echo("  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())


def moment(unix_s: Optional[float]) -> Optional[str]:
    """A time in the local time zone."""
    return None if unix_s is None else datetime.fromtimestamp(unix_s).astimezone().strftime("%Y-%m-%d %H:%M:%S %z")


def one_line(text: str, length: int) -> str:
    """`text` without line breaks and control characters, cut to `length`."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= length else f"{line[: length - 3]}..."
