"""Tells the folder how this process stands: at most once a second, and only a heartbeat while nothing changes."""

from __future__ import annotations

import os
import socket
import time

from honeyhive_litellm._stats import Stats

from .process_state import Published, publish
from .spool import Spool

EVERY_S = 1.0
HEARTBEAT_S = 5.0


class Publisher:
    """Belongs to the loop of its spool."""

    def __init__(self, spool: Spool, *, flushes: bool) -> None:
        self._spool = spool
        self._flushes = flushes
        self._told: object = None
        self._told_at = -HEARTBEAT_S

    def tell(self, stats: Stats) -> None:
        """Publish unless there is nothing new. Never raises: a folder that takes nothing is the writer's trouble.

        While calls are in flight each second is new: should the process die, it tells when they were last seen.
        """
        age_s = time.monotonic() - self._told_at
        if age_s < EVERY_S:
            return
        unspooled, segments = self._spool.standing()
        news = (stats, unspooled, segments)
        if age_s < HEARTBEAT_S and news == self._told and not stats.in_flight:
            return
        self._told, self._told_at = news, time.monotonic()
        if self._spool.hold_lease():
            owner = self._spool.owner
            published = Published(
                owner, os.getpid(), socket.gethostname(), time.time(), self._flushes, stats, unspooled, segments
            )
            try:
                publish(self._spool.folder, published)
            except OSError:
                pass  # tried again with the next news or heartbeat
