"""Every shell line of every page: the command exists, and so do its options, files, variables and packages."""

from __future__ import annotations

import re
import shlex
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Dict, Iterator, List, Set, Tuple

import click
import pytest

from honeyhive_litellm._cli.main import main as command_line
from honeyhive_litellm._config.settings import OPTIONS
from honeyhive_litellm.collector._store import Store

from .pages import PAGES, ROOT, Block, blocks

TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
VARIABLES = {name for option in OPTIONS for name in option.variables}
PACKAGES = {
    "fastapi",
    "honeyhive-litellm",
    "honeyhive-litellm[encryption]",
    "honeyhive-litellm[nats]",
    "honeyhive-litellm[prometheus]",
    "litellm[proxy]",
    "mcp",
    "soundfile",
    "uvicorn",
}
REMOVED = {"openinference-instrumentation-litellm", "openlit"}


def lines() -> Iterator[Tuple[Block, str]]:
    for block in blocks("sh"):
        for line in block.code.splitlines():
            if line.strip():
                yield block, line


def files_of(page: str) -> Set[str]:
    """The files that the page shows."""
    return {block.title for block in blocks("python", "yaml") if block.page == page}


@pytest.mark.parametrize(("block", "line"), list(lines()), ids=lambda value: value if isinstance(value, str) else "")
def test_a_shell_line_says_what_exists(
    block: Block, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Store("events.db").close()  # what `serve --db events.db` leaves
    words = shlex.split(line, comments=True)
    if words[0] == "export":
        assert {word.split("=")[0] for word in words[1:]} <= VARIABLES
        return
    while "=" in words[0]:
        assert words.pop(0).split("=")[0] in VARIABLES
    command, arguments = words[0], words[1:]
    if command == "eval":
        (script,) = arguments
        command, *arguments = shlex.split(script[len("$(") : -len(")")])
    if command == "make":
        assert set(arguments) <= TARGETS
    elif command == "honeyhive-litellm":
        parse(arguments)
    elif command == "pip":
        action, *packages = arguments
        assert set(packages) <= {"install": PACKAGES, "uninstall": REMOVED}[action]
    elif command == "python" and arguments[0] == "-m" and "." in arguments[1]:
        assert (ROOT / arguments[1].replace(".", "/")).with_suffix(".py").is_file()
    elif command in ("python", "uvicorn"):
        assert {name.replace(":app", ".py") for name in arguments if name not in ("-m", "pytest")} <= files_of(
            block.page
        )
    elif command == "sqlite3":
        path, query = arguments
        with closing(sqlite3.connect(path)) as database:
            database.execute(query)
    else:
        assert command == "docker"
        named = {word.split("=")[0] for word in arguments if word.startswith("HONEYHIVE")}
        assert named and named <= VARIABLES


def parse(arguments: List[str]) -> None:
    """Let click read a command line, without running the command."""
    group: click.Command = command_line
    context = click.Context(group, info_name="honeyhive-litellm")
    rest = list(arguments)
    while isinstance(group, click.Group):
        name, found, rest = group.resolve_command(context, rest)
        assert name is not None and found is not None
        group, context = found, click.Context(found, info_name=name, parent=context)
    group.make_context(context.info_name, rest, parent=context.parent)


def test_every_command_that_a_text_names_exists() -> None:
    named = {name for text in PAGES.values() for name in re.findall(r"`honeyhive-litellm ([a-z]+)", text)}
    assert {"serve", "status", "proxy"} <= named <= set(command_line.commands)
    targets = {name for text in PAGES.values() for name in re.findall(r"`make ([a-z-]+)`", text)}
    assert {"bench", "faults", "docs"} <= targets <= TARGETS


def test_every_file_of_the_project_that_a_text_names_exists() -> None:
    named = {
        name
        for page, text in PAGES.items()
        if page != "CHANGELOG.md"
        for name in re.findall(r"`((?:examples|tests|benchmarks|tools|docs)/[\w./-]*)", text)
    }
    assert len(named) > 10
    assert {name for name in named if not (ROOT / name).exists()} == set()


# ---- YAML


def yaml_of(page: str) -> Any:
    """What the first YAML block of a page holds."""
    yaml = pytest.importorskip("yaml", reason="LiteLLM brings it where its Proxy runs")
    block = next(block for block in blocks("yaml") if block.page == page)
    return yaml.safe_load(block.code)


def test_the_proxys_configuration_names_the_callback_and_options_that_exist() -> None:
    settings = yaml_of("docs/how-to/proxy.md")["litellm_settings"]
    assert settings["callbacks"] == ["honeyhive"]
    options = {name[len("honeyhive_") :] for name in settings if name.startswith("honeyhive_")}
    assert {"api_key", "project"} <= options <= {option.name for option in OPTIONS}
    assert yaml_of("README.md") == yaml_of("docs/how-to/proxy.md")


def test_the_pod_has_a_sidecar_that_shares_the_spool_with_the_application() -> None:
    spec = yaml_of("docs/how-to/kubernetes.md")["spec"]
    (sidecar,), (app,) = spec["initContainers"], spec["containers"]
    assert sidecar["command"][:3] == ["python", "-m", "honeyhive_litellm"]
    parse(sidecar["command"][3:])
    assert sidecar["restartPolicy"] == "Always"
    assert sidecar["volumeMounts"] == app["volumeMounts"]
    variables: List[Dict[str, str]] = [
        {item["name"]: item.get("value", "") for item in container["env"]} for container in (sidecar, app)
    ]
    assert {name for container in variables for name in container} <= VARIABLES
    assert variables[1]["HONEYHIVE_FLUSH"] == "false"
    mounted = sidecar["volumeMounts"][0]["mountPath"]
    assert [container["HONEYHIVE_SPOOL_PATH"] for container in variables] == [mounted, mounted]
