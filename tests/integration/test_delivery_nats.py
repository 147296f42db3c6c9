"""Delivery to a stream of a real NATS server: each event is there once, and marked only if it may be there twice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Dict, Iterator, List

import pytest

from honeyhive_litellm._broker import silence
from honeyhive_litellm._broker.message import Received, received
from honeyhive_litellm._broker.names import stream_of
from honeyhive_litellm._delivery.sinks.nats import MESSAGE_TOO_LARGE
from honeyhive_litellm._runtime.channels import without_settings
from honeyhive_litellm._runtime.drain import Drain
from honeyhive_litellm._spool.dead_letters import letters

from ..rig import event, running
from ..support.broker import MAX_PAYLOAD, Broker

NOWHERE = "http://127.0.0.1:9"
SESSION = "0e8a3f52-5d0e-4f0a-8a54-0d6a2f6a3a11 chat ä 42"

USERS = """
accounts {{ A {{ jetstream: enabled, users: [
  {{ user: admin, password: admin }}
  {{ user: app, password: "p@ss", permissions: {{ publish: ["{publish}"], subscribe: ["{subscribe}"] }} }}
] }} }}
"""


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with Broker(tmp_path_factory.mktemp("broker")) as running_broker:
        yield running_broker


async def stored(broker: Broker, destination: str) -> Dict[str, Received]:
    """The events in a destination's stream by their id, of which each is there once."""
    messages = [received(m.seq, m.headers, m.data) for m in await broker.messages(stream_of(destination))]
    found = {message.row.id: message for message in messages}
    assert len(found) == len(messages)
    return found


def ids_of(numbers: range) -> List[str]:
    return [event(number).id for number in numbers]


async def test_events_are_stored_once_and_the_spool_is_empty_afterwards(broker: Broker, tmp_path: Path) -> None:
    await broker.add_stream("plain")
    async with running(tmp_path, NOWHERE, broker=broker.address, broker_destination="plain") as rig:
        await rig.take([event(i, SESSION if i % 2 else None) for i in range(350)])
        await rig.settled()
        assert rig.stats.delivered == 350
    found = await stored(broker, "plain")
    assert set(found) == set(ids_of(range(350)))
    for number in range(350):
        message, record = found[event(number).id], event(number, SESSION if number % 2 else None)
        assert (message.row.body, message.row.started_ms) == (record.body, record.started_ms)
        assert message.row.session == (SESSION if number % 2 else None)
        assert (message.project, message.may_be_duplicate) == ("p", False)
    assert [path.name for path in (tmp_path / "destinations" / "plain").iterdir()] == ["ledger.db"]


async def test_what_waits_for_one_destination_never_goes_to_another(broker: Broker, tmp_path: Path) -> None:
    await broker.add_stream("chat", max_bytes=1_000_000)
    for destination in ("default", "search"):  # no streams
        async with running(tmp_path, NOWHERE, broker=broker.address, broker_destination=destination) as rig:
            await rig.take([event(i) for i in range(3)])
            await rig.until(lambda: "no stream takes the subject" in str(rig.stats.last_error))
    settings = rig.settings
    async with running(tmp_path, NOWHERE, broker=broker.address, broker_destination="chat") as rig:
        assert list(await without_settings(rig.settings)) == ["default", "search"]
        await rig.take([event(9)])
        await rig.settled()
        assert rig.stats.delivered == 1
    assert set(await stored(broker, "chat")) == {event(9).id}
    for destination in ("default", "search"):
        await broker.add_stream(destination, max_bytes=1_000_000)
        drain = Drain({None: replace(settings, broker_destination=destination)}, follow=False, timeout_s=30)
        assert (await drain.run()).delivered == 3
        assert set(await stored(broker, destination)) == set(ids_of(range(3)))


async def test_a_full_stream_makes_events_wait_and_loses_none(broker: Broker, tmp_path: Path) -> None:
    await broker.add_stream("full", max_bytes=100_000)
    async with running(tmp_path, NOWHERE, broker=broker.address, broker_destination="full") as rig:
        await rig.take([event(i, text="x" * 1000) for i in range(200)])
        await rig.until(lambda: rig.stats.last_error)
        assert "may be full; error 10077" in str(rig.stats.last_error)
        client = await broker.connect()
        seen: Dict[str, Received] = {}
        while rig.stats.pending:
            for id_, message in (await stored(broker, "full")).items():
                assert id_ not in seen or seen[id_] == message
                seen[id_] = message
                await client.jetstream().delete_msg(stream_of("full"), message.row.seq)
        seen.update(await stored(broker, "full"))
        await client.close()
        assert set(seen) == set(ids_of(range(200)))
        assert not any(message.may_be_duplicate for message in seen.values())
        assert (rig.stats.delivered, rig.stats.dead, rig.stats.dropped) == (200, 0, {})


async def test_events_that_are_too_large_become_dead_letters_and_no_others(broker: Broker, tmp_path: Path) -> None:
    await broker.add_stream("large")
    too_large = {
        3: MAX_PAYLOAD,  # for the client
        50: MAX_PAYLOAD - 350,  # with its headers for the server, which would end the connection
        51: MAX_PAYLOAD - 1100,  # for the stream
    }
    async with running(tmp_path, NOWHERE, broker=broker.address, broker_destination="large") as rig:
        await rig.take([event(i, text="x" * too_large.get(i, 10)) for i in range(100)])
        await rig.settled()
        assert (rig.stats.delivered, rig.stats.dead) == (97, 3)
        assert rig.stats.last_error is None
    found = await stored(broker, "large")
    assert set(found) == set(ids_of(range(100))) - {event(number).id for number in too_large}
    assert not any(message.may_be_duplicate for message in found.values())
    dead = letters(tmp_path / "destinations" / "large")
    assert {letter.id for letter in dead} == {event(number).id for number in too_large}
    assert {letter.status for letter in dead} == {MESSAGE_TOO_LARGE}


async def test_what_is_denied_pauses_with_the_reason_until_it_is_permitted(tmp_path: Path) -> None:
    folder = tmp_path / "broker"
    folder.mkdir()
    right = {"publish": "honeyhive.events.default", "subscribe": "_INBOX.hhapp.>"}
    wrong = {"publish": "honeyhive.events.other", "subscribe": "_INBOX.else.>"}
    with Broker(folder, extra=USERS.format(**right), login="admin:admin") as broker:
        await broker.add_stream("default")
        address = broker.address_of("app:p%40ss@")
        number = 0
        for operation, denial in (
            ("publish", 'permission denied: publish to "honeyhive.events.default"'),
            ("subscribe", 'permission denied: subscription to "_inbox.hhapp.'),
        ):
            broker.configure(USERS.format(**{**right, operation: wrong[operation]}))
            broker.nodes[0].reload()
            async with running(tmp_path / "spool", NOWHERE, broker=address) as rig:
                await rig.take([event(number + i) for i in range(150)])
                await rig.until(lambda: "permission denied" in str(rig.stats.last_error))
                assert denial in str(rig.stats.last_error)
                assert "so the address, the login or its permissions are wrong: check" in str(rig.stats.last_error)
                assert "p@ss" not in str(rig.stats.last_error)
                assert len(await stored(broker, "default")) == number
                broker.configure(USERS.format(**right))
                broker.nodes[0].reload()
                await rig.settled()
            number += 150
        found = await stored(broker, "default")
        assert set(found) == set(ids_of(range(300)))
        # What was sent may have been stored before the permission went. To an inbox that is denied nothing is sent.
        assert any(found[id_].may_be_duplicate for id_ in ids_of(range(150)))
        assert not any(found[id_].may_be_duplicate for id_ in ids_of(range(150, 300)))


async def test_a_destination_without_a_stream_makes_events_wait(broker: Broker, tmp_path: Path) -> None:
    async with running(tmp_path, NOWHERE, broker=broker.address, broker_destination="later") as rig:
        await rig.take([event(i) for i in range(10)])
        await rig.until(lambda: "no stream takes the subject" in str(rig.stats.last_error))
        await broker.add_stream("later")
        await rig.settled()
    found = await stored(broker, "later")
    assert set(found) == set(ids_of(range(10)))
    assert not any(message.may_be_duplicate for message in found.values())


async def test_while_a_stream_has_no_leader_no_batch_is_sent_again(broker: Broker, tmp_path: Path) -> None:
    async with running(tmp_path, NOWHERE, broker=broker.address, broker_destination="absent") as rig:
        before = broker.nodes[0].monitor("varz")["in_bytes"]
        await rig.take([event(i, text="x" * 10_000) for i in range(100)])
        await rig.until(lambda: rig.flusher._breaker.failures >= 8)
        sent = broker.nodes[0].monitor("varz")["in_bytes"] - before
        assert 1_000_000 < sent < 1_200_000  # each event once
        await broker.add_stream("absent", max_bytes=10_000_000)
        await rig.settled()
    assert set(await stored(broker, "absent")) == set(ids_of(range(100)))


async def test_a_server_that_is_cut_off_from_the_stream_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silence, "FIRST_LEAVE_S", 0.1)
    (tmp_path / "cut").mkdir()
    (tmp_path / "whole").mkdir()
    with Broker(tmp_path / "cut") as cut, Broker(tmp_path / "whole") as whole:
        await whole.add_stream("default")
        whole.nodes[0].kill()
        address = f"{cut.address},{whole.address}"
        async with running(tmp_path / "spool", NOWHERE, broker=address) as rig:
            await rig.take([event(i) for i in range(150)])
            await rig.until(lambda: "no stream takes the subject" in str(rig.stats.last_error))
            whole.start()
            await rig.settled()
        found = await stored(whole, "default")
    assert set(found) == set(ids_of(range(150)))
