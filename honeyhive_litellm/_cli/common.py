"""What the commands share: which spool is meant, how tables and failures look."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, Optional, Sequence, TypeVar

import click

from honeyhive_litellm._config.paths import default_spool_path
from honeyhive_litellm._config.settings import OPTIONS, Settings
from honeyhive_litellm._errors import HoneyHiveError

LEFT = 3
"""Exit code: the command ran, and something is left or amiss that a script may want to know of."""

_F = TypeVar("_F", bound=Callable[..., Any])


def spool_options(command: _F) -> _F:
    """The options that say which spool is meant, each with its environment variable."""
    for decorator in reversed(
        (
            click.option(
                "--spool-path",
                type=click.Path(file_okay=False),
                help="folder of the spool  [env: HONEYHIVE_SPOOL_PATH; default: the project's]",
            ),
            click.option("--project", help="HoneyHive project  [env: HONEYHIVE_PROJECT]"),
            click.option("--api-url", help="HoneyHive's address  [env: HONEYHIVE_API_URL]"),
        )
    ):
        command = decorator(command)
    return command


def settings_of(options: Dict[str, Optional[str]], **more: object) -> Settings:
    """The settings for a command that talks to HoneyHive. Raises ConfigError."""
    return Settings.resolve(os.environ, **options, **more)


def folder_of(options: Dict[str, Optional[str]]) -> Path:
    """The folder of an existing spool, found without a key. Raises ClickException."""
    given = {option.name: options.get(option.name) or _from_environment(option.variables) for option in OPTIONS}
    if given["spool_path"]:
        folder = Path(os.path.abspath(os.path.expanduser(given["spool_path"])))
    elif given["project"]:
        url = {"api_url": given["api_url"].rstrip("/")} if given["api_url"] else {}
        folder = default_spool_path(given["project"], os.environ, **url)
    else:
        raise click.ClickException(
            "which spool? Give --spool-path or --project, or set HONEYHIVE_SPOOL_PATH or HONEYHIVE_PROJECT"
        )
    return existing(folder)


def existing(folder: Path) -> Path:
    """`folder`, which must be there: a slip in its name must not look like an empty spool."""
    if not folder.is_dir():
        raise click.ClickException(
            f"there is no spool in {folder}. It is made by the first call that is recorded; if there was one, "
            "give its folder as --spool-path or HONEYHIVE_SPOOL_PATH"
        )
    return folder


def _from_environment(variables: Sequence[str]) -> Optional[str]:
    return next((os.environ[name].strip() for name in variables if os.environ.get(name, "").strip()), None)


@contextmanager
def told_failures() -> Iterator[None]:
    """Tell our errors in their own words, without a traceback, and exit with 1."""
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
            drawn.add_row(*(Text(cell) for cell in row))  # what a server said is no markup
        Console().print(drawn)
        return
    click.echo(f"{title}:")
    widths = [max(len(line[i]) for line in [heads, *cells]) for i in range(len(heads))]
    for line in [heads, *cells]:
        click.echo("  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())


def moment(unix_s: Optional[float]) -> Optional[str]:
    """A time as people here read it."""
    return None if unix_s is None else datetime.fromtimestamp(unix_s).astimezone().strftime("%Y-%m-%d %H:%M:%S %z")


def one_line(text: str, length: int) -> str:
    """`text` without line breaks and control characters, cut to `length`."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= length else f"{line[: length - 3]}..."
