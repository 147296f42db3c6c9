"""From the queue to the disk: records are committed in groups, one transaction each.

While few records come, each is committed at once. While many come, a group is committed every COMMIT_EVERY_S, since
each transaction takes Python's lock from the threads that make the calls. Who cannot wait for that asks for a commit by
waiting for one (`RecordQueue.when_committed`).

Most groups are small and are committed inline, in a callback of the loop. Waking a task takes two more turns of the
loop, which cost as much as the commit itself. For the same reason a process that makes few calls arms the wake-up right
after a commit, instead of looking at the queue once more after a pause. The task commits what has to be awaited: a big
group, a new segment, a disk in trouble.
"""

from __future__ import annotations

import asyncio
from typing import Callable, Optional, Sequence

from .queue import RecordQueue
from .record import Record
from .spool import Spool

COMMIT_EVERY_S = 0.02
"""A record is on disk at most that much later, unless the disk is slower."""


class Writer:
    """Lives on the runtime's loop. Calls `on_committed` with each group.

    `pause_s` is the time between two groups while nobody waits for one.
    """

    def __init__(
        self,
        queue: RecordQueue,
        spool: Spool,
        on_committed: Callable[[Sequence[Record]], None],
        *,
        pause_s: float = COMMIT_EVERY_S,
    ) -> None:
        self._queue = queue
        self._spool = spool
        self._on_committed = on_committed
        self._pause_s = pause_s
        self._loop = asyncio.get_running_loop()
        self._next_commit_at = 0.0
        self._timer: Optional[asyncio.TimerHandle] = None
        """Ends the pause between two groups; None while there is none."""
        self._is_quiet = False
        self._may_be_committed = False
        """Whether the group in hand was being appended when the writer was interrupted."""
        self._is_ended = False
        self._has_work = asyncio.Event()
        self.commit_lock = asyncio.Lock()
        """Held during each awaited transaction. Whoever else holds it has the spool's active segment alone."""

    async def run(self) -> None:
        """Commit what comes, until cancelled."""
        self._has_work.set()
        while True:
            await self._has_work.wait()
            self._has_work.clear()
            await self.commit_some()
            self._schedule_next()

    def end(self) -> None:
        """Look at the queue no more, of which another writer may take over. `commit_all` still works."""
        self._is_ended = True
        self._end_pause()
        self._queue.disarm()

    async def commit_all(self) -> None:
        """Commit everything that is in the queue."""
        while await self.commit_some():
            pass

    async def commit_some(self) -> bool:
        """Commit one group; False if there was nothing."""
        async with self.commit_lock:
            group = self._queue.take()
            if group and not (self._may_be_committed and await self._spool.has_appended(group)):
                self._may_be_committed = True
                await self._append(group)
            self._committed(group)
            return bool(group)

    async def _append(self, group: Sequence[Record]) -> None:
        try:
            await self._spool.append(group)
        except Exception as error:
            if len(group) > 1:
                for record in group:  # one that SQLite cannot take must not keep the others from the disk
                    await self._append([record])
            else:
                void = self._queue.lose(group[0], error)
                if void is not None:
                    await self._append([void])

    def resume(self) -> None:
        """Look at the queue again: after an interrupt of the loop."""
        self._has_work.set()

    def _committed(self, group: Sequence[Record]) -> None:
        self._may_be_committed = False
        self._queue.committed()
        self._on_committed(group)

    def _schedule_next(self) -> None:
        """Look at the queue when the next group is due, or in a quiet process when something comes."""
        self._next_commit_at = self._loop.time() + self._pause_s
        if not (self._is_quiet and self._queue.arm_wakeup(self._wake)):
            self._pause(self._pause_s)

    def _pause(self, pause_s: float) -> None:
        """Look at the queue after `pause_s`, or as soon as somebody waits for a commit."""
        self._end_pause()
        if not self._queue.arm_demand(self._hurry):
            pause_s = 0.0
        self._timer = self._loop.call_later(pause_s, self._commit_or_sleep)

    def _end_pause(self) -> bool:
        """Stop the timer; False if none was running."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        return timer is not None

    def _commit_or_sleep(self) -> None:
        self._timer = None
        if self._is_ended:
            return
        self._is_quiet = self._queue.arm_wakeup(self._wake)
        if not self._is_quiet:
            self._commit_inline()

    def _wake(self) -> None:
        self._call_soon(self._commit_when_due)

    def _hurry(self) -> None:
        self._call_soon(self._commit_early)

    def _call_soon(self, callback: Callable[[], None]) -> None:
        """Have the loop call `callback`; for any thread."""
        try:
            self._loop.call_soon_threadsafe(callback)
        except RuntimeError:
            pass  # the loop has ended: what is in the queue is written by the late writer

    def _commit_when_due(self) -> None:
        """Commit what has come, but not within `pause_s` of the last group."""
        early_s = self._next_commit_at - self._loop.time()
        if early_s > 0:
            self._is_quiet = False
            self._pause(early_s)
        else:
            self._commit_inline()

    def _commit_early(self) -> None:
        """Commit although the pause is not over. Without a pause, a commit is under way or about to begin."""
        if self._end_pause():
            self._commit_inline()

    def _commit_inline(self) -> None:
        """Commit a group here if nothing has to be awaited; else, or after a bug of ours, leave it to the task."""
        if self._is_ended:
            return
        is_done = False
        try:
            if not self.commit_lock.locked() and not self._may_be_committed:
                group = self._queue.take()
                self._may_be_committed = bool(group)
                is_done = not group or self._spool.append_inline(group)
                if is_done:
                    self._committed(group)
                else:
                    self._may_be_committed = False
        finally:
            if is_done:
                self._schedule_next()
            else:
                self._has_work.set()
