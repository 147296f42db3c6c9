from __future__ import annotations

import json
import sqlite3
import time
from dataclasses import replace
from pathlib import Path

import pytest

from honeyhive_litellm._spool import dead_letters, limits
from honeyhive_litellm._spool.heartbeat import Publisher
from honeyhive_litellm._spool.ledger import MERGED, Ledger, accounts_in
from honeyhive_litellm._spool.process_state import ProcessState, last_seen, read_state, write_state
from honeyhive_litellm._spool.record import Record
from honeyhive_litellm._spool.status import FolderStatus, status_of
from honeyhive_litellm._stats import Counters, Stats, Totals

from ..spools import batches_of, dies, event, spool_in, start


async def numbers(folder: Path) -> FolderStatus:
    status = await status_of(folder)
    assert status.adds_up
    return status


async def test_an_account_counts_only_once_its_file_is_gone_and_is_then_merged_with_the_others(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    (tmp_path / "a.spool").touch()
    await ledger.close_account("a.spool", Totals(5, 3, 0, {"capacity": 2}))
    await ledger.close_account("a.spool", Totals(5, 5))  # a crash came between, and its adopter delivered the rest
    (tmp_path / "a.spool").unlink()
    await ledger.close_account("b.spool", Totals(2, 1, 1))
    assert accounts_in(tmp_path) == {MERGED: Totals(5, 5), "b.spool": Totals(2, 1, 1)}
    await ledger.correct(Totals(delivered=1, dead=-1))
    assert accounts_in(tmp_path)[MERGED] == Totals(5, 6, -1)
    assert (tmp_path / "ledger.db").stat().st_mode & 0o777 == 0o600


async def test_a_damaged_ledger_is_put_aside_and_begun_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "ledger.db").write_bytes(b"this is no database" * 100)
    await Ledger(tmp_path).close_account("a.spool", Totals(1, 1))
    assert accounts_in(tmp_path) == {"a.spool": Totals(1, 1)}
    assert [path.name for path in tmp_path.glob("ledger.db.damaged-*")]
    assert any("ledger is damaged" in record.getMessage() for record in caplog.records)


async def test_a_segment_counts_how_its_events_ended_and_the_ledger_keeps_the_totals(tmp_path: Path) -> None:
    spool = spool_in(tmp_path, Counters())
    await spool.append([event(f"e{i}") for i in range(6)])
    await dies(spool)
    (path,) = tmp_path.glob("*.spool")
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE record SET body = x'7b7d' WHERE id = 'e1'")
    connection.close()
    adopter = spool_in(tmp_path, Counters())
    await adopter.adopt()
    (batch,) = await batches_of(adopter)
    left, right = await adopter.split(batch)
    assert await adopter.add_dead_letter(right, 400, "no")
    (segment,) = adopter.segments()
    assert segment.totals() == Totals(6, 0, 3)
    await adopter.settle(left)
    await adopter.close()
    expected = Totals(6, 2, 3, {"damaged": 1})
    assert (await numbers(tmp_path)).totals == expected
    assert dead_letters.purge(tmp_path, [right.rows[0].id, "unknown"]) == 1
    assert dead_letters.accepted(tmp_path, [right.rows[1].id]) == 1
    status = await numbers(tmp_path)
    assert status.totals == Totals(6, 3, 1, {"damaged": 1, "purged": 1})
    assert (status.dead_letters, status.pending) == (1, 0)


async def test_what_is_dropped_for_lack_of_room_is_counted_even_if_some_of_it_was_being_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SEGMENT_BYTES", 2000)
    counters = Counters()
    spool = spool_in(tmp_path, counters, max_bytes=6000)
    counters.accept(20)
    await spool.append([event(f"e{i}", 600) for i in range(3)])
    on_its_way = await spool.next_batch()
    assert on_its_way is not None
    for i in range(3, 20):
        await spool.append([event(f"e{i}", 600)])
    for batch in [on_its_way, *await batches_of(spool)]:
        counters.deliver(len(batch.rows))
        await spool.settle(batch)
    await spool.close()
    stats, totals = counters.snapshot(), (await numbers(tmp_path)).totals
    assert stats.pending == 0
    assert (totals.accepted, totals.delivered, dict(totals.dropped)) == (20, stats.delivered, stats.dropped)
    assert totals.dropped["capacity"] > 0


async def test_status_counts_living_and_dead_processes_and_what_is_gone(tmp_path: Path) -> None:
    living, dead, gone = (spool_in(tmp_path, Counters()) for _ in range(3))
    await gone.append([event("g")])
    for batch in await batches_of(gone):
        await gone.settle(batch)
    await gone.close()
    await dead.append([event("d1"), event("d2"), start("cut off")])
    assert await dead.next_batch() is not None
    await dies(dead)
    await living.append([event("l")])
    assert (await numbers(tmp_path)).unpublished == [path.name for path in tmp_path.glob(f"{living.owner}-*.spool")]
    await Publisher(living, flushes=True).publish(Stats(accepted=1, committed=1, pending=1))
    status = await numbers(tmp_path)
    assert (status.totals, status.pending) == (Totals(4, 1), 3)
    assert [process.owner for process in status.processes] == [living.owner]
    (leftover,) = status.leftovers
    assert leftover[:4] == (dead.owner, 1, 2, 1)
    assert leftover.last_seen is not None and abs(leftover.last_seen - time.time()) < 60
    assert status.unpublished == [] and status.bytes_on_disk > 0
    for batch in await batches_of(living):
        await living.settle(batch)
    await living.close()
    adopter = spool_in(tmp_path, Counters())
    await adopter.adopt()
    for batch in await batches_of(adopter):
        await adopter.settle(batch)
    await adopter.close()
    status = await numbers(tmp_path)
    assert (status.totals, status.pending, status.processes, status.leftovers) == (Totals(5, 5), 0, [], [])
    assert [path.name for path in tmp_path.iterdir()] == ["ledger.db"]


async def test_what_a_killed_process_had_in_memory_alone_is_counted_as_lost(tmp_path: Path) -> None:
    counters = Counters()
    spool = spool_in(tmp_path, counters)
    await spool.append([event("on disk")])
    spool._held.active, spool._appender._retry_disk_at = None, time.monotonic() + 3600  # as after trouble with the disk
    await spool.append([event("in memory"), event("in memory too")])
    counters.accept(1)
    counters.lose("memory", 1)
    publisher = Publisher(spool, flushes=True)
    await publisher.publish(counters.snapshot())
    state = read_state(tmp_path, spool.owner)
    assert state is not None
    assert state.unspooled == Totals(3, dropped={"memory": 1})
    await dies(spool)
    for status in (await numbers(tmp_path), await numbers(tmp_path)):
        assert (status.totals, status.pending) == (Totals(4, dropped={"memory": 1, "lost": 2}), 1)
    adopter = spool_in(tmp_path, Counters())
    await adopter.adopt()
    status = await numbers(tmp_path)
    assert status.totals.dropped == {"memory": 1, "lost": 2}
    for batch in await batches_of(adopter):
        await adopter.settle(batch)
    await adopter.close()
    assert (await numbers(tmp_path)).totals == Totals(4, 1, 0, {"memory": 1, "lost": 2})
    assert [path.name for path in tmp_path.iterdir()] == ["ledger.db"]


async def test_a_process_publishes_news_every_second_and_a_heartbeat_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = spool_in(tmp_path / "spool", Counters())
    publisher = Publisher(spool, flushes=True)
    await publisher.publish(Stats())  # a folder that is not there yet is not made for this
    assert not (tmp_path / "spool").exists()
    await spool.append([event("a")])
    clock = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: clock)

    async def publishes(stats: Stats) -> bool:
        for path in (tmp_path / "spool").glob("*.state"):
            path.unlink()
        await publisher.publish(stats)
        return read_state(tmp_path / "spool", spool.owner) is not None

    clock += 60
    assert await publishes(Stats(accepted=1))
    assert not await publishes(Stats(accepted=2))
    clock += 1.0
    assert await publishes(Stats(accepted=2))
    clock += 1.0
    assert not await publishes(Stats(accepted=2))
    assert await publishes(Stats(accepted=2, in_flight=1))
    clock += 1.0
    assert await publishes(Stats(accepted=2, in_flight=1))
    clock += 5.0
    assert await publishes(Stats(accepted=2, in_flight=1))
    await spool.close()


async def test_a_published_state_is_read_back_and_a_torn_file_is_ignored(tmp_path: Path) -> None:
    state = ProcessState("o-1", 1, "host", 5.0, False, Stats(accepted=1), Totals(1), {"o-1-000001.spool": Totals(2, 1)})
    write_state(tmp_path, state)
    assert read_state(tmp_path, "o-1") == state
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-1] + b',"of_a_newer_version":1}')
    assert read_state(tmp_path, "o-1") == state
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_bytes(path.read_bytes()[:40])
    assert read_state(tmp_path, "o-1") is None
    assert last_seen(tmp_path, "o-1", []) is None
    assert last_seen(tmp_path, "o-1", [path]) == path.stat().st_mtime


async def test_an_interrupted_event_ends_when_its_process_was_last_seen(tmp_path: Path) -> None:
    spool = spool_in(tmp_path, Counters())
    await spool.append([replace_start("old", 1000.0), replace_start("young", 90_000.0)])
    write_state(tmp_path, ProcessState(spool.owner, 1, "host", 60.0, True, Stats(), Totals(), {}))
    await dies(spool)
    adopter = spool_in(tmp_path, Counters())
    assert await adopter.adopt() == 2
    (batch,) = await batches_of(adopter)
    old, young = (json.loads(row.body) for row in batch.rows)
    assert (old["end_time"], old["duration"], old["metadata"]["duration_ms"]) == (60_000.0, 59_000.0, 59_000.0)
    assert old["metadata"]["last_seen"] == "1970-01-01T00:01:00.000+00:00"
    assert (young["end_time"], young["duration"]) == (90_000.0, 0.0)  # it lived when it began that one
    await adopter.settle(batch)
    await adopter.close()


def replace_start(name: str, started_ms: float) -> Record:
    return start(name)._replace(started_ms=started_ms)


async def test_what_is_handed_off_is_adopted_while_its_writer_lives_and_goes_on(tmp_path: Path) -> None:
    writer, sidecar = spool_in(tmp_path, Counters()), spool_in(tmp_path, Counters())
    await writer.append([start("long"), event("a")])
    assert await sidecar.adopt() == 0
    for name in ("b", "c"):
        await writer.seal_active()
        await writer.hand_off()
        await writer.append([event(name)])
    assert await sidecar.adopt() == 2
    assert sorted(row.id for batch in await batches_of(sidecar) for row in batch.rows) == ["a", "b"]
    await writer.append([event("long")])
    await writer.seal_active()
    await writer.hand_off()
    assert await sidecar.adopt() == 2
    batches = await batches_of(sidecar)
    assert sorted(row.id for batch in batches for row in batch.rows) == ["c", "long"]
    assert list(writer.segments()) == []
    for batch in batches:
        await sidecar.settle(batch)
    await writer.close()
    await sidecar.close()
    status = await numbers(tmp_path)
    assert (status.totals.accepted, status.pending) == (4, 2)


async def test_what_had_to_stay_in_memory_for_a_while_is_handed_off_too(tmp_path: Path) -> None:
    counters = Counters()
    writer, sidecar = spool_in(tmp_path, counters), spool_in(tmp_path, Counters())
    counters.accept(2)
    writer._appender._retry_disk_at = time.monotonic() + 3600  # as after trouble with the disk
    await writer.append([start("long"), event("a"), event("b")])
    await writer.seal_active()
    assert counters.snapshot().committed == 0
    writer._appender._retry_disk_at = 0.0
    await writer.seal_active()
    await writer.hand_off()
    assert counters.snapshot().committed == 2
    assert writer.totals()[0] == Totals()
    assert await sidecar.adopt() == 2
    await dies(writer)
    assert await sidecar.adopt() == 1
    ids = [row.id for batch in await batches_of(sidecar) for row in batch.rows]
    assert sorted(ids) == ["a", "b", "long"]
    await sidecar.close()
    assert (await numbers(tmp_path)).totals == Totals(3)


async def test_a_file_that_cannot_be_read_is_listed(tmp_path: Path) -> None:
    (tmp_path / "host-1-abc-000001.spool").write_bytes(b"this is no database" * 100)
    status = await numbers(tmp_path)
    assert list(status.unreadable) == ["host-1-abc-000001.spool"]
    assert (tmp_path / "host-1-abc-000001.spool").exists()


def test_totals_are_stored_and_read_back() -> None:
    totals = Totals(6, 1, 2, {"a.b": 1})
    assert totals.pending == 2
    assert Totals.of_items(totals.as_items()) == totals
    assert totals.with_pending_dropped("lost") == replace(totals, dropped={"a.b": 1, "lost": 2})
