"""A backend that costs next to nothing: it answers 200 to every POST and counts the events in it without decoding them.

    python benchmarks/_counting_server.py --serve      # until its standard input is closed

What is measured against it is the sender. It is a process of its own, so that its CPU time and its lock of Python are
not the sender's.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
import urllib.request
from typing import Callable, List, TypeVar

from _common import Json

_ID = b'"event_id":'


T = TypeVar("T", bound="ServerProcess")


class ServerProcess:
    """`script --serve` in a process of its own, listening on loopback inside `with`; it prints its address."""

    def __init__(self, script: str) -> None:
        self._script = script

    def __enter__(self: T) -> T:
        self._process = subprocess.Popen(
            [sys.executable, self._script, "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


class CountingServer(ServerProcess):
    """The server's process."""

    def __init__(self) -> None:
        super().__init__(__file__)

    def counts(self) -> Json:
        """`requests`, `events`, `bytes`, and the Unix times of the first and the last request, 0 for none."""
        with urllib.request.urlopen(f"{self.url}/counts", timeout=10) as reply:
            counted: Json = json.loads(reply.read())
            return counted


class HttpProtocol(asyncio.Protocol):
    """HTTP for requests that state their length."""

    def __init__(self) -> None:
        self._pieces: List[bytes] = []
        self._got = self._needed = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._pieces.append(data)
        self._got += len(data)
        while self._got and self._got >= self._needed:
            whole = b"".join(self._pieces)
            self._pieces = [whole]
            head = whole.find(b"\r\n\r\n")
            if head < 0:
                return
            self._needed = head + 4 + _length(whole[:head])
            if self._got < self._needed:
                return
            self.answer(whole[: self._needed], head + 4)
            self._pieces = [whole[self._needed :]]
            self._got -= self._needed
            self._needed = 0

    def answer(self, request: bytes, body: int) -> None:
        """Answer a request whose body begins there, with `reply`."""
        raise NotImplementedError

    def reply(self, body: bytes, status: bytes = b"200 OK", kind: bytes = b"application/json") -> None:
        """Send an answer."""
        head = b"HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n"
        self._transport.write(head % (status, kind, len(body)) + body)


class _Counting(HttpProtocol):
    def __init__(self, counts: Json) -> None:
        super().__init__()
        self._counts = counts

    def answer(self, request: bytes, body: int) -> None:
        answer, status = b"{}", b"200 OK"
        if request.startswith(b"POST"):
            now = time.time()
            counts = self._counts
            counts["requests"] += 1
            counts["events"] += request.count(_ID, body)
            counts["bytes"] += len(request) - body
            counts["first_at"] = counts["first_at"] or now
            counts["last_at"] = now
        elif request.startswith(b"GET /counts"):
            answer = json.dumps(self._counts).encode()
        else:
            status = b"404 Not Found"  # it stores nothing
        self.reply(answer, status)


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


async def serve(protocol: Callable[[], asyncio.Protocol]) -> None:
    """Serve on a free port, whose address is printed, until the standard input is closed."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(protocol, "127.0.0.1", 0)
    async with server:
        print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
        await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    if sys.argv[1:] != ["--serve"]:
        sys.exit(__doc__)
    _counts: Json = {"requests": 0, "events": 0, "bytes": 0, "first_at": 0.0, "last_at": 0.0}
    asyncio.run(serve(lambda: _Counting(_counts)))
