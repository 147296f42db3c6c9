"""Build the sdist and the wheel into `dist/`, and try the wheel as a user would.

    python -m tools.dist

The metadata are checked with twine. The wheel is built from the sdist, installed into an empty environment with
nothing but its own requirements, and makes a call whose event must arrive.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"

PROGRAM = """
import sys, tempfile
import litellm
import honeyhive_litellm
from honeyhive_litellm.testing import Collector

assert "site-packages" in honeyhive_litellm.__file__, honeyhive_litellm.__file__
with Collector() as collector, tempfile.TemporaryDirectory() as spool:
    honeyhive_litellm.init(api_key="hh_dist", project="dist", api_url=collector.url, spool_path=spool)
    litellm.completion(model="gpt-4o", messages=[{"role": "user", "content": "hello"}], mock_response="hi")
    assert honeyhive_litellm.flush(30) == 0, honeyhive_litellm.stats()
    (event,) = collector.events
    honeyhive_litellm.shutdown()
assert event["outputs"]["content"] == "hi", event
print("honeyhive-litellm", honeyhive_litellm.__version__, "on Python", sys.version.split()[0], "delivered its event")
"""


def run(*command: object, cwd: Path = ROOT) -> None:
    variables = {k: v for k, v in os.environ.items() if not k.startswith(("HONEYHIVE_", "HH_", "PYTHON"))}
    variables["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    subprocess.run([str(word) for word in command], cwd=cwd, env=variables, check=True)


def main() -> None:
    shutil.rmtree(DIST, ignore_errors=True)
    run(sys.executable, "-m", "build", "--outdir", DIST)
    run(sys.executable, "-m", "twine", "check", "--strict", *sorted(DIST.iterdir()))
    (wheel,) = DIST.glob("*.whl")
    with tempfile.TemporaryDirectory() as folder:
        run(sys.executable, "-m", "venv", Path(folder) / "env")
        python = Path(folder) / "env" / ("Scripts" if os.name == "nt" else "bin") / "python"
        run(python, "-m", "pip", "install", "-q", "--disable-pip-version-check", wheel)
        run(python, "-c", PROGRAM, cwd=Path(folder))


if __name__ == "__main__":
    main()
