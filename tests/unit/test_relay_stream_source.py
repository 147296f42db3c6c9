"""How much a relay takes in: nothing that it keeps may grow without a bound."""

from __future__ import annotations

import time
from typing import Optional

import pytest
from nats.aio.msg import Msg

from honeyhive_litellm._broker.connection import Connection
from honeyhive_litellm._broker.message import headers_of
from honeyhive_litellm._broker.names import APPLICATION_INBOX
from honeyhive_litellm._config.broker import BrokerAccess
from honeyhive_litellm._privacy.cipher import NO_CIPHER
from honeyhive_litellm._relay.config import Destination
from honeyhive_litellm._relay.stream_source import StreamSource
from honeyhive_litellm._spool.record import Row
from honeyhive_litellm._stats import Counters

ROOM = 200
DESTINATION = Destination(
    "default", "http://127.0.0.1:1", "key", None, project="p", environment="test", workers=1, max_bytes=1
)


def source_without_connection() -> StreamSource:
    connection = Connection(BrokerAccess.of("nats://127.0.0.1:1"), name="test", inbox_prefix=APPLICATION_INBOX)
    source = StreamSource(DESTINATION, connection, Counters(), cipher=NO_CIPHER, sign_every_s=30, confirms_acks=False)
    assert source._room() == ROOM
    return source


def message(seq: int, id_: Optional[str], size: int = 10) -> Msg:
    """As the broker sends it; without an id it holds no event."""
    row = Row(seq, id_ or "", 1.0, None, b"x" * size)
    headers = {} if id_ is None else headers_of(row, "p", may_be_duplicate=False)
    reply = f"$JS.ACK.stream.consumer.1.{seq}.{seq}.0.0"
    return Msg(None, "honeyhive.events.default", reply, row.body, headers)  # type: ignore[arg-type]  # no client


async def test_what_is_kept_takes_room_until_it_is_gone() -> None:
    source = source_without_connection()
    for seq in range(1, 11):
        source._take_in(message(seq, f"e{seq}"))
        source._take_in(message(100 + seq, f"e{seq}"))  # the application published it twice
        source._take_in(message(200 + seq, None))  # a dead letter, which cannot be written now
    assert source._room() == ROOM - 30
    source._unusable_due = time.monotonic() + 3600  # as after an attempt to write the letters
    batch = await source.next_batch()
    assert batch is not None
    assert source._room() == ROOM - 20
    await source.settle(batch)  # the acknowledgements of events and copies cannot be sent
    assert source._room() == ROOM - 30
    for seq in range(300, 300 + ROOM):
        source._take_in(message(seq, None))
    assert source._room() == 0


@pytest.mark.parametrize("kind", ["events", "copies", "no events"])
async def test_the_bytes_that_are_kept_are_bounded(kind: str) -> None:
    source = source_without_connection()
    for seq in range(1, 10):
        ids = {"events": f"e{seq}", "copies": "the same", "no events": None}
        source._take_in(message(seq, ids[kind], size=1024 * 1024))
    if kind == "copies":
        assert await source.next_batch() is not None
    assert source._room() == 0
    await source.give_back_waiting()
    assert source._inbound.copies == source._inbound.copies_bytes == 0
