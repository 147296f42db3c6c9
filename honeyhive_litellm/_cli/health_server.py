"""The HTTP server of `--metrics-port`: `/metrics`, `/livez` and `/readyz`, of a drain or of a relay.

It has threads of its own, so that it answers while the loop that delivers hangs, and can say so.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, NamedTuple, Protocol, Tuple

import click

from honeyhive_litellm._errors import HoneyHiveError

STALLED_S = 30.0
"""A loop that has not turned for so long hangs."""

Answer = Tuple[int, bytes, str]
_TEXT = "text/plain; charset=utf-8"


class Answering(Protocol):
    """What the server answers from. Called on threads of the server."""

    def answer(self, path: str, accept: str) -> Answer:
        """The answer to a GET of this path; `accept` is the request's header."""


class Health(NamedTuple):
    """Answers for a drain. `turned_at` is the monotonic time of the loop's last turn."""

    folder: Path
    turned_at: Callable[[], float]
    metrics: Callable[[str], Tuple[bytes, str]]

    def livez(self) -> Answer:
        """Whether the loop turns, whatever the server of HoneyHive does: if not, a restart helps."""
        return alive(self.turned_at())

    def readyz(self) -> Answer:
        """Whether the spool can be written and read."""
        try:
            _write_and_read(self.folder)
        except OSError as error:
            return text(503, f"the spool cannot be written and read: {error.strerror or error}")
        return text(200, "the spool can be written and read")

    def answer(self, path: str, accept: str) -> Answer:
        """The answer to a GET of this path."""
        if path == "/livez":
            return self.livez()
        if path == "/readyz":
            return self.readyz()
        if path == "/metrics":
            try:
                return (200, *self.metrics(accept))
            except HoneyHiveError as error:
                return text(503, str(error))
        return text(404, "see /metrics, /livez and /readyz")


def alive(turned_at: float) -> Answer:
    """Whether a loop turns that last turned at this monotonic time: if not, a restart helps."""
    silent_s = time.monotonic() - turned_at
    if silent_s > STALLED_S:
        return text(503, f"the loop has not turned for {silent_s:.0f} s")
    return text(200, "the loop turns")


def text(status: int, line: str) -> Answer:
    """An answer of one line."""
    return status, f"{line}\n".encode(), _TEXT


def _write_and_read(folder: Path) -> None:
    """Write a file and read it back; if the folder is not there yet, see whether it can be made. Raises OSError."""
    if not folder.exists():
        parent = next(parent for parent in folder.parents if parent.exists())
        if not os.access(parent, os.W_OK | os.X_OK):
            raise OSError(f"{folder} is not there, and {parent} is not writable")
        return
    path = folder / f"{socket.gethostname()}-{os.getpid()}-{threading.get_ident()}.probe"
    content = str(time.time()).encode()
    try:
        path.write_bytes(content)
        if path.read_bytes() != content:
            raise OSError("what was written is not what is read")
    finally:
        if path.exists():
            path.unlink()


@contextmanager
def serving(host: str, port: int, health: Answering) -> Iterator[int]:
    """Serve on threads while inside; yields the port. An empty host means all addresses. Raises ClickException."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        server_version, sys_version = "honeyhive-litellm", ""
        timeout = 10.0

        def do_GET(self) -> None:
            status, body, content_type = health.answer(self.path.partition("?")[0], self.headers.get("Accept", ""))
            self.send_response(status)
            for name, value in (("Content-Type", content_type), ("Content-Length", str(len(body)))):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_details: object) -> None:
            """A line for each probe would bury the rest."""

    try:
        server = _server_class(host)((host, port), Handler)
    except OSError as error:
        raise click.ClickException(f"port {port} cannot be used: {error.strerror or error}") from error
    thread = threading.Thread(target=server.serve_forever, name="honeyhive-health", daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def _server_class(host: str) -> Any:
    """IPv4 and IPv6 for all addresses, where the system has both; else what the host is."""
    is_dual = not host and socket.has_dualstack_ipv6()
    members: Dict[str, Any] = {
        "daemon_threads": True,
        "address_family": socket.AF_INET6 if is_dual or ":" in host else socket.AF_INET,
    }
    if is_dual:
        members["server_bind"] = _bind_both
    return type("_Server", (ThreadingHTTPServer,), members)


def _bind_both(server: ThreadingHTTPServer) -> None:
    server.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    ThreadingHTTPServer.server_bind(server)
