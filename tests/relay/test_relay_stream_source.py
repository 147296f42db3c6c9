"""A stream as the flusher's source, and its standing pull, while the broker comes, goes and falls silent."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, AsyncIterator, Dict, Iterator, List, Optional, Tuple

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from honeyhive_litellm._broker.connection import Connection
from honeyhive_litellm._broker.message import headers_of
from honeyhive_litellm._broker.names import RELAY_INBOX
from honeyhive_litellm._config.broker import BrokerAccess
from honeyhive_litellm._privacy.cipher import NO_CIPHER
from honeyhive_litellm._relay import standing_pull, stream_source
from honeyhive_litellm._relay.config import Destination
from honeyhive_litellm._relay.standing_pull import StandingPull
from honeyhive_litellm._relay.stream_source import StreamSource
from honeyhive_litellm._spool.record import Row
from honeyhive_litellm._stats import Counters

from ..support.broker import Broker
from ..waiting import let_others_run, until_on_loop
from .fleet import config_for, event, make_streams, publish

NAME = "source"
DESTINATION = Destination(
    NAME, "http://127.0.0.1:9", "key", None, project="p", environment="test", workers=4, max_bytes=1
)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker(tmp_path) as started:
        yield started


def connection_to(broker: Broker) -> Connection:
    return Connection(BrokerAccess.of(broker.address), name="test", inbox_prefix=RELAY_INBOX)


@asynccontextmanager
async def source_at(connection: Connection, **options: Any) -> AsyncIterator[StreamSource]:
    """A source that says what is in hand and repeats acknowledgements, and that nothing is pulled for."""
    chosen: Dict[str, Any] = {"sign_every_s": 3600, "confirms_acks": False, **options}
    source = StreamSource(DESTINATION, connection, Counters(), cipher=NO_CIPHER, **chosen)
    keeping = asyncio.ensure_future(source.keep_in_hand())
    try:
        yield source
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await connection.aclose()


@asynccontextmanager
async def answers(broker: Broker) -> AsyncIterator[List[Tuple[str, bytes]]]:
    """What is published on the reply subjects of a stream: the number of the message, and the word."""
    client = await broker.connect()
    got: List[Tuple[str, bytes]] = []

    async def take(message: Msg) -> None:
        got.append((message.subject.split(".")[5], message.data))

    await client.subscribe("$JS.ACK.nowhere.>", cb=take)
    await client.flush()
    try:
        yield got
    finally:
        await client.close()


def message(seq: int, *, deliveries: int = 1, id_: Optional[str] = None, reply: Optional[str] = None) -> Msg:
    row = Row(seq, id_ or f"e{seq}", 1.0, None, b"{}")
    subject = f"$JS.ACK.nowhere.consumer.{deliveries}.{seq}.{seq}.0.0" if reply is None else reply
    headers = headers_of(row, "p", may_be_duplicate=False)
    return Msg(None, f"honeyhive.events.{NAME}", subject, row.body, headers)  # type: ignore[arg-type]  # no client


@asynccontextmanager
async def draining(client: Client) -> AsyncIterator[None]:
    """Have the client drain, which it does as long as a callback of its own runs; it is closed then."""
    is_over = asyncio.Event()

    async def take(_message: Msg) -> None:
        await is_over.wait()

    await client.subscribe("slow", cb=take)
    await client.flush()
    await client.publish("slow", b"1")
    await client.flush()
    end = asyncio.ensure_future(client.drain())
    await until_on_loop(lambda: client.is_draining)
    try:
        yield
    finally:
        is_over.set()
        await end


@pytest.fixture(autouse=True)
def _ticks_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_source, "_TICK_S", 0.02)
    monkeypatch.setattr(standing_pull, "_TICK_S", 0.02)
    monkeypatch.setattr(standing_pull, "_RETRY_S", 0.02)


# The source


async def test_what_could_not_be_acknowledged_is_when_the_broker_comes_back(broker: Broker) -> None:
    connection = connection_to(broker)
    await connection.client()
    broker.nodes[0].kill()
    await until_on_loop(lambda: not connection.is_connected)
    async with source_at(connection) as source:
        for seq in (1, 2):
            source._take_in(message(seq))
        batch = await source.next_batch()
        assert batch is not None
        await source.settle(batch)
        source._take_in(message(2, deliveries=2))  # the broker gives it again: the newest reply counts
        assert (source.pending, await source.next_batch()) == (0, None)
        source._take_in(message(3))
        await source.give_back_all()  # nobody hears it
        await asyncio.get_running_loop().run_in_executor(None, broker.start)
        async with answers(broker) as got:
            await until_on_loop(lambda: len(got) == 2, what=lambda: got)
            await let_others_run()
            assert sorted(got) == [("1", b"+ACK"), ("2", b"+ACK")]
            await source.give_back_all()
            await until_on_loop(lambda: got[2:] == [("3", b"-NAK")])


async def test_messages_without_a_reply_of_a_stream_are_ignored(broker: Broker) -> None:
    async with source_at(connection_to(broker)) as source:
        source._take_in(message(1, reply="_INBOX.x"))
        source._take_in(message(1, reply=""))
        assert (source.pending, await source.next_batch()) == (0, None)


async def test_the_broker_hears_of_each_of_many_messages_that_they_are_worked_on(broker: Broker) -> None:
    connection = connection_to(broker)
    await connection.client()
    async with answers(broker) as got, source_at(connection, sign_every_s=0.01) as source:
        for seq in range(1, 1101):
            source._take_in(message(seq))
        signs = {(str(seq), b"+WPI") for seq in range(1, 1101)}
        await until_on_loop(lambda: set(got) == signs, what=lambda: len(got))


@pytest.mark.parametrize("confirms_acks", [False, True])
async def test_acknowledgements_that_a_closing_connection_refuses_are_kept(broker: Broker, confirms_acks: bool) -> None:
    connection = connection_to(broker)
    client = await connection.client()
    async with answers(broker) as got, source_at(connection, confirms_acks=confirms_acks, sign_every_s=0.01) as source:
        async with draining(client):
            client._status = Client.DRAINING_PUBS  # the last step of a drain, which is short
            for seq in (1, 2):
                source._take_in(message(seq))
            batch = await source.next_batch()
            assert batch is not None
            await source.settle(batch._replace(messages=batch.messages[:1]))
            source._take_in(message(3))
            assert source.pending == 2 and list(source._unacknowledged) == [1]
            client._status = Client.DRAINING_SUBS
        await connection.client()
        if not confirms_acks:
            await until_on_loop(lambda: ("1", b"+ACK") in got)
            await until_on_loop(lambda: not source._unacknowledged)


async def test_an_acknowledgement_that_nobody_confirms_is_repeated(broker: Broker) -> None:
    connection = connection_to(broker)
    await connection.client()
    async with source_at(connection, confirms_acks=True) as source:
        source._take_in(message(1))
        batch = await source.next_batch()
        assert batch is not None
        await source.settle(batch)
        assert list(source._unacknowledged) == [1]
        client = await broker.connect()

        async def confirm(request: Msg) -> None:
            await client.publish(request.reply, b"")

        await client.subscribe("$JS.ACK.nowhere.>", cb=confirm)
        await until_on_loop(lambda: not source._unacknowledged)
        await client.close()


# The pull


class Pull:
    """A standing pull with room for so many messages, and what it got."""

    def __init__(self, connection: Connection, room: int = 10) -> None:
        self.got: List[int] = []
        self.losses = 0
        self.connection = connection
        self.pull = StandingPull(
            connection,
            DESTINATION.stream,
            DESTINATION.consumer,
            most_bytes=1_000_000,
            room=lambda: room,
            most_room=room,
            on_message=lambda message: self.got.append(message.metadata.sequence.stream),
            on_loss=self._note_loss,
            on_deleted=lambda: None,
        )

    def _note_loss(self) -> None:
        self.losses += 1

    async def __aenter__(self) -> Pull:
        self._running = asyncio.ensure_future(self.pull.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)
        await self.connection.aclose()


async def test_a_pull_without_a_connection_says_so(broker: Broker) -> None:
    connection = connection_to(broker)
    await connection.aclose()
    async with Pull(connection) as pulling:
        await until_on_loop(lambda: pulling.pull.trouble == "no connection in time")
    assert pulling.got == []


async def test_a_request_that_is_over_is_followed_by_another(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing_pull, "_EXPIRES_S", 0.2)
    monkeypatch.setattr(standing_pull, "_HEARTBEAT_S", 0.05)
    await make_streams(config_for(broker, {NAME: "http://127.0.0.1:9"}))
    async with Pull(connection_to(broker)) as pulling:
        await until_on_loop(lambda: len(pulling.pull._requests) == 1)
        first = pulling.pull._requests[0]
        await until_on_loop(lambda: first not in pulling.pull._requests)
        await publish(broker, [event(1)], NAME)
        await until_on_loop(lambda: pulling.got == [1])
        assert pulling.pull.trouble is None


async def test_while_the_broker_hangs_requests_that_are_over_are_made_again(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make_streams(config_for(broker, {NAME: "http://127.0.0.1:9"}))
    monkeypatch.setattr(standing_pull, "_EXPIRES_S", 0.1)
    monkeypatch.setattr(standing_pull, "_HEARTBEAT_S", 0.04)
    async with Pull(connection_to(broker)) as pulling:
        await until_on_loop(lambda: pulling.pull._requests)
        broker.nodes[0].stop()
        first = pulling.pull._requests[0]
        await until_on_loop(lambda: first not in pulling.pull._requests and pulling.pull._requests)
        assert pulling.losses
        broker.nodes[0].resume()
        await publish(broker, [event(1)], NAME)
        await until_on_loop(lambda: pulling.got == [1])


async def test_an_answer_after_a_gap_and_a_leader_that_goes_are_losses(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make_streams(config_for(broker, {NAME: "http://127.0.0.1:9"}))
    monkeypatch.setattr(standing_pull, "_GAP_S", 0.1)
    async with Pull(connection_to(broker)) as pulling:
        await until_on_loop(lambda: pulling.pull._requests)
        heard_at = pulling.pull._heard_at
        await until_on_loop(lambda: time.monotonic() > heard_at + 0.2)
        await publish(broker, [event(1)], NAME)
        await until_on_loop(lambda: pulling.got == [1])
        assert pulling.losses == 1
        pulling.pull._note_status({"Status": "409", "Description": "Leadership Change"})
        assert pulling.losses == 2


async def test_a_heartbeat_ends_the_trouble(broker: Broker) -> None:
    pulling = Pull(connection_to(broker))
    pulling.pull._note_status({"Status": "503", "Description": "No Responders"})
    assert pulling.pull.trouble is not None
    pulling.pull._note_status({"Status": "100"})
    assert pulling.pull.trouble is None


async def test_a_pull_goes_on_over_a_connection_that_is_lost_drained_and_closed(broker: Broker) -> None:
    await make_streams(config_for(broker, {NAME: "http://127.0.0.1:9"}))
    connection = connection_to(broker)
    loop = asyncio.get_running_loop()
    async with Pull(connection) as pulling:
        await until_on_loop(lambda: pulling.pull._requests)
        broker.nodes[0].kill()
        await until_on_loop(lambda: not connection.is_connected)
        await loop.run_in_executor(None, broker.start)
        await publish(broker, [event(1)], NAME)
        await until_on_loop(lambda: pulling.got == [1])
        assert pulling.losses
        losses = pulling.losses
        await (await connection.client()).close()
        await publish(broker, [event(2)], NAME)
        await until_on_loop(lambda: pulling.got == [1, 2])
        assert pulling.losses > losses
    connection = connection_to(broker)
    client = await connection.client()
    async with draining(client):
        pulling = await Pull(connection).__aenter__()
        await until_on_loop(lambda: pulling.pull.trouble == "ConnectionDrainingError")
    await publish(broker, [event(3)], NAME)
    await until_on_loop(lambda: pulling.got == [3])
    assert pulling.pull.trouble is None
    await pulling.__aexit__()


async def test_a_message_that_nobody_requested_is_taken_and_ends_the_trouble(broker: Broker) -> None:
    pulling = Pull(connection_to(broker))
    status = {"Status": "503", "Description": "No Responders"}
    await pulling.pull._received(Msg(None, "inbox", "", b"", status))  # type: ignore[arg-type]  # no client
    assert "has no leader or is missing" in str(pulling.pull.trouble)
    await pulling.pull._received(message(7))
    assert (pulling.got, pulling.pull.trouble) == ([7], None)
