"""From the queue to the disk: what comes in is committed in groups, one transaction each.

A quiet process's record is on disk at once. A busy one's are committed every COMMIT_EVERY_S, since each transaction
takes Python's lock from the threads that make the calls. Most groups are small and are committed on the spot, in a
callback of the loop: to wake a task takes two more turns of the loop, which cost as much as the commit does. For the
same reason a process that makes few calls sleeps right after a commit, instead of looking once more in a while.
The task is there for all that has to wait for something: a big group, a new segment, a disk in trouble.
"""

from __future__ import annotations

import asyncio
from typing import Callable, List, Sequence

from .queue import RecordQueue
from .record import Record
from .spool import Spool

COMMIT_EVERY_S = 0.004


class Writer:
    """Lives on the runtime's loop. `on_committed` is told of each group.

    `pause_s` is how soon one group is committed after another: COMMIT_EVERY_S, or 0 where calls wait for it.
    """

    def __init__(
        self, queue: RecordQueue, spool: Spool, on_committed: Callable[[Sequence[Record]], None], *, pause_s: float
    ) -> None:
        self._queue = queue
        self._spool = spool
        self._tell = on_committed
        self._pause_s = pause_s
        self._loop = asyncio.get_running_loop()
        self._due = 0.0
        self._is_quiet = False
        self._left: List[Record] = []
        self._has_work = asyncio.Event()
        self.at_rest = asyncio.Lock()
        """Held while the task is in a transaction; who holds it meanwhile has the spool's active segment alone."""

    async def run(self) -> None:
        """Commit what comes in, until cancelled."""
        self._has_work.set()
        while True:
            await self._has_work.wait()
            self._has_work.clear()
            await self.commit_some()
            self._rest()

    async def commit_all(self) -> None:
        """Commit what has come in so far."""
        while await self.commit_some():
            pass

    async def commit_some(self) -> bool:
        """Commit one group; False if there was nothing."""
        async with self.at_rest:
            group, self._left = self._left or self._queue.take(), []
            if group:
                await self._spool.append(group)
            self._committed(group)
            return bool(group)

    def _committed(self, group: Sequence[Record]) -> None:
        self._queue.committed()
        self._tell(group)

    def _rest(self) -> None:
        """Look again when the next group is due, in a turn of the loop of its own, or only when something comes."""
        self._due = self._loop.time() + self._pause_s
        if not (self._is_quiet and self._queue.arm_wakeup(self._wake)):
            self._loop.call_later(self._pause_s, self._look)

    def _look(self) -> None:
        """Commit what has come meanwhile, or sleep until something does."""
        self._is_quiet = self._queue.arm_wakeup(self._wake)
        if not self._is_quiet:
            self._commit_here()

    def _wake(self) -> None:
        self._loop.call_soon_threadsafe(self._look_when_due)

    def _look_when_due(self) -> None:
        """Commit what has come, but not too soon after the last group."""
        early_s = self._due - self._loop.time()
        if early_s > 0:
            self._is_quiet = False
            self._loop.call_later(early_s, self._commit_here)
        else:
            self._commit_here()

    def _commit_here(self) -> None:
        """Commit a group on the spot if that is easy, or else, or if a fault of ours turns up, leave it to the task."""
        is_done = False
        try:
            if not self.at_rest.locked():
                group = self._left = self._queue.take()
                is_done = not group or self._spool.append_here(group)
                if is_done:
                    self._left = []
                    self._committed(group)
        finally:
            if is_done:
                self._rest()
            else:
                self._has_work.set()
