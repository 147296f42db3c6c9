"""The doctor's single checks: spools and servers in states that no test of the whole command makes."""

from __future__ import annotations

import asyncio
import functools
import os
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar, Dict, Iterator, List, Optional

import nats
import pytest
from nats.aio.msg import Msg

from honeyhive_litellm import Settings
from honeyhive_litellm._broker import publisher
from honeyhive_litellm._cli.doctor import spool as spool_checks
from honeyhive_litellm._cli.doctor import versions
from honeyhive_litellm._cli.doctor.broker import check_broker
from honeyhive_litellm._cli.doctor.finding import Finding, Level
from honeyhive_litellm._cli.doctor.mounts import file_system_of
from honeyhive_litellm._cli.doctor.server import check_server
from honeyhive_litellm._cli.doctor.spool import check_spool
from honeyhive_litellm._config.broker import BrokerAccess

from ..spools import count_missing, event, spool_in
from ..support.broker import Broker


def by_check(findings: List[Finding]) -> Dict[str, Finding]:
    return {finding.check: finding for finding in findings}


# ---- the spool


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "spool"
    path.mkdir(mode=0o700)
    return path


@pytest.mark.parametrize(
    ("kind", "level", "text"),
    [
        ("ext4", Level.OK, "The file system is ext4"),
        ("nfs4", Level.WARNING, "nfs4 is a network file system, on which file locks may not work"),
        ("overlay", Level.WARNING, "is in the container's own layer, which goes with the container (overlay)"),
        ("tmpfs", Level.WARNING, "is in memory, which goes with a restart (tmpfs)"),
        (None, Level.OK, "The file system cannot be determined here"),
    ],
)
def test_the_kind_of_file_system_says_whether_locks_and_files_last(
    folder: Path, monkeypatch: pytest.MonkeyPatch, kind: Optional[str], level: Level, text: str
) -> None:
    table = folder.parent / "mountinfo"
    if kind is not None:
        table.write_text(f"not a mount\n22 1 0:20 / / rw,relatime - {kind} device rw\n")
    monkeypatch.setattr(spool_checks, "file_system_of", functools.partial(file_system_of, table=table))
    finding = by_check(check_spool(folder, None))["spool.file_system"]
    assert (finding.level, text in finding.text) == (level, True), finding
    assert ("HONEYHIVE_SPOOL_PATH" in finding.remedy) is (level is Level.WARNING)


@pytest.mark.parametrize("is_there", [True, False])
def test_a_folder_without_permissions_is_a_problem(
    folder: Path, monkeypatch: pytest.MonkeyPatch, is_there: bool
) -> None:
    """Root may do everything, and tests may be run by root: what the system answers is replaced."""

    def refuse(path: object = ".") -> List[str]:
        raise PermissionError(13, "Permission denied", str(path))

    asyncio.run(left_in(folder))
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(os, "listdir", refuse)
    if is_there:
        found = by_check(check_spool(folder, None))
        assert found["spool.permissions"].text == f"{folder} is not readable and writable for this user"
        assert "Permission denied" in found["spool.readable"].text
        assert found["spool.readable"].remedy == "Make the folder readable for this user."
    else:
        found = by_check(check_spool(folder / "a" / "b", None))
        assert (
            found["spool.folder"].text
            == f"{folder / 'a' / 'b'} is not there, and {folder} is not writable for this user"
        )
    assert {finding.level for finding in found.values() if finding.remedy} == {Level.PROBLEM}


async def left_in(folder: Path) -> None:
    spool = spool_in(folder)
    await spool.append([event("waits")])
    await spool.close()


def test_numbers_that_do_not_add_up_are_a_problem(folder: Path) -> None:
    asyncio.run(left_in(folder))
    assert "spool.numbers" not in by_check(check_spool(folder, None))
    asyncio.run(count_missing(folder, 2))
    finding = by_check(check_spool(folder, None))["spool.numbers"]
    assert finding.level is Level.PROBLEM
    assert finding.text == "The numbers do not add up: 3 pending by count, 1 found"


def test_a_package_that_is_not_installed_is_a_problem() -> None:
    assert versions._litellm(versions._installed("litellm")).level in (Level.OK, Level.WARNING)
    finding = versions._litellm(versions._installed("honeyhive-no-such-package"))
    assert (finding.level, finding.text, finding.remedy) == (
        Level.PROBLEM, "LiteLLM is not installed", "pip install litellm",
    )  # fmt: skip


# ---- the server


class Answers(BaseHTTPRequestHandler):
    """Answers HEAD with a status of the test's choice and no date, and takes no events."""

    status = 200
    requests: ClassVar[List[str]] = []

    def _answer(self, status: int) -> None:
        self.requests.append(f"{self.command} {self.path}")
        self.send_response_only(status)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_HEAD(self) -> None:
        self._answer(self.status)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer(503)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    Answers.requests.clear()
    with HTTPServer(("127.0.0.1", 0), Answers) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join(10)


@pytest.mark.parametrize("status", [200, 302, 404])
def test_any_answer_reaches_the_server_and_503_is_no_fault_of_the_key(
    server: HTTPServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, status: int
) -> None:
    monkeypatch.setattr(Answers, "status", status)
    url = f"http://127.0.0.1:{server.server_port}"
    found = by_check(check_server(Settings(api_key="hh_key", project="p", api_url=url, spool_path=tmp_path)))
    assert (found["server.reachable"].level, found["server.reachable"].text) == (
        Level.OK,
        f"{url} answers, without TLS",
    )
    assert found["clock.server"].level is Level.OK, "it has sent no time to compare with"
    writes = found["server.key_writes"]
    assert writes.level is Level.PROBLEM
    assert "The server takes no events now: " in writes.text and "503" in writes.text
    assert writes.remedy == "Wait, or ask who runs the server."
    assert [request for request in Answers.requests if "/elsewhere" in request] == []


# ---- the broker


async def test_an_answer_of_the_broker_that_is_no_streams_is_shown(tmp_path: Path) -> None:
    async def answer(message: Msg) -> None:
        await message.respond(b'{"error": {"code": 400, "err_code": 10077, "description": "maximum bytes exceeded"}}')

    with Broker(tmp_path) as broker:
        client = await nats.connect(broker.address)
        await client.subscribe("honeyhive.events.default", cb=answer)
        await client.flush()
        found = by_check(await check_broker(BrokerAccess.of(broker.address), "default", None))
        await client.close()
    assert found["broker.reachable"].level is Level.OK
    assert found["broker.publishes"].level is Level.PROBLEM
    assert found["broker.publishes"].text == "The broker answers maximum bytes exceeded, 10077"


def take_one_login(listener: socket.socket, how: str) -> None:
    """A broker that takes the login, and then hangs or goes."""
    info = b'{"server_id": "x", "version": "2.10.0", "max_payload": 1048576, "headers": true, "proto": 1}'
    pings = 0
    connection, _ = listener.accept()
    with connection, connection.makefile("rb") as lines:
        connection.sendall(b"INFO " + info + b"\r\n")
        for line in lines:
            if line.startswith(b"PING"):
                pings += 1
                if pings == 1:
                    connection.sendall(b"PONG\r\n")
                elif how == "it goes":
                    connection.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("how", ["it hangs", "it goes"])
def test_a_broker_that_is_lost_after_the_login_is_a_problem(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    monkeypatch.setattr(publisher, "_SUBSCRIBING_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=take_one_login, args=(listener, how))
        thread.start()
        access = BrokerAccess.of(f"nats://127.0.0.1:{listener.getsockname()[1]}")
        found = by_check(asyncio.run(check_broker(access, "default", None)))
        thread.join(20)
    assert found["broker.reachable"].level is Level.OK
    finding = found["broker.publishes"]
    assert (finding.level, finding.remedy) == (Level.PROBLEM, "Try again.")
    assert finding.text == "The connection was lost: no answer in time"
