"""What the runtime's thread does from time to time, besides writing and delivering."""

from __future__ import annotations

import asyncio
import time
from typing import Callable

from honeyhive_litellm._log import warn
from honeyhive_litellm._log_codes import LogCode
from honeyhive_litellm._spool.record import Entry
from honeyhive_litellm._stats import Stats

from .drop_report import DropReport
from .pipeline import Pipeline

EVERY_S = 0.5
"""The usual pause between two rounds."""

REST_S = 5.0
"""The pause after a round that found nothing to do, unless a record comes. It is no longer than the time between two
heartbeats, two searches for what dead processes left, or two looks at the folder's files: these go on as before.

A round takes half a millisecond of CPU time in a process that does nothing else: its code is in no cache then."""

ADOPT_EVERY_S = 5.0
"""How often the folder is searched for what dead processes left."""

ADOPT_NEXT_S = 0.05
"""The pause between two rounds while a search has found more owners than are adopted at once."""

HAND_OFF_EVERY_S = 1.0
"""How long events stay with a process that only writes (`flush=False`) before another one may deliver them."""


class Maintenance:
    """Rounds of upkeep of one pipeline: check the limits, publish the numbers, adopt or hand off.

    `on_round` is called at the beginning of each round. `on_first_scan` is called when everything that dead processes
    left has been found: only then can `flush` know what is undelivered. `may_rest` says whether a process without calls
    and without undelivered events needs no rounds but every REST_S.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        drop_report: DropReport,
        *,
        flushes: bool,
        stats: Callable[[], Stats],
        submit: Callable[[Entry], object],
        on_round: Callable[[], None],
        on_first_scan: Callable[[], None],
        may_rest: Callable[[], bool],
    ) -> None:
        self._pipeline = pipeline
        self._flushes = flushes
        self._stats = stats
        self._submit = submit
        self._on_first_scan = on_first_scan
        self._on_round = on_round
        self._may_rest = may_rest
        self._drop_report = drop_report
        self._next_adoption = 0.0
        self._next_hand_off = 0.0

    async def run(self) -> None:
        """Do one round after the other, until cancelled."""
        while True:
            await self._round()
            await self._pause()

    async def _pause(self) -> None:
        if self._flushes and not self._pipeline.spool.scan_complete:
            await asyncio.sleep(ADOPT_NEXT_S)
            return
        self._pipeline.has_activity.clear()
        await asyncio.sleep(EVERY_S)
        stats = self._stats()
        if not stats.pending and not stats.in_flight and self._may_rest():
            await self._rest()

    async def _rest(self) -> None:
        """Wait until something is committed, or until REST_S have passed since the last round."""
        # Not `wait_for`: before Python 3.12 it swallows a cancellation that comes together with the event.
        has_activity = self._pipeline.has_activity
        alarm = asyncio.get_running_loop().call_later(max(0.0, REST_S - EVERY_S), has_activity.set)
        try:
            await has_activity.wait()
        finally:
            alarm.cancel()

    async def _round(self) -> None:
        for step in (self._begin_and_publish, self._maintain, self._adopt if self._flushes else self._hand_off):
            try:
                await step()
            except Exception as error:  # trouble in one of them must not keep the others from their turn
                warn(
                    LogCode.MAINTENANCE_FAILED,
                    "honeyhive: a part of the maintenance failed and is tried again: %r",
                    error,
                )

    async def _begin_and_publish(self) -> None:
        self._on_round()
        await self._pipeline.heartbeat.publish(self._stats())
        self._pipeline.refresh_spool_reading()
        report = self._drop_report.due(self._stats())
        if report is not None:
            self._submit(report)

    async def _maintain(self) -> None:
        await self._pipeline.maintain()

    async def _adopt(self) -> None:
        if self._pipeline.is_stopping:
            return  # there is no time to deliver it
        spool = self._pipeline.spool
        if time.monotonic() < self._next_adoption and spool.scan_complete:
            return
        self._next_adoption = time.monotonic() + ADOPT_EVERY_S
        if await spool.adopt():
            self._pipeline.flusher.wake()
        if spool.scan_complete:
            self._on_first_scan()

    async def _hand_off(self) -> None:
        self._on_first_scan()
        if time.monotonic() >= self._next_hand_off:
            self._next_hand_off = time.monotonic() + HAND_OFF_EVERY_S
            await self._pipeline.hand_off()
