"""The command line of the relay: real processes, which are killed and stopped in mid-batch."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest
from click.testing import CliRunner

from honeyhive_litellm._cli.main import main
from honeyhive_litellm._errors import ConfigError
from honeyhive_litellm._relay.config import read_config
from honeyhive_litellm.testing import Collector

from ..support.broker import Broker
from ..waiting import until
from .fleet import Balance, assert_once, config_for, event, make_streams, publish, table, until_balance, write_config

KILLS = 5
KEYS = {"HONEYHIVE_API_KEY": "hh_secret_1", "READS": "hh_ro_secret_2", "WRITES": "hh_ingst_secret_3"}
EVENTS = 1500


class Commands:
    """The commands of one configuration, with the key in the environment."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "relay.toml"
        self._environ = {**os.environ, "KEY_DEFAULT": "hh_secret_key", "PYTHONUNBUFFERED": "1"}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "honeyhive_litellm", "relay", *arguments, "--config", str(self.path)],
            env=self._environ,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *arguments: str, code: int = 0) -> str:
        """Run one of the short commands in this process: its standard output, for a failure the error."""
        result = CliRunner().invoke(main, ["relay", *arguments, "--config", str(self.path)], env=self._environ)
        assert result.exit_code == code, result.output
        assert "hh_secret_key" not in result.output
        return result.output

    def json(self, *arguments: str, code: int = 0) -> Dict[str, Any]:
        found: Dict[str, Any] = json.loads(self.run(*arguments, "--json", code=code))
        return found

    @contextmanager
    def running(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """A relay; stopped at the end, if it still lives."""
        with self.start("run", *arguments) as process:
            try:
                yield process
            finally:
                process.terminate()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker(tmp_path) as started:
        yield started


def test_relays_that_are_killed_in_mid_batch_lose_and_double_nothing(broker: Broker, tmp_path: Path) -> None:
    with Collector() as collector:
        options = table(broker, {"default": collector.url}, ack_wait=1, workers=1)
        commands = Commands(tmp_path)
        write_config(commands.path, options)
        config = config_for(broker, {"default": collector.url}, ack_wait=1)
        assert [made["change"] for made in commands.json("init")["made"]] == ["created"] * 3
        asyncio.run(publish(broker, [event(i) for i in range(EVENTS)], "default"))
        collector.delay(0.05, path="/v1/events/batch", after=True)  # long enough to be killed in
        for kill in range(KILLS):
            goal = len(batches(collector)) + 2
            with commands.running() as relay:
                until(functools.partial(has_got, collector, goal), what=f"kill {kill}")
                relay.kill()
        assert len(collector.events) < EVENTS, "all was delivered before the last kill"
        collector.clear()
        with commands.running() as relay:
            asyncio.run(until_balance(config, Balance(EVENTS, EVENTS)))
            relay.terminate()
            out, err = relay.communicate(timeout=20)
        assert relay.returncode == 0 and out.startswith("delivered "), err
        assert_once(collector, range(EVENTS))
        (numbers,) = commands.json("status")["destinations"]
        assert (numbers["accepted"], numbers["delivered"], numbers["waiting"]) == (EVENTS, EVENTS, 0)


def test_sigterm_in_mid_batch_ends_in_time_and_the_next_relay_delivers_the_rest(broker: Broker, tmp_path: Path) -> None:
    with Collector(keys={"hh_secret_key"}) as collector:
        options = table(
            broker, {"default": collector.url}, workers=1, ack_wait=60, shutdown_timeout=1, request_timeout=30
        )
        commands = Commands(tmp_path)
        write_config(commands.path, options)
        config = config_for(broker, {"default": collector.url}, ack_wait=60)
        asyncio.run(make_streams(config))
        asyncio.run(publish(broker, [event(i) for i in range(250)], "default"))
        collector.hang(path="/v1/events/batch", after=True)
        with commands.running("--metrics-port", "0") as relay:
            assert relay.stderr is not None
            address = relay.stderr.readline().split()[1]
            collector.wait_for_requests(1, timeout=40, path="/v1/events/batch")
            until(
                lambda: 'honeyhive_relay_in_hand{destination="default"} 250.0' in get(address),
                what=lambda: get(address),
            )
            assert get(address.replace("metrics", "readyz")) == "connected to the broker\n"
            assert get(address.replace("metrics", "livez")) == "the loop turns\n"
            began = time.monotonic()
            relay.send_signal(signal.SIGTERM)
            _, err = relay.communicate(timeout=20)
            assert relay.returncode == 0 and time.monotonic() - began < 4, err
        collector.clear()
        with commands.running():  # at once, long before `ack_wait`
            asyncio.run(until_balance(config, Balance(250, 250)))
        assert_once(collector, range(250))


def test_dead_letters_are_listed_shown_sent_again_and_purged(broker: Broker, tmp_path: Path) -> None:
    with Collector() as collector:
        commands = Commands(tmp_path)
        write_config(commands.path, table(broker, {"default": collector.url}))
        commands.run("init")
        config = config_for(broker, {"default": collector.url})
        refused = [event(i) for i in (1, 2, 3)]
        for row in refused:
            collector.poison(row.id, 422, body="no such field")
        asyncio.run(publish(broker, [event(i) for i in range(6)], "default"))
        with commands.running():
            asyncio.run(until_balance(config, Balance(6, 3, dead=3)))
            assert {letter["id"] for letter in commands.json("dead", "list")["letters"]} == {row.id for row in refused}
            assert "no such field" in commands.run("dead", "list")
            assert commands.json("dead", "show", refused[0].id)["event"]["inputs"]["n"] == 1
            assert "3 dead letters begin with" in commands.run("dead", "show", "0000", code=1)
            collector.clear()
            assert commands.json("dead", "retry", refused[0].id) == {"schema": 1, "published": 1}
            asyncio.run(until_balance(config, Balance(6, 4, dead=2)))
            assert "2" in commands.run("status", code=3)
            assert commands.json("dead", "purge", "--all") == {"schema": 1, "purged": 2}
            asyncio.run(until_balance(config, Balance(6, 4, purged=2)))
        assert commands.run("dead", "list") == "no dead letters\n"


def test_where_streams_are_missing_or_do_not_fit_every_command_says_what_to_do(tmp_path: Path) -> None:
    with Broker(tmp_path, max_file_store="100MB") as broker:
        commands = Commands(tmp_path)
        write_config(commands.path, table(broker, {"default": "http://127.0.0.1:9"}))
        for command in (["status"], ["dead", "list"], ["dead", "show", "1"], ["dead", "purge", "--all"]):
            assert "run `honeyhive-litellm relay init`" in commands.run(*command, code=1)
        with commands.running() as relay:
            assert relay.stderr is not None
            line = next(line for line in relay.stderr if "HH_default" in line)
            assert "if this lasts, run `honeyhive-litellm relay init`" in line
        for _attempt in range(2):
            message = " ".join(commands.run("init", code=1).split())
            assert "the stream HH_default does not fit" in message
            assert "HH_DEAD takes 67108864 bytes of them: dead_max_bytes" in message
        write_config(commands.path, table(broker, {"default": "http://127.0.0.1:9"}, dead_max_bytes=200 * 2**20))
        message = " ".join(commands.run("init", code=1).split())
        assert "the stream HH_DEAD does not fit" in message and "Lower dead_max_bytes or" in message
        broker.end()
        assert f"no connection to nats://127.0.0.1:{broker.nodes[0].port}: " in commands.run("status", code=1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("broker = 3", "broker is no text"),
        ('broker = "nats://user:hunter2@n1/x"\n[destinations.a]', "broker has a path"),
        ('broker = "nats://n1"', "has no destination"),
        ('broker = "nats://n1"\n[destinations.A]', "destinations.A is no valid name"),
        ('broker = "nats://n1"\n[destinations.a]\nworker = 3', "destinations.a.worker is not an option"),
        (
            'broker = "nats://n1"\n[destinations.a]\napi_key_env = "NO_SUCH_KEY"',
            "variable NO_SUCH_KEY, which is not set; set it",
        ),
        (
            'broker = "nats://n1"\n[destinations.a]\napi_key_env = "READS"',
            r"destinations.a.api_key_env: the variable READS begins with hh_ro_, so it cannot write events",
        ),
        (
            'broker = "nats://n1"\n[destinations.a]\nlookup_api_key_env = "WRITES"',
            "destinations.a.lookup_api_key_env: the variable WRITES begins with hh_ingst_, so it cannot read events",
        ),
        ('broker = ["nats://n1", 3]\n[destinations.a]', "broker is no text"),
        ('broker = "nats://n1"\ndestinations = 3', "destinations is no table"),
        ('broker = "nats://n1"\n[destinations]\na = 3', "destinations is no table"),
        ('broker = "nats://n1"\n[destinations.a]\nworkers = 65', "destinations.a.workers is no number from 1 to 64"),
        ('broker = "nats://n1"\nreplicas = true\n[destinations.a]', "replicas is no number from 1 to 5"),
        ("[destinations.a]", "broker is missing; add broker = .*, or set HONEYHIVE_BROKER"),
        ('broker = "nats://hunter2', r"is no valid TOML \(at end of document\)"),
        ("replicas = 3\nbroker = hunter2", r"is no valid TOML \(at line 2, column 10\)"),
        ('broker = "\udcff"', r"is no valid TOML \(at byte 11, which is no UTF-8\)"),
    ],
)
def test_a_configuration_that_cannot_work_is_refused_with_the_reason(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "relay.toml"
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(ConfigError, match=message) as refused:
        read_config(path, KEYS, with_keys=True)
    assert not any(secret in str(refused.value) for secret in ("hunter2", *KEYS.values()))


def test_a_configuration_that_is_not_there_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"relay\.toml cannot be read: No such file"):
        read_config(tmp_path / "relay.toml", KEYS, with_keys=True)


def test_the_nodes_of_a_broker_may_be_a_list_and_come_from_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "relay.toml"
    path.write_text('broker = ["nats://n1:4222", "nats://n2:4222"]\n[destinations.a]\n')
    listed = read_config(path, KEYS, with_keys=True)
    path.write_text("[destinations.a]\n")
    environ = {**KEYS, "HONEYHIVE_BROKER": " nats://n1:4222,nats://n2:4222 "}
    assert read_config(path, environ, with_keys=True).broker.servers == listed.broker.servers
    assert len(listed.broker.servers) == 2


def has_got(collector: Collector, requests: int) -> bool:
    return len(batches(collector)) >= requests


def batches(collector: Collector) -> List[Any]:
    return [request for request in collector.requests if request.path == "/v1/events/batch"]


def get(address: str) -> str:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        return str(error.read().decode())
