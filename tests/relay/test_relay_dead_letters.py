"""The stream of dead letters on a real broker: what is in it, what others do to it, and what each trouble is called."""

from __future__ import annotations

import base64
from contextlib import asynccontextmanager
from pathlib import Path
from typing import AsyncIterator, Iterator, List

import pytest
from nats.js import JetStreamContext

from honeyhive_litellm._broker.connection import Connection
from honeyhive_litellm._broker.names import DEAD_STREAM, RELAY_INBOX, dead_subject_of
from honeyhive_litellm._config.broker import BrokerAccess
from honeyhive_litellm._privacy.cipher import NO_CIPHER, Cipher
from honeyhive_litellm._relay import dead_letters, streams
from honeyhive_litellm._relay.dead_letters import (
    Account,
    DeadLetterError,
    RelayLetter,
    account_of,
    add_dead_letter,
    letters,
    purge,
    retry,
)
from honeyhive_litellm.testing import Collector

from ..support.broker import Broker
from ..waiting import until_on_loop
from .fleet import (
    Balance,
    administering,
    config_for,
    delivered,
    event,
    in_hand,
    make_streams,
    publish,
    relaying,
    until_balance,
)

NOWHERE = "http://127.0.0.1:9"
NAME = "letters"
KEY = bytes(range(32))


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with Broker(tmp_path) as started:
        yield started


@asynccontextmanager
async def with_streams(broker: Broker) -> AsyncIterator[JetStreamContext]:
    config = config_for(broker, {NAME: NOWHERE})
    await make_streams(config)
    async with administering(config) as js:
        yield js


@asynccontextmanager
async def connected(address: str) -> AsyncIterator[Connection]:
    connection = Connection(BrokerAccess.of(address), name="test", inbox_prefix=RELAY_INBOX)
    try:
        yield connection
    finally:
        await connection.aclose()


async def bury(broker: Broker, *numbers: int, cipher: Cipher = NO_CIPHER) -> None:
    async with connected(broker.address) as connection:
        for number in numbers:
            row = event(number)._replace(seq=number)
            await add_dead_letter(connection, NAME, row, "p", 400, f"no {number}", cipher)


async def all_letters(js: JetStreamContext, cipher: Cipher = NO_CIPHER) -> List[RelayLetter]:
    return [letter async for letter in letters(js, NAME, cipher)]


async def test_messages_of_others_are_no_letters(broker: Broker) -> None:
    async with with_streams(broker) as js:
        await bury(broker, 1)
        subject = dead_subject_of(NAME)
        await js.publish(subject, b"hello")
        await js.publish(subject, b"hello", headers={"Nats-Msg-Id": "x", "HH-Refused-At": "yesterday"})
        await js.publish(subject, b"hello", headers={"Nats-Msg-Id": "y", "HH-Status": "bad"})
        await bury(broker, 2)
        assert [(letter.id, letter.reason) for letter in await all_letters(js)] == [
            (event(1).id, "no 1"),
            (event(2).id, "no 2"),
        ]


async def test_a_damaged_reason_costs_the_reason_alone(broker: Broker) -> None:
    cipher = Cipher([KEY])
    async with with_streams(broker) as js:
        await bury(broker, 1, cipher=cipher)
        stored = await js.get_msg(DEAD_STREAM, 1)
        assert stored.headers is not None and stored.data is not None
        sealed = stored.headers["HH-Encrypted-Reason"]
        changed = base64.b64encode(base64.b64decode(sealed)[:-1]).decode()
        for number, reason in enumerate(("!", changed, sealed)):
            headers = {**stored.headers, "HH-Encrypted-Reason": reason, "Nats-Msg-Id": f"copy.{number}"}
            await js.publish(dead_subject_of(NAME), stored.data, headers=headers)
        found = await all_letters(js, cipher)
        assert [letter.reason for letter in found] == ["no 1", "(damaged)", "(damaged)", "no 1"]
        assert {letter.id for letter in found} == {event(1).id}


async def test_letters_that_another_process_removed_count_as_done(broker: Broker) -> None:
    async with with_streams(broker) as js:
        await bury(broker, 1, 2, 3)
        chosen = await all_letters(js)
        await js.delete_msg(DEAD_STREAM, chosen[0].seq)
        await purge(js, chosen[:2])
        await js.delete_msg(DEAD_STREAM, chosen[2].seq)
        await retry(js, chosen[2:])
        assert await all_letters(js) == []
        assert (await account_of(js, NAME))[:2] == (1, 2)


async def test_a_retry_that_stops_half_way_says_how_far_it_came_and_counts_it(broker: Broker) -> None:
    async with with_streams(broker) as js:
        await bury(broker, 1, 2, 3)
        config = (await js.stream_info("HH_letters")).config
        await js.update_stream(config.evolve(max_msgs=1))
        with pytest.raises(DeadLetterError, match="1 of 3 were sent again: maximum messages exceeded"):
            await retry(js, await all_letters(js))
        assert [letter.id for letter in await all_letters(js)] == [event(2).id, event(3).id]
        assert (await account_of(js, NAME))[:2] == (1, 0)


async def test_where_a_stream_is_missing_nothing_is_removed_and_the_remedy_is_named(broker: Broker) -> None:
    async with with_streams(broker) as js:
        await bury(broker, 1)
        chosen = await all_letters(js)
        await js.delete_stream("HH_letters")
        with pytest.raises(DeadLetterError, match=r"0 of 1 were sent again: .*run `honeyhive-litellm relay init`"):
            await retry(js, chosen)
        assert await all_letters(js) == chosen
        assert await account_of(js, NAME) == Account()
        await js.delete_stream(DEAD_STREAM)
        for work in (all_letters(js), account_of(js, NAME), purge(js, chosen)):
            with pytest.raises(DeadLetterError, match=r"a stream is missing .*run `honeyhive-litellm relay init`"):
                await work


async def test_an_account_that_cannot_be_written_is_an_error(broker: Broker) -> None:
    async with with_streams(broker) as js:
        await bury(broker, 1, 2)
        chosen = await all_letters(js)
        config = (await js.stream_info(DEAD_STREAM)).config
        await js.update_stream(config.evolve(max_msg_size=1))
        with pytest.raises(DeadLetterError, match="message size exceeds maximum allowed"):
            await purge(js, chosen[:1])
        await js.update_stream(config)
        await purge(js, chosen[1:])
        assert (await account_of(js, NAME))[:2] == (0, 1)


async def test_a_connection_that_is_closed_is_an_error_of_every_command(broker: Broker) -> None:
    async with with_streams(broker) as js:
        await bury(broker, 1)
        chosen = await all_letters(js)
    for work in (retry(js, chosen), purge(js, chosen), all_letters(js), account_of(js, NAME)):
        with pytest.raises(DeadLetterError, match="connection closed"):
            await work
    (destination,) = config_for(broker, {NAME: NOWHERE}).destinations
    for reading in (streams.numbers_of(js, destination), streams.locked_in(js, destination, NO_CIPHER)):
        with pytest.raises(streams.BrokerError, match="the broker does not answer for HH_letters"):
            await reading
    async with with_streams(broker) as other:
        assert await all_letters(other) == chosen


USERS = """
accounts { A { jetstream: enabled, users: [
  { user: admin, password: admin }
  { user: relay, password: pw, permissions: { publish: ["%s"], subscribe: ["_INBOX.hhrelay.>"] } }
] } }
"""


async def test_a_letter_that_is_not_stored_is_an_error_that_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letters, "_TIMEOUT_S", 0.5)

    async def reason(connection: Connection) -> str:
        with pytest.raises(DeadLetterError) as failed:
            await add_dead_letter(connection, NAME, event(1), "p", 400, "no")
        return str(failed.value)

    with Broker(tmp_path, extra=USERS % "nothing", login="admin:admin") as broker:
        async with connected(broker.address) as connection:
            assert await reason(connection) == (
                "the stream HH_DEAD has no leader or is missing: if this lasts, run `honeyhive-litellm relay init`"
            )
        async with connected(broker.address_of("relay:pw@")) as connection:
            assert await reason(connection) == f'not permitted: publish to "{dead_subject_of(NAME)}"'
            assert connection.denial is None  # so that the next trouble is not called by this name
        async with connected(broker.address) as connection:
            js = (await connection.client()).jetstream()
            await js.add_stream(name="OTHER", subjects=["honeyhive.dead.>"])
            assert await reason(connection) == "the stream HH_DEAD does not confirm it (BadRequestError)"
        broker.end()
        async with connected(broker.address) as connection:
            assert await reason(connection) in ("connection refused", "no connection in time")


# A relay and its letters


async def test_every_message_of_a_refused_event_becomes_a_letter(broker: Broker) -> None:
    with Collector() as collector:
        config = config_for(broker, {NAME: collector.url})
        await make_streams(config)
        collector.poison(event(1).id, 400)
        for suffix in ("", ".2", ".3"):
            await publish(broker, [event(1)], NAME, suffix=suffix)
        async with relaying(config) as relay:
            await until_balance(config, Balance(3, 0, dead=3))
            assert (in_hand(relay), relay.states()[0].dead) == (0, 3)
        assert collector.events == []


async def test_a_message_that_is_no_event_waits_until_its_letter_can_be_stored(
    broker: Broker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("honeyhive_litellm._relay.stream_source._LETTER_RETRY_S", 0.1)
    with Collector() as collector:
        config = config_for(broker, {NAME: collector.url}, ack_wait=0.5)
        await make_streams(config)
        async with administering(config) as js:
            await js.delete_stream(DEAD_STREAM)
            await js.publish(f"honeyhive.events.{NAME}", b"hello")
            await publish(broker, [event(1)], NAME)
            async with relaying(config) as relay:
                await until_on_loop(lambda: "dead letters cannot be written" in caplog.text)
                await until_on_loop(lambda: delivered(relay) == 1, what=relay.states)
                assert relay.states()[0].dead == 0
                await make_streams(config)
                await until_balance(config, Balance(2, 1, dead=1))
