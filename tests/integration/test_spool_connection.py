"""One segment: what its connection and its files refuse or undo, and what works while the interpreter ends."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import List

import pytest

from honeyhive_litellm import SpoolError
from honeyhive_litellm._privacy.cipher import Cipher
from honeyhive_litellm._spool import segment as segment_module
from honeyhive_litellm._spool import sql
from honeyhive_litellm._spool.connection import atomic_connection, close_quietly, close_without_sync
from honeyhive_litellm._spool.record import EVENT, START, Record
from honeyhive_litellm._spool.segment import Segment
from honeyhive_litellm._spool.segment_connection import INLINE_WRITE_ROWS
from honeyhive_litellm._spool.segment_files import MEMORY

from ..spools import event, start

KEY = bytes(range(32))


async def created(path: Path, durability: str = "process") -> Segment:
    segment = Segment(path, durability)
    await segment.create()
    return segment


async def ids_of(segment: Segment, most: int = 100) -> List[str]:
    batch = await segment.next_batch(most, 10**6)
    return [] if batch is None else [row.id for row in batch.rows]


# Connections


async def test_where_no_thread_can_be_started_any_more_a_connection_works_without_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    path = tmp_path / "late.db"
    monkeypatch.setattr(threading.Thread, "start", refuse)
    db = await atomic_connection(str(path))
    monkeypatch.undo()
    await db.executescript("CREATE TABLE t (x)")
    await db.executemany("INSERT INTO t VALUES (?)", [(1,), (2,)])
    assert list(await db.execute_fetchall("SELECT x FROM t")) == [(1,), (2,)]
    await db.close()
    await db.close()
    with closing(sqlite3.connect(str(path))) as other:
        assert other.execute("SELECT count(*) FROM t").fetchone() == (2,)


async def test_a_connection_that_was_awaited_before_is_not_taken_for_the_end_of_the_interpreter(tmp_path: Path) -> None:
    db = await atomic_connection(str(tmp_path / "a.db"))
    with pytest.raises(RuntimeError, match="threads can only be started once"):
        await db
    await db.close()


async def test_closing_a_connection_raises_nothing_whatever_is_wrong_with_it(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(b"no database" * 1000)
    db = await atomic_connection(str(path))
    await close_without_sync(db)
    await close_quietly(db)
    with pytest.raises((ValueError, sqlite3.ProgrammingError)):
        await db.execute("SELECT 1")


async def test_a_close_that_sqlite_refuses_is_over_all_the_same(tmp_path: Path) -> None:
    db = await atomic_connection(str(tmp_path / "a.db"))
    await db.executescript("CREATE TABLE t (x); INSERT INTO t VALUES (1)")
    await db.execute("SELECT x FROM t")
    own = db._conn
    db._connection = _Refuses()  # type: ignore[assignment]  # as some builds of SQLite do with open statements
    await close_quietly(db)
    own.close()


class _Refuses:
    def close(self) -> None:
        raise sqlite3.OperationalError("unable to close due to unfinalized statements")


# A segment's writes


async def test_a_segment_that_cannot_be_opened_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "a.spool"
    await (await created(path)).close()
    with pytest.raises(SpoolError, match=r"a\.spool: .*File exists"):
        await created(path)
    segment = await created(tmp_path / "b.spool")
    with pytest.raises(SpoolError, match=r"b\.spool.* is closed"):
        await segment.close()
        await segment.append([event("a")])


@pytest.mark.parametrize("durability", ["process", "power"])
async def test_progress_that_sqlite_refuses_half_way_leaves_nothing_of_it(tmp_path: Path, durability: str) -> None:
    segment = await created(tmp_path / "a.spool", durability)
    await segment.append([event("a"), event("b")])
    batch = await segment.next_batch(100, 10**6)
    assert batch is not None and segment.connection is not None
    await segment.connection.execute(
        "CREATE TRIGGER t BEFORE INSERT ON span WHEN new.state = 2 BEGIN SELECT RAISE(FAIL, 'disk full'); END"
    )
    with pytest.raises(SpoolError, match="disk full"):
        await segment.settle(batch)
    assert list(await segment.connection.execute_fetchall("SELECT lo, hi FROM span")) == [(1, 2)]
    await segment.connection.execute("DROP TRIGGER t")
    await segment.settle(batch)
    await segment.close()
    again = Segment(tmp_path / "a.spool", durability)
    await again.open()
    assert (again.events, again.pending) == (2, 0)
    await again.close()


async def test_a_record_under_a_new_key_is_not_written_inline(tmp_path: Path) -> None:
    path = tmp_path / "a.spool"
    old = Segment(path, "process", Cipher([KEY]))
    await old.create()
    await old.append([event("a")])
    await old.close()
    new = Segment(path, "process", Cipher([bytes(reversed(KEY)), KEY]))
    await new.open()
    assert not new.append_inline([event("b")])
    await new.append([event("b")])
    assert new.append_inline([event("c")])
    assert not new.append_inline([event("d")] * (INLINE_WRITE_ROWS + 1))
    assert await ids_of(new) == ["a", "b", "c"]
    await new.close()


async def test_an_append_that_was_interrupted_after_its_commit_is_counted_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "a.spool"
    segment = await created(path)
    await segment.append([event("a")])
    batch = [event("b"), start("c")]
    assert not await segment.ends_with(batch)
    rows = segment._encryption.rows_of(batch, 2)
    await segment._connection.insert(sql.APPEND, rows)  # and nothing after it
    assert (segment.last, segment.events) == (1, 1)
    assert await segment.ends_with(batch)
    assert await segment.ends_with(batch)
    assert (segment.last, segment.events, set(segment.open_starts)) == (3, 2, {"c"})
    await segment.close()


async def test_a_long_segment_is_counted_in_several_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment_module, "_SCAN_ROWS", 2)
    path = tmp_path / "a.spool"
    segment = await created(path)
    await segment.append([start("a"), event("a"), start("b"), event("c"), start("d")])
    assert repr(segment) == f"<Segment {path} active records=5 pending=2>"
    await segment.close()
    again = Segment(path, "process")
    await again.open()
    assert (again.last, again.events, set(again.open_starts), again.ended) == (5, 2, {"b", "d"}, {"a", "c"})
    await again.seal()
    assert repr(again) == f"<Segment {path} sealed records=5 pending=2>"
    await again.close()


async def test_starts_alone_in_front_of_what_is_settled_are_passed_over(tmp_path: Path) -> None:
    segment = await created(tmp_path / "a.spool")
    await segment.append([start("x"), event("a"), event("b")])
    batch = await segment.next_batch(1, 10**6)
    assert batch is not None
    await segment.unmark(batch)
    await segment.mark(batch._replace(lo=2))  # as an older version marked it: without the start record in front
    await segment.close()
    again = Segment(tmp_path / "a.spool", "process")
    await again.open()
    assert await ids_of(again) == ["a"]
    assert await ids_of(again) == ["b"]
    assert await ids_of(again) == []
    again.put_back()
    assert await ids_of(again) == []
    await again.close()


# A segment's files


@pytest.mark.parametrize("may_unlink", [False, True])
async def test_a_segment_is_removed_and_moved_where_open_files_may_not_be_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, may_unlink: bool
) -> None:
    monkeypatch.setattr(segment_module, "CAN_UNLINK_OPEN_FILES", may_unlink)
    gone, moved = await created(tmp_path / "gone.spool"), await created(tmp_path / "moved.spool")
    await moved.append([event("a")])
    await gone.discard()
    await gone.discard()
    await moved.move_to(tmp_path / "aside")
    assert not gone.is_open and not moved.is_open
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["aside"]
    again = Segment(tmp_path / "aside" / "moved.spool", "process")
    await again.open()
    assert await ids_of(again) == ["a"]
    await again.close()


async def test_a_segment_keeps_its_name_where_it_cannot_have_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "a.spool"
    segment = await created(path)
    await segment.append([event("a")])
    with pytest.raises(SpoolError, match=r"a\.spool: .*No such file or directory"):
        await segment.rename(tmp_path / "nowhere" / "b.spool")
    Path(f"{path}-wal").write_bytes(b"left by a kill")
    with pytest.raises(SpoolError, match="has a write-ahead log and cannot be renamed"):
        await segment.rename(tmp_path / "b.spool")
    assert path.exists() and not (tmp_path / "b.spool").exists()


async def test_a_segment_in_memory_has_no_files(tmp_path: Path) -> None:
    segment = Segment(MEMORY, "process")
    await segment.create()
    await segment.append([Record(START, "a", 1.0, None, b"{}"), Record(EVENT, "b", 1.0, None, b"{}")])
    before = os.listdir(tmp_path)
    await segment.discard()
    await asyncio.sleep(0)
    assert os.listdir(tmp_path) == before and not segment.has_vanished()
