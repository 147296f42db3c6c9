"""A spool in memory, for pods without a disk: published at once, bounded, no file, and every lost event is counted."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Dict, Iterator

import pytest

from honeyhive_litellm import ConfigError, Settings
from honeyhive_litellm._broker.names import stream_of

from ..rig import event, running
from ..support.broker import MAX_PAYLOAD, Broker
from .programs import SPOOL_HEAD, start

IN_MEMORY = Path(":memory:")
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with Broker(tmp_path_factory.mktemp("broker")) as running_broker:
        yield running_broker


@pytest.fixture(autouse=True)
def _no_file_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    yield
    assert os.listdir(tmp_path) == []


def test_it_is_for_a_process_that_delivers_to_a_broker() -> None:
    for options in ({}, {"broker": "nats://n1", "flush": "no"}):
        with pytest.raises(ConfigError, match="is for a process that delivers to a broker"):
            Settings.resolve({}, project="p", api_key="hh_k", spool_path=":memory:", **options)
    assert Settings.resolve({}, project="p", broker="nats://n1", spool_path=" :memory: ").spool_path == IN_MEMORY


async def test_events_are_published_at_once_and_refused_ones_are_counted(broker: Broker) -> None:
    await broker.add_stream("memory")
    async with running(IN_MEMORY, NOWHERE, broker=broker.address, broker_destination="memory") as rig:
        await rig.take([event(i, text="x" * (MAX_PAYLOAD if i == 50 else 10)) for i in range(300)])
        await rig.settled()
        assert (rig.stats.delivered, rig.stats.dropped) == (299, {"refused": 1})
    assert len(await broker.messages(stream_of("memory"))) == 299


async def test_the_oldest_are_dropped_when_the_memory_is_full(tmp_path: Path) -> None:
    async with running(IN_MEMORY, NOWHERE, broker="nats://127.0.0.1:9", spool_max_bytes=2**20) as rig:
        for first in range(0, 2000, 100):
            await rig.take([event(first + i, text="x" * 1000) for i in range(100)])
        stats = rig.stats
        assert 0 < stats.dropped["memory"] < 2000
        assert stats.pending + stats.dropped["memory"] == 2000
        assert sum(segment.size for segment in rig.spool.segments()) < 2 * 2**20


CODE = """
import json
began = time.monotonic()
put("first")
RUNTIME.flush(2)
late = []
for number in range(10 if RUNTIME.stats().delivered else 0):
    at = time.monotonic()
    put(f"event {number}")
    until(lambda: RUNTIME.stats().pending == 0, every_s=0.001)
    late.append(time.monotonic() - at)
put("last")
at = time.monotonic()
RUNTIME.shutdown(2)
print(json.dumps({"late": late, "exit": time.monotonic() - at, "stats": RUNTIME.stats().__dict__}))
"""


async def ended(destination: str, address: str) -> Dict[str, Any]:
    variables: Dict[str, Any] = {"HONEYHIVE_BROKER": address, "HONEYHIVE_BROKER_DESTINATION": destination}
    with start(CODE, NOWHERE, IN_MEMORY, SPOOL_HEAD, **variables) as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    found: Dict[str, Any] = {**json.loads(out), "log": err}
    return found


async def test_an_exit_publishes_what_is_left_and_nothing_is_logged(broker: Broker) -> None:
    await broker.add_stream("exit")
    found = await ended("exit", broker.address)
    assert (found["stats"]["delivered"], found["stats"]["dropped"], found["log"]) == (12, {}, "")
    assert min(found["late"]) < 0.3  # 50 ms on a machine of its own
    assert len(await broker.messages(stream_of("exit"))) == 12


async def test_an_exit_without_a_broker_is_in_time_and_counts_what_is_lost() -> None:
    found = await ended("none", "nats://127.0.0.1:9")
    assert found["exit"] < 4
    assert (found["stats"]["pending"], found["stats"]["dropped"]) == (0, {"memory": 2})
    assert "undelivered events of a spool in memory are lost" in found["log"]
