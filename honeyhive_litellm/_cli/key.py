"""`honeyhive-litellm key`: keys that encrypt the spool."""

from __future__ import annotations

import click

from honeyhive_litellm._privacy.cipher import new_key


@click.group()
def key() -> None:
    """Keys for the option spool_key, which encrypts the events on disk.

    \b
    Example:
        honeyhive-litellm key new
    """


@key.command()
def new() -> None:
    """Print a new random key: 32 bytes in base64. Nothing is stored.

    Keep it where you keep passwords: without it, what is encrypted with it cannot be delivered. To replace a key, put
    the new one in front of the old one, with a comma between them.

    \b
    Example:
        honeyhive-litellm key new
    """
    click.echo(new_key())
