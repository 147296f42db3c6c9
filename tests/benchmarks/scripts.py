"""The benchmarks' scripts, run as users run them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Tuple

FOLDER = Path(__file__).parents[2] / "benchmarks"


def run(name: str, *arguments: str, result: Path, timeout: float = 200) -> Tuple[str, Any]:
    """Run a script to its good end; what it printed, and the result that it wrote to the file `result`."""
    done = subprocess.run(
        [sys.executable, str(FOLDER / name), *arguments, "--json", str(result)],
        env={**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    return done.stdout, json.loads(result.read_text(encoding="utf-8"))
