"""The Python programs of the pages, and how to run one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional

from honeyhive_litellm.testing import Collector, ModelServer

from ..faults.programs import environment
from ..support.forked_programs import run_python
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


def run(code: str, collector: Collector, models: ModelServer, folder: Path, *, is_test: bool = False) -> Ran:
    """Run a program to its good end, with its settings in the environment; with `is_test` by pytest."""
    file = folder / "test_program.py"
    file.write_text(code, encoding="utf-8")
    provider = {"OPENAI_API_KEY": "sk-local", "OPENAI_API_BASE": models.url, "OPENAI_BASE_URL": models.url}
    variables = environment(collector.url, folder / "spool", **provider)
    command = ["-m", "pytest", "-q", "-p", "no:cacheprovider", str(file)] if is_test else [str(file)]
    done = run_python(*command, env=variables, cwd=folder, timeout=100)
    assert done.returncode == 0, f"{done.returncode}: {done.stdout[-4000:]}{done.stderr[-4000:]}"
    return Ran(done.stdout, done.stderr)


def with_placeholders(text: str) -> str:
    """The text with each UUID and token replaced: they differ from run to run."""
    text = re.sub(r"token=[\w-]+", "token=<token>", text)
    return re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "<uuid>", text)
