"""One relay on a real broker: every event of the streams is in the collector once, whatever happens."""

from __future__ import annotations

import asyncio
import uuid
from typing import Iterator, List

import pytest
from nats.aio.msg import Msg

from honeyhive_litellm._broker.connection import Connection
from honeyhive_litellm._broker.names import RELAY_INBOX
from honeyhive_litellm._relay.dead_letters import letters, purge, retry
from honeyhive_litellm._relay.standing_pull import StandingPull
from honeyhive_litellm._relay.streams import CREATED, UNCHANGED
from honeyhive_litellm.testing import Collector

from ..support.broker import Broker
from ..waiting import let_others_run, until_on_loop
from .fleet import (
    Balance,
    administering,
    assert_once,
    balance,
    config_for,
    delivered,
    event,
    in_hand,
    make_streams,
    publish,
    relaying,
    until_balance,
)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with Broker(tmp_path_factory.mktemp("broker")) as started:
        yield started


async def test_events_and_their_sessions_are_delivered_once_and_the_numbers_say_so(broker: Broker) -> None:
    session = f"{uuid.uuid4()} chat 42"
    with Collector() as collector:
        config = config_for(broker, {"plain": collector.url})
        assert {made.change for made in await make_streams(config)} <= {CREATED, UNCHANGED}
        assert {made.change for made in await make_streams(config)} == {UNCHANGED}
        await publish(broker, [event(i, session if i < 3 else None) for i in range(250)], "plain")
        async with relaying(config) as relay:
            await until_on_loop(lambda: delivered(relay) == 250, what=relay.states)
        assert_once(collector, range(250))
        assert [found["event_name"] for found in collector.sessions if found["session_id"] == session[:36]] == [
            "chat 42"
        ]
        await until_balance(config, Balance(250, 250))


async def test_a_standing_pull_gets_no_more_than_there_is_room_for(broker: Broker) -> None:
    config = config_for(broker, {"standing": "http://127.0.0.1:1"})
    await make_streams(config)
    await publish(broker, [event(i) for i in range(100)], "standing")
    taken: List[Msg] = []
    seen = 0
    (destination,) = config.destinations
    connection = Connection(config.broker, name="test", inbox_prefix=RELAY_INBOX)
    pull = StandingPull(
        connection,
        destination.stream,
        destination.consumer,
        most_bytes=1_000_000,
        room=lambda: 20 - len(taken),
        most_room=20,
        on_message=taken.append,
        on_loss=lambda: None,
        on_deleted=lambda: None,
    )
    running = asyncio.ensure_future(pull.run())
    while seen < 100:
        await until_on_loop(lambda: len(taken) >= 20)
        await let_others_run()
        assert len(taken) == 20
        seen += len(taken)
        taken.clear()
        pull.resume()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await connection.aclose()


async def test_events_of_a_megabyte_go_out_in_requests_that_the_server_takes(broker: Broker) -> None:
    with Collector() as collector:
        config = config_for(broker, {"large": collector.url})
        await make_streams(config)
        await publish(broker, [event(i, text="x" * 2**20) for i in range(12)], "large")
        async with relaying(config):
            await until_balance(config, Balance(12, 12))
        assert_once(collector, range(12))


async def test_an_outage_of_the_server_and_lost_replies_lose_and_double_nothing(broker: Broker) -> None:
    with Collector() as collector:
        config = config_for(broker, {"outage": collector.url})
        await make_streams(config)
        collector.drop(after=True, times=2, path="/v1/events/batch")
        await publish(broker, [event(i) for i in range(300)], "outage")
        async with relaying(config) as relay:
            await until_on_loop(lambda: delivered(relay) == 300, what=relay.states)
            collector.down()
            await publish(broker, [event(i) for i in range(300, 600)], "outage")
            await until_on_loop(lambda: relay.states()[0].is_circuit_open)
            collector.up()
            await until_on_loop(lambda: delivered(relay) == 600, what=relay.states)
        assert_once(collector, range(600))


async def test_a_destination_with_a_bad_key_holds_up_no_other(broker: Broker) -> None:
    with Collector(keys={"hh_good"}) as collector:
        config = config_for(
            broker, {"good": collector.url, "bad": collector.url}, {"good": "hh_good", "bad": "hh_secret"}
        )
        assert "hh_good" not in repr(config) and "hh_secret" not in repr(config)
        await make_streams(config)
        await publish(broker, [event(i) for i in range(50)], "bad")
        await publish(broker, [event(i) for i in range(100, 400)], "good")
        async with relaying(config) as relay:
            await until_on_loop(lambda: delivered(relay) == 300, what=relay.states)
            await until_on_loop(lambda: relay.states()[1].trouble)
            assert "the key or the address is wrong" in str(relay.states()[1].trouble)
        assert_once(collector, range(100, 400))
        await until_balance(config, Balance(300, 300), Balance(50, 0, waiting=50))


async def test_a_refused_event_is_a_dead_letter_and_delivered_by_a_retry(broker: Broker) -> None:
    with Collector() as collector:
        config = config_for(broker, {"refused": collector.url})
        await make_streams(config)
        bad = [event(7), event(8)]
        for row in bad:
            collector.poison(row.id, 422, body="no such field")
        await publish(broker, [event(i) for i in range(20)], "refused")
        async with relaying(config), administering(config) as js:
            await until_balance(config, Balance(20, 18, dead=2))
            first, second = [letter async for letter in letters(js, "refused")]
            assert {first.id, second.id} == {row.id for row in bad}
            assert (first.status, first.reason, first.destination) == (422, "no such field", "refused")
            await retry(js, [first])  # within the broker's window for duplicates, and refused again
            await until_balance(config, Balance(20, 18, dead=2))
            collector.clear()
            remaining = [letter async for letter in letters(js, "refused")]
            await retry(js, [letter for letter in remaining if letter.id == first.id])
            await until_balance(config, Balance(20, 19, dead=1))
            await purge(js, [letter async for letter in letters(js, "refused")])
            await until_balance(config, Balance(20, 19, purged=1))
        assert_once(collector, [i for i in range(20) if event(i).id != second.id])


async def test_while_dead_letters_cannot_be_stored_the_event_stays_in_its_stream(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("honeyhive_litellm._delivery.flusher._DEAD_LETTER_RETRY_S", 0.1)
    with Collector() as collector:
        config = config_for(broker, {"undertaker": collector.url})
        await make_streams(config)
        collector.poison(event(3).id, 400)
        await publish(broker, [event(i) for i in range(10)], "undertaker")
        async with administering(config) as js:
            await js.delete_stream("HH_DEAD")
            async with relaying(config) as relay:
                await until_on_loop(lambda: delivered(relay) == 9, what=relay.states)
                await until_on_loop(lambda: relay.states()[0].in_hand == 1, what=relay.states)
                assert relay.states()[0].dead == 0
                await make_streams(config)
                await until_balance(config, Balance(10, 9, dead=1))
        assert_once(collector, [i for i in range(10) if i != 3])


async def test_a_message_that_is_no_event_is_a_dead_letter(broker: Broker) -> None:
    with Collector() as collector:
        config = config_for(broker, {"foreign": collector.url})
        await make_streams(config)
        client = await broker.connect()
        await client.jetstream().publish("honeyhive.events.foreign", b"hello")
        await client.close()
        await publish(broker, [event(i) for i in range(3)], "foreign")
        async with relaying(config), administering(config) as js:
            await until_balance(config, Balance(4, 3, dead=1))
            (letter,) = [letter async for letter in letters(js, "foreign")]
            assert (letter.body, letter.reason) == (b"hello", "the message holds no event")
        assert_once(collector, range(3))


async def test_what_an_application_published_again_is_delivered_once(broker: Broker) -> None:
    with Collector() as collector:
        config = config_for(broker, {"again": collector.url})
        await make_streams(config)
        await publish(broker, [event(i) for i in range(150)], "again")
        # After the broker's window for duplicates, while the first ones still wait, and after they are delivered.
        await publish(broker, [event(i) for i in range(150)], "again", may_be_duplicate=True, suffix=".2")
        async with relaying(config) as relay:
            await until_balance(config, Balance(300, 300))
            assert delivered(relay) == 150
        await publish(broker, [event(i) for i in range(160)], "again", may_be_duplicate=True, suffix=".3")
        async with relaying(config) as relay:  # which remembers nothing
            await until_balance(config, Balance(460, 460))
        assert_once(collector, range(160))


async def test_with_a_key_that_only_writes_acknowledgements_are_confirmed(broker: Broker) -> None:
    with Collector() as collector:
        config = config_for(broker, {"writes": collector.url}, {"writes": "hh_ingst_key"})
        await make_streams(config)
        await publish(broker, [event(i) for i in range(300)], "writes")
        async with relaying(config) as relay:
            await until_on_loop(lambda: delivered(relay) == 300, what=relay.states)
        assert await balance(config) == [Balance(300, 300)]
        assert_once(collector, range(300))


async def test_relays_share_a_stream_and_one_that_ends_gives_back_what_it_has(broker: Broker) -> None:
    with Collector() as collector:
        config = config_for(broker, {"shared": collector.url}, ack_wait=60, workers=1)
        await make_streams(config)
        await publish(broker, [event(i) for i in range(400)], "shared")
        collector.fail(503, path="/v1/events/batch")
        async with relaying(config) as relay:
            await until_on_loop(lambda: in_hand(relay) >= 200, what=relay.states)
            async with relaying(config) as other:
                await until_on_loop(lambda: in_hand(other) >= 100, what=other.states)
                collector.clear()
                relay.stop()
                await until_balance(config, Balance(400, 400))
        assert_once(collector, range(400))
