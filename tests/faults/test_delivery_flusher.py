"""Faults of the package itself, and what a disk makes of a record: delivery goes on, and nothing is lost or doubled."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path
from typing import Any, Callable, Sequence

import pytest

from honeyhive_litellm import Settings
from honeyhive_litellm._delivery import flusher
from honeyhive_litellm._delivery.backoff import BackOff
from honeyhive_litellm._runtime.pipeline import Pipeline
from honeyhive_litellm._spool.dead_letters import letters
from honeyhive_litellm._spool.record import Row
from honeyhive_litellm._stats import Counters
from honeyhive_litellm.testing import Collector

from ..rig import event, running
from ..spools import dies, spool_in
from ..waiting import until_on_loop


def assert_once(collector: Collector, events: int) -> None:
    assert len(collector.events) == events
    assert set(collector.receipts.values()) == {1}


async def test_an_event_that_this_package_fails_on_holds_up_nobody_and_dies_in_the_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = event(0, f"{uuid.uuid4()} chat")._replace(body=b'{"event_id":"?","user_properties":')
    with Collector() as collector:
        async with running(tmp_path, collector.url) as rig:
            await rig.take([broken])
            await rig.take([event(i) for i in range(1, 100)])
            made = await rig.feed_until(lambda: rig.stats.dead == 1, 100)
        assert_once(collector, 99 + made)
    (letter,) = letters(tmp_path)
    assert (letter.id, letter.status) == (broken.id, None)
    assert "a batch could not be sent and is tried again: JSONDecodeError" in caplog.text


async def test_a_batch_of_damaged_events_alone_is_dropped_and_counted_without_a_request(tmp_path: Path) -> None:
    with Collector() as collector:
        dead = spool_in(tmp_path)
        await dead.append([event(i) for i in range(3)])
        (segment,) = dead.segments()
        assert segment.connection is not None
        await segment.connection.execute("UPDATE record SET crc = crc + 1")
        await segment.connection.commit()
        await dies(dead)
        async with running(tmp_path, collector.url) as rig:
            await rig.until(lambda: rig.stats.dropped == {"damaged": 3})
            await rig.take([event(9)])
            await rig.settled()
            assert (rig.stats.delivered, rig.stats.dead) == (1, 0)
        assert_once(collector, 1)
        assert len(collector.requests) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["ledger.db"]


async def test_a_fault_between_two_attempts_costs_a_batch_a_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(flusher, "_FAULT_RETRY_S", 0.05)
    draws = iter([None])  # a share of the pause that is no number, then a proper one

    def draw() -> float:
        return next(draws, 0.5)  # type: ignore[return-value]  # that is the fault

    with Collector() as collector:
        collector.fail(503, times=1)
        async with running(tmp_path, collector.url, back_off=BackOff(0.01, 0.01, draw)) as rig:
            await rig.take([event(i) for i in range(3)])
            await rig.settled()
            assert rig.stats.delivered == 3
        assert_once(collector, 3)
    assert "a batch could not be handled and is tried again: TypeError" in caplog.text


async def test_a_fault_after_the_delivery_doubles_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def fail(rows: Sequence[Row]) -> None:
        if rows[0].id == event(0).id:
            raise RuntimeError("a fault")

    with Collector() as collector:
        settings = Settings(api_url=collector.url, spool_path=tmp_path, api_key="hh_key", project="p")
        counters = Counters()
        pipeline = Pipeline(settings, counters, on_delivered=fail)
        pipeline.flusher.set_urgent(True)
        pipeline.start("flusher", pipeline.flusher.run)
        for number in range(2):
            counters.accept(1)
            await pipeline.spool.append([event(number)])
            pipeline.flusher.wake()
            await until_on_loop(lambda number=number: counters.snapshot().delivered == number + 1)  # type: ignore[misc]
        await pipeline.aclose()
        assert "a batch could not be handled and is tried again: RuntimeError('a fault')" in caplog.text
        async with running(tmp_path, collector.url) as heir:
            await heir.settled()
        assert_once(collector, 2)


async def test_a_fault_while_a_batch_is_taken_ends_no_delivery(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    loop = asyncio.get_running_loop()
    call_later = loop.call_later
    with Collector() as collector:
        async with running(tmp_path, collector.url) as rig:
            await rig.settled()
            rig.flusher.set_urgent(False)

            def fails_once(delay: float, callback: Callable[..., object], *args: Any) -> asyncio.TimerHandle:
                if callback == rig.flusher._no_linger.set:
                    monkeypatch.undo()
                    raise MemoryError
                return call_later(delay, callback, *args)

            monkeypatch.setattr(loop, "call_later", fails_once)
            await rig.take([event(1)])
            await rig.until(lambda: "no batch could be taken from the spool, trying again: MemoryError" in caplog.text)
            rig.flusher.set_urgent(True)
            await rig.settled()
        assert_once(collector, 1)
