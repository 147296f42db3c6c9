"""`python -m honeyhive_litellm` is the command `honeyhive-litellm`."""

from __future__ import annotations

from ._cli.main import main

main(prog_name="honeyhive-litellm")
