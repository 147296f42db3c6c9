"""A fleet on this machine: nodes of a broker, relays, and processes that publish events at a steady rate."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Awaitable, Callable, Dict, List, NamedTuple, Optional, Sequence, Set

import nats
from _common import CHILD_TIMEOUT_S, UNREACHABLE, Json, measured_environment, spawn
from _internals import event_id, records, runtime
from _nats import NatsServers
from _partition import PartitionableRoutes
from nats.js import JetStreamContext

from honeyhive_litellm.testing import Collector

DESTINATION = "bench"
STREAM = f"HH_{DESTINATION}"
KEY = "hh_bench"
KEY_VARIABLE = "BENCH_KEY"
LIMIT_S = 600.0
"""How long one step may take."""

_REQUEST_TIMEOUT_S = 2
_LOOKUP_DELAY_S = 1
_ACK_WAIT_S = 3
_DEAD_BYTES = 64 * 2**20
_TICK_S = 0.01
_POLL_S = 0.05


# ---- in a publishing process


def publish_all(job: Json) -> None:
    """Publish `count` events at `rate` a second, in `forks` further processes as many each; report to standard output.

    They share a spool, or have one each with `spools` "apart".
    """
    is_apart = job["spools"] == "apart"
    publishing = None if is_apart else _runtime(job, job["spool"])
    children = []
    for number in range(job["forks"]):
        pid = os.fork()
        if pid == 0:
            try:
                _publish(job, publishing or _runtime(job, f"{job['spool']}-{number}"))
            finally:
                os._exit(0)
        children.append(pid)
    _publish(job, publishing or _runtime(job, job["spool"]))
    for pid in children:
        os.waitpid(pid, 0)


def _runtime(job: Json, spool: str) -> Any:
    options = {"broker_destination": DESTINATION, "shutdown_timeout": 5.0, **job["options"]}
    return runtime(UNREACHABLE, spool, broker=job["broker"], **options)


def _publish(job: Json, publishing: Any) -> None:
    began = changed_at = time.monotonic()
    submitted = 0
    stall_s = 0.0
    last: Sequence[int] = (0, 0)
    while time.monotonic() < began + LIMIT_S:
        now = time.monotonic()
        due = min(job["count"], int((now - began) * job["rate"]) + 1)
        for each in records(due - submitted, job["bytes"], submitted):
            publishing.submit(each)
        submitted = due
        stats = publishing.stats()
        state = (stats.committed - stats.adopted, stats.delivered + stats.dead)
        if state[1] != last[1] or not stats.pending:
            changed_at = now
        stall_s = max(stall_s, now - changed_at)
        if state != last:
            last = state
            # One write, so that the lines of forked processes do not mix.
            os.write(1, f"{os.getpid()} {state[0]} {stall_s:.2f}\n".encode())
        if submitted == job["count"] and not stats.pending:
            break
        time.sleep(_TICK_S)
    publishing.shutdown(5.0)


# ---- in the measuring process


class Publisher:
    """A process that publishes, and what it has reported: events that were committed, for each of its processes."""

    def __init__(self, script: str, job: Json) -> None:
        self._script = script
        self._job = job
        self._log = Path(f"{job['spool']}.log")
        self.committed: Dict[int, int] = {}
        self.stall_s = 0.0
        self.count: int = job["count"] * (job["forks"] + 1)
        self._process: Optional[subprocess.Popen[str]] = None

    def start(self) -> None:
        """Start it, or start the next one, which makes what is left of its calls."""
        left = self.count - sum(self.committed.values())
        job = {**self._job, "count": left // (self._job["forks"] + 1)}
        with self._log.open("ab") as log:
            self._process = spawn(self._script, job, stderr=log)
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            pid, committed, stall_s = line.split()
            self.committed[int(pid)] = int(committed)
            self.stall_s = max(self.stall_s, float(stall_s))

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._end()

    def _end(self) -> None:
        assert self._process is not None
        self._process.wait(LIMIT_S)
        self._reader.join()
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()

    def finish(self) -> None:
        """Wait until it has published everything. Raises RuntimeError if it did not."""
        self._end()
        assert self._process is not None
        if self._process.returncode:
            raise RuntimeError(f"a publisher failed:\n{self._log.read_text()[-2000:]}")

    @property
    def expected(self) -> Set[str]:
        """The ids of all events that were committed to the spool."""
        return {event_id(number, pid) for pid, count in self.committed.items() for number in range(count)}


class RelayProcess:
    """A relay that can be ended and started again; from the package in `source`, if there is one."""

    def __init__(self, configuration: Path, name: str, source: Optional[Path]) -> None:
        self._configuration = configuration
        self._log = configuration.with_name(f"{name}.log")
        self._source = source
        self._process: Optional[subprocess.Popen[bytes]] = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                relay_command("run", self._configuration), env=relay_environment(self._source), stdout=log, stderr=log
            )

    def end(self, number: int = signal.SIGKILL) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(CHILD_TIMEOUT_S)
            self._process = None


def relay_command(word: str, configuration: Path) -> List[str]:
    return [sys.executable, "-m", "honeyhive_litellm", "relay", word, "--config", str(configuration)]


def relay_environment(source: Optional[Path] = None) -> Dict[str, str]:
    variables = {**measured_environment(), KEY_VARIABLE: KEY}
    return {**variables, "PYTHONPATH": str(source)} if source else variables


class Size(NamedTuple):
    """How many events a fault is measured with, in how many processes, and how fast they come."""

    events: int
    bytes: int
    rate: float
    publishers: int = 2
    forks: int = 0
    spools: str = "shared"


class Access(NamedTuple):
    """The broker's addresses with the logins, and the path of its authority if it has a certificate."""

    application: str
    relay: str
    authority: str = ""


class Fleet:
    """Nodes, relays, publishers and the collector, inside `with`; `start` starts what sends events."""

    def __init__(
        self,
        script: str,
        folder: Path,
        servers: NatsServers,
        access: Access,
        collector: Collector,
        routes: Optional[PartitionableRoutes] = None,
    ) -> None:
        self.servers = servers
        self.nodes = servers.nodes
        self.collector = collector
        self.routes = routes
        self.refused: Set[str] = set()
        self.relays: List[RelayProcess] = []
        self.publishers: List[Publisher] = []
        self.folder = folder
        self.leader_killed_at: Optional[float] = None
        """In seconds since 1970."""
        self._script = script
        self._access = access
        self._configuration = folder / "relay.toml"
        self._events = 0

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, *_: object) -> None:
        for publisher in self.publishers:
            publisher.kill()
        for relay in self.relays:
            relay.end()

    def make_streams(self, max_bytes: int) -> None:
        """`relay init`, with a stream of this size from now on."""
        authority = f'broker_ca = "{self._access.authority}"\n' if self._access.authority else ""
        self._configuration.write_text(
            f'broker = "{self._access.relay}"\n{authority}lookup_delay = {_LOOKUP_DELAY_S}\nack_wait = {_ACK_WAIT_S}\n'
            f"request_timeout = {_REQUEST_TIMEOUT_S}\ndead_max_bytes = {_DEAD_BYTES}\n"
            f'[destinations.{DESTINATION}]\napi_url = "{self.collector.url}"\napi_key_env = "{KEY_VARIABLE}"\n'
            f"max_bytes = {max_bytes}\n"
        )
        self._relay_command("init", (0,))

    def start(self, size: Size, sources: Sequence[Optional[Path]]) -> None:
        """Start a relay for each source of the package, and the publishers."""
        options = {"broker_ca": self._access.authority} if self._access.authority else {}
        processes = size.publishers * (size.forks + 1)
        self._events = size.events // processes * processes
        for number in range(size.publishers):
            job = {
                "count": size.events // processes,
                "rate": size.rate / processes,
                "bytes": size.bytes,
                "forks": size.forks,
                "spools": size.spools,
                "spool": str(self.folder / f"spool{number}"),
                "broker": self._access.application,
                "options": options,
            }
            self.publishers.append(Publisher(self._script, job))
        self.relays = [RelayProcess(self._configuration, f"relay{n}", source) for n, source in enumerate(sources)]
        for relay in self.relays:
            relay.start()
        for publisher in self.publishers:
            publisher.start()

    def refuse_each(self, of: int) -> None:
        """Have the collector refuse for good each event of the publishers whose number is divisible by `of`."""
        for publisher in self.publishers:
            self.refused |= {event_id(number, publisher.pid) for number in range(0, publisher.count, of)}
        for each in self.refused:
            self.collector.poison(each, 422)

    def change_duplicate_window(self, seconds: float) -> None:
        """Have the stream forget so soon which messages it has taken."""

        async def change(js: JetStreamContext) -> None:
            config = (await js.stream_info(STREAM)).config
            config.duplicate_window = seconds
            await js.update_stream(config)

        asyncio.run(self._administer(change))

    def remove_dead_stream(self) -> None:
        async def remove(js: JetStreamContext) -> None:
            await js.delete_stream("HH_DEAD")

        asyncio.run(self._administer(remove))

    async def _administer(self, work: Callable[[JetStreamContext], Awaitable[None]]) -> None:
        client = await nats.connect(self._access.relay.split(","))
        try:
            await work(client.jetstream())
        finally:
            await client.close()

    def leader(self) -> int:
        """The number of the node that leads the stream."""
        return [node.name for node in self.nodes].index(self.status()["leader"])

    def election_s(self) -> Optional[float]:
        """How long the stream had no leader after its leader was killed; None if it was not."""
        killed_at = self.leader_killed_at
        return None if killed_at is None else self.servers.elected_after(killed_at, STREAM)

    def status(self) -> Json:
        """The numbers of `relay status --json`."""
        printed = self._relay_command("status", (0, 3), "--json")
        found: Json = json.loads(printed)["destinations"][0]
        return found

    def _relay_command(self, word: str, good: Sequence[int], *options: str) -> str:
        deadline = time.monotonic() + LIMIT_S
        while True:  # again while the streams have no leader
            command = [*relay_command(word, self._configuration), *options]
            done = subprocess.run(command, env=relay_environment(), capture_output=True, text=True, check=False)
            if done.returncode in good:
                return done.stdout
            if time.monotonic() > deadline:
                raise RuntimeError(f"relay {word} failed: {done.stderr[-2000:]}")

    def wait_for_deliveries(self, more: int) -> None:
        """Wait until the collector has so many events more than now, or as many as there will be."""
        goal = min(len(self.collector.receipts) + more, self._events)
        self.wait(lambda: len(self.collector.receipts) >= goal, "deliveries")

    def wait(self, is_so: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + LIMIT_S
        while not is_so():
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited in vain for {what}")
            time.sleep(_POLL_S)
