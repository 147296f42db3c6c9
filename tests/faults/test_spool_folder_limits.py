"""The limits of size and age hold for a whole folder: also for files that no process holds, as in an outage."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any, Dict, List

import pytest

from honeyhive_litellm import Settings
from honeyhive_litellm._delivery import flusher
from honeyhive_litellm._privacy.cipher import KEY_BYTES, NO_CIPHER, Cipher
from honeyhive_litellm._runtime.drain import Drain
from honeyhive_litellm._spool import folder_limits, unheld_files
from honeyhive_litellm._spool.heartbeat import Publisher
from honeyhive_litellm._spool.limits import Limits
from honeyhive_litellm._spool.spool import Spool
from honeyhive_litellm._spool.status import FolderStatus, status_of
from honeyhive_litellm._stats import Counters
from honeyhive_litellm.testing import Collector

from .. import rig
from ..spools import dies, drained, event, spool_in, start
from ..waiting import until_on_loop

KB = 1024


@pytest.fixture(autouse=True)
def _enforced_at_each_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unheld_files, "LOOK_EVERY_S", 0.0)
    monkeypatch.setattr(unheld_files, "_SHARE", 1e9)
    monkeypatch.setattr(folder_limits, "_ENFORCE_S", 60.0)


def bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.spool*"))


def database_bytes_in(folder: Path) -> int:
    return sum(size for name, size in sizes_in(folder).items() if name.endswith(".spool"))


def sizes_in(folder: Path) -> Dict[str, int]:
    return {path.name: path.stat().st_size for path in folder.iterdir()}


async def numbers(folder: Path) -> FolderStatus:
    status = await status_of(folder)
    assert status.adds_up
    return status


async def hands_off(writer: Spool, counters: Counters, names: List[str], size: int = 4 * KB) -> None:
    for name in names:
        counters.accept(1)
        await writer.append([event(name, size)])
    await writer.seal_active()
    await writer.hand_off()


async def is_left_by_dead(folder: Path, name: str, age_s: float = 0.0, cipher: Cipher = NO_CIPHER) -> None:
    """One owner's file with one event, which was written so long ago."""
    writer = spool_in(folder, Counters(), cipher)
    await writer.append([event(name, 8 * KB)])
    await writer.close()
    for segment in folder.glob(f"{writer.owner}-*.spool"):
        os.utime(segment, (time.time() - age_s,) * 2)


async def test_a_writer_without_a_sidecar_drops_the_oldest_of_what_it_has_handed_off(tmp_path: Path) -> None:
    counters = Counters()
    writer = spool_in(tmp_path, counters, delivers=False, max_bytes=256 * KB)
    for group in range(12):
        await hands_off(writer, counters, [f"e{group:02}.{i}" for i in range(10)])
        await writer.maintain()
        assert bytes_in(tmp_path) <= 256 * KB
    stats = counters.snapshot()
    (reason,) = stats.dropped
    assert (reason, stats.accepted, stats.adopted) == ("capacity", 120, 0)
    assert stats.pending == 120 - stats.dropped["capacity"] >= 20
    await writer.close()
    assert (await numbers(tmp_path)).totals.dropped == stats.dropped
    sidecar_counters = Counters()
    sidecar = spool_in(tmp_path, sidecar_counters)
    kept: List[str] = []
    while await sidecar.adopt():
        kept += await drained(sidecar, sidecar_counters)
    assert sorted(kept) == [f"e{g:02}.{i}" for g in range(12) for i in range(10)][-stats.pending :]
    await sidecar.close()
    assert (await numbers(tmp_path)).pending == 0


async def test_a_writer_that_drops_the_newest_counts_what_it_has_handed_off(tmp_path: Path) -> None:
    counters = Counters()
    writer = spool_in(tmp_path, counters, delivers=False, max_bytes=256 * KB, drops_newest=True)
    sidecar = spool_in(tmp_path)
    heartbeat = Publisher(sidecar, flushes=True)
    for group in range(12):
        await hands_off(writer, counters, [f"e{group:02}.{i}" for i in range(10)])
        if group == 2:  # a sidecar holds what is there so far, and cannot deliver it
            await sidecar.adopt()
            await heartbeat.publish(Counters().snapshot())
        await writer.maintain()
        assert bytes_in(tmp_path) <= 320 * KB
    dropped = counters.snapshot().dropped["capacity"]
    assert 50 < dropped < 100
    ids = await drained(sidecar)
    while await sidecar.adopt():
        ids += await drained(sidecar)
    assert sorted(ids) == [f"e{g:02}.{i}" for g in range(12) for i in range(10)][: 120 - dropped]
    await writer.maintain()
    await hands_off(writer, counters, ["there is room again"])
    assert counters.snapshot().dropped["capacity"] == dropped
    await writer.close()
    await sidecar.close()
    assert (await numbers(tmp_path)).totals.dropped == {"capacity": dropped}


async def test_dead_owners_that_are_not_adopted_yet_count_and_the_files_of_a_living_one_do_not(tmp_path: Path) -> None:
    living = spool_in(tmp_path, full_segment_bytes=16 * KB)
    for i in range(20):
        await living.append([event(f"living{i}", 8 * KB)])
    for i in range(12):
        await is_left_by_dead(tmp_path, f"e{i:02}", age_s=100.0 - i)
    counters = Counters()
    sidecar = spool_in(tmp_path, counters, max_bytes=128 * KB)
    await sidecar.adopt()
    await sidecar.maintain()
    held = bytes_in(tmp_path) - sum(p.stat().st_size for p in tmp_path.glob(f"{living.owner}-*"))
    assert 64 * KB < held <= 128 * KB
    ids = await drained(sidecar, counters)
    while await sidecar.adopt():
        ids += await drained(sidecar, counters)
    # Four are adopted first, by name: what their events are worth is known, and they began in 1970.
    assert 3 <= len(ids) < 10
    assert {"e11", "e10", "e09"} & set(ids)
    assert counters.snapshot().dropped["capacity"] == 12 - len(ids)
    assert len(await drained(living)) == 20
    await living.close()
    await sidecar.close()
    assert (await numbers(tmp_path)).totals.dropped == {"capacity": 12 - len(ids)}


@pytest.mark.parametrize("delivers", [True, False])
async def test_what_is_too_old_goes_however_many_owners_left_it(tmp_path: Path, delivers: bool) -> None:
    for i in range(10):
        await is_left_by_dead(tmp_path, f"old{i}", age_s=2000.0)
        await is_left_by_dead(tmp_path, f"young{i}")
    counters = Counters()
    spool = spool_in(tmp_path, counters, delivers=delivers, max_age_s=1000.0)
    await spool.maintain()
    stats = counters.snapshot()
    assert (stats.dropped, stats.pending, stats.accepted) == ({"age": 10}, 0, 10)
    assert list(spool.segments()) == []
    await spool.close()
    status = await numbers(tmp_path)
    assert (status.pending, status.totals.dropped) == (10, {"age": 10})


async def test_a_writer_gives_back_what_it_need_not_drop(tmp_path: Path) -> None:
    dead = spool_in(tmp_path, full_segment_bytes=16 * KB)
    for i in range(20):
        await dead.append([event(f"e{i}", 8 * KB)])
    await dead.append([start("in flight")])
    await dies(dead)
    counters = Counters()
    writer = spool_in(tmp_path, counters, delivers=False, max_bytes=128 * KB)
    await writer.maintain()
    stats = counters.snapshot()
    assert (stats.accepted, stats.pending) == (stats.dropped["capacity"], 0)
    sidecar = spool_in(tmp_path)
    await sidecar.adopt()
    assert [len(await drained(sidecar)), stats.accepted] == [21 - stats.accepted, stats.accepted]
    await writer.close()
    await sidecar.close()
    assert (await numbers(tmp_path)).totals.dropped == stats.dropped


async def test_files_of_another_project_and_with_a_missing_key_are_neither_counted_nor_dropped(tmp_path: Path) -> None:
    for i in range(6):
        other = Spool(tmp_path, Counters(), durability="process", limits=Limits(), project="another")
        await other.append([event(f"another{i}", 8 * KB)])
        await other.close()
    for i in range(6):
        await is_left_by_dead(tmp_path, f"locked{i}", age_s=2000.0, cipher=Cipher([b"k" * KEY_BYTES]))
    left_alone = bytes_in(tmp_path)
    await is_left_by_dead(tmp_path, "readable")
    counters = Counters()
    limits = Limits(max_bytes=64 * KB, max_age_s=1000.0)
    sidecar = Spool(tmp_path, counters, durability="process", limits=limits, project="p")
    for _ in range(3):
        await sidecar.adopt()
        await sidecar.maintain()
    assert await drained(sidecar, counters) == ["readable"]
    assert (counters.snapshot().dropped, counters.snapshot().locked) == ({}, 6)
    await sidecar.close()
    assert bytes_in(tmp_path) == left_alone


async def test_a_sidecar_keeps_the_folder_within_the_limit_and_reports_what_it_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flusher, "BackOff", lambda: rig.QUICK)
    writer = spool_in(tmp_path, delivers=False)
    with Collector() as collector:
        collector.down()
        settings = Settings(
            api_key="hh_key", project="p", api_url=collector.url, spool_path=tmp_path, spool_max_bytes=256 * KB
        )
        sidecar = Drain({None: settings}, follow=True, timeout_s=60)
        running = asyncio.ensure_future(sidecar.run())
        for group in range(12):
            await writer.append([rig.event(group * 10 + i, text="x" * 4 * KB) for i in range(10)])
            await writer.seal_active()
            await writer.hand_off()
        # Without the journals: each attempt at the server that is down writes to that of the file in hand.
        await until_on_loop(lambda: database_bytes_in(tmp_path) <= 256 * KB, what=lambda: sizes_in(tmp_path))
        collector.up()
        await until_on_loop(lambda: reports(collector))
        sidecar.stop()
        stats = await running
        (report,) = reports(collector)
        assert report["outputs"]["dropped"] == stats.dropped
        assert stats.delivered == 121 - stats.dropped["capacity"]
        assert max(collector.receipts.values()) == 1
    await writer.close()
    status = await numbers(tmp_path)
    assert (status.pending, status.totals.accepted, status.totals.dropped) == (0, 121, stats.dropped)


def reports(collector: Collector) -> List[Dict[str, Any]]:
    return [event for event in collector.events if event["event_name"] == "honeyhive_litellm.dropped"]
