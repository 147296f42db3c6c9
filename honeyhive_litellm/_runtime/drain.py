"""Delivers what other processes wrote: a sidecar, or a command that runs once.

Of its own it writes only reports of what a sidecar dropped.
"""

from __future__ import annotations

import asyncio
import time
from typing import Mapping, Optional, Set

from honeyhive_litellm._aio import cancel_all
from honeyhive_litellm._config.settings import Settings
from honeyhive_litellm._log import destination_in_log, warn
from honeyhive_litellm._log_codes import LogCode
from honeyhive_litellm._stats import Counters, Stats, sum_of

from .drop_report import DropReport
from .pipeline import CLOSING_S, Pipeline

ADOPT_EVERY_S = 1.0
"""How often a sidecar searches the folder for something to adopt."""

MAINTAIN_EVERY_S = 0.5
"""How often a sidecar applies the limits of the spool."""

STALLED_S = 60.0
"""A run without `follow` and without a timeout ends when nothing has changed for so long."""

_POLL_S = 0.05
_SLOWEST_POLLS = 20
"""With as many destinations or more, each looks once a second."""

_PULSE_S = 0.5


class Drain:
    """One run for all destinations of a spool: `run` it on a loop, `stop` it from there."""

    def __init__(self, settings: Mapping[Optional[str], Settings], *, follow: bool, timeout_s: Optional[float]) -> None:
        """The settings of each destination, under None where there are none.

        With `follow`, go on after everything is delivered. End after `timeout_s` seconds, None for no limit.
        """
        self._drains = {
            name: _DestinationDrain(name, each, follow, timeout_s, _POLL_S * min(len(settings), _SLOWEST_POLLS))
            for name, each in settings.items()
        }
        self.turned_at = time.monotonic()
        """When the loop last turned, by the monotonic clock; other threads read it."""

    def stop(self) -> None:
        """Adopt nothing more, deliver what is in hand, for `shutdown_timeout` seconds at most, and end."""
        for drain in self._drains.values():
            drain.is_stopped = True

    def is_circuit_open(self, destination: Optional[str]) -> bool:
        """Whether a destination's server takes no events now; None for the first one. From any thread."""
        first = next(iter(self._drains.values()))
        return self._drains.get(destination, first).is_circuit_open

    @property
    def other_projects(self) -> Set[str]:
        """The projects of which files were left alone."""
        return set().union(*(drain.other_projects for drain in self._drains.values()))

    async def run(self) -> Stats:
        """Deliver; the numbers of what was adopted. What could not be delivered in time stays in the spool."""
        pulse = asyncio.ensure_future(self._note_turns())
        try:
            runs = [asyncio.ensure_future(drain.run()) for drain in self._drains.values()]
            await asyncio.wait(runs)  # trouble of one must not end the others
            numbers = [run.result() for run in runs]
        finally:
            await cancel_all([pulse])
        by_name = {name: each for name, each in zip(self._drains, numbers) if name is not None}
        return numbers[0] if not by_name else sum_of([*numbers, Stats(destinations=by_name)])

    async def _note_turns(self) -> None:
        while True:
            self.turned_at = time.monotonic()
            await asyncio.sleep(_PULSE_S)


class _DestinationDrain:
    """The run for one destination."""

    def __init__(
        self, name: Optional[str], settings: Settings, follow: bool, timeout_s: Optional[float], poll_s: float
    ) -> None:
        self._name = name
        self._settings = settings
        self._poll_s = poll_s
        self._follow = follow
        self._timeout_s = timeout_s
        self._counters = Counters()
        self.is_stopped = False
        self._pipeline: Optional[Pipeline] = None
        self._drop_report = DropReport(settings)
        self._next_maintenance = 0.0

    @property
    def is_circuit_open(self) -> bool:
        """Whether the server takes no events now. From any thread."""
        return self._pipeline is not None and self._pipeline.flusher.is_circuit_open

    @property
    def other_projects(self) -> Set[str]:
        return set() if self._pipeline is None else self._pipeline.spool.other_projects

    async def run(self) -> Stats:
        with destination_in_log(self._name or ""):
            return await self._run()

    async def _run(self) -> Stats:
        # A person who drains a spool by hand need not know the limits of the application that wrote it.
        pipeline = self._pipeline = Pipeline(
            self._settings, self._counters, destination=self._name, has_limits=self._follow
        )
        pipeline.flusher.set_urgent(True)
        pipeline.start("flusher", pipeline.flusher.run)
        try:
            await self._adopt_until_done(pipeline)
            if self.is_stopped:
                await pipeline.deliver_until(time.monotonic() + self._settings.shutdown_timeout - CLOSING_S)
        finally:
            await pipeline.aclose()
        return self._counters.snapshot()

    async def _maintain(self, pipeline: Pipeline) -> None:
        try:
            await pipeline.maintain()
            report = self._drop_report.due(self._counters.snapshot())
            if report is not None:
                self._counters.accept(1)
                await pipeline.spool.append([report])
                pipeline.flusher.wake()
        except Exception as error:  # delivery goes on
            warn(
                LogCode.MAINTENANCE_FAILED,
                "honeyhive: a part of the maintenance failed and is tried again: %r",
                error,
            )

    async def _adopt_until_done(self, pipeline: Pipeline) -> None:
        began = changed_at = time.monotonic()
        next_adoption = 0.0
        before = None
        while not self.is_stopped:
            now = time.monotonic()
            stats = self._counters.snapshot()
            await pipeline.heartbeat.publish(stats)
            if self._follow and now >= self._next_maintenance:
                self._next_maintenance = now + MAINTAIN_EVERY_S
                await self._maintain(pipeline)
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
            await asyncio.sleep(self._poll_s)
