"""What the broker does to a relay: permissions, and nodes that die or hang."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from honeyhive_litellm._broker import silence
from honeyhive_litellm._config.readers import WRITE_ONLY_KEY
from honeyhive_litellm.testing import Collector

from ..support.broker import Broker
from ..waiting import until_on_loop
from .fleet import (
    KEY,
    Balance,
    administering,
    assert_once,
    config_for,
    delivered,
    event,
    in_hand,
    make_streams,
    publish,
    relaying,
    trouble,
    until_balance,
)

# What docs/how-to/relay.md says that a relay needs; `wrong` misses the dead letters, `blind` the inbox.
USERS = """
accounts { A { jetstream: enabled, users: [
  { user: admin, password: admin }
  { user: relay, password: pw, permissions: {
      publish: ["$JS.API.CONSUMER.MSG.NEXT.HH_a.relay-a", "$JS.ACK.HH_a.relay-a.>", "honeyhive.dead.a"]
      subscribe: ["_INBOX.hhrelay.>"] } }
  { user: blind, password: pw, permissions: {
      publish: ["$JS.API.CONSUMER.MSG.NEXT.HH_a.relay-a", "$JS.ACK.HH_a.relay-a.>", "honeyhive.dead.a"]
      subscribe: ["_INBOX.other.>"] } }
] } }
"""


async def test_a_relay_works_with_the_permissions_of_the_page_and_says_what_is_denied(tmp_path: Path) -> None:
    with Broker(tmp_path, extra=USERS, login="admin:admin") as broker, Collector() as collector:
        admin = config_for(broker, {"a": collector.url})
        await make_streams(admin)
        collector.poison(event(5).id, 422)
        await publish(broker, [event(i) for i in range(10)], "a")
        blind = config_for(broker, {"a": collector.url}, broker=broker.address_of("blind:pw@"))
        async with relaying(blind) as relay:
            await until_on_loop(lambda: "not permitted" in trouble(relay), what=relay.states)
            assert "_inbox.hhrelay" in trouble(relay).lower()
        async with relaying(config_for(broker, {"a": collector.url}, broker=broker.address_of("relay:pw@"))):
            await until_balance(admin, Balance(10, 9, dead=1))
        assert_once(collector, [i for i in range(10) if i != 5])


async def test_streams_are_made_although_a_node_joins_late(tmp_path: Path) -> None:
    with Broker(tmp_path, nodes=3) as broker, Collector() as collector:
        leader = broker.nodes[0].monitor("jsz")["meta_cluster"]["leader"]
        late = next(node for node in broker.nodes if node.name != leader)
        late.kill()
        making = asyncio.ensure_future(make_streams(config_for(broker, {"a": collector.url})))
        late.start()
        assert {made.replicas for made in await making} == {3}


async def test_a_follower_and_the_leader_die_and_a_node_hangs(tmp_path: Path) -> None:
    with Broker(tmp_path, nodes=3) as broker, Collector() as collector:
        config = config_for(broker, {"a": collector.url})
        assert {made.replicas for made in await make_streams(config)} == {3}
        sent = 0

        async def publish_more() -> None:
            nonlocal sent
            await publish(broker, [event(i) for i in range(sent, sent + 200)], "a")
            sent += 200

        async with relaying(config) as relay:
            await publish_more()
            await until_on_loop(lambda: delivered(relay) == sent, what=relay.states)
            leader = await broker.leader_of("HH_a")
            follower = next(node for node in broker.nodes if node is not leader)
            for node in (follower, leader):
                node.kill()
                await publish_more()
                await until_on_loop(lambda: delivered(relay) == sent, what=relay.states)
                broker.start()
            hanging = await broker.leader_of("HH_a")
            hanging.stop()
            await publish_more()
            await until_on_loop(lambda: delivered(relay) == sent, what=relay.states)
            hanging.resume()
            await until_balance(config, Balance(sent, sent))
        assert_once(collector, range(sent))


async def test_what_a_broker_forgot_that_it_delivered_is_not_sent_again(tmp_path: Path) -> None:
    """A leader that is new may deliver for the first time, as it says, what its predecessor gave to another relay."""
    with Broker(tmp_path) as broker, Collector() as collector:
        config = config_for(broker, {"other": collector.url, "a": collector.url})
        await make_streams(config)
        async with relaying(config) as relay:
            await publish(broker, [event(1)], "other")
            await until_balance(config, Balance(1, 1), Balance(0, 0))
            broker.nodes[0].kill()
            await until_on_loop(lambda: not any(state.is_connected for state in relay.states()), what=relay.states)
            await asyncio.get_running_loop().run_in_executor(None, broker.start)
            await publish(broker, [event(1), event(2)], "a")
            await until_balance(config, Balance(1, 1), Balance(2, 2))
        assert_once(collector, [1, 2])


async def test_a_node_that_is_cut_off_from_the_stream_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "FIRST_LEAVE_S", 0.1)
    (tmp_path / "cut").mkdir()
    (tmp_path / "whole").mkdir()
    with Broker(tmp_path / "cut") as cut, Broker(tmp_path / "whole") as whole, Collector() as collector:
        admin = config_for(whole, {"a": collector.url})
        await make_streams(admin)
        await publish(whole, [event(i) for i in range(100)], "a")
        whole.nodes[0].kill()
        both = config_for(whole, {"a": collector.url}, broker=f"{cut.address},{whole.address}")
        async with relaying(both) as relay:
            await until_on_loop(lambda: "no leader" in trouble(relay), what=relay.states)
            whole.start()
            await until_balance(admin, Balance(100, 100))
        assert_once(collector, range(100))


@pytest.mark.parametrize("key", [KEY, f"{WRITE_ONLY_KEY}x"])
async def test_what_a_relay_has_of_a_deleted_stream_removes_nothing_from_the_new_one(key: str, tmp_path: Path) -> None:
    """A stream that is made again begins with the same numbers. With a key that may only write, acks are confirmed."""
    with Broker(tmp_path) as broker, Collector() as collector:
        config = config_for(broker, {"a": collector.url}, {"a": key}, request_timeout=20)
        await make_streams(config)
        async with administering(config) as js, relaying(config) as relay:
            collector.delay(3, times=1)
            await publish(broker, [event(i) for i in range(50)], "a")
            await until_on_loop(lambda: len(collector.requests) >= 1 and in_hand(relay) == 50, what=relay.states)
            collector.hang()  # all later requests
            await js.delete_stream("HH_a")
            await until_on_loop(lambda: trouble(relay), what=relay.states)
            await make_streams(config)
            await publish(broker, [event(i) for i in range(100, 150)], "a")
            await until_on_loop(lambda: delivered(relay) == 50, what=relay.states)
            await until_on_loop(lambda: in_hand(relay) == 50, what=relay.states)
            assert (await js.stream_info("HH_a")).state.messages == 50
            collector.clear()
            await until_balance(config, Balance(50, 50))
        assert_once(collector, [*range(50), *range(100, 150)])


async def test_a_relay_that_loses_its_broker_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Broker(tmp_path) as broker, Collector() as collector:
        config = config_for(broker, {"a": collector.url})
        await make_streams(config)
        async with relaying(config) as relay:
            await publish(broker, [event(1)], "a")
            await until_on_loop(lambda: delivered(relay) == 1, what=relay.states)
            broker.nodes[0].kill()
            await until_on_loop(lambda: "connection refused" in trouble(relay), what=relay.states)
            broker.start()
            await until_on_loop(lambda: not trouble(relay), what=relay.states)
    assert caplog.text.count("no messages can be taken from the stream HH_a now (connection refused)") == 1
    assert caplog.text.count("messages come from the stream HH_a again") == 1
