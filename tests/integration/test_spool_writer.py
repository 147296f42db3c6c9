"""The writer: every record that comes in is committed, however fast they come."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import List, Sequence, Tuple

import pytest

from honeyhive_litellm._spool.limits import Limits
from honeyhive_litellm._spool.queue import RecordQueue
from honeyhive_litellm._spool.record import EVENT, Record
from honeyhive_litellm._spool.spool import Spool
from honeyhive_litellm._spool.writer import Writer
from honeyhive_litellm._stats import Counters

from ..waiting import until_on_loop

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
