"""The connection to a real broker: it comes back from everything, and says why while it cannot."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import nkeys
import pytest
from nats.aio.client import Client
from nats.errors import FlushTimeoutError

from honeyhive_litellm._broker.connection import Connection, NotConnectedError
from honeyhive_litellm._broker.message import encoded
from honeyhive_litellm._broker.names import APPLICATION_INBOX
from honeyhive_litellm._broker.publisher import DeniedError, Publisher
from honeyhive_litellm._config.broker import BrokerAccess

from ..support.broker import Broker, Node
from ..waiting import let_others_run, until_on_loop

USERS = """
accounts { A { jetstream: enabled, users: [
  { user: admin, password: admin }
  { user: app, password: "%s", permissions: { publish: ["honeyhive.events.default"], subscribe: ["_INBOX.hhapp.>"] } }
] } }
"""


def connection_to(address: str, **files: Path) -> Connection:
    return Connection(BrokerAccess.of(address, **files), name="test", inbox_prefix=APPLICATION_INBOX)


def node_of(client: Client, broker: Broker) -> Node:
    """The node that the client is connected to."""
    url = client.connected_url
    assert url is not None
    return next(node for node in broker.nodes if node.port == url.port)


async def test_it_comes_back_after_a_kill_and_after_a_close_for_good(tmp_path: Path) -> None:
    with Broker(tmp_path, extra=USERS % "first", login="admin:admin") as broker:
        connection = connection_to(broker.address_of("app:first@"))
        first = await connection.client()
        broker.nodes[0].kill()
        await until_on_loop(lambda: not connection.is_connected)
        began = time.monotonic()
        with pytest.raises(NotConnectedError, match="connection refused") as down:
            await connection.client(0.3)
        assert time.monotonic() - began < 2 and not down.value.is_refused
        broker.start()
        assert await connection.client() is first

        broker.configure(USERS % "second")
        broker.nodes[0].reload()  # the broker ends the connection and takes the login no more
        await until_on_loop(lambda: not connection.is_connected)
        with pytest.raises(NotConnectedError, match="refuses the login") as refused:
            await connection.client(1)
        assert refused.value.is_refused
        broker.configure(USERS % "first")
        broker.nodes[0].reload()
        second = await connection.client()
        assert second is not first
        await connection.aclose()
        await connection.aclose()
        with pytest.raises(NotConnectedError):
            await connection.client(1)


async def test_a_denial_is_remembered(tmp_path: Path) -> None:
    with Broker(tmp_path, extra=USERS % "pw", login="admin:admin") as broker:
        connection = connection_to(broker.address_of("app:pw@"))
        client = await connection.client()
        await client.publish("honeyhive.events.other", b"x")
        await until_on_loop(lambda: connection.denial is not None)
        assert connection.denial == 'publish to "honeyhive.events.other"'
        assert connection.is_connected
        await connection.aclose()


async def test_denied_publishes_leave_no_subscriptions_behind(tmp_path: Path) -> None:
    with Broker(tmp_path, extra=USERS % "pw", login="admin:admin") as broker:
        connection = connection_to(broker.address_of("app:pw@"))
        publisher = Publisher(connection)
        for _ in range(8):
            with pytest.raises(DeniedError, match=r"honeyhive\.events\.other"):
                await publisher.publish("honeyhive.events.other", [(encoded({"Nats-Msg-Id": "1"}), b"x")])
        client = await connection.client()
        assert len(client._takers) == len(client._subs) == 2
        await connection.aclose()


async def test_a_stopped_server_is_left(tmp_path: Path) -> None:
    with Broker(tmp_path, 3) as broker:
        connection = connection_to(broker.address)
        client = await connection.client()
        node = node_of(client, broker)
        node.stop()
        await client.publish("honeyhive.events.default", b"x" * 1_000_000)
        await connection.check()
        assert node_of(await connection.client(10), broker) is not node
        await connection.check()
        assert connection.is_connected
        await connection.aclose()


@pytest.mark.parametrize("configured", ["127.0.0.1", "localhost"])
async def test_what_is_left_is_not_the_next(configured: str, tmp_path: Path) -> None:
    """The nodes advertise themselves as 127.0.0.1, so that each has two addresses if it is configured as localhost."""
    with Broker(tmp_path, 3) as broker:
        connection = connection_to(broker.address.replace("127.0.0.1", configured))
        servers = [(await connection.client())._server_info["server_name"]]
        for _ in range(20):
            await connection.leave()
            servers.append((await connection.client())._server_info["server_name"])
        await connection.aclose()
    assert all(before != after for before, after in zip(servers, servers[1:]))


async def test_a_broker_of_one_node_is_left_and_reached_again(tmp_path: Path) -> None:
    with Broker(tmp_path) as broker:
        connection = connection_to(broker.address.replace("127.0.0.1", "localhost"))
        client = await connection.client()
        for _ in range(3):
            await connection.leave()
            assert await connection.client() is client
        assert client.stats["reconnects"] == 3
        await connection.aclose()


async def test_two_checks_of_a_server_that_hangs_leave_it_once(tmp_path: Path) -> None:
    with Broker(tmp_path, 3) as broker:
        connection = connection_to(broker.address)
        client = await connection.client()
        node = node_of(client, broker)
        node.stop()
        first = asyncio.ensure_future(connection.check())
        await until_on_loop(lambda: len(client._pongs) == 1)
        second = asyncio.ensure_future(connection.check())
        await first
        await connection.client()
        await second
        await let_others_run()
        assert connection.is_connected
        assert client.stats["reconnects"] == 1
        await connection.aclose()


async def test_an_answer_to_a_ping_that_comes_too_late_is_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Broker(tmp_path) as broker:
        connection = connection_to(broker.address)
        client = await connection.client()
        broker.nodes[0].stop()
        with pytest.raises(FlushTimeoutError):
            await client.flush(0.1)  # type: ignore[arg-type]  # it takes any number
        broker.nodes[0].resume()
        await client.flush(10)
        await connection.check()
        assert connection.is_connected and not client.is_deaf
        assert client.stats["reconnects"] == 0
        await connection.aclose()
    assert caplog.text == ""


async def test_a_connection_that_reads_nothing_any_more_is_left(tmp_path: Path) -> None:
    with Broker(tmp_path) as broker:
        connection = connection_to(broker.address)
        client = await connection.client()
        assert client._reading_task is not None
        client._reading_task.cancel()
        await until_on_loop(lambda: client.is_deaf)
        await connection.check()
        await until_on_loop(lambda: client.stats["reconnects"] == 1 and not client.is_deaf)
        await connection.aclose()


@pytest.mark.parametrize("content", [b"", b"SUAB"])
async def test_a_login_file_that_is_being_written_at_a_reconnect_ends_nothing(content: bytes, tmp_path: Path) -> None:
    seed = nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER)
    user = nkeys.from_seed(bytearray(seed)).public_key.decode()
    file = tmp_path / "nkey"
    file.write_bytes(seed)
    extra = (
        f"accounts {{ A {{ jetstream: enabled, users: [ {{ user: admin, password: admin }}, {{ nkey: {user} }} ] }} }}"
    )
    with Broker(tmp_path, extra=extra, login="admin:admin") as broker:
        connection = connection_to(broker.address_of(""), nkey=file)
        client = await connection.client()
        file.write_bytes(content)
        await connection.leave()
        with pytest.raises(NotConnectedError):
            await connection.client(1)
        file.write_bytes(seed)
        assert await connection.client() is client
        await connection.aclose()


@pytest.mark.parametrize("answer", [b"x" * 100_000, b"INFO []\r\n", b"INFO {}\r\n-ERR \xff\xfe\r\n"])
async def test_what_answers_instead_of_the_broker_ends_nothing(answer: bytes, tmp_path: Path) -> None:
    with Broker(tmp_path) as broker:
        node = broker.nodes[0]
        connection = connection_to(broker.address)
        client = await connection.client()
        answered = asyncio.Event()

        async def reply(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(answer)
            writer.close()
            answered.set()

        node.kill()
        other = await asyncio.start_server(reply, "127.0.0.1", node.port)
        await asyncio.wait_for(answered.wait(), 20)
        other.close()
        await other.wait_closed()
        broker.start()
        assert await connection.client(20) is client
        await connection.aclose()


async def test_files_that_are_missing_and_tls_that_is_not_offered_end_the_wait(tmp_path: Path) -> None:
    with Broker(tmp_path) as broker:
        connection = connection_to(broker.address, credentials=tmp_path / "missing")
        began = time.monotonic()
        with pytest.raises(NotConnectedError, match="broker_credentials cannot be read") as missing:
            await connection.client(20)
        assert missing.value.is_refused
        assert time.monotonic() - began < 10
        await connection.aclose()

        connection = connection_to(broker.address.replace("nats:", "tls:").replace("//", "//u:secret@"))
        with pytest.raises(NotConnectedError, match="no TLS") as refused:
            await connection.client(1)
        assert "secret" not in str(refused.value) + connection.servers
        await connection.aclose()
