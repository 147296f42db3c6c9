"""The command line, `honeyhive-litellm`."""

from __future__ import annotations

from typing import Optional

import click

from honeyhive_litellm._version import __version__

from .dead import dead
from .proxy import proxy
from .status import drain, status


@click.group()
@click.version_option(__version__, prog_name="honeyhive-litellm")
def main() -> None:
    """Every LiteLLM call becomes a HoneyHive event, through a durable local spool."""


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="address to listen on")
@click.option("--port", default=8787, show_default=True, help="port to listen on; 0 takes a free one")
@click.option("--db", type=click.Path(dir_okay=False), help="file to keep the events in; without it they go at exit")
def serve(host: str, port: int, db: Optional[str]) -> None:
    """Run a local HoneyHive-compatible server and print the line to paste into a program."""
    from honeyhive_litellm._errors import ConfigError
    from honeyhive_litellm.collector import run

    try:
        run(host, port, db, click.echo)
    except ConfigError as error:
        raise click.ClickException(str(error)) from error


for command in (status, drain, dead, proxy):
    main.add_command(command)


if __name__ == "__main__":
    main()
