"""Delivers what other processes wrote, and writes nothing itself: a sidecar, or a command run once."""

from __future__ import annotations

import asyncio
import time
from typing import Optional

from honeyhive_litellm._config.settings import Settings
from honeyhive_litellm._delivery.flusher import Flusher
from honeyhive_litellm._delivery.sinks.factory import sink_for
from honeyhive_litellm._spool.heartbeat import Publisher
from honeyhive_litellm._spool.spool import Spool
from honeyhive_litellm._stats import Counters, Stats

from .pipeline import limits_of

LOOK_EVERY_S = 1.0
"""How often a sidecar looks for something to take over."""

STALLED_S = 60.0
"""Without a limit of time, and without being told to follow, give up when nothing has moved for so long."""

_POLL_S = 0.05
_CLOSING_S = 0.5


class Drain:
    """One run: `run` it on a loop, `stop` it from there."""

    def __init__(self, settings: Settings, *, follow: bool, timeout_s: Optional[float]) -> None:
        """Go on after everything is delivered if `follow`; for `timeout_s` seconds at most, None for no limit."""
        self._settings = settings
        self._follow = follow
        self._timeout_s = timeout_s
        self._counters = Counters()
        self._stop = False

    def stop(self) -> None:
        """Deliver what is in hand, for `shutdown_timeout` seconds at most, and end."""
        self._stop = True

    async def run(self) -> Stats:
        """Deliver; the numbers of what was taken over. What could not be delivered in time stays in the spool."""
        settings = self._settings
        spool = Spool(settings.spool_path, self._counters, durability=settings.durability, limits=limits_of(settings))
        sink = sink_for(settings)
        flusher = Flusher(
            spool, sink, self._counters, lookup_delay_s=settings.lookup_delay, on_delivered=lambda rows: None
        )
        flusher.set_urgent(True)
        delivering = asyncio.ensure_future(flusher.run())
        try:
            await self._take_over(spool, flusher)
            deadline = time.monotonic() + settings.shutdown_timeout - _CLOSING_S
            while self._stop and self._counters.snapshot().pending and time.monotonic() < deadline:  # noqa: ASYNC110  short, and once
                await asyncio.sleep(_POLL_S)
        finally:
            delivering.cancel()
            await asyncio.gather(delivering, return_exceptions=True)
            await sink.aclose()
            await spool.close()
        return self._counters.snapshot()

    async def _take_over(self, spool: Spool, flusher: Flusher) -> None:
        publisher = Publisher(spool, flushes=True)
        began = moved_at = time.monotonic()
        next_look = 0.0
        before = None
        while not self._stop:
            now = time.monotonic()
            stats = self._counters.snapshot()
            publisher.publish(stats)
            if stats != before:
                before, moved_at, next_look = stats, now, 0.0  # where something came or went there may be more
            if now >= next_look:
                next_look = now + LOOK_EVERY_S
                if await spool.adopt():
                    flusher.wake()
                    continue
                if not self._follow and not stats.pending and not any(True for _ in spool.segments()):
                    return  # hands that are full take nothing either
            if self._timeout_s is not None and now - began >= self._timeout_s:
                return
            if self._timeout_s is None and not self._follow and now - moved_at >= STALLED_S:
                return
            await asyncio.sleep(_POLL_S)
