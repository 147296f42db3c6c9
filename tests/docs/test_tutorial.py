"""The tutorial and README's quick start, followed word by word: with the commands, files and outputs that they show."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Dict, List, Optional

import pytest

from ..faults.programs import environment
from ..support.forked_programs import run_python
from .pages import Block, blocks
from .programs import with_placeholders

TUTORIAL = "docs/tutorial.md"
PORT = "8787"


class Reader:
    """Somebody who does what a page says, in a folder and a home of their own, on another port."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = str(free.getsockname()[1])
        kept = {k: v for k, v in environment("", folder).items() if not k.startswith(("HONEYHIVE_", "HH_"))}
        self._environment: Dict[str, str] = {**kept, "XDG_STATE_HOME": str(folder / "state")}
        self._server: Optional[subprocess.Popen[bytes]] = None
        self._printed = ""

    def follow(self, block: Block) -> None:
        code = block.code.replace(PORT, self._port)
        if block.title:
            (self._folder / block.title).write_text(code, encoding="utf-8")
        elif block.language == "sh":
            for line in code.splitlines():
                self._enter(line)
        elif block.language == "text":
            for line in with_placeholders(code).splitlines():
                assert line in with_placeholders(self._printed).splitlines(), self._printed

    def _enter(self, line: str) -> None:
        words = shlex.split(line)
        variables: List[str] = []
        while "=" in words[0]:
            variables.append(words.pop(0))
        if words[0] in ("pip", "export"):
            return
        if words == ["honeyhive-litellm", "serve"]:
            self.start_server()
            return
        module = ["-m", "honeyhive_litellm"] if words[0] == "honeyhive-litellm" else []
        settings = {**self._environment, **dict(pair.split("=", 1) for pair in variables)}
        done = run_python(*module, *words[1:], env=settings, cwd=self._folder, timeout=100)
        assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
        self._printed = done.stdout

    def start_server(self) -> None:
        command = [sys.executable, "-m", "honeyhive_litellm", "serve", "--port", self._port]
        self._server = subprocess.Popen(command, env=self._environment, stdout=subprocess.PIPE)
        assert self._server.stdout is not None
        self._printed = "".join(self._server.stdout.readline().decode() for _ in range(2))  # it listens by then
        link = self._printed.split()[-1]
        browser = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor())
        with browser.open(link, timeout=30) as page:
            assert page.status == 200

    def stop_server(self) -> None:
        if self._server is not None:
            self._server.send_signal(signal.SIGINT)
            self._server.wait(20)
            assert self._server.stdout is not None
            self._server.stdout.close()
        self._server = None


@pytest.mark.timeout(400)
@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C cannot be sent to one process on Windows")
def test_the_tutorial_works_when_it_is_followed_word_by_word(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    was = ""
    try:
        for block in [block for block in blocks("sh", "python", "text") if block.page == TUTORIAL]:
            if block.section == "Stop the server" != was:
                reader.stop_server()
            if "drain" in block.code:
                reader.start_server()
            was = block.section
            if block.section != "Use your HoneyHive project":
                reader.follow(block)
    finally:
        reader.stop_server()


def test_readme_begins_as_the_tutorial_does() -> None:
    shown = {block.title: block.code for block in blocks("python") if block.page == TUTORIAL and block.title}
    (hello,) = [block for block in blocks("python") if block.page == "README.md" and block.title]
    assert hello.code == shown[hello.title]
    outputs = [block.code for block in blocks("text") if block.page == TUTORIAL]
    (output,) = [block.code for block in blocks("text") if block.page == "README.md"]
    assert output in outputs
