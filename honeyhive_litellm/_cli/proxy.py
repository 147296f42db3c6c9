"""`honeyhive-litellm proxy`: LiteLLM's Proxy, in whose config the callback may be called `honeyhive`."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import List, Optional, Tuple

import click

HOOKS = "LITELLM_WORKER_STARTUP_HOOKS"
"""LiteLLM's variable: functions, with commas between, that every worker runs before it reads its config."""

HOOK = "honeyhive_litellm.proxy:register"


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    options_metavar="[LITELLM OPTIONS]",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="")
def proxy(arguments: Tuple[str, ...]) -> None:
    """Run the LiteLLM Proxy, with the callback `honeyhive` registered in all of its workers.

    Takes the options of the command `litellm` (see `litellm --help`), becomes it, and ends as it does.

    \b
    Example:
        honeyhive-litellm proxy --config config.yaml --num_workers 4
    """
    command = [_litellm(), *arguments]
    os.environ[HOOKS] = with_hook(os.environ.get(HOOKS, ""))
    sys.stdout.flush()
    sys.stderr.flush()
    if sys.platform == "win32":  # there `exec` starts a second process and leaves without waiting for it
        sys.exit(_run(command))
    os.execv(command[0], command)  # noqa: S606 - no shell is what is wanted


def with_hook(hooks: str) -> str:
    """`hooks`, the variable's value so far, with ours before the others."""
    others = [hook.strip() for hook in hooks.split(",") if hook.strip() and hook.strip() != HOOK]
    return ",".join([HOOK, *others])


def _run(command: List[str]) -> int:
    return subprocess.run(command, check=False).returncode  # noqa: S603 - the user's own command line


def _litellm() -> str:
    """The path of the command `litellm` that belongs to this interpreter. Raises ClickException."""
    package = importlib.util.find_spec("litellm")  # found, not imported: that takes seconds
    folder = None if package is None else next(iter(package.submodule_search_locations or ()), None)
    found: Optional[str] = shutil.which("litellm", path=str(Path(sys.executable).parent)) or shutil.which("litellm")
    if folder is None or found is None:
        raise click.ClickException("the command litellm is not installed: pip install 'litellm[proxy]'")
    try:
        has_hooks = HOOKS in (Path(folder) / "proxy" / "proxy_server.py").read_text(encoding="utf-8")
    except OSError:
        has_hooks = True  # packaged in another way; LiteLLM itself fails if it is too old
    if not has_hooks:
        raise click.ClickException(
            "this LiteLLM is too old for callbacks by name: update it, or run litellm itself with "
            'callbacks: ["honeyhive_litellm.proxy.logger"] in its config'
        )
    return found
