"""The publisher on a real broker whose subject somebody answers: as a stream does, oddly, too late, or not at all."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path
from typing import AsyncIterator, Callable, Iterator, List, Optional, Tuple

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from honeyhive_litellm._broker import publisher as publisher_module
from honeyhive_litellm._broker.connection import Connection
from honeyhive_litellm._broker.message import encoded
from honeyhive_litellm._broker.names import APPLICATION_INBOX, subject_of
from honeyhive_litellm._broker.publisher import NO_STREAM, Ack, DeniedError, Publisher
from honeyhive_litellm._config.broker import BrokerAccess
from honeyhive_litellm._delivery.sink import Verdict
from honeyhive_litellm._delivery.sinks.nats import NatsSink
from honeyhive_litellm._spool.record import Row

from ..rig import event
from ..support.broker import Broker
from ..waiting import until_on_loop

SUBJECT = subject_of("answered")
STORED = b'{"stream":"HH_answered","seq":1}'

USERS = """
accounts {{ A {{ jetstream: enabled, users: [
  {{ user: admin, password: admin }}
  {{ user: app, password: pw, permissions: {{ publish: ["{publish}"], subscribe: ["_INBOX.hhapp.>"] }} }}
] }} }}
"""


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with Broker(tmp_path_factory.mktemp("broker")) as started:
        yield started


@asynccontextmanager
async def answering(
    broker: Broker, answer: Callable[[Msg], Optional[bytes]]
) -> AsyncIterator[Tuple[Client, List[Msg]]]:
    """A client that answers what is published on SUBJECT, with nothing where `answer` has None; what it got."""
    client = await broker.connect()
    got: List[Msg] = []

    async def take(message: Msg) -> None:
        got.append(message)
        data = answer(message)
        if data is not None:
            await client.publish(message.reply, data)

    await client.subscribe(SUBJECT, cb=take)
    await client.flush()
    try:
        yield client, got
    finally:
        await client.close()


@asynccontextmanager
async def publishing(address: str) -> AsyncIterator[Publisher]:
    connection = Connection(BrokerAccess.of(address), name="test", inbox_prefix=APPLICATION_INBOX)
    try:
        yield Publisher(connection)
    finally:
        await connection.aclose()


def message(number: int) -> Tuple[bytes, bytes]:
    return encoded({"Nats-Msg-Id": str(number)}), b"%d" % number


@pytest.mark.parametrize(
    ("answer", "ack"),
    [
        (STORED, Ack()),
        (b'{"stream":"HH_answered","seq":1,"duplicate":true}', Ack(is_duplicate=True)),
        (b"", Ack(NO_STREAM, "an empty answer")),
        (b"+OK", Ack(NO_STREAM, "an answer that is no JSON")),
        (b"[]", Ack(NO_STREAM, "an answer that is no JSON")),
        (b"{}", Ack(500, "an answer of an unknown kind")),
        (b'{"error":{"code":503,"err_code":10077,"description":"full"}}', Ack(10077, "full")),
        (b'{"error":{"code":400}}', Ack(400, "")),
        (b'{"error":{"code":"?","description":"odd"}}', Ack(500, "odd")),
    ],
)
async def test_only_a_streams_own_answer_is_a_success(broker: Broker, answer: bytes, ack: Ack) -> None:
    async with answering(broker, lambda _: answer), publishing(broker.address) as publisher:
        assert await publisher.publish(SUBJECT, [message(1)]) == [ack]
        assert ack.is_stored is ("seq" in answer.decode())


async def test_where_nobody_listens_no_stream_takes_the_subject(broker: Broker) -> None:
    async with publishing(broker.address) as publisher:
        assert await publisher.publish(SUBJECT, [message(1)]) == [Ack(NO_STREAM, "no stream takes this subject now")]


async def test_an_answer_that_comes_too_late_counts_for_nothing(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher_module, "ACK_TIMEOUT_S", 0.05)
    async with answering(broker, lambda _: None) as (client, got), publishing(broker.address) as publisher:
        assert await publisher.publish(SUBJECT, [message(1)]) == [None]
        assert await publisher.probe(SUBJECT) == Ack(500, "no acknowledgement in time")
        for late in got:
            await client.publish(late.reply, STORED)
        await client.flush()
        assert await publisher.publish(SUBJECT, [message(2), message(3)]) == [None, None]


async def test_answers_that_come_before_a_denial_are_kept_and_the_rest_is_uncertain(tmp_path: Path) -> None:
    with Broker(tmp_path, extra=USERS.format(publish=SUBJECT), login="admin:admin") as broker:
        only_first = answering(broker, lambda message: STORED if message.data == b"1" else None)
        async with only_first as (_, got), publishing(broker.address_of("app:pw@")) as publisher:
            denied: List[BaseException] = []

            async def publish_what_is_denied() -> None:
                await until_on_loop(lambda: len(got) == 2)
                try:
                    await publisher.publish("honeyhive.events.other", [message(3)])
                except DeniedError as error:
                    denied.append(error)

            acks, _nothing = await asyncio.gather(
                publisher.publish(SUBJECT, [message(1), message(2)]), publish_what_is_denied()
            )
            assert acks == [Ack(), None]
            assert [str(error) for error in denied] == ['publish to "honeyhive.events.other"']


# The sink


def row(number: int) -> Row:
    record = event(number)
    return Row(number, record.id, record.started_ms, record.session, record.body)


def sink_of(address: str) -> NatsSink:
    return NatsSink(BrokerAccess.of(address), destination="answered", project="p", client_name="test")


async def test_a_sink_that_may_only_publish_finds_nothing_and_trusts_no_letter_but_one_that_is_too_large(
    broker: Broker,
) -> None:
    sink = sink_of(broker.address)
    assert not sink.can_look_up
    assert await sink.look_up([row(1), row(2)]) == ([], [row(1), row(2)], None)
    assert [sink.may_have_stored(status) for status in (10054, 10077, 503, None)] == [False, True, True, True]
    await sink.aclose()


@pytest.mark.parametrize("step", ["prepare", "send"])
async def test_a_login_that_cannot_be_used_is_a_pause_in_which_nothing_is_uncertain(
    step: str, broker: Broker, tmp_path: Path
) -> None:
    access = BrokerAccess.of(broker.address, credentials=tmp_path / "missing")
    sink = NatsSink(access, destination="answered", project="p", client_name="test")
    result = await (sink.prepare([row(1)]) if step == "prepare" else sink.send([row(1)]))
    await sink.aclose()
    assert result is not None
    assert (result.verdict, result.ambiguous) == (Verdict.PAUSE, False)
    assert result.log_text == "the file of broker_credentials cannot be read: No such file or directory"


async def test_a_sink_that_is_closed_takes_nothing_and_nothing_is_uncertain(broker: Broker) -> None:
    sink = sink_of(broker.address)
    assert await sink.prepare([row(1)]) is None
    await sink.aclose()
    result = await sink.send([row(1)])
    assert (result.verdict, result.ambiguous, result.delivered) == (Verdict.RETRY, False, ())


async def test_a_denied_publish_is_a_pause_and_the_next_attempt_sends_nothing_that_could_be_stored(
    tmp_path: Path,
) -> None:
    with Broker(tmp_path, extra=USERS.format(publish="else"), login="admin:admin") as broker:
        sink = sink_of(broker.address_of("app:pw@"))
        try:
            assert await sink.prepare([row(1)]) is None
            # The permission may have been taken away after a part of the batch was stored.
            sent, prepared = await sink.send([row(1)]), await sink.prepare([row(1)])
        finally:
            await sink.aclose()
    assert prepared is not None
    assert [(each.verdict, each.ambiguous) for each in (sent, prepared)] == [
        (Verdict.PAUSE, True),
        (Verdict.PAUSE, False),
    ]
    assert {sent.log_text, prepared.log_text} == {f'permission denied: publish to "{SUBJECT}"'}
