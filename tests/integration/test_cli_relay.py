"""What the commands of the relay share: the configuration, and which destination a command is about."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Tuple

import pytest

from honeyhive_litellm._cli.relay.common import chosen, configuration

from ..support.commands import Ran, run_command

CONFIG = """
broker = "nats://127.0.0.1:9"

[destinations.default]
api_key_env = "KEY"

[destinations.ads]
api_key_env = "KEY"
"""


def dead_list(config: Path, *arguments: str) -> Ran:
    return run_command("relay", "dead", "list", "--config", str(config), *arguments)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "relay.toml"
    path.write_text(CONFIG)
    return path


@pytest.mark.parametrize("arguments", [(), ("--destination", "search")])
def test_one_of_several_destinations_has_to_be_named(config: Path, arguments: Tuple[str, ...]) -> None:
    ran = dead_list(config, *arguments)
    assert ran.exit_code == 2
    assert "--destination must be one of default, ads" in ran.stderr


@pytest.mark.parametrize("name", ["default", "ads"])
def test_the_named_destination_is_the_one_that_a_command_is_about(config: Path, name: str) -> None:
    with configuration(config) as found:
        assert chosen(found, name).name == name


def test_without_the_brokers_client_it_says_what_to_install(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nats", None)
    ran = dead_list(config)
    assert (ran.exit_code, ran.stderr) == (1, "Error: the relay needs: pip install 'honeyhive-litellm[nats]'\n")
