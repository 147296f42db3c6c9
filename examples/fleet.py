"""Show a fleet at work: no LiteLLM call is lost or doubled, whatever happens to broker, relays or applications.

Everything runs on this machine: a NATS cluster of three nodes, two relays, four applications that make LiteLLM calls
without a key of HoneyHive, and a HoneyHive-compatible collector. No account, no network. Exit code 0 if every call has
arrived as exactly one event, 1 otherwise.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from honeyhive_litellm.testing import Collector

WORKER = Path(__file__).with_name("fleet_worker.py")
NATS_SERVER = Path(sysconfig.get_path("scripts"), "nats-server")
APPLICATIONS = 4
RELAYS = 2
STREAM_BYTES = 2 * 2**20
QUIET_S = 3.0
"""How long things run on between two faults."""

TIMEOUT_S = 180.0
"""How long one step may take: on a busy machine a process needs half a minute to import LiteLLM."""

TAIL_BYTES = 1500

KEY = "hh_fleet"

Json = Dict[str, Any]


class LateError(Exception):
    """Something did not happen in time. The text says what, and shows the ends of the logs of the late processes."""

    def __init__(self, what: str, late: Sequence[Process]) -> None:
        logs = (f"--- {each.name}, {each.state}; the end of its log:\n{each.log_tail()}" for each in late)
        super().__init__("\n".join([f"Waited {TIMEOUT_S:.0f} s for this: {what}", *logs]))


class Process:
    """A child process that can be killed and started again. Its lines are kept."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], folder: Path) -> None:
        self.name = name
        self.lines: List[str] = []
        self._command = list(command)
        self._environment = dict(environment)
        self._log = folder / f"{name}.log"
        self._process: Optional[subprocess.Popen[str]] = None
        self._reader: Optional[threading.Thread] = None
        self.starts = 0

    def start(self) -> None:
        self.starts += 1
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [word.replace("{start}", str(self.starts)) for word in self._command],
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                encoding="utf-8",
            )
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            if line.endswith("\n"):
                self.lines.append(line.strip())

    def kill(self) -> None:
        """End it at once (SIGKILL): it has no chance to save or send anything."""
        if self._process is not None:
            self._process.kill()
            self._end()

    def finish(self) -> int:
        """Let it end by itself: an application when its input ends, others by SIGTERM."""
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.close()
        if WORKER.name not in " ".join(self._command):
            self._process.terminate()
        return self._end()

    def _end(self) -> int:
        assert self._process is not None and self._reader is not None
        try:
            code = self._process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise LateError(f"the end of {self.name}", [self]) from None
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process = None
        return code

    @property
    def state(self) -> str:
        code = None if self._process is None else self._process.poll()
        return "not running" if self._process is None else "running" if code is None else f"ended with {code}"

    def log_tail(self) -> str:
        try:
            return self._log.read_bytes()[-TAIL_BYTES:].decode("utf-8", "replace")
        except FileNotFoundError:
            return ""  # never started


class Fleet:
    """All the processes, and what they are configured with."""

    def __init__(self, folder: Path, collector: Collector) -> None:
        self._folder = folder
        self._collector = collector
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("HONEYHIVE_", "HH_"))}
        self._environment = {name: value for name, value in ours.items() if not name.endswith("_API_KEY")}
        self._environment.update(LITELLM_LOCAL_MODEL_COST_MAP="True", NO_PROXY="127.0.0.1,localhost")
        ports = free_ports(9)
        self._monitors = ports[6:]
        self.nodes = [self._node(number, ports) for number in range(3)]
        broker = ",".join(f"nats://127.0.0.1:{port}" for port in ports[:3])
        self._configuration = folder / "relay.toml"
        self._configuration.write_text(
            f'broker = "{broker}"\nlookup_delay = 1\nack_wait = 3\ndead_max_bytes = "10MB"\n'
            f'[destinations.default]\napi_url = "{collector.url}"\napi_key_env = "FLEET_KEY"\n'
            f"max_bytes = {STREAM_BYTES}\n"
        )
        relay = self._command("run")
        self.relays = [self._process(f"relay {number + 1}", relay, FLEET_KEY=KEY) for number in range(RELAYS)]
        self.applications = [self._application(f"app{number + 1}", broker) for number in range(APPLICATIONS)]

    def _node(self, number: int, ports: Sequence[int]) -> Process:
        client, route, monitor = ports[number], ports[3 + number], ports[6 + number]
        routes = ", ".join(f"nats://127.0.0.1:{port}" for port in ports[3:6])
        configuration = self._folder / f"n{number + 1}.conf"
        configuration.write_text(
            f"server_name: n{number + 1}\nlisten: 127.0.0.1:{client}\nhttp: 127.0.0.1:{monitor}\nmax_payload: 2MB\n"
            f'jetstream {{ store_dir: "{self._folder}/n{number + 1}", sync_interval: always, max_file_store: 1GB }}\n'
            f"cluster {{ name: fleet, listen: 127.0.0.1:{route}, routes: [{routes}] }}\n"
        )
        return self._process(f"n{number + 1}", [str(NATS_SERVER), "-c", str(configuration)])

    def _application(self, name: str, broker: str) -> Process:
        variables = {
            "HONEYHIVE_BROKER": broker,
            "HONEYHIVE_PROJECT": "fleet",
            "HONEYHIVE_SPOOL_PATH": str(self._folder / name),
        }
        return self._process(name, [sys.executable, str(WORKER), name + ".{start}"], **variables)

    def _process(self, name: str, command: Sequence[str], **variables: str) -> Process:
        return Process(name, command, {**self._environment, **variables}, self._folder)

    def _command(self, *words: str) -> List[str]:
        return [sys.executable, "-m", "honeyhive_litellm", "relay", *words, "--config", str(self._configuration)]

    def are_nodes_ready(self) -> bool:
        return all(is_healthy(port) for port in self._monitors)

    def make_streams(self) -> None:
        self._run("init", lambda done: done.returncode == 0)

    def status(self) -> Json:
        """The numbers of `relay status --json`."""
        found: Json = json.loads(self._run("status", lambda done: done.returncode in (0, 3)))["destinations"][0]
        return found

    def _run(self, word: str, has_worked: Callable[[subprocess.CompletedProcess[bytes]], bool]) -> bytes:
        """The output of a `relay` command; tried again while the streams have no leader."""
        deadline = time.monotonic() + TIMEOUT_S
        problem = ""
        while time.monotonic() < deadline:
            command = self._command(word, "--json")
            try:
                done = subprocess.run(
                    command, env=self._environment, capture_output=True, timeout=TIMEOUT_S, check=False
                )
            except subprocess.TimeoutExpired:
                break
            if has_worked(done):
                return done.stdout
            problem = done.stderr.decode("utf-8", "replace")[-TAIL_BYTES:]
        raise LateError(f"`relay {word}` {problem}", self.nodes)

    def calls(self) -> List[str]:
        """The name of every call that has returned."""
        return [line for application in self.applications for line in application.lines]

    def kill_all(self) -> None:
        for process in [*self.applications, *self.relays, *self.nodes]:
            process.kill()


class Story:
    """Plays the faults, one after the other, and says what it does."""

    def __init__(self, console: Console, fleet: Fleet, collector: Collector) -> None:
        self._console, self._fleet, self._collector = console, fleet, collector

    def say(self, sentence: str) -> None:
        waiting = len(self._fleet.calls()) - len(self._collector.receipts)
        counts = f"{len(self._fleet.calls()):>5} calls, {max(0, waiting):>4} on their way  "
        self._console.print(f"[dim]{counts}[/dim][bold]>[/bold] {sentence}", highlight=False)

    def wait(self, what: str, is_so: Callable[[], bool], late: Sequence[Process] = ()) -> None:
        """Wait for this. `late` are the processes that it is up to; by default it is up to all."""
        deadline = time.monotonic() + TIMEOUT_S
        while not is_so():
            if time.monotonic() > deadline:
                fleet = self._fleet
                raise LateError(what, late or [*fleet.nodes, *fleet.relays, *fleet.applications])
            time.sleep(0.05)

    def deliveries_go_on(self) -> None:
        """Let everything run for a while, and then until something new has arrived."""
        time.sleep(QUIET_S)
        goal = len(self._collector.receipts) + 20
        self.wait("more deliveries", lambda: len(self._collector.receipts) >= goal)

    def play(self) -> None:
        fleet = self._fleet
        for node in fleet.nodes:
            node.start()
        self.wait("the nodes", fleet.are_nodes_ready, fleet.nodes)
        fleet.make_streams()
        self.say("Three NATS nodes are up, `relay init` has made the streams: three copies of each.")
        for relay in fleet.relays:
            relay.start()
        for application in fleet.applications:  # one after the other: side by side their imports take minutes
            self._start(application)
        self.deliveries_go_on()
        self.say("Four applications make LiteLLM calls, two relays deliver. The applications have no key.")
        self._kill_nodes()
        self._kill_a_relay_and_an_application()
        self._fill_the_stream()
        codes = [application.finish() for application in fleet.applications]
        self.say(f"The applications end by themselves (exit codes {codes}).")
        self.wait("everything at the collector", self._has_all)
        self.wait("the last acknowledgements", lambda: fleet.status()["waiting"] == 0)

    def _start(self, application: Process) -> None:
        before = len(application.lines)
        application.start()
        self.wait(f"the first calls of {application.name}", lambda: len(application.lines) > before, [application])

    def _kill_nodes(self) -> None:
        leader = self._fleet.status()["leader"]
        nodes = sorted(self._fleet.nodes, key=lambda node: node.name == leader)
        for node, role in ((nodes[0], "a follower"), (nodes[-1], "the leader of the stream")):
            node.kill()
            self.say(f"[red]{role.capitalize()} is killed[/red] ({node.name}).")
            self.deliveries_go_on()
            node.start()
            self.wait("the node", self._fleet.are_nodes_ready, [node])
            self.say(f"Deliveries went on without it. [green]{node.name} is back.[/green]")

    def _kill_a_relay_and_an_application(self) -> None:
        for process in (self._fleet.relays[0], self._fleet.applications[0]):
            process.kill()
            self.say(f"[red]{process.name} is killed[/red] with SIGKILL, in the middle of its work.")
            self.deliveries_go_on()
            process.start()
            self.say(f"[green]{process.name} is started again.[/green]")

    def _fill_the_stream(self) -> None:
        self._collector.down()
        self.say("[red]The collector goes down.[/red] Events collect in the stream.")
        self.wait("a full stream", self._is_full)
        self.say("The stream is full, and refuses more. The applications do not notice: events stay in their spools.")
        time.sleep(QUIET_S)
        self._collector.up()
        self.say("[green]The collector is back.[/green] First the stream drains, then the spools.")
        self.deliveries_go_on()

    def _is_full(self) -> bool:
        time.sleep(0.5)
        numbers = self._fleet.status()
        return bool(numbers["bytes"] > 0.97 * numbers["max_bytes"])

    def _has_all(self) -> bool:
        arrived = {event.get("event_name") for event in self._collector.events}
        return arrived >= set(self._fleet.calls())


def verdict(console: Console, fleet: Fleet, collector: Collector) -> bool:
    """Print the balance and return whether it is even: each call is one event, none lost, none twice."""
    calls = fleet.calls()
    arrived = [str(event.get("event_name")) for event in collector.events]
    lost = set(calls) - set(arrived)
    doubled = sum(times - 1 for times in collector.receipts.values()) + len(arrived) - len(set(arrived))
    numbers = fleet.status()
    table = Table(title="The balance", show_header=False, box=box.ROUNDED)
    rows = {
        "LiteLLM calls that returned": len(calls),
        "events at the collector (with the calls that a kill cut off)": len(arrived),
        "lost": len(lost),
        "doubled": doubled,
        "the stream: accepted": numbers["accepted"],
        "  = delivered": numbers["delivered"],
        "  + waiting": numbers["waiting"],
        "  + dead letters": numbers["dead"],
        "  + purged": numbers["purged"],
    }
    for what, count in rows.items():
        table.add_row(what, str(count))
    console.print(table)
    parts = numbers["delivered"] + numbers["waiting"] + numbers["dead"] + numbers["purged"]
    return not lost and not doubled and numbers["accepted"] == parts == numbers["delivered"]


def is_healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def free_ports(count: int) -> List[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]


def main() -> int:
    console = Console(width=None if sys.stdout.isatty() else 120)
    started = time.monotonic()
    scratch = tempfile.TemporaryDirectory(prefix="honeyhive-fleet-")
    with scratch as folder, Collector(keys={KEY}) as collector:
        fleet = Fleet(Path(folder), collector)
        try:
            Story(console, fleet, collector).play()
            is_even = verdict(console, fleet, collector)
        except LateError as error:
            console.print(str(error), style="red", markup=False, highlight=False)
            return 1
        finally:
            fleet.kill_all()
    took = time.monotonic() - started
    if is_even:
        console.print(f"[bold green]Every call arrived as exactly one event[/bold green], in {took:.0f} s.")
    else:
        console.print("[bold red]The balance is not even: see above.[/bold red]")
    return 0 if is_even else 1


if __name__ == "__main__":
    sys.exit(main())
