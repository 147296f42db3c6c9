from __future__ import annotations

import asyncio
import sqlite3
import threading
from pathlib import Path
from typing import Awaitable, Callable, List, Optional

import pytest

from honeyhive_litellm import SpoolError
from honeyhive_litellm._spool.record import CLOSED, EVENT, START, Record
from honeyhive_litellm._spool.segment import Batch, Segment
from honeyhive_litellm._spool.segment_connection import LEAST_JOURNAL_BYTES
from honeyhive_litellm._spool.segment_files import MEMORY
from honeyhive_litellm._spool.sql import PAGE_BYTES

from ..waiting import let_others_run


def event(name: str, size: int = 10) -> Record:
    return Record(EVENT, name, 1.0, None, b'{"event_id":"' + name.encode() + b'","x":"' + b"x" * size + b'"}')


def start(name: str) -> Record:
    return Record(START, name, 1.0, None, b'{"event_id":"' + name.encode() + b'"}')


async def created(path: object) -> Segment:
    segment = Segment(path, "process")  # type: ignore[arg-type]
    await segment.create()
    return segment


async def drained(segment: Segment, max_events: int = 100, max_bytes: int = 10**6) -> List[Batch]:
    batches: List[Batch] = []
    while True:
        batch = await segment.next_batch(max_events, max_bytes)
        if batch is None:
            return batches
        batches.append(batch)


def ids(batch: Optional[Batch]) -> List[str]:
    assert batch is not None
    return [row.id for row in batch.rows]


def change(path: Path, script: str) -> None:
    connection = sqlite3.connect(path)
    connection.executescript(script)
    connection.close()


async def test_what_is_appended_comes_back_in_order_and_once(tmp_path: Path) -> None:
    segment = await created(tmp_path / "a.spool")
    await segment.append([start("a"), event("a"), start("b"), event("b"), event("c")])
    assert [ids(b) for b in await drained(segment)] == [["a", "b", "c"]]
    assert await segment.next_batch(100, 10**6) is None
    assert segment.pending == 3
    await segment.close()


async def test_a_call_that_is_closed_without_an_event_is_no_event_and_leaves_no_start(tmp_path: Path) -> None:
    segment = await created(tmp_path / "a.spool")
    closed = Record(CLOSED, "a", 1.0, None, b"")
    await segment.append([start("a"), start("b"), closed, Record(CLOSED, "elsewhere", 1.0, None, b"")])
    assert (set(segment.open_starts), segment.events, segment.pending) == ({"b"}, 0, 0)
    await segment.close()
    again = Segment(tmp_path / "a.spool", "process")
    await again.open()
    assert (set(again.open_starts), again.ended, again.events, again.pending) == ({"b"}, {"a", "elsewhere"}, 0, 0)
    assert await drained(again) == []
    await again.close()


async def test_a_batch_keeps_to_both_limits_but_takes_one_event_however_big(tmp_path: Path) -> None:
    segment = await created(tmp_path / "a.spool")
    await segment.append([event("big", 5000), *(event(f"e{i}") for i in range(5))])
    assert [ids(b) for b in await drained(segment, max_events=3, max_bytes=1000)] == [
        ["big"],
        ["e0", "e1", "e2"],
        ["e3", "e4"],
    ]
    await segment.close()


async def test_settled_events_are_not_read_again_after_a_restart_and_sent_ones_are_marked_ambiguous(
    tmp_path: Path,
) -> None:
    segment = await created(tmp_path / "a.spool")
    await segment.append([event(f"e{i}") for i in range(6)])
    _first, second, third = await drained(segment, max_events=2)
    await segment.settle(second)
    await segment.unmark(third)
    await segment.close()

    again = Segment(tmp_path / "a.spool", "process")
    await again.open()
    assert again.pending == 4
    batches = await drained(again)
    assert [ids(b) for b in batches] == [["e0", "e1"], ["e4", "e5"]]
    assert batches[0].ambiguous_since is not None
    assert batches[1].ambiguous_since is None
    await again.settle(batches[0])
    await again.settle(batches[1])
    assert again.pending == 0
    await again.close()


async def test_halves_of_a_batch_settle_on_their_own(tmp_path: Path) -> None:
    segment = await created(tmp_path / "a.spool")
    await segment.append([start("e0"), *(event(f"e{i}") for i in range(5))])
    batch = await segment.next_batch(100, 10**6)
    assert batch is not None
    (left, right), change = segment.halves(batch)
    await segment.write(change)
    assert (ids(left), ids(right)) == (["e0", "e1"], ["e2", "e3", "e4"])
    await segment.settle(right)
    await segment.close()
    again = Segment(tmp_path / "a.spool", "process")
    await again.open()
    assert [ids(b) for b in await drained(again)] == [["e0", "e1"]]
    await again.close()


async def test_opening_finds_the_starts_without_an_event_and_the_events(tmp_path: Path) -> None:
    segment = await created(tmp_path / "a.spool")
    await segment.append([start("a"), start("b"), event("a"), event("stray")])
    await segment.close()
    again = Segment(tmp_path / "a.spool", "process")
    await again.open()
    assert list(again.open_starts) == ["b"]
    assert again.ended == {"a", "stray"}
    assert await again.start_of(again.open_starts["b"]) == start("b")
    await again.close()


async def test_a_sealed_segment_knows_its_number_of_events_without_counting(tmp_path: Path) -> None:
    segment = await created(tmp_path / "a.spool")
    await segment.append([event("a"), event("b")])
    await segment.seal()
    await segment.close()
    again = Segment(tmp_path / "a.spool", "process")
    await again.open()
    assert (again.sealed, again.pending, again.ended) == (True, 2, set())
    await again.close()


async def test_a_damaged_body_is_passed_over_and_counted(tmp_path: Path) -> None:
    segment = await created(tmp_path / "a.spool")
    await segment.append([event("a"), event("b"), event("c")])
    await segment.close()
    change(tmp_path / "a.spool", "UPDATE record SET body = x'7b7d' WHERE id = 'b'")
    again = Segment(tmp_path / "a.spool", "process")
    await again.open()
    (batch,) = await drained(again)
    assert (ids(batch), batch.damaged, batch.events) == (["a", "c"], 1, 3)
    await again.settle(batch)
    assert again.pending == 0
    await again.close()


async def test_nothing_of_a_group_is_there_when_the_disk_is_full(tmp_path: Path) -> None:
    segment = await created(tmp_path / "a.spool")
    assert segment.connection is not None
    await segment.connection.execute("PRAGMA max_page_count = 12")
    await segment.append([event("a")])
    with pytest.raises(SpoolError, match="full"):
        await segment.append([event("b"), event("c", 200_000)])
    assert [ids(b) for b in await drained(segment)] == [["a"]]
    await segment.close()


async def test_a_group_and_a_batch_take_few_steps_however_many_events_they_have(tmp_path: Path) -> None:
    # Each statement and each row is a turn of Python's lock, and may be waited for 5 ms while other threads compute.
    segment = await created(tmp_path / "a.spool")
    assert segment.connection is not None
    steps: List[object] = []

    def noted(_: object, row: object) -> object:
        steps.append(row)
        return row

    await segment.connection.set_trace_callback(steps.append)
    segment.connection.row_factory = noted  # type: ignore[assignment]
    await segment.append([event(f"e{i}") for i in range(100)])
    assert len(steps) == 1
    batch = await segment.next_batch(100, 10**6)
    assert ids(batch) == [f"e{i}" for i in range(100)]
    assert len(steps) < 10
    await segment.close()


async def test_a_row_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    segment = await created(tmp_path / "a.spool")
    odd = [
        Record(EVENT, "a, b", 1795472860438.5864, "s N\u00e4me, 1\n2", b'{"x":"\xc3\xa4 , \x00"}'),
        Record(EVENT, "\u00e4", 0.1, None, b"\xff\xfe"),
        Record(EVENT, "c", 1e300, "s", b""),
    ]
    await segment.append(odd)
    batch = await segment.next_batch(100, 10**6)
    assert batch is not None
    assert [Record(EVENT, *row[1:]) for row in batch.rows] == odd
    await segment.close()


async def test_a_group_of_many_is_one_transaction(tmp_path: Path) -> None:
    segment = await created(tmp_path / "a.spool")
    await segment.append([event(f"e{i}") for i in range(250)])
    assert segment.connection is not None
    await segment.connection.execute(
        "CREATE TRIGGER t BEFORE INSERT ON record WHEN NEW.id = 'bad' BEGIN SELECT RAISE(ABORT, 'x'); END"
    )
    with pytest.raises(SpoolError):
        await segment.append([*(event(f"f{i}") for i in range(250)), event("bad")])
    await segment.append([event("last")])
    assert [len(b.rows) for b in await drained(segment)] == [100, 100, 51]
    await segment.close()


@pytest.mark.parametrize("content", [b"no database at all, but long enough to be looked at" * 20, b""])
async def test_what_is_no_segment_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.spool").write_bytes(content)
    with pytest.raises(SpoolError, match=r"a\.spool"):
        await Segment(tmp_path / "a.spool", "process").open()
    assert (tmp_path / "a.spool").read_bytes() == content


async def test_a_strangers_database_and_a_newer_format_are_refused(tmp_path: Path) -> None:
    change(tmp_path / "other.spool", "CREATE TABLE t(x)")
    with pytest.raises(SpoolError, match="no spool segment"):
        await Segment(tmp_path / "other.spool", "process").open()
    segment = await created(tmp_path / "a.spool")
    await segment.close()
    change(tmp_path / "a.spool", "PRAGMA user_version = 99")
    with pytest.raises(SpoolError, match="format 99"):
        await Segment(tmp_path / "a.spool", "process").open()


async def test_a_discarded_segment_leaves_no_file(tmp_path: Path) -> None:
    segment = await created(tmp_path / "a.spool")
    await segment.append([event("a")])
    await segment.discard()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", [Segment.close, Segment.discard])
def test_a_cancelled_end_is_an_end(tmp_path: Path, ending: Callable[[Segment], Awaitable[None]]) -> None:
    # Else aiosqlite's thread would live on, or answer to a loop that is closed, and print a traceback.
    def threads() -> List[threading.Thread]:
        return [t for t in threading.enumerate() if t is not threading.main_thread()]

    async def cancelled_after(steps: int) -> None:
        segment = await created(tmp_path / f"{steps}.spool")
        await segment.append([event("a")])
        task = asyncio.ensure_future(ending(segment))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    before = threads()
    for steps in range(1, 40):
        asyncio.run(cancelled_after(steps))
        for thread in threads():
            if thread not in before:
                thread.join(20)
                assert not thread.is_alive()


async def test_a_segment_in_memory_does_the_same(tmp_path: Path) -> None:
    segment = await created(MEMORY)
    await segment.append([start("a"), event("a"), event("b")])
    (batch,) = await drained(segment)
    await segment.settle(batch)
    assert (ids(batch), segment.pending) == (["a", "b"], 0)
    await segment.discard()


async def test_files_can_be_read_by_their_owner_alone(tmp_path: Path) -> None:
    segment = await created(tmp_path / "a.spool")
    await segment.append([event("a")])
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    await segment.close()
    assert modes == {"a.spool": 0o600, "a.spool-wal": 0o600}


async def test_the_oldest_pending_event_is_the_first_one_that_is_not_settled(tmp_path: Path) -> None:
    async def oldest(segment: Segment) -> Optional[float]:
        await segment.look_for_oldest()
        return segment.oldest_pending_at

    async def settle_next(segment: Segment) -> None:
        batch = await segment.next_batch(1, 10**6)
        assert batch is not None
        await segment.settle(batch)

    segment = await created(tmp_path / "a.spool")
    assert await oldest(segment) is None
    times = {"a": 4000.0, "b": 3000.0, "c": 9000.0}
    await segment.append([start("a"), *(event(name)._replace(started_ms=ms) for name, ms in times.items())])
    assert await oldest(segment) == 4.0  # in the order of the records, which is that of the calls' ends
    await settle_next(segment)
    assert await oldest(segment) == 3.0
    await settle_next(segment)
    await segment.close()
    assert await oldest(segment) == 3.0  # as of when it was open
    reopened = Segment(tmp_path / "a.spool", "process")
    await reopened.open()
    assert reopened.oldest_pending_at == 9.0
    await settle_next(reopened)
    assert await oldest(reopened) is None
    await reopened.close()


async def test_an_outage_does_not_make_the_journal_longer_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "a.spool"
    segment = await created(path)
    names = [f"e{number}" for number in range(50)]
    await segment.append([event(name, 3000) for name in names])
    longest = 0
    for _attempt in range(400):
        batch = await segment.next_batch(100, 10**6)
        assert batch is not None
        await segment.unmark(batch)
        segment.put_back()
        longest = max(longest, path.stat().st_size + path.with_name("a.spool-wal").stat().st_size)
    assert longest < segment.size + LEAST_JOURNAL_BYTES + 200_000  # of 6.5 MB that 800 changes append
    assert segment.pending == 50
    await segment.close()

    again = Segment(path, "process")
    await again.open()
    assert [ids(batch) for batch in await drained(again)] == [names]
    await again.close()


async def test_a_journal_that_cannot_be_written_back_loses_no_change(tmp_path: Path) -> None:
    path = tmp_path / "a.spool"
    segment = await created(path)
    await segment.append([event("a"), event("b")])
    assert segment.connection is not None
    unread = await segment.connection.execute("SELECT seq FROM record")  # a statement that has not ended keeps it
    for _attempt in range(LEAST_JOURNAL_BYTES // PAGE_BYTES):
        batch = await segment.next_batch(1, 10**6)
        assert batch is not None
        await segment.unmark(batch)
        segment.put_back()
    assert path.with_name("a.spool-wal").stat().st_size > LEAST_JOURNAL_BYTES
    batch = await segment.next_batch(1, 10**6)
    assert batch is not None
    await segment.settle(batch)
    await unread.close()
    await segment.close()

    again = Segment(path, "process")
    await again.open()
    assert [ids(each) for each in await drained(again)] == [["b"]]
    await again.close()


async def test_nothing_is_done_inline_while_the_other_thread_is_at_work_on_the_file(tmp_path: Path) -> None:
    segment = await created(tmp_path / "a.spool")
    await segment.append([event("a")])
    assert segment.connection is not None
    is_inside, may_end = threading.Event(), threading.Event()

    def work(_value: object) -> int:
        is_inside.set()
        return int(may_end.wait(30))

    await segment.connection.create_function("work", 1, work)
    slow = asyncio.ensure_future(segment.connection.execute_fetchall("SELECT work(1)"))
    await asyncio.get_running_loop().run_in_executor(None, is_inside.wait, 30)
    assert not segment.append_inline([event("b")])  # it would wait for the thread
    appending = asyncio.ensure_future(segment.append([event("b")]))
    taking = asyncio.ensure_future(segment.next_batch(100, 10**6))
    await let_others_run()
    assert not appending.done() and not taking.done()
    may_end.set()
    await asyncio.gather(slow, appending)
    assert ids(await taking) == ["a"]
    assert [ids(batch) for batch in await drained(segment)] == [["b"]]
    await segment.close()
