"""Segments in trouble while this process appends to them, reads, drops or hands them off: what is lost is counted."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from pathlib import Path
from typing import Any, List

import pytest

from honeyhive_litellm import SpoolError
from honeyhive_litellm._spool import folder_limits, limits, unheld_files
from honeyhive_litellm._spool.layout import lease_path
from honeyhive_litellm._spool.lease import Lease
from honeyhive_litellm._spool.limits import NO_LIMITS
from honeyhive_litellm._spool.record import EVENT, Record
from honeyhive_litellm._spool.segment_files import MEMORY
from honeyhive_litellm._spool.spool import Spool
from honeyhive_litellm._spool.status import status_of
from honeyhive_litellm._stats import Counters

from ..spools import batches_of, dies, drained, event, spool_in, start
from ..waiting import let_others_run

KB = 1024
UNSTORABLE = Record(EVENT, "bad", None, None, b"{}")  # type: ignore[arg-type]  # SQLite refuses it in every segment


async def taken_in(spool: Spool, counters: Counters, records: List[Record]) -> None:
    counters.accept(sum(record.kind == EVENT for record in records))
    await spool.append(records)


def assert_adds_up(counters: Counters, pending: int) -> None:
    stats = counters.snapshot()
    assert stats.pending == pending
    assert stats.accepted == stats.delivered + stats.pending + stats.dead + sum(stats.dropped.values())


# Appending


async def test_an_event_that_neither_disk_nor_memory_takes_is_counted_and_later_ones_are_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    counters = Counters()
    spool = spool_in(tmp_path, counters)
    await taken_in(spool, counters, [start("bad"), event("a")])
    await taken_in(spool, counters, [UNSTORABLE])
    assert counters.snapshot().dropped == {"spool": 1}
    assert "events can be kept neither on disk nor in memory and are dropped" in caplog.text
    await taken_in(spool, counters, [event("b")])
    assert sorted(await drained(spool, counters)) == ["a", "b"]
    assert_adds_up(counters, 0)
    await spool.close()


async def test_a_dropped_event_whose_start_cannot_be_voided_is_counted_all_the_same(tmp_path: Path) -> None:
    counters = Counters()
    spool = spool_in(tmp_path, counters, max_bytes=8 * KB, drops_newest=True, full_segment_bytes=2**20)
    await taken_in(spool, counters, [start("a"), event("x", 16 * KB)])
    active = spool._held.active
    assert active is not None
    await active.close()  # as after an error of the disk
    assert not await spool.has_appended([event("x", 16 * KB)])
    await taken_in(spool, counters, [event("a")])
    assert counters.snapshot().dropped == {"capacity": 1}
    assert active.open_starts == {}
    await spool.close()


async def test_calls_of_a_segment_that_cannot_be_sealed_end_in_later_ones(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    counters = Counters()
    spool = spool_in(tmp_path, counters)
    await taken_in(spool, counters, [start("a"), event("x")])
    old = spool._held.active
    assert old is not None
    await old.close()
    await spool.seal_active()
    assert "a spool file could not be sealed; its events are still delivered" in caplog.text
    assert set(old.open_starts) == {"a"} and not old.sealed
    await taken_in(spool, counters, [start("b"), event("a")])
    assert old.open_starts == {}
    assert sorted(await drained(spool, counters)) == ["a", "x"]
    await taken_in(spool, counters, [event("b")])
    assert await drained(spool, counters) == ["b"]
    assert_adds_up(counters, 0)
    await spool.close()
    assert [path.name for path in tmp_path.iterdir()] == ["ledger.db"]


async def test_without_its_lease_a_process_keeps_events_in_memory(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    counters = Counters()
    spool = spool_in(tmp_path, counters)
    adopter = Lease.take(lease_path(tmp_path, spool.owner))
    assert adopter is not None
    assert not spool.ensure_lease()
    await taken_in(spool, counters, [event("a")])
    assert "is held by another process" in caplog.text
    assert [segment.path for segment in spool.segments()] == [MEMORY]
    assert await drained(spool, counters) == ["a"]
    adopter.release(remove=True)
    assert spool.ensure_lease()
    await spool.close()


async def test_a_limit_of_the_disk_drops_no_segment_in_memory(tmp_path: Path) -> None:
    counters = Counters()
    spool = spool_in(tmp_path, counters, max_bytes=80 * KB, full_segment_bytes=8 * KB)
    lease = Lease.take(lease_path(tmp_path, spool.owner))
    assert lease is not None
    await taken_in(spool, counters, [event("in memory", 16 * KB)])
    lease.release(remove=True)
    spool._appender._retry_disk_at = 0.0  # the next moment at which the disk is tried
    for number in range(12):
        await taken_in(spool, counters, [event(f"e{number}", 16 * KB)])
    ids = await drained(spool, counters)
    assert "in memory" in ids and "e0" not in ids and "e11" in ids
    assert set(counters.snapshot().dropped) == {"capacity"}
    assert_adds_up(counters, 0)
    await spool.close()


# Handing off


async def test_an_unsealed_segment_is_sealed_before_it_is_handed_off_and_one_that_cannot_be_renamed_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    counters = Counters()
    writer = spool_in(tmp_path, counters, delivers=False)
    await taken_in(writer, counters, [start("a"), event("x")])
    old = writer._held.active
    assert old is not None
    await old.close()
    await writer.seal_active()  # fails, since it is closed
    await taken_in(writer, counters, [event("a")])

    def refuse(_old: object, _new: object) -> None:
        raise PermissionError("read-only")

    monkeypatch.setattr(os, "rename", refuse)
    await writer.hand_off()
    assert "a spool file cannot be handed off now, tried again soon" in caplog.text
    assert old in list(writer.segments()) and old.sealed
    monkeypatch.undo()
    await writer.hand_off()
    assert old not in list(writer.segments())
    deliverer_counters = Counters()
    deliverer = spool_in(tmp_path, deliverer_counters)
    assert await deliverer.adopt() == 1
    assert await drained(deliverer, deliverer_counters) == ["x"]
    await writer.close()
    await deliverer.close()


# Delivering


async def test_a_segment_that_another_program_reads_is_delivered_later(tmp_path: Path) -> None:
    counters = Counters()
    spool = spool_in(tmp_path, counters)
    await taken_in(spool, counters, [event("a")])
    await spool.seal_active()
    (segment,) = spool.segments()
    await segment.close()
    other = sqlite3.connect(str(segment.path), isolation_level=None)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    assert await spool.next_batch() is None
    other.close()
    assert await drained(spool, counters) == ["a"]
    await spool.close()


async def test_a_segment_that_somebody_has_a_second_name_for_is_left_alone_until_it_is_gone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    counters = Counters()
    spool = spool_in(tmp_path / "spool", counters)
    await taken_in(spool, counters, [event("a")])
    await spool.seal_active()
    (segment,) = spool.segments()
    await segment.close()
    os.link(segment.path, tmp_path / "second")
    assert await spool.next_batch() is None
    assert "is not safe to use and is left alone" in caplog.text
    assert counters.snapshot().pending == 1
    (tmp_path / "second").unlink()
    assert await drained(spool, counters) == ["a"]
    await spool.close()


@pytest.mark.parametrize("is_readable", [True, False])
async def test_a_sealed_segment_that_is_deleted_costs_what_its_connection_can_no_longer_read(
    tmp_path: Path, is_readable: bool
) -> None:
    counters = Counters()
    spool = spool_in(tmp_path, counters)
    await taken_in(spool, counters, [event("a"), event("b")])
    await spool.seal_active()
    await taken_in(spool, counters, [event("c")])
    (segment, _active) = spool.segments()
    await segment.open()
    os.unlink(segment.path)
    if not is_readable:
        await segment.close()
    await spool.maintain()
    assert counters.snapshot().dropped == ({} if is_readable else {"damaged": 2})
    assert sorted(await drained(spool, counters)) == (["a", "b", "c"] if is_readable else ["c"])
    assert_adds_up(counters, 0)
    await spool.close()


async def test_an_unreadable_segment_of_which_nothing_can_be_saved_is_put_aside_and_counted(tmp_path: Path) -> None:
    counters = Counters()
    spool = spool_in(tmp_path, counters)
    await taken_in(spool, counters, [event("a"), event("b")])
    await spool.seal_active()
    (segment,) = spool.segments()
    await segment.close()
    Path(segment.path).write_bytes(b"no database" * 1000)
    assert await spool.next_batch() is None
    assert counters.snapshot().dropped == {"damaged": 2}
    assert [path.name for path in (tmp_path / "quarantine").iterdir()] == [Path(segment.path).name]
    assert list(spool.segments()) == []
    assert await spool._held.quarantine(segment, SpoolError("again"), is_counted=True) == []
    assert_adds_up(counters, 0)
    await spool.close()


async def test_a_segment_that_is_dropped_while_it_is_put_aside_is_counted_once(tmp_path: Path) -> None:
    counters = Counters()
    spool = spool_in(tmp_path, counters)
    await taken_in(spool, counters, [event("a"), event("b")])
    await spool.seal_active()
    (segment,) = spool.segments()
    putting_aside = asyncio.ensure_future(spool._held.quarantine(segment, SpoolError("damage"), is_counted=True))
    await let_others_run(1)
    await spool._held.drop(segment, "age")
    await spool._held.drop(segment, "capacity")
    assert await putting_aside == []
    stats = counters.snapshot()
    assert stats.dropped == {"age": 2}
    assert list(spool.segments()) == []
    await spool.close()


async def test_a_segment_that_two_tasks_give_up_is_counted_once(tmp_path: Path) -> None:
    counters = Counters()
    spool = spool_in(tmp_path, counters)
    await taken_in(spool, counters, [event("a"), event("b")])
    await spool.seal_active()
    (segment,) = spool.segments()
    await asyncio.gather(spool._held.discard(segment, "age"), spool._held.discard(segment, "capacity"))
    assert not list(spool.segments()) and not list(tmp_path.glob("*.spool"))
    await spool.close()
    status = await status_of(tmp_path)
    assert (status.totals.accepted, status.totals.dropped) == (2, {"age": 2})


async def test_events_that_are_gone_count_as_damaged_once_the_batch_on_its_way_is_settled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "BATCH_EVENTS", 1)
    counters = Counters()
    spool = spool_in(tmp_path, counters)
    await taken_in(spool, counters, [event("a"), event("b"), event("c")])
    await spool.seal_active()
    batch = await spool.next_batch()
    assert batch is not None and batch.segment.connection is not None
    await batch.segment.connection.execute("DELETE FROM record")
    await batch.segment.connection.commit()
    assert await spool.next_batch() is None
    assert counters.snapshot().dropped == {}
    counters.deliver(1)
    await spool.settle(batch)
    assert await spool.next_batch() is None
    assert counters.snapshot().dropped == {"damaged": 2}
    assert_adds_up(counters, 0)
    assert list(spool.segments()) == []
    await spool.close()


# The limits of the folder


@pytest.fixture
def _looked_at_each_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unheld_files, "LOOK_EVERY_S", 0.0)
    monkeypatch.setattr(unheld_files, "_SHARE", 1e9)


async def left_by_dead(folder: Path, name: str, age_s: float) -> None:
    counters = Counters()
    writer = spool_in(folder, counters)
    await taken_in(writer, counters, [event(name, 8 * KB)])
    await writer.close()
    for path in folder.glob(f"{writer.owner}-*.spool"):
        os.utime(path, (time.time() - age_s,) * 2)


@pytest.mark.usefixtures("_looked_at_each_call")
async def test_limits_that_take_long_go_on_in_the_next_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        await left_by_dead(tmp_path, f"old{number}", 7200)
    counters = Counters()
    spool = spool_in(tmp_path, counters, max_age_s=3600, max_bytes=4 * KB)
    monkeypatch.setattr(folder_limits, "_ENFORCE_S", -1.0)
    await spool.maintain()
    assert len(list(tmp_path.glob("*.spool"))) == 3
    monkeypatch.setattr(folder_limits, "_ENFORCE_S", 60.0)
    await spool.maintain()
    assert list(tmp_path.glob("*.spool")) == []
    assert counters.snapshot().dropped == {"age": 3}
    await spool.close()


@pytest.mark.usefixtures("_looked_at_each_call")
async def test_what_is_in_use_is_not_dropped_however_small_the_limit(tmp_path: Path) -> None:
    counters = Counters()
    spool = spool_in(tmp_path, counters, max_bytes=1)
    await taken_in(spool, counters, [event("active")])
    await spool.maintain()
    assert counters.snapshot().dropped == {}
    assert await drained(spool, counters) == ["active"]
    await spool.close()


@pytest.mark.usefixtures("_looked_at_each_call")
async def test_without_limits_no_file_of_others_is_touched(tmp_path: Path) -> None:
    await left_by_dead(tmp_path, "old", 7200)
    spool = Spool(tmp_path, Counters(), durability="process", limits=NO_LIMITS)
    await spool.maintain()
    assert len(list(tmp_path.glob("*.spool"))) == 1
    assert list(spool.segments()) == []
    await spool.close()


# The status


async def test_the_status_of_a_folder_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SpoolError, match=r"missing: .*No such file"):
        await status_of(tmp_path / "missing")


async def test_the_status_counts_neither_a_blank_file_nor_one_whose_lease_is_unusable_as_unreadable(
    tmp_path: Path,
) -> None:
    counters = Counters()
    living = spool_in(tmp_path, counters)
    await taken_in(living, counters, [event("a")])
    (tmp_path / "blank-000001.spool").touch()
    (tmp_path / "folder-000001.spool").write_bytes(b"x")
    (tmp_path / "folder.lease").mkdir()
    (tmp_path / "damaged-000001.spool").write_bytes(b"no database" * 1000)
    status = await status_of(tmp_path)
    assert list(status.unreadable) == ["damaged-000001.spool"]
    assert "folder-000001.spool" in status.unpublished
    await living.close()


async def test_the_status_forgets_a_file_that_is_delivered_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counters = Counters()
    living = spool_in(tmp_path, counters)
    await taken_in(living, counters, [event("a")])
    (segment,) = living.segments()
    connect = sqlite3.connect

    def connect_late(path: str, **options: Any) -> sqlite3.Connection:
        if path.endswith(".lease") and os.path.exists(segment.path):
            os.unlink(segment.path)  # its owner lives, and has delivered its only file meanwhile
        connection: sqlite3.Connection = connect(path, **options)
        return connection

    monkeypatch.setattr(sqlite3, "connect", connect_late)
    status = await status_of(tmp_path)
    assert (status.unpublished, status.unreadable) == ([], {})
    monkeypatch.undo()
    await dies(living)


async def test_accounts_of_segments_that_are_still_there_are_not_counted_twice(tmp_path: Path) -> None:
    counters = Counters()
    spool = spool_in(tmp_path, counters)
    await taken_in(spool, counters, [event("a"), event("b")])
    await spool.seal_active()
    (segment,) = spool.segments()
    content = Path(segment.path).read_bytes()
    assert await drained(spool, counters) == ["a", "b"]
    await spool.close()
    Path(segment.path).write_bytes(content)  # a kill between the account and the removal of the file
    Path(segment.path).chmod(0o600)
    status = await status_of(tmp_path)
    assert status.adds_up
    assert status.totals.accepted == 2


async def test_a_batch_of_a_damaged_count_frees_its_segment(tmp_path: Path) -> None:
    counters = Counters()
    spool = spool_in(tmp_path, counters)
    await taken_in(spool, counters, [event("a"), event("b")])
    await spool.seal_active()
    (segment,) = spool.segments()
    await segment.open()
    assert segment.connection is not None
    await segment.connection.execute("DELETE FROM record")
    await segment.connection.commit()
    assert await batches_of(spool) == []
    assert counters.snapshot().dropped == {"damaged": 2}
    assert list(spool.segments()) == []
    await spool.close()
