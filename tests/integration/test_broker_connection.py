"""The connection to a real broker: it comes back from everything, and says why while it cannot."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from honeyhive_litellm._broker.connection import Connection, NotConnectedError
from honeyhive_litellm._broker.message import encoded
from honeyhive_litellm._broker.names import APPLICATION_INBOX
from honeyhive_litellm._broker.publisher import DeniedError, Publisher
from honeyhive_litellm._config.broker import BrokerAccess

from ..support.broker import Broker
from ..waiting import until_on_loop

USERS = """
accounts { A { jetstream: enabled, users: [
  { user: admin, password: admin }
  { user: app, password: "%s", permissions: { publish: ["honeyhive.events.default"], subscribe: ["_INBOX.hhapp.>"] } }
] } }
"""


def connection_to(address: str, **files: Path) -> Connection:
    return Connection(BrokerAccess.of(address, **files), name="test", inbox_prefix=APPLICATION_INBOX)


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
        assert client.connected_url is not None
        node = next(node for node in broker.nodes if node.port == client.connected_url.port)
        node.stop()
        await client.publish("honeyhive.events.default", b"x" * 1_000_000)
        await connection.check()
        client = await connection.client(10)
        assert client.connected_url is not None and client.connected_url.port != node.port
        await connection.check()
        assert connection.is_connected
        await connection.aclose()


async def test_what_is_left_is_not_the_next(tmp_path: Path) -> None:
    with Broker(tmp_path, 3) as broker:
        connection = connection_to(broker.address)
        ports = [(await connection.client()).connected_url]
        for _ in range(8):
            await connection.leave()
            ports.append((await connection.client()).connected_url)
        await connection.aclose()
    assert None not in ports
    assert all(before != after for before, after in zip(ports, ports[1:]))


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
