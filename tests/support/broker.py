"""Real NATS servers on loopback: one node or a cluster, whose nodes can be killed, stopped and started again."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sysconfig
import urllib.error
import urllib.request
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Awaitable, Callable, Dict, List, Optional, Type, TypeVar

import nats
import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig, StreamInfo

from honeyhive_litellm._broker.names import stream_of, subject_of

from ..waiting import until, until_awaited

T = TypeVar("T")

SERVER = Path(sysconfig.get_path("scripts"), "nats-server")
MAX_PAYLOAD = 2 * 1024 * 1024
READY_S = 30.0
_RELOADED = "Reloaded server configuration"


class Node:
    """One server. It keeps its ports and its folder over `kill` and `start`."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        self.port, self.route_port, self.monitor_port = free_ports(3)
        self.process: Optional[subprocess.Popen[bytes]] = None
        self._is_stopped = False

    def start(self) -> None:
        assert self.process is None
        with (self.folder / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [SERVER, "-c", self.folder / f"{self.name}.conf"], stdout=log, stderr=subprocess.STDOUT
            )

    def kill(self) -> None:
        """End it as a power failure of the machine would, but for the disk's cache."""
        self._signal(signal.SIGKILL)

    def end(self) -> None:
        """End it in order."""
        self._signal(signal.SIGTERM)

    def stop(self) -> None:
        """Let it hang, with its connections open, until `resume`. Its threads stop one by one: wait for the last."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGSTOP)
        _pid, status = os.waitpid(self.process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        self._is_stopped = True

    def resume(self) -> None:
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGCONT)
        self._is_stopped = False

    def reload(self) -> None:
        """Have it read the configuration again; returns when it has."""
        assert self.process is not None
        log = self.folder / f"{self.name}.log"
        before = log.read_text().count(_RELOADED)
        os.kill(self.process.pid, signal.SIGHUP)
        until(lambda: log.read_text().count(_RELOADED) > before, READY_S, log.read_text)

    def is_healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.monitor_port}/healthz", timeout=2) as answer:
                return bool(json.load(answer)["status"] == "ok")
        except (OSError, urllib.error.URLError):
            return False

    def monitor(self, path: str) -> Dict[str, Any]:
        """What the monitoring answers, such as "connz" or "jsz?streams=true"."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.monitor_port}/{path}", timeout=5) as answer:
            found: Dict[str, Any] = json.load(answer)
            return found

    def _signal(self, number: int) -> None:
        process, self.process = self.process, None
        if process is not None:
            process.send_signal(number)
            if self._is_stopped:
                process.send_signal(signal.SIGCONT)
                self._is_stopped = False
            process.wait(10)


class Broker:
    """A broker of one or three nodes, for `with`. `extra` is text of every node's configuration, such as users."""

    def __init__(
        self, folder: Path, nodes: int = 1, *, extra: str = "", login: str = "", max_file_store: str = "1GB"
    ) -> None:
        """`login` is "user:password" of one who may do everything, if `extra` names users."""
        self.folder = folder
        self.nodes = [Node(f"n{number + 1}", folder) for number in range(nodes)]
        self._login = f"{login}@" if login else ""
        self._max_file_store = max_file_store
        self.configure(extra)

    def configure(self, extra: str) -> None:
        """Write the configuration anew. A living node reads it at its `reload`."""
        for node in self.nodes:
            store = self.folder / node.name
            lines = [
                f"server_name: {node.name}",
                f"listen: 127.0.0.1:{node.port}",
                f"http: 127.0.0.1:{node.monitor_port}",
                f"max_payload: {MAX_PAYLOAD}",
                f'jetstream {{ store_dir: "{store}", sync_interval: always, max_file_store: {self._max_file_store} }}',
            ]
            if len(self.nodes) > 1:
                routes = ", ".join(f"nats://127.0.0.1:{other.route_port}" for other in self.nodes)
                lines.append(f"cluster {{ name: hh, listen: 127.0.0.1:{node.route_port}, routes: [{routes}] }}")
            (self.folder / f"{node.name}.conf").write_text("\n".join([*lines, extra, ""]))

    @property
    def address(self) -> str:
        """What an application is configured with."""
        return self.address_of(self._login)

    def address_of(self, login: str) -> str:
        """The address with "user:password@" in front."""
        return f"nats://{login}" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def start(self) -> None:
        """Start the nodes that do not live, and wait until all are ready."""
        for node in self.nodes:
            if node.process is None:
                node.start()
        until(lambda: all(node.is_healthy() for node in self.nodes), READY_S, self._logs)

    def end(self) -> None:
        for node in self.nodes:
            node.kill()

    def __enter__(self) -> Broker:
        self.start()
        return self

    def __exit__(
        self, _type: Optional[Type[BaseException]], _error: Optional[BaseException], _trace: Optional[TracebackType]
    ) -> None:
        self.end()

    def _logs(self) -> str:
        return "\n".join(path.read_text(errors="replace")[-2000:] for path in sorted(self.folder.glob("*.log")))

    async def connect(self) -> Client:
        """A client that may do everything. Close it."""
        servers = [f"nats://{self._login}127.0.0.1:{node.port}" for node in self.nodes if node.process is not None]
        return await nats.connect(servers, error_cb=_ignore)

    async def add_stream(
        self,
        destination: str,
        *,
        max_bytes: int = 256 * 1024 * 1024,
        replicas: int = 0,
        duplicate_window_s: float = 120,
    ) -> None:
        """Make a destination's stream; by default with a replica on each node."""
        client = await self.connect()
        config = StreamConfig(
            name=stream_of(destination),
            subjects=[subject_of(destination)],
            retention=RetentionPolicy.WORK_QUEUE,
            storage=StorageType.FILE,
            num_replicas=replicas or len(self.nodes),
            discard=DiscardPolicy.NEW,
            max_bytes=max_bytes,
            duplicate_window=duplicate_window_s,
            max_msg_size=MAX_PAYLOAD - 1024,
        )
        js = client.jetstream(timeout=10)

        async def is_made() -> bool:
            try:
                await js.add_stream(config)
            except nats.js.errors.BadRequestError as error:
                if "peer offline" in (error.description or ""):  # a node that has just started, for some seconds
                    return False
                raise
            return True

        try:
            await until_awaited(is_made, READY_S, "the stream is made", 0.1)
        finally:
            await client.close()

    async def leader_of(self, stream: str) -> Node:
        """The node that leads this stream now."""
        client = await self.connect()
        try:
            info = await _info_of(client.jetstream(), stream)
        finally:
            await client.close()
        assert info.cluster is not None
        return next(node for node in self.nodes if node.name == info.cluster.leader)

    async def messages(self, stream: str) -> List[Any]:
        """Every message in the stream, oldest first; `data`, `headers`, `seq`."""
        client = await self.connect()
        try:
            js = client.jetstream()
            state = (await _info_of(js, stream)).state
            found = []
            for seq in range(max(1, state.first_seq), state.last_seq + 1):
                try:
                    found.append(await _once_led(stream, partial(js.get_msg, stream, seq)))
                except nats.js.errors.NotFoundError:
                    pass  # it was acknowledged
            return found
        finally:
            await client.close()


def free_ports(count: int) -> List[int]:
    """Ports on loopback that nobody listened on a moment ago, each a different one."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


async def _info_of(js: JetStreamContext, stream: str) -> StreamInfo:
    return await _once_led(stream, partial(js.stream_info, stream))


async def _once_led(stream: str, request: Callable[[], Awaitable[T]]) -> T:
    """Request until there is a leader: there is none for a while after a start of all nodes, or when one has hung."""
    answers: List[T] = []

    async def is_answered() -> bool:
        try:
            answers.append(await request())
        except (nats.errors.TimeoutError, nats.js.errors.ServiceUnavailableError):
            return False
        return True

    await until_awaited(is_answered, READY_S, f"{stream} has a leader", 0.05)
    return answers[0]


async def _ignore(_error: Exception) -> None:
    pass
