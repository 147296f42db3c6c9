"""Real NATS servers on loopback, and what the benchmarks that use them report."""

from __future__ import annotations

import socket
import subprocess
import sysconfig
import time
import urllib.request
from pathlib import Path
from typing import List

from _common import CHILD_TIMEOUT_S, Json, environment_line, median, table

_SERVER = Path(sysconfig.get_path("scripts"), "nats-server")


class NatsServers:
    """So many nodes, a cluster if there are several, inside `with`."""

    def __init__(self, folder: str, nodes: int) -> None:
        self._folder = Path(folder)
        self._nodes = nodes
        self._processes: List[subprocess.Popen[bytes]] = []

    def __enter__(self) -> NatsServers:
        ports = _free_ports(3 * self._nodes)
        clients, routes, monitors = (ports[part::3] for part in range(3))
        self.address = "nats://" + ",".join(f"127.0.0.1:{port}" for port in clients)
        for node, (client, route, monitor) in enumerate(zip(clients, routes, monitors)):
            store = self._folder / f"n{node}"
            lines = [
                f"server_name: n{node}\nlisten: 127.0.0.1:{client}\nhttp: 127.0.0.1:{monitor}\nmax_payload: 2MB",
                f'jetstream {{ store_dir: "{store}", sync_interval: always, max_file_store: 20GB }}',
            ]
            if self._nodes > 1:
                peers = ", ".join(f"nats://127.0.0.1:{port}" for port in routes)
                lines.append(f"cluster {{ name: bench, listen: 127.0.0.1:{route}, routes: [{peers}] }}")
            configuration = self._folder / f"n{node}.conf"
            configuration.write_text("\n".join(lines))
            with (self._folder / f"n{node}.log").open("wb") as log:
                self._processes.append(subprocess.Popen([_SERVER, "-c", configuration], stdout=log, stderr=log))
        deadline = time.monotonic() + CHILD_TIMEOUT_S
        while not all(_is_healthy(port) for port in monitors):
            if time.monotonic() > deadline:
                raise TimeoutError("the NATS servers are not healthy in time")
            time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()
            process.wait()


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


def _is_healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _free_ports(count: int) -> List[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
