"""The command line, `honeyhive-litellm`."""

from __future__ import annotations

import click

from honeyhive_litellm._version import __version__

from .dead import dead
from .drain import drain
from .events import events
from .proxy import proxy
from .serve import serve
from .status import status


@click.group()
@click.version_option(__version__, prog_name="honeyhive-litellm")
def main() -> None:
    """Every LiteLLM call becomes a HoneyHive event, through a durable local spool."""


for command in (status, drain, dead, proxy, serve, events):
    main.add_command(command)


if __name__ == "__main__":
    main()
