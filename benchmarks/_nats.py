"""Real NATS servers on loopback, which can be killed, stopped and started, and what the benchmarks with them report."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sysconfig
import time
import urllib.request
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Callable, List, Optional, Sequence

from _common import CHILD_TIMEOUT_S, Json, environment_line, median, table

_SERVER = Path(sysconfig.get_path("scripts"), "nats-server")
_POLL_S = 0.05


class Node:
    """One server. It keeps its ports, its configuration and its folder `store` when it is killed and started again."""

    def __init__(self, name: str, folder: Path, ports: Sequence[int]) -> None:
        self.name = name
        self.store = folder / name
        self.client_port, self.route_port, self._monitor_port = ports
        self._folder = folder
        self._process: Optional[subprocess.Popen[bytes]] = None

    def configure(self, routes: Sequence[str], extra: str) -> None:
        """Write the configuration: a member of a cluster if there are routes, and `extra` as further lines."""
        lines = [
            f"server_name: {self.name}\nlisten: 127.0.0.1:{self.client_port}\nhttp: 127.0.0.1:{self._monitor_port}",
            f'max_payload: 2MB\njetstream {{ store_dir: "{self.store}", sync_interval: always, max_file_store: 40GB }}',
        ]
        if routes:
            listen = f'listen: 127.0.0.1:{self.route_port}, advertise: "127.0.0.1:1"'  # no routes but the configured
            lines.append(f"cluster {{ name: bench{os.getpid()}, {listen}, routes: [{', '.join(routes)}] }}")
        (self._folder / f"{self.name}.conf").write_text("\n".join([*lines, extra, ""]))

    def start(self) -> None:
        with (self._folder / f"{self.name}.log").open("ab") as log:
            command = [str(_SERVER), "-c", str(self._folder / f"{self.name}.conf")]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)

    def send(self, number: int) -> None:
        """Send it a signal, such as SIGSTOP, SIGCONT or SIGHUP."""
        assert self._process is not None
        self._process.send_signal(number)

    def end(self, number: int = signal.SIGKILL) -> None:
        """End it by this signal, if it runs."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(number)
            process.wait(CHILD_TIMEOUT_S)

    def became_leader(self, stream: str) -> List[float]:
        """When it became the leader of this stream, in seconds since 1970, as its log has it."""
        times = []
        for line in (self._folder / f"{self.name}.log").read_text().splitlines():
            if "new stream leader for" in line and line.endswith(f"> {stream}'"):
                _pid, day, clock, *_ = line.split()
                at = datetime.strptime(f"{day} {clock}", "%Y/%m/%d %H:%M:%S.%f").astimezone()
                times.append(at.timestamp())
        return times

    def is_healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._monitor_port}/healthz", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


class NatsServers:
    """So many nodes, a cluster if there are several, inside `with`.

    `extra` is text of every node's configuration. `route(i, j)` is the port on which node i reaches node j; by default
    that of node j itself.
    """

    def __init__(
        self, folder: str, nodes: int, *, extra: str = "", route: Optional[Callable[[Node, Node], int]] = None
    ) -> None:
        ports = free_ports(3 * nodes)
        names = [f"n{number + 1}" for number in range(nodes)]
        self.nodes = [Node(name, Path(folder), ports[part::nodes]) for part, name in enumerate(names)]
        self._route = route
        self.configure(extra)

    @property
    def address(self) -> str:
        """What a client is configured with."""
        return self.address_of("nats", "")

    def address_of(self, scheme: str, login: str) -> str:
        """The same with another scheme and with "user:password@"."""
        return f"{scheme}://{login}" + ",".join(f"127.0.0.1:{node.client_port}" for node in self.nodes)

    def configure(self, extra: str) -> None:
        """Write every node's configuration. A node that runs reads it at SIGHUP."""
        for node in self.nodes:
            others = [other for other in self.nodes if other is not node]
            ports = [self._route(node, other) if self._route else other.route_port for other in others]
            node.configure([f"nats://127.0.0.1:{port}" for port in ports], extra)

    def __enter__(self) -> NatsServers:
        for node in self.nodes:
            node.start()
        self.wait_until_healthy()
        return self

    def __exit__(self, *_: object) -> None:
        for node in self.nodes:
            node.end()

    def elected_after(self, moment: float, stream: str) -> float:
        """How many seconds after this moment, in seconds since 1970, the stream had a new leader."""
        return min(at for node in self.nodes for at in node.became_leader(stream) if at > moment) - moment

    def wait_until_healthy(self) -> None:
        deadline = time.monotonic() + CHILD_TIMEOUT_S
        while not all(node.is_healthy() for node in self.nodes):
            if time.monotonic() > deadline:
                raise TimeoutError("the NATS servers are not healthy in time")
            time.sleep(_POLL_S)


def report(result: Json) -> str:
    """Rate and CPU time for each number of replicas, as Markdown."""
    rows = []
    for nodes, samples in result["replicas"].items():
        rates = sorted(sample["events_per_s"] for sample in samples)
        rate = f"{median(samples, 'events_per_s'):,.0f} ({rates[0]:,.0f}-{rates[-1]:,.0f})"
        rows.append([nodes, rate, f"{median(samples, 'cpu_us'):,.0f}"])
    intro = f"{result['events']:,} events of {result['bytes']:,} bytes, {result['rounds']} rounds. "
    head = ["replicas of the stream", "events/s (min-max)", "CPU us/event"]
    return f"{intro}{environment_line(result['environment'])}\n\n{table(head, rows)}"


def free_ports(count: int) -> List[int]:
    """Ports on loopback on which nobody listened a moment ago."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]
