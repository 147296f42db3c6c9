"""A call waits for its own start, not for later records, and not again while the disk answers nothing."""

from __future__ import annotations

import asyncio
import threading
from typing import Callable, List

import pytest

from honeyhive_litellm._runtime import commit_waiter
from honeyhive_litellm._runtime.commit_waiter import CommitWaiter
from honeyhive_litellm._spool.queue import RecordQueue
from honeyhive_litellm._spool.record import START, Record
from honeyhive_litellm._stats import Counters


def put(queue: RecordQueue) -> int:
    assert queue.put(Record(START, "id", 0.0, None, b"{}"))
    return queue.position


def in_thread(function: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=function)
    thread.start()
    return thread


def test_a_sync_call_waits_until_its_own_start_is_committed_and_not_for_a_later_one() -> None:
    queue = RecordQueue(Counters())
    waiter, position = CommitWaiter(queue), put(queue)
    waiting = in_thread(lambda: waiter.wait_for_start(position))
    queue.take()
    put(queue)
    queue.committed()
    waiting.join(30)
    assert not waiting.is_alive()
    assert not queue.is_committed(queue.position)


async def test_an_async_call_waits_until_its_own_start_is_committed_and_not_for_a_later_one() -> None:
    queue = RecordQueue(Counters())
    waiter, position = CommitWaiter(queue), put(queue)
    waiting = asyncio.ensure_future(waiter.start_committed(position))
    await asyncio.sleep(0)
    assert not waiting.done()
    queue.take()
    put(queue)
    queue.committed()
    await asyncio.wait_for(waiting, 30)


@pytest.mark.parametrize("is_async", [False, True])
def test_a_disk_that_hangs_is_waited_for_once(monkeypatch: pytest.MonkeyPatch, is_async: bool) -> None:
    queue = RecordQueue(Counters())
    waiter, first = CommitWaiter(queue), put(queue)
    second = put(queue)

    def wait(position: int) -> None:
        if is_async:
            asyncio.run(waiter.start_committed(position))
        else:
            waiter.wait_for_start(position)

    monkeypatch.setattr(commit_waiter, "START_PATIENCE_S", 0.01)
    wait(first)
    monkeypatch.setattr(commit_waiter, "START_PATIENCE_S", 1000)
    wait(second)  # returns at once
    queue.take()
    queue.committed()
    third = put(queue)
    waiting = in_thread(lambda: wait(third))  # the disk answers again, so this one waits
    queue.take()
    queue.committed()
    waiting.join(30)
    assert not waiting.is_alive()


async def test_a_strict_call_returns_although_the_disk_hangs_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    queue = RecordQueue(Counters())
    waiter = CommitWaiter(queue)
    await waiter.all_committed()
    assert caplog.text == ""
    put(queue)
    monkeypatch.setattr(commit_waiter, "STRICT_PATIENCE_S", 0.01)
    await waiter.all_committed()
    assert "the disk has not answered for 0.01 s; a strict call returns before its event is on disk" in caplog.text


def test_a_caller_whose_loop_has_ended_keeps_no_other_waiting() -> None:
    queue = RecordQueue(Counters())
    waiter, position = CommitWaiter(queue), put(queue)
    loop = asyncio.new_event_loop()
    abandoned = waiter.start_committed(position)

    async def begin() -> None:
        abandoned.send(None)

    loop.run_until_complete(begin())
    loop.close()
    called: List[bool] = []
    queue.when_committed(lambda: called.append(True))
    queue.take()
    queue.committed()
    assert called == [True]
    abandoned.close()
