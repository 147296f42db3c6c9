"""Faults on the way to a real cluster of NATS servers: no event is lost, and what may be there twice is marked."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import defaultdict
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest

from honeyhive_litellm._broker import publisher
from honeyhive_litellm._broker.message import received
from honeyhive_litellm._broker.names import stream_of
from honeyhive_litellm._delivery.circuit_breaker import WORKERS
from honeyhive_litellm._spool.limits import BATCH_EVENTS

from ..rig import Rig, event, running
from ..support.broker import Broker
from ..waiting import until, until_on_loop
from .programs import SPOOL_HEAD, run, signal_ready, start

NOWHERE = "http://127.0.0.1:9"
STALL_S = 15.0
"""The longest stall of publishing when a node fails; on a machine of its own it is 5 s."""


@pytest.fixture(autouse=True)
def _deadlines_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher, "ACK_TIMEOUT_S", 1.0)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with Broker(tmp_path_factory.mktemp("cluster"), 3) as broker:
        # Before any fault: a node that has just come back is no place for a stream.
        for destination in ("leader", "down", "hangs"):
            asyncio.run(broker.add_stream(destination))
        yield broker


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with Broker(tmp_path_factory.mktemp("node")) as broker:
        yield broker


async def marks_of(broker: Broker, destination: str) -> Dict[str, List[bool]]:
    """For each event in the stream, by its id, whether its copies are marked as possible duplicates, oldest first."""
    found: Dict[str, List[bool]] = defaultdict(list)
    for message in await broker.messages(stream_of(destination)):
        event_message = received(message.seq, message.headers, message.data)
        found[event_message.row.id].append(event_message.may_be_duplicate)
    return found


def ids_of(count: int) -> List[str]:
    return [event(number).id for number in range(count)]


async def assert_each_once(broker: Broker, destination: str, count: int) -> None:
    found = await marks_of(broker, destination)
    assert set(found) == set(ids_of(count))
    assert {len(copies) for copies in found.values()} == {1}


async def test_the_leader_is_killed(cluster: Broker, tmp_path: Path) -> None:
    async with running(tmp_path, NOWHERE, broker=cluster.address, broker_destination="leader") as rig:
        await rig.take([event(i) for i in range(200)])
        leader = await cluster.leader_of(stream_of("leader"))
        began = time.monotonic()
        leader.kill()
        await rig.take([event(200 + i) for i in range(200)])
        await rig.settled()
        assert time.monotonic() - began < STALL_S
    cluster.start()
    await assert_each_once(cluster, "leader", 400)


async def test_all_nodes_are_down_and_come_back(cluster: Broker, tmp_path: Path) -> None:
    async with running(tmp_path, NOWHERE, broker=cluster.address, broker_destination="down") as rig:
        await rig.take([event(i) for i in range(200)])
        await rig.settled()
        for each in cluster.nodes:
            each.kill()
        await rig.take([event(200 + i) for i in range(200)])
        await rig.until(lambda: rig.stats.last_error)
        assert rig.stats.pending == 200
        cluster.start()
        await rig.settled()
    found = await marks_of(cluster, "down")
    assert set(found) == set(ids_of(400))
    assert {len(copies) for copies in found.values()} == {1}


async def test_the_node_that_it_is_connected_to_hangs(cluster: Broker, tmp_path: Path) -> None:
    async with running(tmp_path, NOWHERE, broker=cluster.address, broker_destination="hangs") as rig:
        await rig.take([event(i) for i in range(100)])
        await rig.settled()
        hanging = next(each for each in cluster.nodes if each.port == _port_of(rig))
        began = time.monotonic()
        hanging.stop()
        await rig.take([event(100 + i) for i in range(300)])
        await rig.settled()
        assert time.monotonic() - began < STALL_S
        hanging.resume()
    await until_on_loop(lambda: all(each.is_healthy() for each in cluster.nodes))
    await assert_each_once(cluster, "hangs", 400)


def _port_of(rig: Rig) -> int:
    sink: Any = rig.pipeline.sink
    port: int = sink._sink._connection._client.connected_url.port
    return port


async def test_a_killed_application_marks_what_it_may_have_published(node: Broker, tmp_path: Path) -> None:
    await node.add_stream("killed", duplicate_window_s=0.1)  # so that the stream keeps both copies
    variables: Dict[str, Any] = {"HONEYHIVE_BROKER": node.address, "HONEYHIVE_BROKER_DESTINATION": "killed"}
    code = """
put(*(f"first {i}" for i in range(150)))
RUNTIME.flush(20)
print("flushed", flush=True)
sys.stdin.readline()
put(*(f"second {i}" for i in range(1000)))
committed(1150)
print("committed", flush=True)
sys.stdin.readline()
"""
    with start(code, NOWHERE, tmp_path, SPOOL_HEAD, **variables) as process:
        assert process.stdin is not None
        assert signal_ready(process) == "flushed"
        node.nodes[0].stop()
        process.stdin.write("\n")
        process.stdin.flush()
        assert signal_ready(process) == "committed"
        until(lambda: _unread_bytes(node.nodes[0].port) > 0)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    node.nodes[0].resume()
    run('print("left", RUNTIME.flush(30))', NOWHERE, tmp_path, head=SPOOL_HEAD, **variables)
    found = await marks_of(node, "killed")
    assert len(found) == 1150
    marked = {id_ for id_, copies in found.items() if copies[-1]}
    assert 0 < len(marked) <= WORKERS * BATCH_EVENTS
    for copies in found.values():
        assert copies in ([False], [True], [False, True]), "the copy of an event that was published before is marked"


def _unread_bytes(port: int) -> int:
    """How much was sent to this port of loopback and not yet read."""
    total = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        local, queues = line.split()[1], line.split()[4]
        if int(local.partition(":")[2], 16) == port:
            total += int(queues.partition(":")[2], 16)
    return total


async def test_a_forked_child_has_a_connection_of_its_own(node: Broker, tmp_path: Path) -> None:
    await node.add_stream("fork")
    variables: Dict[str, Any] = {"HONEYHIVE_BROKER": node.address, "HONEYHIVE_BROKER_DESTINATION": "fork"}
    code = """
put(*(f"parent {i}" for i in range(100)))
assert RUNTIME.flush(20) == 0
children = []
for number in range(2):
    child = os.fork()
    if child == 0:
        put(*(f"child {number} {i}" for i in range(100)))
        assert RUNTIME.flush(20) == 0
        os._exit(0)
    children.append(child)
put(*(f"parent again {i}" for i in range(100)))
assert RUNTIME.flush(20) == 0
assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
"""
    run(code, NOWHERE, tmp_path, head=SPOOL_HEAD, **variables)
    found = await marks_of(node, "fork")
    assert len(found) == 400
    assert {tuple(copies) for copies in found.values()} == {(False,)}
