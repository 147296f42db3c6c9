"""What `relay init` makes of brokers that are not as it needs them, and how each trouble is called."""

from __future__ import annotations

from pathlib import Path
from typing import Iterator

import pytest
from nats.js.api import RetentionPolicy

from honeyhive_litellm._broker.connection import Connection
from honeyhive_litellm._broker.names import RELAY_INBOX
from honeyhive_litellm._config.broker import BrokerAccess
from honeyhive_litellm._privacy.cipher import NO_CIPHER, Cipher
from honeyhive_litellm._relay import streams
from honeyhive_litellm._relay.streams import CREATED, UNCHANGED, UPDATED, BrokerError, Locked

from ..support.broker import Broker
from .fleet import administering, config_for, event, make_streams, publish

NOWHERE = "http://127.0.0.1:9"
KEY = bytes(range(32))

USERS = """
accounts { A { jetstream: enabled, users: [
  { user: admin, password: admin }
  { user: nobody, password: pw, permissions: { publish: ["nothing"], subscribe: ["_INBOX.hhrelay.>"] } }
] } }
"""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker(tmp_path) as started:
        yield started


async def trouble_with(address: str) -> str:
    connection = Connection(BrokerAccess.of(address), name="test", inbox_prefix=RELAY_INBOX)
    try:
        with pytest.raises(BrokerError) as failed:
            await streams.jetstream(connection)
    finally:
        await connection.aclose()
    return str(failed.value)


async def test_a_broker_that_takes_small_messages_only_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with Broker(tmp_path, extra="max_payload: 1MB") as broker:
        assert await trouble_with(broker.address) == (
            "the broker takes messages of 1048576 bytes only: set `max_payload: 2MB` on every node"
        )


async def test_a_user_that_may_not_use_jetstream_is_an_error_that_names_the_permission(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "_TIMEOUT_S", 0.3)
    monkeypatch.setattr(streams, "_ASK_AGAIN_S", 0.1)
    with Broker(tmp_path, extra=USERS, login="admin:admin") as broker:
        message = await trouble_with(broker.address_of("nobody:pw@"))
    assert message.startswith('JetStream does not answer (not permitted: publish to "$js.api.info")')
    assert "needs $JS.API.> and may have to subscribe _INBOX.hhrelay.>" in message


async def test_a_stream_of_somebody_else_in_the_way_is_left_alone(broker: Broker) -> None:
    config = config_for(broker, {"default": NOWHERE})
    async with administering(config) as js:
        await js.add_stream(name="OTHER", subjects=["honeyhive.dead.>"])
        with pytest.raises(BrokerError, match="the broker refused: subjects overlap with an existing stream"):
            await streams.init(js, config)
        # In this order: a broker without a stream removes its folder, for a moment after it has answered.
        await js.add_stream(name="HH_default", subjects=["honeyhive.events.default"], retention=RetentionPolicy.LIMITS)
        await js.delete_stream("OTHER")
        with pytest.raises(BrokerError, match="HH_default exists with another retention: rename or delete it first"):
            await streams.init(js, config)
        assert (await js.stream_info("HH_default")).config.retention == RetentionPolicy.LIMITS


async def test_what_the_configuration_changes_is_changed_in_place(broker: Broker) -> None:
    before = config_for(broker, {"default": NOWHERE})
    assert [made.change for made in await make_streams(before)] == [CREATED] * 3
    await publish(broker, [event(1)])
    after = config_for(broker, {"default": NOWHERE}, ack_wait=7, dead_max_bytes=2**21)
    assert [made.change for made in await make_streams(after)] == [UPDATED, UNCHANGED, UPDATED]
    async with administering(after) as js:
        assert (await js.consumer_info("HH_default", "relay-default")).config.ack_wait == 7
        assert (await js.stream_info("HH_DEAD")).config.max_bytes == 2**21
        assert (await js.stream_info("HH_default")).state.messages == 1


@pytest.mark.parametrize(("most", "most_bytes", "locked"), [(100, 10**6, 4), (3, 10**6, 2), (100, 1, 1)])
async def test_only_the_oldest_messages_are_searched_for_missing_keys(
    broker: Broker, monkeypatch: pytest.MonkeyPatch, most: int, most_bytes: int, locked: int
) -> None:
    monkeypatch.setattr(streams, "_LOOKED_AT", most)
    monkeypatch.setattr(streams, "_LOOKED_AT_BYTES", most_bytes)
    config = config_for(broker, {"default": NOWHERE})
    await make_streams(config)
    cipher = Cipher([KEY])
    for number, sealing in enumerate((cipher, NO_CIPHER, cipher, cipher, cipher)):
        await publish(broker, [event(number)], cipher=sealing)
    (destination,) = config.destinations
    assert cipher.key_id is not None
    async with administering(config) as js:
        found = await streams.locked_in(js, destination, NO_CIPHER)
        assert found == Locked(locked, (cipher.key_id.hex(),))
        assert await streams.locked_in(js, destination, cipher) == Locked(0, ())
