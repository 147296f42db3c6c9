"""The command line, `honeyhive-litellm`."""

from __future__ import annotations

import click

from honeyhive_litellm._version import __version__

from .completion import completion
from .config import config
from .dead import dead
from .doctor.command import doctor
from .drain import drain
from .events import events
from .kept import kept
from .key import key
from .proxy import proxy
from .relay.command import relay
from .serve import serve
from .status import status


@click.group()
@click.version_option(__version__, prog_name="honeyhive-litellm")
def main() -> None:
    """Every LiteLLM call becomes a HoneyHive event, through a durable local spool.

    \b
    Example:
        honeyhive-litellm doctor
    """


for command in (completion, config, dead, doctor, drain, events, kept, key, proxy, relay, serve, status):
    main.add_command(command)


if __name__ == "__main__":
    main()
