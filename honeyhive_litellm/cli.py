"""The entry point of the command `honeyhive-litellm`; the commands live in `_cli`."""

from ._cli.main import main

__all__ = ["main"]
