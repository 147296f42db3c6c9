"""Our commands, called in this process."""

from __future__ import annotations

import inspect
from typing import Any, Dict, NamedTuple

from click.testing import CliRunner

from honeyhive_litellm.cli import main


class Ran(NamedTuple):
    """How a command ended, what it printed on each of its two outputs, and both."""

    exit_code: int
    stdout: str
    stderr: str
    output: str


def run_command(*arguments: str) -> Ran:
    """Run `honeyhive-litellm arguments...` to its end, which may be a failure but no exception."""
    # Before click 8.2 `stdout` has both outputs, unless it is told to keep them apart; then `output` has one.
    is_old = "mix_stderr" in inspect.signature(CliRunner).parameters
    options: Dict[str, Any] = {"mix_stderr": False} if is_old else {}
    result = CliRunner(**options).invoke(main, list(arguments))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    output = result.stdout + result.stderr if is_old else result.output
    return Ran(result.exit_code, result.stdout, result.stderr, output)
