"""The Python programs of the pages, and how to run one."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional

from honeyhive_litellm.testing import Collector, ModelServer

from ..faults.programs import environment
from .pages import PAGES, Block, blocks


class Program(NamedTuple):
    """A program of a page: a block that shows a file, or blocks that follow each other.

    A block that imports something begins a new program; one that does not goes on with the program before it.
    `output` is the text block right behind it, if there is one: what the program prints.
    """

    page: str
    title: str
    code: str
    output: Optional[str]


def programs() -> Dict[str, List[Program]]:
    """All programs of all pages."""
    found: Dict[str, List[Program]] = {page: [] for page in PAGES}
    for block in blocks("python"):
        mine = found[block.page]
        if block.title or _imports(block) or not mine:
            mine.append(Program(block.page, block.title, block.code, _output_of(block)))
        else:
            mine[-1] = mine[-1]._replace(code=f"{mine[-1].code}\n{block.code}")
    return {page: mine for page, mine in found.items() if mine}


def _imports(block: Block) -> bool:
    return re.search(r"^(import|from) ", block.code, re.MULTILINE) is not None


def _output_of(block: Block) -> Optional[str]:
    behind = PAGES[block.page].partition(block.code + "```\n")[2]
    match = re.match(r"\n```text\n(.*?)^```$", behind, re.MULTILINE | re.DOTALL)
    return match.group(1) if match else None


class Ran(NamedTuple):
    """What a program printed, and what it logged."""

    printed: str
    logged: str


_LAUNCHER = """
import json, os, runpy, signal, sys
import litellm, honeyhive_litellm
for line in sys.stdin:
    job = json.loads(line)
    child = os.fork()
    if child == 0:
        break
    _, status = os.waitpid(child, 0)
    print(os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status), flush=True)
else:
    sys.exit()
signal.alarm(100)
for number, name in ((1, "stdout"), (2, "stderr")):
    os.dup2(os.open(os.path.join(job["folder"], name), os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), number)
os.chdir(job["folder"])
os.environ.update(job["environment"])
if job["is_test"]:
    import pytest
    sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", job["file"]]))
runpy.run_path(job["file"], run_name="__main__")
"""


class Launcher:
    """Runs programs, each in a fork of one process that has LiteLLM imported: the import takes seconds.

    A program ends as any other does, with the interpreter's exit. The tutorial's programs are run from the start.
    """

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _LAUNCHER],
            env=environment("", Path("unused")),  # LiteLLM's price list comes from its package
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )

    def close(self) -> None:
        self._process.communicate(timeout=110)

    def run(self, code: str, collector: Collector, models: ModelServer, folder: Path, *, is_test: bool = False) -> Ran:
        """Run a program to its good end, with its settings in the environment; with `is_test` by pytest."""
        file = folder / "test_program.py"
        file.write_text(code, encoding="utf-8")
        provider = {"OPENAI_API_KEY": "sk-local", "OPENAI_API_BASE": models.url, "OPENAI_BASE_URL": models.url}
        variables = environment(collector.url, folder / "spool", **provider)
        job = {"folder": str(folder), "file": str(file), "environment": variables, "is_test": is_test}
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        code_line = self._process.stdout.readline()
        ran = Ran(*((folder / name).read_text(encoding="utf-8") for name in ("stdout", "stderr")))
        assert code_line == "0\n", f"{code_line}{ran.printed[-4000:]}{ran.logged[-4000:]}"
        return ran


def with_placeholders(text: str) -> str:
    """The text with each UUID and token replaced: they differ from run to run."""
    text = re.sub(r"token=[\w-]+", "token=<token>", text)
    return re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "<uuid>", text)
