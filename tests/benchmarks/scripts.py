"""The benchmarks' scripts, run as users run them, but that the processes they start need not import LiteLLM."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Dict, Tuple

from ..faults.programs import environment
from ..support.forked_programs import IS_SUPPORTED, run_python

FOLDER = Path(__file__).parents[2] / "benchmarks"

_WITH_FORKS = """
import subprocess, sys
from tests.support.forked_programs import PythonProcess, become_server
program = become_server()
if program is None:
    script = sys.argv[1]
    sys.argv[:] = sys.argv[1:]
    sys.path[0] = {folder!r}
    __file__ = script
    import _common
    class Started:
        PIPE = subprocess.PIPE
        def Popen(command, **options):
            if command[0] != sys.executable:
                return subprocess.Popen(command, **options)
            return PythonProcess(*command[1:], **options)
    _common.subprocess = Started
    with open(script, encoding="utf-8") as source:
        program = compile(source.read(), script, "exec")
exec(program)
"""


def run(name: str, *arguments: str, result: Path, timeout: float = 200) -> Tuple[str, Any]:
    """Run a script to its good end; what it printed, and the result that it wrote to the file `result`."""
    command = [str(FOLDER / name), *arguments, "--json", str(result)]
    if IS_SUPPORTED:
        command = ["-c", _WITH_FORKS.format(folder=str(FOLDER)), *command]
    done = run_python(*command, env=_environment(), timeout=timeout)
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    return done.stdout, json.loads(result.read_text(encoding="utf-8"))


def _environment() -> Dict[str, str]:
    ours = environment("", Path())
    return {**os.environ, **{name: ours[name] for name in ("PYTHONPATH", "LITELLM_LOCAL_MODEL_COST_MAP")}}
