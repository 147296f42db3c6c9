"""`honeyhive-litellm completion`: the script that lets a shell complete commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

NAME = "honeyhive-litellm"
VARIABLE = "_HONEYHIVE_LITELLM_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that completes commands and options in a shell, to be sourced there.

    \b
    Example:
        eval "$(honeyhive-litellm completion bash)"
    """
    made_by = get_completion_class(shell)
    assert made_by is not None  # the argument's choices are the shells that click has
    click.echo(made_by(context.find_root().command, {}, NAME, VARIABLE).source())
