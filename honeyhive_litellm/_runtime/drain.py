"""Delivers what other processes wrote, and writes nothing itself: a sidecar, or a command that runs once."""

from __future__ import annotations

import asyncio
import time
from typing import Optional

from honeyhive_litellm._config.settings import Settings
from honeyhive_litellm._stats import Counters, Stats

from .pipeline import CLOSING_S, Pipeline

ADOPT_EVERY_S = 1.0
"""How often a sidecar searches the folder for something to adopt."""

STALLED_S = 60.0
"""A run without `follow` and without a timeout ends when nothing has changed for so long."""

_POLL_S = 0.05
_PULSE_S = 0.5


class Drain:
    """One run: `run` it on a loop, `stop` it from there."""

    def __init__(self, settings: Settings, *, follow: bool, timeout_s: Optional[float]) -> None:
        """With `follow`, go on after everything is delivered. End after `timeout_s` seconds, None for no limit."""
        self._settings = settings
        self._follow = follow
        self._timeout_s = timeout_s
        self._counters = Counters()
        self._is_stopped = False
        self._pipeline: Optional[Pipeline] = None
        self.turned_at = time.monotonic()
        """When the loop last turned, by the monotonic clock; other threads read it."""

    def stop(self) -> None:
        """Adopt nothing more, deliver what is in hand, for `shutdown_timeout` seconds at most, and end."""
        self._is_stopped = True

    @property
    def is_circuit_open(self) -> bool:
        """Whether the server takes no events now. From any thread."""
        return self._pipeline is not None and self._pipeline.flusher.is_circuit_open

    async def run(self) -> Stats:
        """Deliver; the numbers of what was adopted. What could not be delivered in time stays in the spool."""
        pipeline = self._pipeline = Pipeline(self._settings, self._counters)
        pipeline.flusher.set_urgent(True)
        pipeline.start("flusher", pipeline.flusher.run)
        pipeline.start("pulse", self._note_turns)
        try:
            await self._adopt_until_done(pipeline)
            if self._is_stopped:
                await pipeline.deliver_until(time.monotonic() + self._settings.shutdown_timeout - CLOSING_S)
        finally:
            await pipeline.aclose()
        return self._counters.snapshot()

    async def _note_turns(self) -> None:
        while True:
            self.turned_at = time.monotonic()
            await asyncio.sleep(_PULSE_S)

    async def _adopt_until_done(self, pipeline: Pipeline) -> None:
        began = changed_at = time.monotonic()
        next_adoption = 0.0
        before = None
        while not self._is_stopped:
            now = time.monotonic()
            stats = self._counters.snapshot()
            await pipeline.heartbeat.publish(stats)
            if stats != before:
                before, changed_at, next_adoption = stats, now, 0.0  # where something came or went there may be more
            if now >= next_adoption:
                next_adoption = now + ADOPT_EVERY_S
                if await pipeline.spool.adopt():
                    pipeline.flusher.wake()
                    continue
                if not pipeline.spool.scan_complete:
                    next_adoption = 0.0
                # `adopt` also finds nothing while as many owners as it takes at once are in hand.
                elif not self._follow and not stats.pending and not any(True for _ in pipeline.spool.segments()):
                    return
            if self._timeout_s is not None and now - began >= self._timeout_s:
                return
            if self._timeout_s is None and not self._follow and now - changed_at >= STALLED_S:
                return
            await asyncio.sleep(_POLL_S)
