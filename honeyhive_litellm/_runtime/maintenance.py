"""What the runtime's thread does from time to time, besides writing and delivering."""

from __future__ import annotations

import asyncio
import time
from typing import Callable

from honeyhive_litellm._aio import run_to_completion
from honeyhive_litellm._capture.recorder import Recorder
from honeyhive_litellm._config.settings import Settings
from honeyhive_litellm._log import warn
from honeyhive_litellm._log_codes import LogCode
from honeyhive_litellm._spool.record import Entry
from honeyhive_litellm._stats import Stats

from .drop_report import DropReport
from .pipeline import Pipeline

EVERY_S = 0.5
"""The usual pause between two rounds."""

ADOPT_EVERY_S = 5.0
"""How often the folder is searched for what dead processes left."""

ADOPT_NEXT_S = 0.05
"""The pause between two rounds while a search has found more owners than are adopted at once."""

HAND_OFF_EVERY_S = 1.0
"""How long events stay with a process that only writes (`flush=False`) before another one may deliver them."""


DELIVERY_S = 600.0
"""How long a replaced runtime goes on trying to deliver. Then what is left stays on disk, as at a shutdown."""


class Maintenance:
    """Rounds of upkeep: settle overdue outcomes, check the limits, publish the numbers, adopt or hand off.

    `on_first_scan` is called when everything that dead processes left has been found: only then can `flush` know what
    is undelivered. `on_tenure_over` is called in each round from when another recorder has replaced this one, and all
    of its calls are recorded and, for which it waits DELIVERY_S at most, delivered.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        recorder: Recorder,
        settings: Settings,
        *,
        stats: Callable[[], Stats],
        submit: Callable[[Entry], object],
        on_first_scan: Callable[[], None],
        on_tenure_over: Callable[[], None],
    ) -> None:
        self._pipeline = pipeline
        self._recorder = recorder
        self._flushes = settings.flush
        self._stats = stats
        self._submit = submit
        self._on_first_scan = on_first_scan
        self._on_tenure_over = on_tenure_over
        self._drop_report = DropReport(settings)
        self._next_adoption = 0.0
        self._next_hand_off = 0.0

    async def run(self) -> None:
        """Do one round after the other, until cancelled."""
        while True:
            await self._round()
            is_behind = self._flushes and not self._pipeline.spool.scan_complete
            await asyncio.sleep(ADOPT_NEXT_S if is_behind else EVERY_S)

    async def _round(self) -> None:
        for step in (self._settle_and_publish, self._maintain, self._adopt if self._flushes else self._hand_off):
            try:
                await step()
            except Exception as error:  # trouble in one of them must not keep the others from their turn
                warn(
                    LogCode.MAINTENANCE_FAILED,
                    "honeyhive: a part of the maintenance failed and is tried again: %r",
                    error,
                )

    async def _settle_and_publish(self) -> None:
        self._recorder.sweep()
        await self._pipeline.heartbeat.publish(self._stats())
        self._pipeline.refresh_spool_reading()
        report = self._drop_report.due(self._stats())
        if report is not None:
            self._submit(report)
        if self._is_over():
            self._on_tenure_over()

    def _is_over(self) -> bool:
        tenure = self._recorder.tenure
        if not tenure.is_over or self._recorder.in_flight:
            return False
        return not self._flushes or not self._stats().pending or tenure.ended_for_s > DELIVERY_S

    async def _maintain(self) -> None:
        await run_to_completion(self._pipeline.spool.maintain())

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
