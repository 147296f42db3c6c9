from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import time
from pathlib import Path
from typing import Any, List

import pytest

from honeyhive_litellm._spool.adoption import MAX_ADOPTED_OWNERS
from honeyhive_litellm._spool.dead_letters import body_of, letters
from honeyhive_litellm._spool.layout import segment_path
from honeyhive_litellm._spool.ledger import accounts_in
from honeyhive_litellm._spool.record import Record
from honeyhive_litellm._spool.segment import Batch, Segment
from honeyhive_litellm._stats import Counters

from ..spools import batches_of, dies, drained, event, spool_in, start
from ..waiting import until_on_loop


def names(folder: Path) -> List[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and path.name != "ledger.db")


async def test_a_spool_that_is_delivered_in_full_leaves_nothing_behind(tmp_path: Path) -> None:
    spool = spool_in(tmp_path, Counters())
    await spool.append([start("a"), event("a"), event("b")])
    assert await drained(spool) == ["a", "b"]
    await spool.close()
    assert names(tmp_path) == []


async def test_what_is_undelivered_is_adopted_by_the_next_process(tmp_path: Path) -> None:
    first = spool_in(tmp_path, Counters())
    await first.append([event("a"), event("b")])
    await first.close()
    counters = Counters()
    second = spool_in(tmp_path, counters)
    assert await second.adopt() == 2
    assert await drained(second) == ["a", "b"]
    assert names(tmp_path) == []
    stats = counters.snapshot()
    assert (stats.accepted, stats.adopted) == (2, 2)
    await second.close()


async def test_what_a_living_process_holds_is_left_alone(tmp_path: Path) -> None:
    living, other = spool_in(tmp_path, Counters()), spool_in(tmp_path, Counters())
    await living.append([event("a")])
    assert await other.adopt() == 0
    assert await drained(other) == []
    assert await drained(living) == ["a"]
    await living.close()
    await other.close()


async def test_a_lease_that_its_owner_has_created_and_not_yet_locked_is_left_to_it(tmp_path: Path) -> None:
    newborn, leftover = tmp_path / "host-1-aa.lease", tmp_path / "host-1-bb.lease"
    newborn.touch()
    leftover.touch()
    os.utime(leftover, (0, 0))
    other = spool_in(tmp_path, Counters())
    assert await other.adopt() == 0
    assert names(tmp_path) == ["host-1-aa.lease"]
    await other.close()


async def test_of_two_adopters_one_wins(tmp_path: Path) -> None:
    dead = spool_in(tmp_path, Counters())
    await dead.append([event("a")])
    await dies(dead)
    one, other = spool_in(tmp_path, Counters()), spool_in(tmp_path, Counters())
    assert [await one.adopt(), await other.adopt()] == [1, 0]
    assert (await drained(one), await drained(other)) == (["a"], [])
    await one.close()
    await other.close()


async def test_however_many_died_all_are_adopted_a_few_at_a_time(tmp_path: Path) -> None:
    for i in range(10):
        dead = spool_in(tmp_path, Counters())
        await dead.append([event(f"e{i}")])
        await dies(dead)
    adopter = spool_in(tmp_path, Counters())
    ids: List[str] = []
    adopted = []
    while not adopter.scan_complete:
        adopted.append(await adopter.adopt())
        assert (await adopter.adopt(), adopter.scan_complete) == (0, len(ids) == 8)  # the others wait
        ids += await drained(adopter)
    assert adopted == [MAX_ADOPTED_OWNERS, MAX_ADOPTED_OWNERS, 2]
    assert sorted(ids) == [f"e{i}" for i in range(10)]
    assert names(tmp_path) == []
    await adopter.close()


async def test_what_is_delivered_while_it_is_adopted_is_counted_once(tmp_path: Path) -> None:
    for i in range(20):
        dead = spool_in(tmp_path, Counters())
        await dead.append([event(f"{i} {n}") for n in range(50)])
        await dies(dead)
    counters = Counters()
    adopter = spool_in(tmp_path, counters)

    async def deliver() -> None:
        while not (adopter.scan_complete and adopter.pending == 0):
            await drained(adopter, counters)
            assert counters.snapshot().pending >= 0
            await asyncio.sleep(0)

    async def adopt() -> None:
        while not adopter.scan_complete:
            await adopter.adopt()
            await asyncio.sleep(0)

    await asyncio.wait_for(asyncio.gather(deliver(), adopt()), 60)
    stats = counters.snapshot()
    assert (stats.accepted, stats.delivered, stats.pending) == (1000, 1000, 0)
    await adopter.close()


async def test_a_call_in_flight_at_death_becomes_an_interrupted_event(tmp_path: Path) -> None:
    dead = spool_in(tmp_path, Counters())
    await dead.append([start("done"), start("lost"), event("done")])
    await dies(dead)
    adopter = spool_in(tmp_path, Counters())
    assert await adopter.adopt() == 2
    events = {}
    batch = await adopter.next_batch()
    assert batch is not None
    for row in batch.rows:
        events[row.id] = json.loads(row.body)
    assert set(events) == {"done", "lost"}
    metadata = events["lost"]["metadata"]
    assert (metadata["status"], metadata["success"], metadata["error_class"]) == ("interrupted", False, "Interrupted")
    assert metadata["model"] == "gpt-4o"
    # Seen last when it wrote last.
    assert metadata["last_seen"].endswith("+00:00")
    assert abs(events["lost"]["end_time"] / 1000 - time.time()) < 60
    assert events["lost"]["duration"] == metadata["duration_ms"] == round(events["lost"]["end_time"] - 1.0, 3)
    assert events["lost"]["inputs"] == {"q": "?"}
    assert events["lost"]["error"].startswith("Interrupted: ")
    await adopter.settle(batch)
    await adopter.close()
    assert names(tmp_path) == []


async def test_a_start_that_was_carried_along_is_one_call_although_its_first_segment_was_not_sealed_yet(
    tmp_path: Path,
) -> None:
    await left_behind(tmp_path, 1, [start("lost"), start("done")])
    await left_behind(tmp_path, 2, [start("lost"), start("done"), event("done")])
    adopter = spool_in(tmp_path, Counters())
    assert await adopter.adopt() == 2
    assert sorted(await drained(adopter)) == ["done", "lost"]
    await adopter.close()
    assert names(tmp_path) == []


async def test_a_call_whose_event_was_delivered_first_is_not_reported_as_interrupted_afterwards(tmp_path: Path) -> None:
    await left_behind(tmp_path, 1, [event("a"), start("late")])
    await left_behind(tmp_path, 999_999, [event("late")])
    first = spool_in(tmp_path, Counters())
    assert await first.adopt() == 2
    batches = [await first.next_batch(), await first.next_batch()]
    (late,) = [batch for batch in batches if batch is not None and batch.rows[0].id == "late"]
    await first.settle(late)
    for segment in first.segments():
        await segment.close()
    for orphan in first._held.adopted.values():
        assert orphan.lease is not None
        orphan.lease.release(remove=False)
    second = spool_in(tmp_path, Counters())
    assert await second.adopt() == 1
    assert await drained(second) == ["a"]
    await second.close()
    assert names(tmp_path) == []


async def left_behind(folder: Path, number: int, records: List[Record]) -> None:
    """A segment of a process that is dead."""
    segment = Segment(segment_path(folder, "host-1-abc", number), "process")
    await segment.create()
    await segment.append(records)
    await segment.close()


async def test_a_full_segment_is_sealed_and_its_calls_in_flight_go_on_in_the_next(tmp_path: Path) -> None:
    spool = spool_in(tmp_path, Counters(), full_segment_bytes=2000)
    await spool.append([start("long")])
    for i in range(10):
        await spool.append([event(f"e{i}", 500)])
    assert await drained(spool) == [f"e{i}" for i in range(10)]
    assert len([n for n in names(tmp_path) if n.endswith(".spool")]) == 1  # the sealed ones are gone
    await dies(spool)
    adopter = spool_in(tmp_path, Counters())
    await adopter.adopt()
    assert await drained(adopter) == ["long"]
    await adopter.close()
    assert names(tmp_path) == []


async def test_a_start_and_its_event_in_different_segments_belong_together(tmp_path: Path) -> None:
    spool = spool_in(tmp_path, Counters(), full_segment_bytes=1000)
    await spool.append([start("a"), event("big", 2000)])
    await spool.append([event("a")])
    await dies(spool)
    adopter = spool_in(tmp_path, Counters())
    await adopter.adopt()
    assert await drained(adopter) == ["big", "a"]
    await adopter.close()


async def test_a_backlog_of_many_segments_keeps_few_of_them_open_and_comes_out_in_order(tmp_path: Path) -> None:
    spool = spool_in(tmp_path, Counters(), full_segment_bytes=2000)
    for i in range(40):
        await spool.append([event(f"e{i}", 600)])
    assert sum(1 for segment in spool.segments() if segment.is_open) <= 2
    assert spool.pending == 40
    assert await drained(spool) == [f"e{i}" for i in range(40)]
    await spool.close()
    assert names(tmp_path) == []


async def test_a_batch_whose_taking_was_interrupted_is_taken_by_the_next_one(tmp_path: Path) -> None:
    interrupted = 0
    for turns in range(8):
        spool = spool_in(tmp_path / str(turns), Counters())
        await spool.append(
            [event(f"e{number}")._replace(body=b"x" * 600_000) for number in range(3)]
        )  # not read inline
        taking = asyncio.ensure_future(spool.next_batch())
        for _ in range(turns):
            await asyncio.sleep(0)
        interrupted += taking.cancel()
        (taken,) = await asyncio.gather(taking, return_exceptions=True)
        batch = taken if isinstance(taken, Batch) else await spool.next_batch()
        assert batch is not None and [row.id for row in batch.rows] == ["e0", "e1", "e2"]
        await spool.settle(batch)
        assert await spool.next_batch() is None
        await spool.close()
        assert names(tmp_path / str(turns)) == []
    assert interrupted > 1


async def test_dead_letters_keep_body_status_and_reason_and_leave_the_spool(tmp_path: Path) -> None:
    counters = Counters()
    spool = spool_in(tmp_path, counters)
    await spool.append([event("poison")])
    batch = await spool.next_batch()
    assert batch is not None
    assert await spool.add_dead_letter(batch, 400, "missing inputs")
    (letter,) = letters(tmp_path)
    assert (letter.id, letter.status, letter.reason) == ("poison", 400, "missing inputs")
    assert json.loads(body_of(tmp_path, "poison") or b"")["event_id"] == "poison"
    assert counters.snapshot().dead == 1
    await spool.close()
    assert names(tmp_path) == ["dead.db"]


@pytest.mark.parametrize("trouble", ["a file", "no permission to write", "a missing parent that cannot be made"])
async def test_a_path_where_nothing_can_be_written_still_delivers_from_memory(
    tmp_path: Path, trouble: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "spool"
    if trouble == "a file":
        folder.write_text("not a folder")
    elif trouble == "no permission to write":
        # Root may write anywhere but into this.
        folder = Path("/proc/spool")
    else:
        (tmp_path / "file").write_text("")
        folder = tmp_path / "file" / "spool"
    counters = Counters()
    spool = spool_in(folder, counters)
    await spool.append([start("a"), event("a")])
    await spool.append([event("b")])
    assert await spool.adopt() == 0
    assert await drained(spool) == ["a", "b"]
    await spool.close()
    lines = [r.getMessage() for r in caplog.records if r.name == "honeyhive_litellm"]
    assert len(lines) == 1
    assert "spool_path" in lines[0] and "kept in memory" in lines[0]
    assert counters.snapshot().committed == 0


async def test_writing_goes_on_in_memory_when_the_disk_is_full_and_returns_to_it_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("honeyhive_litellm._spool.appender.DISK_RETRY_S", 0.0)
    spool = spool_in(tmp_path, Counters())
    await spool.append([event("a")])
    active = spool._held.active
    assert active is not None and active.connection is not None
    await active.connection.execute("PRAGMA max_page_count = 10")
    assert not spool.append_inline([event("b", 100_000)])  # the writer then leaves it to `append`
    await spool.append([event("b", 300_000)])
    await spool.append([event("c")])
    assert sorted(await drained(spool)) == ["a", "b", "c"]
    assert any("cannot be written" in r.getMessage() for r in caplog.records)
    await spool.close()
    assert names(tmp_path) == []


async def test_what_a_kill_leaves_of_creating_or_removing_a_segment_is_cleared_away(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run(tmp_path / "host-1-abc-000001.spool", "PRAGMA journal_mode = WAL")  # entered before the tables are made
    (tmp_path / "host-2-abc-000001.spool").write_bytes(b"")
    (tmp_path / "host-3-abc-000001.spool-wal").write_bytes(b"the database is removed first")
    (tmp_path / "host-3-abc.lease").write_bytes(b"")
    assert (tmp_path / "host-1-abc-000001.spool").stat().st_size > 0
    adopter = spool_in(tmp_path, Counters())
    assert await adopter.adopt() == 0
    await adopter.close()
    assert list(tmp_path.iterdir()) == []
    assert caplog.records == []


async def test_a_segment_of_a_newer_version_is_left_to_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    dead = spool_in(tmp_path, Counters())
    await dead.append([event("a")])
    await dies(dead)
    (path,) = tmp_path.glob("*.spool")
    run(path, "PRAGMA user_version = 2")
    adopter = spool_in(tmp_path, Counters())
    assert [await adopter.adopt(), await adopter.adopt()] == [0, 0]
    assert caplog.text.count("newer version") == 1
    assert run(path, "PRAGMA user_version = 1") == []
    assert await adopter.adopt() == 0  # it looks at such an owner once
    other = spool_in(tmp_path, Counters())
    assert await other.adopt() == 1
    assert await drained(other) == ["a"]
    await other.close()
    assert adopter._adoption._owners_of_newer_format == {dead.owner}
    await adopter.adopt()
    assert adopter._adoption._owners_of_newer_format == set()  # its files are gone, and its name never comes again
    await adopter.close()


def run(path: Path, sql: str) -> List[Any]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


async def test_a_segment_that_is_closed_after_its_adoption_is_not_being_read_and_taken_for_a_damaged_one(
    tmp_path: Path,
) -> None:
    dead = spool_in(tmp_path, Counters(), full_segment_bytes=300)
    for i in range(10):
        await dead.append([event(f"e{i}", 500)])
    await dies(dead)
    counters = Counters()
    adopter = spool_in(tmp_path, counters)
    adopting = asyncio.ensure_future(adopter.adopt())
    await until_on_loop(lambda: any(str(s.path).endswith("-000003.spool") for s in adopter.segments()), every_s=0)
    (slow,) = [s for s in adopter.segments() if str(s.path).endswith("-000002.spool")]
    assert slow.connection is not None
    busy = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000000) SELECT count(*) FROM n"
    hogging = asyncio.ensure_future(slow.connection.execute_fetchall(busy))  # a slow disk
    batches: List[Batch] = []
    while sum(len(batch.rows) for batch in batches) + sum(counters.snapshot().dropped.values()) < 10:
        batches += await batches_of(adopter)
        await asyncio.sleep(0)
    assert await adopting == 10
    await hogging
    assert counters.snapshot().dropped == {}
    assert [row.id for batch in batches for row in batch.rows] == [f"e{i}" for i in range(10)]
    for batch in batches:
        await adopter.settle(batch)
    await adopter.close()
    assert names(tmp_path) == []


async def test_a_batch_that_is_settled_while_its_segment_is_dropped_counts_as_delivered(tmp_path: Path) -> None:
    counters = Counters()
    spool = spool_in(tmp_path, counters, full_segment_bytes=1000, max_bytes=60_000)
    await spool.append([event("a", 2000)])
    batch = await spool.next_batch()
    assert batch is not None
    counters.accept(2)
    appending = asyncio.ensure_future(spool.append([event("b", 70_000)]))
    # The oldest segment goes, and its account is being closed.
    await until_on_loop(lambda: spool._held._closing or appending.done(), every_s=0)
    assert not appending.done()
    await spool.settle(batch)
    counters.deliver(1)
    await appending
    assert await drained(spool) == ["b"]
    await spool.close()
    accounts = accounts_in(tmp_path).values()
    assert [sum(a.accepted for a in accounts), sum(a.delivered for a in accounts)] == [2, 2]
    assert counters.snapshot().dropped == {}
    assert (spool._held._closing, spool._held._sending) == ({}, {})
