"""The writer: every record that comes in is committed, however fast they come."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import List, Sequence, Tuple

import pytest

from honeyhive_litellm._spool.limits import Limits
from honeyhive_litellm._spool.queue import RecordQueue
from honeyhive_litellm._spool.record import EVENT, START, Record
from honeyhive_litellm._spool.spool import Spool
from honeyhive_litellm._spool.writer import Writer
from honeyhive_litellm._stats import Counters

from ..waiting import let_others_run, until_on_loop

COUNT = 3000


def event(number: int) -> Record:
    return Record(EVENT, f"e{number}", 1.0, None, b'{"event_id":"e%d"}' % number)


@pytest.mark.parametrize("pause_s", [0.0, 0.0001], ids=["strict", "patient"])
async def test_one_that_comes_while_another_is_committed_is_committed_next(tmp_path: Path, pause_s: float) -> None:
    counters = Counters()
    queue = RecordQueue(counters)
    spool = Spool(tmp_path, counters, durability="process", limits=Limits(2**30))
    done = asyncio.Event()

    def committed(group: Sequence[Record]) -> None:
        made = counters.snapshot().committed
        if made < COUNT:
            assert queue.put(event(made))  # as many threads do, while the commit lets go of Python's lock
        else:
            done.set()

    writer = Writer(queue, spool, committed, pause_s=pause_s)
    queue.put(event(0))
    writing = asyncio.ensure_future(writer.run())
    try:
        await asyncio.wait_for(done.wait(), 60)
    finally:
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        await spool.close()
    assert counters.snapshot().committed == COUNT
    assert sum(segment.events for segment in spool.segments()) == COUNT


async def test_a_quiet_process_sleeps_at_once_and_still_commits_in_groups(tmp_path: Path) -> None:
    pause_s = 0.2
    counters = Counters()
    queue = RecordQueue(counters)
    spool = Spool(tmp_path, counters, durability="process", limits=Limits(2**30))
    groups: asyncio.Queue[Tuple[float, List[str]]] = asyncio.Queue()

    def committed(group: Sequence[Record]) -> None:
        if group:
            groups.put_nowait((time.monotonic(), [record.id for record in group]))

    async def next_group() -> Tuple[float, List[str]]:
        return await asyncio.wait_for(groups.get(), 30)

    writer = Writer(queue, spool, committed, pause_s=pause_s)
    writing = asyncio.ensure_future(writer.run())
    try:
        queue.put(event(0))
        assert (await next_group())[1] == ["e0"]
        await until_on_loop(lambda: queue._wake is not None)  # it looked once more, and nothing had come
        queue.put(event(1))
        first_at, first = await next_group()
        assert first == ["e1"] and queue._wake is not None
        queue.put(event(2))
        await asyncio.sleep(0)
        queue.put(event(3))
        second_at, second = await next_group()
        assert second == ["e2", "e3"] and second_at - first_at >= 0.9 * pause_s
    finally:
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        await spool.close()


async def test_who_waits_for_a_commit_does_not_wait_for_the_pause_to_end(tmp_path: Path) -> None:
    counters = Counters()
    queue = RecordQueue(counters)
    spool = Spool(tmp_path, counters, durability="process", limits=Limits(2**30))
    groups: asyncio.Queue[List[str]] = asyncio.Queue()
    on_disk: asyncio.Queue[str] = asyncio.Queue()

    def committed(group: Sequence[Record]) -> None:
        groups.put_nowait([record.id for record in group])
        if group and group[-1].id == "e2":  # as another thread may do while the commit lets go of Python's lock
            queue.put(event(3))
            queue.when_committed(lambda: on_disk.put_nowait("e3"))

    async def next_group() -> List[str]:
        return await asyncio.wait_for(groups.get(), 30)

    writer = Writer(queue, spool, committed, pause_s=3600)
    queue.put(event(0))
    writing = asyncio.ensure_future(writer.run())
    try:
        assert await next_group() == ["e0"]
        queue.put(event(1))
        queue.put(event(2))
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(groups.get(), 0.05)
        queue.when_committed(lambda: on_disk.put_nowait("e2"))
        assert await next_group() == ["e1", "e2"]
        assert await next_group() == ["e3"]
        assert [await asyncio.wait_for(on_disk.get(), 30) for _ in range(2)] == ["e2", "e3"]
        queue.put(event(4))
        queue.when_committed(lambda: on_disk.put_nowait("e4"))
        assert await next_group() == ["e4"]
    finally:
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        await spool.close()


async def test_a_record_that_sqlite_cannot_take_is_counted_and_keeps_no_other_from_the_disk(tmp_path: Path) -> None:
    counters = Counters()
    queue = RecordQueue(counters)
    spool = Spool(tmp_path, counters, durability="process", limits=Limits(2**30))
    writer = Writer(queue, spool, lambda group: None, pause_s=0)
    start = Record(START, "e1", 1.0, None, b"{}")
    for record in (start, event(0), event(1), event(2)._replace(id="\ud800"), event(3)):
        assert queue.put(record)
    await writer.commit_all()
    assert counters.snapshot().dropped == {"fault": 1}
    batch = await spool.next_batch()
    assert batch is not None and [row.id for row in batch.rows] == ["e0", "e1", "e3"]
    await spool.close()


async def test_a_writer_that_has_ended_leaves_the_queue_to_another(tmp_path: Path) -> None:
    counters = Counters()
    queue = RecordQueue(counters)
    spool = Spool(tmp_path, counters, durability="process", limits=Limits(2**30))
    groups: List[int] = []

    def committed(group: Sequence[Record]) -> None:
        groups.append(len(group))
        writer.end()  # in the midst of the task's work

    writer = Writer(queue, spool, committed, pause_s=0.0)
    queue.put(event(0))
    writing = asyncio.ensure_future(writer.run())
    await until_on_loop(lambda: groups == [1])
    await let_others_run()
    queue.put(event(1))
    await let_others_run()
    assert (groups, queue.is_committed(1), queue.is_committed(2)) == ([1], True, False)
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)

    other = Writer(queue, spool, lambda group: groups.append(len(group)), pause_s=0.0)
    await other.commit_all()
    writing = asyncio.ensure_future(other.run())
    await let_others_run()
    queue.put(event(2))  # wakes the writer, which ends before it gets its turn
    other.end()
    await let_others_run()
    assert not queue.is_committed(3)
    await other.commit_all()
    assert queue.is_committed(3)
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    await spool.close()


def test_a_record_that_comes_after_the_end_of_the_loop_stays_in_the_queue(tmp_path: Path) -> None:
    counters = Counters()
    queue = RecordQueue(counters)

    async def become_quiet() -> None:
        spool = Spool(tmp_path, counters, durability="process", limits=Limits(2**30))
        writer = Writer(queue, spool, lambda group: None, pause_s=0.0)
        writing = asyncio.ensure_future(writer.run())
        await until_on_loop(lambda: writer._is_quiet)
        writing.cancel()
        await spool.close()

    asyncio.run(become_quiet())
    assert queue.put(event(1))
    called: List[bool] = []
    queue.when_committed(lambda: called.append(True))
    assert queue.take() == [event(1)] and not called
