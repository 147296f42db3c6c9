from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any, Dict, Iterator, List, Set

import pytest

from honeyhive_litellm.testing import Collector

from ..waiting import until
from .programs import drain, environment, runtime_folder

APPLICATION = """
import asyncio, os
import litellm, honeyhive_litellm
from tests.waiting import until, until_on_loop
honeyhive_litellm.init()
MESSAGES = [{"role": "user", "content": "hello"}]
calls = 0
if os.environ.get("CALL_AT_IMPORT"):
    litellm.completion(model="gpt-4o", messages=MESSAGES, mock_response="at import")
    until(lambda: honeyhive_litellm.stats().committed >= 1)

def started(environ):
    global calls
    calls += 1
    return {"model": "gpt-4o", "messages": MESSAGES, "mock_response": environ["PATH_INFO"].rpartition("/")[2]}

def is_committed(environ):
    stats = honeyhive_litellm.stats()
    return "/wait/" not in environ["PATH_INFO"] or stats.committed - stats.adopted >= calls

def wsgi(environ, start_response):
    litellm.completion(**started(environ))
    until(lambda: is_committed(environ))
    start_response("200 OK", [])
    return [str(os.getpid()).encode()]

async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    environ = {"PATH_INFO": scope["path"]}
    await litellm.acompletion(**started(environ))
    await until_on_loop(lambda: is_committed(environ))
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})
"""

SERVERS: Dict[str, List[str]] = {
    "gunicorn with --preload": ["gunicorn", "--preload", "--workers", "2", "--bind", "{address}", "application:wsgi"],
    "gunicorn with uvicorn's worker": [
        *["gunicorn", "--worker-class", "uvicorn.workers.UvicornWorker", "--workers", "2"],
        *["--bind", "{address}", "application:asgi"],
    ],
    "uvicorn with workers": [
        *["uvicorn", "--workers", "2", "--log-level", "warning", "--host", "127.0.0.1", "--port", "{port}"],
        "application:asgi",
    ],
}


class Server:
    """A server with two workers, and what its clients got."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.answered: List[str] = []

    def ask(self, path: str) -> int:
        """Have one call made, over a new connection so that any worker may take it; the worker's process."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            assert response.status == 200, response.status
            pid = int(response.read())
        finally:
            connection.close()
        self.answered.append(path.rpartition("/")[2])
        return pid

    def ask_until_it_ends(self, client: int) -> None:
        number = 0
        with contextlib.suppress(OSError, http.client.HTTPException):
            while True:
                self.ask(f"/call/{client}-{number}")
                number += 1


@contextlib.contextmanager
def serving(arguments: List[str], folder: Path, **variables: str) -> Iterator[Any]:
    (folder / "application.py").write_text(APPLICATION)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    line = [argument.format(address=f"127.0.0.1:{port}", port=port) for argument in arguments]
    with open(folder / "log", "w") as log, runtime_folder() as own:
        variables = environment(variables.pop("url"), folder / "spool", **variables)
        paths = os.pathsep.join([str(folder), variables["PYTHONPATH"]])
        master = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", *line],
            env={**variables, "PYTHONPATH": paths, "XDG_RUNTIME_DIR": own},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            yield Server(port), master
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(master.pid, signal.SIGKILL)  # its workers, should it have left any
            master.wait()


def until_it_serves(server: Server, log: Path) -> None:
    numbers = itertools.count()  # a call that took longer than we wait was made all the same

    def serves() -> bool:
        try:
            server.ask(f"/wait/first-{next(numbers)}")
        except OSError:
            return False
        return True

    until(serves, 60, lambda: log.read_text()[-4000:], every_s=0.05)


def both_workers(server: Server, name: str) -> Set[int]:
    """Ask until each has answered, and its event is on disk; their processes."""
    pids: Set[int] = set()
    numbers = itertools.count(1)

    def have_answered() -> bool:
        number = next(numbers)
        with contextlib.suppress(OSError, http.client.HTTPException):  # a worker that was killed a moment ago
            pids.add(server.ask(f"/wait/{name}-{number}"))
        return len(pids) == 2 and number >= 10

    until(have_answered, 60, every_s=0.01)  # a fresh one needs the processor to start
    return pids


@pytest.mark.skipif(not hasattr(os, "fork"), reason="these servers need fork, or signals that this system lacks")
@pytest.mark.timeout(240)  # it imports LiteLLM in a master and five workers
@pytest.mark.parametrize("name", SERVERS)
def test_a_server_loses_nothing_when_a_worker_is_killed_nor_when_it_is_terminated(tmp_path: Path, name: str) -> None:
    at_import = {"CALL_AT_IMPORT": "1"} if "preload" in name else {}
    with Collector() as collector, serving(SERVERS[name], tmp_path, url=collector.url, **at_import) as (server, master):
        until_it_serves(server, tmp_path / "log")
        collector.down()
        pids = both_workers(server, "before")
        os.kill(pids.pop(), signal.SIGKILL)
        collector.up()
        began = time.monotonic()
        collector.wait_for(len(server.answered) + len(at_import), 40)
        assert time.monotonic() - began < 15 + 10  # until it is adopted, and until delivery has seen the outage's end

        # Of its first call LiteLLM tells a fresh worker late, and a uvicorn that ends by a signal hears of it no more.
        both_workers(server, "after")
        clients = [threading.Thread(target=server.ask_until_it_ends, args=(n,)) for n in range(4)]
        before = len(server.answered)
        for client in clients:
            client.start()
        until(lambda: len(server.answered) >= before + 50)
        os.kill(master.pid, signal.SIGTERM)
        master.wait(30)
        for client in clients:
            client.join()
        drain(collector.url, tmp_path / "spool")
        contents = Counter(event.get("outputs", {}).get("content") for event in collector.events)
        interrupted = [event["metadata"] for event in collector.events if event["metadata"]["status"] == "interrupted"]
        expected = server.answered + ["at import"] * len(at_import)
        unreported = [answer for answer in expected if answer not in contents]
        details = json.dumps([unreported, interrupted, (tmp_path / "log").read_text()[-4000:]])
        if "uvicorn" in name:  # the signal ends its loop before LiteLLM reported the last answers; the calls are there
            assert len(unreported) <= min(len(interrupted), len(clients)), details
        else:
            assert unreported == [], details
        assert [content for content, times in contents.items() if content is not None and times > 1] == []
        assert set(collector.receipts.values()) == {1}
