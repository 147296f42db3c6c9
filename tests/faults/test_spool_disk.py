"""The disk and its files in trouble: no exception, no stall, and numbers that say what was lost and why."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Iterator, List

import pytest

from honeyhive_litellm._spool import limits
from honeyhive_litellm._spool.ledger import accounts_in
from honeyhive_litellm._spool.limits import Ceiling, Limits
from honeyhive_litellm._spool.record import EVENT, Record
from honeyhive_litellm._spool.salvage import salvage
from honeyhive_litellm._spool.segment_files import MEMORY
from honeyhive_litellm._spool.spool import Spool
from honeyhive_litellm._stats import Counters
from honeyhive_litellm.testing import Collector

from ..spools import batches_of, dies, drained, event, spool_in
from ..spools import start as start_record
from .programs import drain, run, signal_ready, start

KB = 1024
OTHER_PROGRAM = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("PRAGMA locking_mode = EXCLUSIVE")
db.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
"""


async def taken_in(spool: Spool, counters: Counters, records: List[Record]) -> None:
    counters.accept(sum(record.kind == EVENT for record in records))
    await spool.append(records)


def assert_adds_up(counters: Counters, pending: int) -> None:
    stats = counters.snapshot()
    assert stats.pending == pending
    assert stats.accepted == stats.delivered + stats.pending + stats.dead + sum(stats.dropped.values())


# ---- capacity


async def test_with_drop_newest_what_was_there_stays_and_what_comes_is_counted(tmp_path: Path) -> None:
    counters = Counters()
    spool = spool_in(tmp_path, counters, max_bytes=64 * KB, drops_newest=True)
    for i in range(100):
        await taken_in(spool, counters, [start_record(f"e{i}"), event(f"e{i}", 2 * KB)])
    kept = await drained(spool, counters)
    assert kept == [f"e{i}" for i in range(len(kept))]
    assert 20 < len(kept) < 40
    assert counters.snapshot().dropped == {"capacity": 100 - len(kept)}
    assert [segment.open_starts for segment in spool.segments() if segment.open_starts] == []
    await taken_in(spool, counters, [event("again")])  # there is room again
    assert await drained(spool, counters) == ["again"]
    assert_adds_up(counters, 0)
    await spool.close()


async def test_a_call_whose_event_was_dropped_is_not_reported_as_interrupted_afterwards(tmp_path: Path) -> None:
    counters = Counters()
    spool = spool_in(tmp_path, counters, max_bytes=64 * KB, drops_newest=True)
    await taken_in(spool, counters, [start_record("dropped"), start_record("in flight")])
    for i in range(40):
        await taken_in(spool, counters, [event(f"e{i}", 2 * KB)])
    await taken_in(spool, counters, [event("dropped", 2 * KB)])
    await dies(spool)
    following = spool_in(tmp_path)
    await following.adopt()
    found = await drained(following)
    assert "in flight" in found  # as interrupted
    assert "dropped" not in found  # it is counted already
    await following.close()


async def test_a_small_limit_is_kept_although_segments_are_big(tmp_path: Path) -> None:
    counters = Counters()
    spool = spool_in(tmp_path, counters, max_bytes=256 * KB)
    for i in range(300):
        await taken_in(spool, counters, [event(f"e{i}", 4 * KB)])
        assert sum(segment.size for segment in spool.segments()) <= 256 * KB + 64 * KB
    kept = await drained(spool, counters)
    assert kept == [f"e{i}" for i in range(300 - len(kept), 300)]
    assert len(kept) > 30
    assert counters.snapshot().dropped == {"capacity": 300 - len(kept)}
    assert_adds_up(counters, 0)
    await spool.close()


async def test_of_an_adopted_backlog_and_new_events_the_oldest_go_first(tmp_path: Path) -> None:
    before = spool_in(tmp_path, full_segment_bytes=20 * KB)
    for i in range(40):  # started in 1970, as far as the limit knows
        await before.append([event(f"old{i}", 2 * KB)])
    await dies(before)
    counters = Counters()
    spool = spool_in(tmp_path, counters, max_bytes=96 * KB, full_segment_bytes=20 * KB)
    assert await spool.adopt() == 40
    taken = await spool.next_batch()  # a batch of the oldest segment is on its way, and arrives
    assert taken is not None
    assert taken.rows[0].id == "old0"
    for i in range(40):
        await taken_in(spool, counters, [event(f"new{i}", 2 * KB)])
        assert spool.bytes_on_disk() <= 130 * KB
    await spool.settle(taken)
    counters.deliver(len(taken.rows))
    kept = await drained(spool, counters)
    assert kept == [f"new{i}" for i in range(40 - len(kept), 40)]
    assert len(kept) > 20
    assert counters.snapshot().dropped == {"capacity": 80 - len(taken.rows) - len(kept)}
    assert_adds_up(counters, 0)
    await spool.close()
    assert sum((a.pending for a in accounts_in(tmp_path).values()), 0) == 0
    assert list(tmp_path.glob("*.lease")) == []


async def test_an_adopted_backlog_beyond_the_limit_is_cut_without_new_events(tmp_path: Path) -> None:
    before = spool_in(tmp_path, full_segment_bytes=20 * KB)
    for i in range(40):
        await before.append([event(f"e{i}", 2 * KB)])
    await dies(before)
    counters = Counters()
    spool = spool_in(tmp_path, counters, max_bytes=64 * KB)
    await spool.adopt()
    await spool.maintain()
    assert spool.bytes_on_disk() <= 64 * KB
    kept = await drained(spool, counters)
    assert kept == [f"e{i}" for i in range(40 - len(kept), 40)]
    assert kept
    assert_adds_up(counters, 0)
    await spool.close()


async def test_what_is_too_old_goes_and_what_is_not_stays(tmp_path: Path) -> None:
    counters = Counters()
    spool = spool_in(tmp_path, counters, max_age_s=1000.0)
    await taken_in(spool, counters, [event("old")])
    (old,) = spool.segments()
    old.created_at = old.written_at = time.time() - 1001
    await taken_in(spool, counters, [event("new")])  # the old segment is worn: another one begins
    await spool.maintain()
    assert await drained(spool, counters) == ["new"]
    assert counters.snapshot().dropped == {"age": 1}
    assert_adds_up(counters, 0)
    await spool.close()


@pytest.mark.parametrize("is_killed", [True, False])
async def test_a_call_that_is_in_flight_outlasts_the_events_that_are_too_old(tmp_path: Path, is_killed: bool) -> None:
    counters = Counters()
    spool = spool_in(tmp_path, counters, max_age_s=1000.0)
    await taken_in(spool, counters, [start_record("long"), event("old")])
    (segment,) = spool.segments()
    segment.written_at -= 1001
    await spool.maintain()
    assert counters.snapshot().dropped == {"age": 1}
    assert not Path(segment.path).exists()
    if is_killed:
        await dies(spool)
        spool = spool_in(tmp_path, counters)
        await spool.adopt()
    else:
        await taken_in(spool, counters, [event("long")])
    (batch,) = await batches_of(spool)
    assert [row.id for row in batch.rows] == ["long"]
    assert (b"interrupted" in batch.rows[0].body) is is_killed
    await spool.settle(batch)
    counters.deliver(1)
    assert_adds_up(counters, 0)
    await spool.close()
    assert list(tmp_path.glob("*.spool*")) == []


async def test_while_no_new_file_can_be_begun_the_starts_keep_an_old_one(tmp_path: Path) -> None:
    counters = Counters()
    spool = spool_in(tmp_path, counters, max_age_s=1000.0)
    await taken_in(spool, counters, [start_record("long"), event("old")])
    (segment,) = spool.segments()
    segment.written_at -= 1001
    spool._appender._retry_disk_at = time.monotonic() + 3600  # as after trouble with the disk
    await spool.maintain()
    assert (counters.snapshot().dropped, list(spool.segments())) == ({}, [segment])
    spool._appender._retry_disk_at = 0.0
    await spool.maintain()
    assert counters.snapshot().dropped == {"age": 1}
    await spool.close()


async def test_an_adopted_segment_is_as_old_as_its_file(tmp_path: Path) -> None:
    first = spool_in(tmp_path, Counters())
    await first.append([event("old")])
    await first.close()
    for path in tmp_path.glob("*.spool*"):
        os.utime(path, (time.time() - 1001,) * 2)
    counters = Counters()
    second = spool_in(tmp_path, counters, max_age_s=1000.0)
    assert await second.adopt() == 1
    await second.maintain()
    assert counters.snapshot().dropped == {"age": 1}
    assert list(tmp_path.glob("*.spool*")) == []
    await second.close()


def test_while_the_disk_is_short_the_spool_grows_no_more_and_is_never_emptied() -> None:
    ceiling = Ceiling(Limits(max_bytes=2**30, min_free_bytes=100))
    ceiling.update(2**20 * 50, 200)
    assert (ceiling.bytes, ceiling.reason) == (2**30, "capacity")
    ceiling.update(2**20 * 50, 99)
    ceiling.update(2**20 * 10, 50)  # delivered meanwhile: the ceiling stays where it was
    assert (ceiling.bytes, ceiling.reason) == (2**20 * 50, "disk")
    ceiling.update(2**20 * 50, None)
    assert ceiling.bytes == 2**30


async def test_space_comes_back_after_a_backlog(tmp_path: Path) -> None:
    counters = Counters()
    spool = spool_in(tmp_path, counters, full_segment_bytes=64 * KB)
    for i in range(100):
        await taken_in(spool, counters, [event(f"e{i}", 10 * KB)])
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) > 1000 * KB
    assert len(await drained(spool, counters)) == 100
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 200 * KB
    await spool.close()
    assert list(tmp_path.glob("*.spool*")) == []


def test_dropped_events_are_reported_as_one_event_when_delivery_resumes(tmp_path: Path) -> None:
    code = """
for i in range(60):
    messages = [{"role": "user", "content": "%d " % i + "x" * 6000}]
    litellm.completion(model="gpt-4o", messages=messages, mock_response="hi")
    committed(i + 1)  # one group of all would be one segment, and what is being written stays
print("full", flush=True)
sys.stdin.readline()
honeyhive_litellm.flush(20)
until(lambda: honeyhive_litellm.stats().accepted > 60)  # the report is an event, too
print(honeyhive_litellm.flush(20), sum(honeyhive_litellm.stats().dropped.values()), flush=True)
"""
    with Collector() as collector:
        collector.down()
        with start(code, collector.url, tmp_path, HONEYHIVE_SPOOL_MAX_BYTES="256KiB") as process:
            assert signal_ready(process) == "full"
            collector.up()
            out, err = process.communicate(b"\\n".decode("unicode_escape"), timeout=60)
            assert process.returncode == 0, err
        left, dropped = (int(word) for word in out.split())
        (report,) = [e for e in collector.events if e["event_name"] == "honeyhive_litellm.dropped"]
        assert left == 0
        assert report["outputs"]["dropped"] == {"capacity": dropped}
        assert dropped + len(collector.events) - 1 == 60
        assert set(collector.receipts.values()) == {1}


async def test_memory_is_bounded_while_nothing_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(limits, "MEMORY_BYTES", 64 * KB)
    (tmp_path / "spool").write_text("no folder")
    counters = Counters()
    spool = spool_in(tmp_path / "spool", counters, full_segment_bytes=16 * KB)
    await taken_in(spool, counters, [start_record("open"), event("e0", 4 * KB)])
    batch = await spool.next_batch()
    assert batch is not None
    for i in range(1, 100):
        await taken_in(spool, counters, [event(f"e{i}", 4 * KB)])
        assert sum(segment.size for segment in spool.segments()) <= (64 + 16) * KB
    counters.deliver(len(batch.rows))  # its segment was dropped meanwhile, and it arrived all the same
    await spool.settle(batch)
    kept = await drained(spool, counters)
    assert kept == [f"e{i}" for i in range(100 - len(kept), 100)]
    assert 10 < len(kept) < 20
    assert counters.snapshot().dropped == {"memory": 99 - len(kept)}
    assert "its buffer in memory is full" in caplog.text
    assert [list(segment.open_starts) for segment in spool.segments()] == [["open"]]
    assert_adds_up(counters, 0)
    await spool.close()


# ---- no room, no folder


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"may not mount a small file system: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


async def test_a_full_disk_costs_no_event_and_is_used_again_when_there_is_room(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("honeyhive_litellm._spool.appender.DISK_RETRY_S", 0.0)
    counters = Counters()
    spool = spool_in(small_disk, counters)
    for i in range(400):  # 1.6 MB
        await taken_in(spool, counters, [event(f"e{i}", 4 * KB)])
    assert any(segment.path == MEMORY for segment in spool.segments())
    assert len(await drained(spool, counters)) == 400
    await taken_in(spool, counters, [event("later")])
    assert [segment.path == MEMORY for segment in spool.segments() if segment.pending] == [False]
    assert await drained(spool, counters) == ["later"]
    assert_adds_up(counters, 0)
    await spool.close()


def test_a_folder_that_is_deleted_in_use_loses_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    code = """
litellm.completion(model="gpt-4o", messages=MESSAGES, mock_response="before")
committed(1)
print("there", flush=True)
sys.stdin.readline()
folder = os.environ["HONEYHIVE_SPOOL_PATH"]
until(lambda: os.path.isdir(folder) and any(name.endswith(".spool") for name in os.listdir(folder)))
litellm.completion(model="gpt-4o", messages=MESSAGES, mock_response="after")
committed(2)
print("kill me", flush=True)
sys.stdin.read()
"""
    with Collector() as collector:
        collector.down()
        with start(code, collector.url, folder) as process:
            assert signal_ready(process) == "there"
            shutil.rmtree(folder)
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
            assert signal_ready(process) == "kill me"
            process.kill()
            process.communicate()
        collector.up()
        drain(collector.url, folder)
        assert sorted(e["outputs"]["content"] for e in collector.events) == ["after", "before"]
        assert set(collector.receipts.values()) == {1}


async def test_a_file_that_is_deleted_under_a_batch_on_its_way(tmp_path: Path) -> None:
    counters = Counters()
    spool = spool_in(tmp_path, counters)
    await taken_in(spool, counters, [event(f"e{i}") for i in range(150)] + [start_record("open")])
    batch = await spool.next_batch()
    assert batch is not None
    for path in tmp_path.glob("*.spool*"):
        path.unlink()
    await spool.maintain()
    counters.deliver(len(batch.rows))
    await spool.settle(batch)
    assert await drained(spool, counters) == [f"e{i}" for i in range(100, 150)]
    assert [list(segment.open_starts) for segment in spool.segments()] == [["open"]]
    assert counters.snapshot().dropped == {}
    assert_adds_up(counters, 0)
    await taken_in(spool, counters, [event("open")])
    assert await drained(spool, counters) == ["open"]
    await spool.close()
    assert list(tmp_path.glob("*.spool*")) == []


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="permissions are POSIX")
def test_a_read_only_folder_delays_nobody(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    folder.mkdir(mode=0o500)
    code = """
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
began = time.monotonic()
for i in range(5):
    litellm.completion(model="gpt-4o", messages=MESSAGES, mock_response="answer %d" % i)
print(time.monotonic() - began < 20, honeyhive_litellm.flush(20))
"""
    with Collector() as collector:
        os.chmod(tmp_path, 0o755)
        for parent in tmp_path.parents:
            if not os.access(parent, os.X_OK):
                pytest.skip("another user may not come here")
        out = run(code, collector.url, folder)
        assert out.split() == ["True", "0"]
        assert len(collector.events) == 5


# ---- damaged files


async def left_behind(folder: Path, count: int = 50, size: int = 2 * KB) -> Path:
    """A segment with `count` events whose process was killed."""
    spool = spool_in(folder, Counters())
    for i in range(count):
        await spool.append([event(f"e{i}", size)])
    (segment,) = spool.segments()
    await dies(spool)
    assert isinstance(segment.path, Path)
    return segment.path


def checkpointed(path: Path) -> None:
    """Move the log's content into the database."""
    db = sqlite3.connect(str(path))
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 0xFF
    path.write_bytes(bytes(content))


async def test_a_damaged_page_costs_the_events_on_it_and_no_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = await left_behind(tmp_path)
    checkpointed(path)
    page = 8 * KB
    content = bytearray(path.read_bytes())
    leaf = next(n for n in range(len(content) // page - 2, 2, -1) if content[n * page] == 0x0D)
    content[leaf * page : leaf * page + 200] = b"\xff" * 200
    path.write_bytes(bytes(content))

    counters = Counters()
    spool = spool_in(tmp_path, counters)
    await spool.adopt()
    kept = set(await drained(spool, counters)) | set(await drained(spool, counters))
    stats = counters.snapshot()
    assert 40 <= len(kept) < 50
    assert stats.dropped == {"damaged": 50 - len(kept)}
    assert (stats.accepted, stats.delivered, stats.pending) == (50, len(kept), 0)
    assert [p.name for p in (tmp_path / "quarantine").iterdir() if p.suffix == ".spool"] == [path.name]
    assert "put aside" in caplog.text
    await spool.close()


async def test_an_own_segment_that_becomes_unreadable_costs_the_events_on_the_damaged_page_and_no_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    counters = Counters()
    spool = spool_in(tmp_path, counters)
    for i in range(0, 1000, 50):  # 2 MB, four times what SQLite keeps in its cache
        await taken_in(spool, counters, [event(f"e{n}", 2 * KB) for n in range(i, i + 50)])
    (segment,) = spool.segments()
    wal = Path(f"{segment.path}-wal")
    content = bytearray(wal.read_bytes())
    frames = range(32, len(content), 24 + 8 * KB)
    numbers = [int.from_bytes(content[at : at + 4], "big") for at in frames if content[at + 24] == 0x0D]
    page = sorted(set(numbers))[len(set(numbers)) // 2]
    for at in frames:
        if int.from_bytes(content[at : at + 4], "big") == page:
            content[at + 24 : at + 224] = b"\xff" * 200
    wal.write_bytes(bytes(content))

    kept = await drained(spool, counters)
    assert any(path.suffix == ".spool" for path in (tmp_path / "quarantine").iterdir())
    kept += await drained(spool, counters)  # what could be read was written anew
    assert 990 <= len(set(kept)) == len(kept) < 1000
    assert counters.snapshot().dropped == {"damaged": 1000 - len(kept)}
    assert "put aside" in caplog.text
    assert_adds_up(counters, 0)
    await spool.close()
    accounts = list(accounts_in(tmp_path).values())
    assert [sum(a.accepted for a in accounts), sum(a.delivered for a in accounts)] == [1000, len(kept)]


async def test_a_damaged_log_loses_its_end_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = await left_behind(tmp_path)
    wal = Path(f"{path}-wal")
    flip(wal, wal.stat().st_size // 2)
    counters = Counters()
    spool = spool_in(tmp_path, counters)
    await spool.adopt()
    kept = await drained(spool, counters)
    assert kept == [f"e{i}" for i in range(len(kept))]
    assert 10 < len(kept) < 45
    lost = counters.snapshot().dropped["damaged"]
    assert 0 < lost <= 50 - len(kept)
    assert f"{lost} transactions at its end are lost" in caplog.text
    assert_adds_up(counters, 0)
    await spool.close()


def test_salvage_gives_up_behind_a_long_gap_if_it_cannot_know_the_last_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = asyncio.run(left_behind(tmp_path, 40))
    db = sqlite3.connect(str(path))
    with db:
        db.execute("DELETE FROM record WHERE seq BETWEEN 11 AND 20")
    db.close()
    checkpointed(path)
    content = bytearray(path.read_bytes())
    leaf = next(n for n in range(len(content) // (8 * KB) - 1, 2, -1) if content[n * 8 * KB] == 0x0D)
    content[leaf * 8 * KB : leaf * 8 * KB + 200] = b"\xff" * 200  # the last page: the highest number cannot be read
    path.write_bytes(bytes(content))
    monkeypatch.setattr("honeyhive_litellm._spool.salvage._GIVE_UP_AFTER", 11)
    reached = {record.id for record in salvage(path, []).records}
    assert {f"e{i}" for i in range(10)} < reached
    assert {f"e{i}" for i in range(20, 30)} < reached
    monkeypatch.setattr("honeyhive_litellm._spool.salvage._GIVE_UP_AFTER", 10)
    assert {record.id for record in salvage(path, []).records} == {f"e{i}" for i in range(10)}


@pytest.mark.parametrize("part", ["", "-wal"])
async def test_a_truncated_file_costs_what_was_cut_off(tmp_path: Path, part: str) -> None:
    path = await left_behind(tmp_path)
    if not part:
        checkpointed(path)
    cut = Path(f"{path}{part}")
    os.truncate(cut, cut.stat().st_size // 2)
    counters = Counters()
    spool = spool_in(tmp_path, counters)
    await spool.adopt()
    kept = await drained(spool, counters)
    kept += await drained(spool, counters)
    assert 10 < len(kept) < 50
    assert len(set(kept)) == len(kept)
    assert_adds_up(counters, 0)
    assert await spool.next_batch() is None
    await spool.close()


@pytest.mark.parametrize("content", [b"", b"no database", b"\xa5" * 20000, b"SQLite format 3\0" + bytes(20000)])
async def test_a_file_that_is_no_segment_is_put_aside_and_holds_up_nobody(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = await left_behind(tmp_path, 3)
    (tmp_path / "host-1-aaaaaaaa-000001.spool").write_bytes(content)
    (tmp_path / "host-1-aaaaaaaa-000001.spool-wal").write_bytes(b"rubbish" * 1000)
    counters = Counters()
    spool = spool_in(tmp_path, counters)
    await spool.adopt()
    assert await drained(spool, counters) == ["e0", "e1", "e2"]
    assert list(tmp_path.glob("host-1-*.spool*")) == []
    assert (tmp_path / "quarantine" / "host-1-aaaaaaaa-000001.spool").read_bytes() == content
    assert caplog.text.count("put aside") == 1
    assert not path.exists()
    await spool.close()


async def test_a_segment_that_another_program_has_locked_is_taken_later(tmp_path: Path) -> None:
    path = await left_behind(tmp_path, 3)
    other_program = subprocess.Popen(
        [
            sys.executable,
            "-c",
            OTHER_PROGRAM,
            str(path),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with other_program:
        assert signal_ready(other_program) == "locked"
        counters = Counters()
        spool = spool_in(tmp_path, counters)
        assert await spool.adopt() == 0
        await taken_in(spool, counters, [event("own")])
        assert await drained(spool, counters) == ["own"]
        other_program.communicate("")
    assert await spool.adopt() == 3
    assert await drained(spool, counters) == ["e0", "e1", "e2"]
    assert not (tmp_path / "quarantine").exists()
    await spool.close()
