"""A runtime and its channels without their thread, before it starts, after it has ended, and when it cannot start."""

from __future__ import annotations

import asyncio
import shutil
import threading
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List, Sequence

import pytest

import honeyhive_litellm
from honeyhive_litellm import Settings
from honeyhive_litellm._runtime import drain as drain_module
from honeyhive_litellm._runtime import lifecycle, maintenance
from honeyhive_litellm._runtime.channel import Channel
from honeyhive_litellm._runtime.channels import Channels, channel_settings
from honeyhive_litellm._runtime.drain import Drain
from honeyhive_litellm._runtime.runtime import Runtime
from honeyhive_litellm._spool.dead_letters import add
from honeyhive_litellm._spool.record import START, Record, Row
from honeyhive_litellm._stats import Counters
from honeyhive_litellm.testing import Collector

from ..spools import drained, event, spool_in
from ..waiting import until, until_on_loop

NOWHERE = "http://127.0.0.1:9"


class Draft:
    """An entry of which no record is made."""

    kind, id = START, "a"

    def encode(self) -> None:
        return None


def settings_for(folder: Path, url: str = NOWHERE, **options: Any) -> Settings:
    chosen: Dict[str, Any] = {"api_key": "hh_key", "project": "p", "lookup_delay": 0, "request_timeout": 2, **options}
    return Settings(api_url=url, spool_path=folder, **chosen)


def channel_for(folder: Path, **options: Any) -> Channel:
    return Channel(None, settings_for(folder, **options), lambda channel: None, lambda: None)


def left_in(folder: Path, **options: Any) -> List[str]:
    """The events that the next process finds."""

    async def adopted() -> List[str]:
        spool = spool_in(folder, Counters(), **options)
        await spool.adopt()
        ids = await drained(spool)
        await spool.close()
        return ids

    return asyncio.run(adopted())


# A channel


def release(channel: Channel) -> None:
    """Let go of what a late writer holds until its process ends."""
    late = channel.late_writer
    assert late is not None and late._lease is not None and late._db is not None
    late._db.close()
    late._lease.release(remove=False)


def test_what_comes_after_the_end_of_the_queue_is_on_disk_at_once(tmp_path: Path) -> None:
    channel = channel_for(tmp_path)
    assert channel.submit(event("queued")) == 1
    channel.write_rest()
    assert not channel.has_queued
    assert channel.submit(event("late")) == channel.submit(Draft()) == 0
    stats = channel.counters.snapshot()
    assert (stats.accepted, stats.committed, stats.dropped) == (2, 2, {})
    release(channel)
    assert left_in(tmp_path) == ["queued", "late"]


@pytest.mark.parametrize("spool_path", ["the file", ":memory:"])
def test_what_comes_late_and_cannot_be_written_is_counted(
    tmp_path: Path, spool_path: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "the file").touch()
    path = Path(":memory:") if spool_path == ":memory:" else tmp_path / spool_path / "spool"
    options: Dict[str, Any] = {"broker": "nats://127.0.0.1:9"} if spool_path == ":memory:" else {}
    channel = channel_for(path, **options)
    channel.queue.close()
    for record in (Record(START, "a", 1.0, None, b"{}"), event("a")):
        assert channel.submit(record) == 0
    stats = channel.counters.snapshot()
    assert (stats.accepted, stats.pending, stats.dropped) == (1, 0, {"late": 1})
    assert "an event that came after shutdown could not be written and is lost" in caplog.text


@pytest.mark.parametrize("flush", [True, False])
def test_a_flush_of_a_channel_that_is_not_opened_ends_in_time_and_keeps_all(tmp_path: Path, flush: bool) -> None:
    channel = channel_for(tmp_path, flush=flush)
    channel.submit(event("a"))
    began = time.monotonic()
    for step in (Channel.begin_flush, Channel.wait_for_flush, Channel.end_flush):
        step(channel, began + 0.05)
    assert 0.05 <= time.monotonic() - began < 5
    assert channel.has_queued and channel.counters.snapshot().pending == 1


# A runtime


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    """The runtime of this process, not started."""
    honeyhive_litellm.init(api_key="hh_key", project="p", api_url=NOWHERE, spool_path=tmp_path / "spool")
    yield lifecycle._runtimes[-1]
    honeyhive_litellm.shutdown(1)


def test_a_runtime_that_never_ran_writes_what_comes_after_its_shutdown(runtime: Runtime, tmp_path: Path) -> None:
    assert runtime.shutdown(1) == 0
    runtime.submit(event("late"))
    assert runtime.flush(5) == 1  # nothing runs that could deliver it
    assert runtime.is_closed and not runtime.is_forgettable
    release(runtime.channels.main)
    assert left_in(tmp_path / "spool") == ["late"]


def test_where_no_thread_can_be_started_events_are_on_disk_for_the_next_process(
    runtime: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    runtime.submit(event("a"))
    monkeypatch.undo()
    assert runtime.is_closed
    assert runtime.stats().committed == 1
    release(runtime.channels.main)
    assert left_in(tmp_path / "spool") == ["a"]


def test_a_thread_that_gets_no_loop_leaves_events_on_disk_and_delays_nobody(
    runtime: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse() -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(asyncio, "SelectorEventLoop", refuse)
    runtime.submit(event("a"))
    until(runtime._has_ended.is_set)
    monkeypatch.undo()
    until(lambda: runtime.stats().committed == 1)
    assert "the background thread of this package ended by OSError" in caplog.text
    assert runtime.flush(5) == 1
    assert runtime.shutdown(5) == 1
    release(runtime.channels.main)
    assert left_in(tmp_path / "spool") == ["a"]


def test_a_replaced_runtime_in_a_forked_child_is_closed_and_reported_once(runtime: Runtime) -> None:
    over: List[bool] = []
    runtime.recorder.tenure.end()
    runtime.retire(lambda: over.append(True))
    until(lambda: over)
    runtime.forget_inherited()  # what the child of a fork does
    assert runtime.is_closed
    assert runtime.stats().accepted == 0
    assert over == [True]


# Channels of destinations


def channels_for(settings: Settings) -> Channels:
    return Channels(settings, channel_settings(settings), lambda: None)


def open_main(channels: Channels, runtime: Runtime, **callbacks: Any) -> None:
    chosen = {
        "on_round": lambda: None,
        "may_rest": lambda: False,
        "on_committed": None,
        "on_delivered": None,
        **callbacks,
    }
    channels.open_main(runtime.recorder.targets, **chosen)


SEARCH = {"search": {"match": {"team": "search"}, "project": "s", "api_key": "hh_search", "api_url": NOWHERE}}


def test_a_record_that_comes_when_the_loop_has_just_ended_is_written_with_the_rest(
    runtime: Runtime, tmp_path: Path
) -> None:
    channels = channels_for(settings_for(tmp_path / "other", destinations=SEARCH))

    async def begin() -> None:
        open_main(channels, runtime)
        assert channels.main.pipeline is not None
        await channels.main.pipeline.aclose()

    asyncio.run(begin())
    search = channels.named["search"]
    assert search.submit(event("a")) == 1
    assert search.pipeline is None
    search.write_rest()
    release(search)
    assert left_in(tmp_path / "other" / "destinations" / "search") == ["a"]


async def test_a_record_that_comes_while_a_channel_closes_opens_it_again(runtime: Runtime, tmp_path: Path) -> None:
    channels = channels_for(settings_for(tmp_path / "other", destinations=SEARCH))
    search = channels.named["search"]
    is_closing = False

    def committed(group: Sequence[Record]) -> None:
        nonlocal is_closing
        if is_closing and not group:  # the queue was empty a moment ago
            is_closing = False
            search.submit(event("b"))

    open_main(channels, runtime, on_committed=committed)
    search.submit(event("a"))
    channels.open_needed()
    await until_on_loop(lambda: not search.has_queued)
    first = search.pipeline
    assert first is not None
    is_closing = True
    await channels._suspend_now(search, first)
    assert search.pipeline is not first and search.pipeline is not None
    await until_on_loop(lambda: not search.has_queued)
    await channels.aclose()
    stats = search.counters.snapshot()
    assert stats.committed - stats.adopted == 2  # the pipeline that opened again may have adopted the first record


async def test_a_fault_while_one_channel_closes_leaves_no_other_open(runtime: Runtime, tmp_path: Path) -> None:
    channels = channels_for(settings_for(tmp_path / "other", destinations=SEARCH))
    is_closing = False

    def committed(group: Sequence[Record]) -> None:
        if is_closing and [record.id for record in group] == ["b"]:
            raise RuntimeError("a fault")

    open_main(channels, runtime, on_committed=committed)
    channels.named["search"].submit(event("a"))
    channels.open_needed()
    search = channels.named["search"]
    await until_on_loop(lambda: not search.has_queued)
    for pipeline in channels.open:
        pipeline.writer.end()
    is_closing = True
    channels.main.submit(event("b"))
    with pytest.raises(RuntimeError, match="a fault"):
        await channels.aclose()
    assert all(not segment.is_open for pipeline in channels.open for segment in pipeline.spool.segments())


@pytest.mark.parametrize("has_broker", [False, True])
@pytest.mark.parametrize("is_broken", [False, True])
async def test_leftovers_of_destinations_that_are_not_configured_are_named_if_they_can_be_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, is_broken: bool, has_broker: bool
) -> None:
    old = tmp_path / "destinations" / "old"
    old.mkdir(parents=True, mode=0o700)
    if is_broken:
        (old / "dead.db").write_bytes(b"no database" * 1000)
    else:
        await add(old, [Row(1, "a", 1.0, None, b"{}")], 400, "no")
    chosen: Dict[str, Any] = {"destinations": SEARCH}
    if has_broker:
        chosen = {"broker": "nats://127.0.0.1:9", "broker_destination": "new"}
    await channels_for(settings_for(tmp_path, **chosen))._warn_of_removed()
    if is_broken:
        assert caplog.text == ""
    elif has_broker:
        assert "publishes to the broker's destination new, and its spool has" in caplog.text
        assert "of others: old. They are kept" in caplog.text
    else:
        assert "destinations that are not in the settings: old. They are kept" in caplog.text


# A drain


async def left_by_dead(folder: Path, *names: str) -> None:
    spool = spool_in(folder, Counters())
    await spool.append([event(name) for name in names])
    await spool.close()


async def test_a_drain_without_a_time_limit_ends_when_nothing_changes_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drain_module, "STALLED_S", 0.2)
    await left_by_dead(tmp_path, "a")
    drain = Drain({None: settings_for(tmp_path)}, follow=False, timeout_s=None)
    assert not drain.is_circuit_open(None)
    stats = await drain.run()
    assert (stats.accepted, stats.delivered, stats.pending) == (1, 0, 1)
    assert drain.is_circuit_open(None) and drain.is_circuit_open("unknown")
    assert len(list(tmp_path.glob("*.spool"))) == 1


async def test_a_sidecar_whose_maintenance_fails_goes_on_delivering(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, collector: Collector
) -> None:
    usage = shutil.disk_usage
    calls: List[bool] = []

    def fails_once(path: Any) -> Any:
        calls.append(True)
        if len(calls) == 1:
            raise RuntimeError("a fault")
        return usage(path)

    monkeypatch.setattr(shutil, "disk_usage", fails_once)
    monkeypatch.setattr(drain_module, "MAINTAIN_EVERY_S", 0.05)
    await left_by_dead(tmp_path, "00000000-0000-0000-0000-000000000001")
    drain = Drain({None: settings_for(tmp_path, collector.url)}, follow=True, timeout_s=None)
    running = asyncio.ensure_future(drain.run())
    await until_on_loop(lambda: len(calls) >= 2)
    drain.stop()
    await running
    assert "a part of the maintenance failed and is tried again: RuntimeError('a fault')" in caplog.text


# Rounds of maintenance


async def test_a_process_that_does_nothing_has_few_rounds_of_maintenance_until_a_record_comes(
    runtime: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "EVERY_S", 0.01)
    monkeypatch.setattr(maintenance, "REST_S", 1.0)
    with Collector() as collector:
        channels = channels_for(settings_for(tmp_path / "other", collector.url))
        rounds: List[float] = []
        open_main(channels, runtime, on_round=lambda: rounds.append(time.monotonic()), may_rest=lambda: True)
        try:
            channels.main.submit(event("a"))
            await until_on_loop(lambda: not channels.main.counters.snapshot().pending)
            delivered_at = time.monotonic()
            await until_on_loop(lambda: len(rounds) > 3 and rounds[-2] > delivered_at)
            assert rounds[-1] - rounds[-2] > 0.9

            monkeypatch.setattr(maintenance, "REST_S", 1000.0)
            for name in ("b", "c"):  # the rest before "b" may be one of those that end by themselves
                done = len(rounds)
                channels.main.submit(event(name))
                await until_on_loop(lambda: len(rounds) > done)  # noqa: B023
                await until_on_loop(lambda: time.monotonic() - rounds[-1] > 0.3)
        finally:
            await channels.aclose()


async def test_what_may_not_rest_goes_on_with_its_rounds(
    runtime: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "EVERY_S", 0.01)
    monkeypatch.setattr(maintenance, "REST_S", 1000.0)
    channels = channels_for(settings_for(tmp_path / "other"))
    rounds: List[float] = []
    open_main(channels, runtime, on_round=lambda: rounds.append(time.monotonic()), may_rest=lambda: False)
    try:
        await until_on_loop(lambda: len(rounds) > 20)
    finally:
        await channels.aclose()
