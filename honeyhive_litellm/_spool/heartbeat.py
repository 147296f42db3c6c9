"""Publishes this process's numbers in the spool folder: once a second while they change, else as a heartbeat."""

from __future__ import annotations

import os
import socket
import time

from honeyhive_litellm._errors import SpoolError
from honeyhive_litellm._stats import Stats

from .process_state import ProcessState, write_state
from .spool import Spool

PUBLISH_EVERY_S = 1.0
HEARTBEAT_S = 5.0


class Publisher:
    """Belongs to the loop of its spool."""

    def __init__(self, spool: Spool, *, flushes: bool) -> None:
        self._spool = spool
        self._flushes = flushes
        self._published: object = None
        self._published_at = -HEARTBEAT_S

    async def publish(self, stats: Stats) -> None:
        """Write the state file unless nothing has changed since the last heartbeat. Never raises.

        While calls are in flight it is written every second: should the process die, their `interrupted` events end
        at the time of the last write. A folder that cannot be written is reported by the writer, not here.
        """
        age_s = time.monotonic() - self._published_at
        if age_s < PUBLISH_EVERY_S:
            return
        await self._spool.look_for_oldest()
        unspooled, segments = self._spool.totals()
        numbers = (stats, unspooled, segments)
        if age_s < HEARTBEAT_S and numbers == self._published and not stats.in_flight:
            return
        self._published, self._published_at = numbers, time.monotonic()
        if self._spool.ensure_lease():
            state = ProcessState(
                self._spool.owner,
                os.getpid(),
                socket.gethostname(),
                time.time(),
                self._flushes,
                stats,
                unspooled,
                segments,
                self._spool.oldest_pending_at(),
            )
            try:
                write_state(self._spool.folder, state)
            except (OSError, SpoolError):
                pass  # tried again at the next change or heartbeat
