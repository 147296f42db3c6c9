"""`honeyhive-litellm proxy`: which command it becomes, with what, and what it says where it cannot.

tests/proxy runs the real one.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import List, Optional, Tuple

import pytest

from honeyhive_litellm._cli.proxy import HOOK, HOOKS

from ..support.commands import run_command


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an interpreter, with a package `litellm` that is found, and no command yet."""
    (tmp_path / "litellm" / "proxy").mkdir(parents=True)
    (tmp_path / "litellm" / "__init__.py").touch()
    (tmp_path / "litellm" / "proxy" / "proxy_server.py").write_text(f"variable = '{HOOKS}'\n")
    monkeypatch.delitem(sys.modules, "litellm", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    monkeypatch.setenv("PATH", str(tmp_path / "elsewhere"))
    monkeypatch.setenv(HOOKS, "mine:setup")
    return tmp_path


def write_command(folder: Path, status: int = 0) -> Path:
    """A command `litellm` that writes its arguments and the hooks beside itself."""
    folder.mkdir(exist_ok=True)
    path = folder / "litellm"
    path.write_text(f'#!/bin/sh\necho "$@" > "$0.arguments"\necho "${HOOKS}" > "$0.hooks"\nexit {status}\n')
    path.chmod(0o700)
    return path


@pytest.mark.parametrize("place", ["bin", "elsewhere"])
def test_it_becomes_the_command_beside_the_interpreter_or_the_one_of_the_path(
    folder: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    command = write_command(folder / place)
    if place == "bin":
        write_command(folder / "elsewhere")
    became: List[Tuple[str, List[str]]] = []
    monkeypatch.setattr(os, "execv", lambda path, arguments: became.append((path, arguments)))

    assert run_command("proxy", "--config", "a.yaml", "--help").exit_code == 0

    assert became == [(str(command), [str(command), "--config", "a.yaml", "--help"])]
    assert os.environ[HOOKS] == f"{HOOK},mine:setup"


@pytest.mark.skipif(os.name == "nt", reason="the command is a script of a POSIX shell")
def test_on_windows_it_waits_for_the_command_and_ends_as_it_does(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = write_command(folder / "bin", status=7)
    # The library has a look at it, too: the command alone is to find itself there.
    windows = SimpleNamespace(**{**vars(sys), "platform": "win32"})
    monkeypatch.setattr("honeyhive_litellm._cli.proxy.sys", windows)

    assert run_command("proxy", "--num_workers", "4").exit_code == 7

    assert Path(f"{command}.arguments").read_text() == "--num_workers 4\n"
    assert Path(f"{command}.hooks").read_text() == f"{HOOK},mine:setup\n"


@pytest.mark.parametrize(
    ("server", "has_command", "problem"),
    [
        ("the module of an old release", True, "this LiteLLM is too old for callbacks by name: update it"),
        (f"variable = '{HOOKS}'", False, "the command litellm is not installed: pip install 'litellm[proxy]'"),
        (None, True, None),
    ],
    ids=["too old", "no command", "packaged in another way"],
)
def test_a_litellm_that_cannot_call_the_hook_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, server: Optional[str], has_command: bool, problem: Optional[str]
) -> None:
    path = folder / "litellm" / "proxy" / "proxy_server.py"
    if server is None:
        path.unlink()
    else:
        path.write_text(server)
    if has_command:
        write_command(folder / "bin")
    became: List[str] = []
    monkeypatch.setattr(os, "execv", lambda path, _: became.append(path))

    ran = run_command("proxy", "--config", "a.yaml")

    if problem is None:
        assert (ran.exit_code, len(became)) == (0, 1)
    else:
        assert (ran.exit_code, became, os.environ[HOOKS]) == (1, [], "mine:setup")
        assert ran.stderr.startswith(f"Error: {problem}")


def test_without_litellm_it_says_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_command(folder / "bin")
    monkeypatch.setattr(sys, "path", [])

    ran = run_command("proxy")

    assert (ran.exit_code, ran.stderr) == (
        1,
        "Error: the command litellm is not installed: pip install 'litellm[proxy]'\n",
    )
