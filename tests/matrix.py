"""The suite on every Python this package supports, and on older LiteLLMs: one virtual environment a cell.

`make matrix` runs it; ONLY="py38 py39" takes some of the cells, ARGS="tests/unit -k stream" goes to pytest. It prints
a Markdown table and, below it, each cell's failures and reasons to skip. Exit status 1 if a cell that could run
failed. A Python that this machine lacks is said to be skipped. Needs no package, and Python 3.8 or newer.
"""

from __future__ import annotations

import argparse
import collections
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Counter, Dict, List, NamedTuple, Optional, Sequence
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
VENVS = ROOT / ".venv-matrix"


class Cell(NamedTuple):
    """One combination: its name, the Python, and which LiteLLM ("" for the newest that this Python can have)."""

    name: str
    python: str
    litellm: str = ""
    released: str = ""


CELLS = (
    Cell("py38", "3.8"),
    Cell("py39", "3.9"),
    Cell("py310", "3.10"),
    Cell("py311", "3.11"),
    Cell("py312", "3.12"),
    Cell("py313", "3.13"),
    Cell("py311-2025", "3.11", "1.80.5", "November 2025"),
    Cell("py311-2024", "3.11", "1.53.1", "November 2024"),
)

_ASK = (
    "import importlib.metadata as m, platform, sqlite3;"
    "print(platform.python_version(), m.version('litellm'), sqlite3.sqlite_version)"
)


class Result(NamedTuple):
    """What came of one cell. `versions` are those of Python, LiteLLM and SQLite; empty if nothing could run."""

    cell: Cell
    versions: Sequence[str] = ()
    passed: int = 0
    failed: Sequence[str] = ()
    skipped: Optional[Counter[str]] = None
    seconds: float = 0.0
    trouble: str = ""
    is_missing: bool = False

    @property
    def is_bad(self) -> bool:
        return bool(self.failed or (self.trouble and not self.is_missing))


def interpreter(version: str) -> Optional[str]:
    """The path of this Python ("3.8"): the running one, one that pyenv has, or one on the PATH."""
    if version == f"{sys.version_info[0]}.{sys.version_info[1]}" and sys.prefix == sys.base_prefix:
        return sys.executable
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    candidates = [str(path) for path in pyenv.glob(f"versions/{version}.*/bin/python")]
    for name in (*sorted(candidates, reverse=True), shutil.which(f"python{version}")):
        asking = name and subprocess.run(  # noqa: PLW1510 - a shim without its Python fails, and is no candidate
            [name, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], capture_output=True, text=True
        )
        if asking and asking.stdout.strip() == version:
            return name
    return None


def environment(cell: Cell, python: str) -> Path:
    """The Python of the cell's virtual environment, made at the first run and made up to date at the others.

    Raises CalledProcessError, whose output says why, if something does not install.
    """
    folder = VENVS / cell.name
    executable = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    pip = [str(executable), "-m", "pip", "--disable-pip-version-check", "install", "-q"]
    if not executable.exists():
        run([python, "-m", "venv", str(folder)])
        run([*pip, "-U", "pip"])
    # Where the newest has no wheel for this Python an older one has: nothing here is to be compiled.
    wheels = ["--only-binary", "litellm,tokenizers,tiktoken"]
    run([*pip, "-U", *wheels, "-e", ".[test]", f"litellm=={cell.litellm}" if cell.litellm else "litellm"])
    return executable


def run(command: Sequence[str]) -> None:
    subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def try_cell(cell: Cell, arguments: Sequence[str]) -> Result:
    python = interpreter(cell.python)
    if python is None:
        return Result(cell, trouble=f"skipped: this machine has no Python {cell.python}", is_missing=True)
    try:
        executable = environment(cell, python)
    except subprocess.CalledProcessError as error:
        return Result(cell, trouble="did not install: " + " ".join(error.output.split())[-600:])
    versions = subprocess.run([str(executable), "-c", _ASK], check=True, stdout=subprocess.PIPE, text=True).stdout
    report = VENVS / f"{cell.name}.xml"
    if report.exists():
        report.unlink()
    command = [str(executable), "-m", "pytest", "-q", f"--junit-xml={report}", "-p", "no:cacheprovider", *arguments]
    began = time.monotonic()
    status = subprocess.run(command, cwd=ROOT, stdout=sys.stderr).returncode  # noqa: PLW1510 - the report tells more
    result = read(cell, report, time.monotonic() - began)._replace(versions=versions.split())
    if status not in (0, 1) or not report.exists():
        return result._replace(trouble=f"pytest ended with exit status {status}")
    return result


def read(cell: Cell, report: Path, seconds: float) -> Result:
    """What pytest's JUnit report says."""
    passed, failed, skipped = 0, [], collections.Counter()  # type: int, List[str], Counter[str]
    for case in ElementTree.parse(report).iter("testcase") if report.exists() else ():
        name = f"{case.get('classname')}::{case.get('name')}"
        skip = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            failed.append(name)
        elif skip is not None:
            skipped[skip.get("message") or "no reason given"] += 1
        else:
            passed += 1
    return Result(cell, (), passed, failed, skipped, seconds)


def table(results: Sequence[Result]) -> str:
    """A Markdown table of the results, and what lies behind its numbers."""
    lines = ["| Python | LiteLLM | SQLite | passed | failed | skipped | seconds |", "|---|---|---|---|---|---|---|"]
    below: List[str] = []
    for result in results:
        cell = result.cell
        python, litellm, sqlite = result.versions or (cell.python, cell.litellm or "newest", "-")
        litellm += f" ({cell.released})" if cell.released else ""
        if result.is_missing or not result.versions:
            lines.append(f"| {python} | {litellm} | {sqlite} | {result.trouble} | | | |")
            continue
        counts = (result.passed, len(result.failed), sum((result.skipped or {}).values()), f"{result.seconds:.0f}")
        lines.append(f"| {python} | {litellm} | {sqlite} | " + " | ".join(map(str, counts)) + " |")
        reasons = [f"- {count} skipped: {reason}" for reason, count in sorted((result.skipped or {}).items())]
        wrong = [f"- FAILED {name}" for name in result.failed]
        wrong += [f"- {result.trouble}"] if result.trouble else []
        if wrong or reasons:
            below += ["", f"Python {python}, LiteLLM {litellm}:", "", *wrong, *reasons]
    return "\n".join([*lines, *below])


def main() -> int:
    cells: Dict[str, Cell] = {cell.name: cell for cell in CELLS}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="names of cells, with spaces or commas between: " + " ".join(cells))
    parser.add_argument("--args", default="", help="what to give to pytest, as one string")
    options = parser.parse_args()
    names = re.split(r"[\s,]+", options.only.strip()) if options.only.strip() else list(cells)
    unknown = [name for name in names if name not in cells]
    if unknown:
        parser.error(f"no cell {', '.join(unknown)}: there are {', '.join(cells)}")
    results = []
    for name in names:
        print(f"== {name}", file=sys.stderr, flush=True)
        results.append(try_cell(cells[name], shlex.split(options.args)))
    print(table(results))
    for result in results:
        if result.is_missing:
            print(f"{result.cell.name} did not run: {result.trouble}", file=sys.stderr)
    return int(any(result.is_bad for result in results))


if __name__ == "__main__":
    sys.exit(main())
