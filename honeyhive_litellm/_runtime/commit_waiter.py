"""Wait until records are on disk, on any event loop or on a thread without one, and never for ever."""

from __future__ import annotations

import asyncio
import threading

from honeyhive_litellm._log import warn
from honeyhive_litellm._log_codes import LogCode
from honeyhive_litellm._spool.queue import RecordQueue

STRICT_PATIENCE_S = 10.0
"""How long a strict call waits for a disk that hangs, before it returns without being on disk."""

START_PATIENCE_S = 2.0
"""How long a call that has its response waits for its own start record. A process's first call waits for the thread and
the files to be made; others usually not at all, since providers take longer than COMMIT_EVERY_S."""


class CommitWaiter:
    """Waits for the records of one queue, which are named by their positions in it."""

    def __init__(self, queue: RecordQueue) -> None:
        self._queue = queue
        self._stalled_at = -1
        """How much was committed when a call last waited in vain. Until more is, further calls do not wait."""

    async def all_committed(self) -> None:
        """Wait until all that was put so far is committed, STRICT_PATIENCE_S at most."""
        if not await self._committed(self._queue.position, STRICT_PATIENCE_S):
            warn(
                LogCode.OUTCOME_NOT_COMMITTED,
                "honeyhive: the disk has not answered for %g s; a strict call returns before its event is on disk",
                STRICT_PATIENCE_S,
            )

    async def start_committed(self, position: int) -> None:
        """Wait until the start record at this position is committed, START_PATIENCE_S at most."""
        if self._is_worth_waiting(position) and not await self._committed(position, START_PATIENCE_S):
            self._stall()

    def wait_for_start(self, position: int) -> None:
        """`start_committed` for sync calls: blocks the calling thread."""
        if not self._is_worth_waiting(position):
            return
        done = threading.Event()
        self._queue.when_committed(done.set, position)
        if not done.wait(START_PATIENCE_S):
            self._queue.stop_waiting(done.set)
            self._stall()

    async def _committed(self, position: int, patience_s: float) -> bool:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()

        def wake_caller() -> None:
            try:
                loop.call_soon_threadsafe(done.set_result, None)
            except RuntimeError:
                pass  # the caller's loop is closed, so it no longer waits

        self._queue.when_committed(wake_caller, position)
        try:
            await asyncio.wait([done], timeout=patience_s)
        finally:
            if not done.done():  # timed out or cancelled
                self._queue.stop_waiting(wake_caller)
        return done.done()

    def _is_worth_waiting(self, position: int) -> bool:
        return not self._queue.is_committed(position) and self._queue.committed_position != self._stalled_at

    def _stall(self) -> None:
        self._stalled_at = self._queue.committed_position
        warn(
            LogCode.START_NOT_COMMITTED,
            "honeyhive: the disk has not answered for %g s; calls return before their start is on disk",
            START_PATIENCE_S,
        )
