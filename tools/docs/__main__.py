"""Build the documentation into `build/site`, without a network. Exit code 1 if anything is wrong with it.

python -m tools.docs
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import tomllib

from tools.docs.check_site import problems_of
from tools.docs.plain_text import write_plain_text

ROOT = Path(__file__).parents[2]
SITE = ROOT / "build" / "site"


def build_html() -> bool:
    """Run Zensical from scratch. It fails on its own warnings: unknown links, anchors, footnotes, and symbols."""
    for folder in (SITE, ROOT / ".cache"):
        shutil.rmtree(folder, ignore_errors=True)
    command = [sys.executable, "-m", "zensical", "build", "--strict"]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "NO_COLOR": "1"}, check=False)
    return done.returncode == 0


def main() -> int:
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # or LiteLLM asks the network for its price list
    if not build_html():
        return 1
    settings = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]
    write_plain_text(settings, ROOT / "docs", SITE)
    problems = problems_of(SITE)
    for problem in problems:
        print(problem, file=sys.stderr)
    pages = len(list(SITE.rglob("*.html")))
    print(f"{SITE}: {pages} pages, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
