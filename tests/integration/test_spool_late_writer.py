"""Records that come after shutdown, and what is read of a file that nothing can open any more."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from honeyhive_litellm import SpoolError
from honeyhive_litellm._spool import salvage as salvage_module
from honeyhive_litellm._spool.late_writer import LateWriter
from honeyhive_litellm._spool.layout import lease_path, new_owner, project_of
from honeyhive_litellm._spool.lease import Lease
from honeyhive_litellm._spool.record import CLOSED, Record
from honeyhive_litellm._spool.salvage import Salvaged, lost_commits, salvage
from honeyhive_litellm._spool.segment import Segment
from honeyhive_litellm._stats import Counters

from ..spools import drained, event, spool_in, start

_PAGE = 8192
_LEAF = 0x0D
"""The first byte of a page that holds rows of a table."""


async def test_a_late_record_that_cannot_be_kept_is_an_error_and_the_next_one_is_kept(tmp_path: Path) -> None:
    late = LateWriter(tmp_path, new_owner())
    with pytest.raises(SpoolError, match=str(tmp_path)):
        late.append(event("a")._replace(id="\ud800"))
    late.append(event("b"))
    assert late._lease is not None and late._db is not None
    late._lease.release(remove=False)
    late._db.close()
    counters = Counters()
    spool = spool_in(tmp_path, counters)
    await spool.adopt()
    assert await drained(spool, counters) == ["b"]
    await spool.close()


async def test_where_the_folder_cannot_be_used_a_late_record_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SpoolError, match="file"):
        LateWriter(tmp_path / "file" / "spool", new_owner()).append(event("a"))


async def test_an_owner_that_another_process_has_adopted_writes_late_records_under_a_new_name(tmp_path: Path) -> None:
    owner = new_owner("project")
    adopter = Lease.take(lease_path(tmp_path, owner))
    assert adopter is not None
    late = LateWriter(tmp_path, owner)
    late.append(event("a"))
    assert late._owner != owner and project_of(late._owner) == "project"
    assert late._lease is not None and late._db is not None
    late._lease.release(remove=False)
    late._db.close()
    spool = spool_in(tmp_path)
    await spool.adopt()
    assert await drained(spool) == ["a"]
    await spool.close()
    adopter.release(remove=True)


# Salvage


async def segment_with(path: Path, *records: Record) -> Path:
    segment = Segment(path, "process")
    await segment.create()
    await segment.append(list(records))
    await segment.close()
    return path


async def test_of_what_is_no_database_or_not_ours_nothing_is_saved(tmp_path: Path) -> None:
    path = await segment_with(tmp_path / "a.spool", event("a"))
    (tmp_path / "link.spool").symlink_to(path)
    assert salvage(tmp_path / "link.spool", []) == Salvaged([], 0)
    assert salvage(tmp_path / "missing.spool", []) == Salvaged([], 0)
    assert not (tmp_path / "missing.spool").exists()
    (tmp_path / "b.spool").write_bytes(b"no database" * 1000)
    assert salvage(tmp_path / "b.spool", []).records == []
    assert [record.id for record in salvage(path, []).records] == ["a"]


async def test_a_call_that_was_closed_without_an_event_is_not_saved(tmp_path: Path) -> None:
    closed = Record(CLOSED, "a", 1.0, None, b"")
    path = await segment_with(tmp_path / "a.spool", start("a"), closed, start("b"), start("c"), event("c"))
    assert [(record.id, record.kind) for record in salvage(path, []).records] == [("b", 0), ("c", 1)]


async def test_behind_the_last_number_that_can_be_read_nothing_more_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(salvage_module, "_LONGEST_GAP", 3)
    path = await segment_with(tmp_path / "a.spool", event("a"), event("b"))
    with sqlite3.connect(str(path)) as db:
        db.execute("UPDATE record SET seq = 1000000 WHERE id = 'b'")
    db.close()
    found = salvage(path, [])
    assert ([record.id for record in found.records], found.lost) == (["a", "b"], 0)


async def test_behind_a_page_that_cannot_be_read_salvage_ends_if_it_cannot_find_the_next_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(salvage_module, "_LONGEST_GAP", 3)
    path = await segment_with(tmp_path / "a.spool", *(event(f"e{number}", size=1000) for number in range(60)))
    content = bytearray(path.read_bytes())
    leaves = [page for page in range(len(content) // _PAGE) if content[page * _PAGE] == _LEAF]
    middle = leaves[len(leaves) // 2]
    content[middle * _PAGE : middle * _PAGE + 200] = b"\xff" * 200
    path.write_bytes(bytes(content))
    found = salvage(path, [])
    saved = [record.id for record in found.records]
    assert 0 < len(saved) < 60 and saved == [f"e{number}" for number in range(len(saved))]
    assert found.lost == 4  # as far as it came


def test_a_log_that_is_not_there_or_cut_off_has_lost_nothing(tmp_path: Path) -> None:
    assert lost_commits(tmp_path / "missing-wal", 1) == 0
    (tmp_path / "short-wal").write_bytes(b"x")
    assert lost_commits(tmp_path / "short-wal", 1) == 0
