"""Which way the events go: take batches from the spool, have them carried, act on the verdict.

The flusher sleeps until something is committed, lingers a moment for company, and then lets a few workers take
batches until nothing is left.
"""

from __future__ import annotations

import asyncio
from typing import Callable, Sequence

from ._config import Settings
from ._courier import Courier, Road
from ._delivery import BackOff, Verdict
from ._ingestion import Ingestion
from ._log import warn
from ._record import Row
from ._segment import Batch
from ._spool import BATCH_EVENTS, Spool
from ._sqlite import uninterrupted
from ._stats import Counters

WORKERS = 4

LINGER_S = 0.5
"""How long a lone event waits for company, once it is safe on disk. A full batch or a `flush` does not wait."""


class Flusher:
    """Delivers what is in the spool until it is cancelled. Lives on the runtime's loop."""

    def __init__(
        self,
        spool: Spool,
        ingestion: Ingestion,
        counters: Counters,
        settings: Settings,
        on_delivered: Callable[[Sequence[Row]], None],
    ) -> None:
        self._spool = spool
        self._ingestion = ingestion
        self._counters = counters
        self._lookup_delay_s = settings.lookup_delay
        self._tell = on_delivered
        self._back_off = BackOff()
        self._road = Road(ingestion, counters)
        self._taking = asyncio.Lock()
        self._filled = asyncio.Event()
        self._hurry = asyncio.Event()
        self._hurried = False

    async def run(self) -> None:
        """Deliver until cancelled; what is then on its way stays in the spool."""
        workers = [asyncio.ensure_future(self._work()) for _ in range(WORKERS)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    def wake(self) -> None:
        """Something was committed or adopted."""
        self._filled.set()
        if self._spool.pending >= BATCH_EVENTS:
            self._hurry.set()

    def hurry(self, on: bool) -> None:
        """While on, nothing lingers: somebody waits for the delivery."""
        self._hurried = on
        if on:
            self._filled.set()
            self._hurry.set()

    async def _work(self) -> None:
        while True:
            try:
                async with self._taking:
                    batch = await self._take()
                await self._deliver(batch)
            except Exception as error:
                # A fault of ours must not end delivery. The batch stays marked; the next process looks it up.
                warn("flusher", "honeyhive: a batch could not be handled: %r", error)
                await asyncio.sleep(1)

    async def _take(self) -> Batch:
        while True:
            await self._filled.wait()
            try:
                await asyncio.wait_for(self._hurry.wait(), LINGER_S)
            except asyncio.TimeoutError:
                pass
            # Cleared before the look: what is committed meanwhile sets it again, and no wake-up is lost.
            self._filled.clear()
            batch = await self._spool.next_batch()
            if batch is not None:
                self._filled.set()
                self._hurry.set()
                return batch
            if not self._hurried:
                self._hurry.clear()

    async def _deliver(self, batch: Batch) -> None:
        courier = Courier(
            batch,
            self._spool,
            self._ingestion,
            self._road,
            lookup_delay_s=self._lookup_delay_s,
            back_off=self._back_off,
            on_found=self._delivered,
        )
        reply = await courier.carry()
        batch = courier.batch
        if courier.verdict is Verdict.SPLIT:
            # Side by side: the half with the event that spoils it must not keep the other one waiting.
            await asyncio.gather(*(self._deliver(half) for half in await self._spool.split(batch)))
        elif courier.verdict is Verdict.REJECT:
            warn(
                "dead", "honeyhive: the server refused an event for good (HTTP %s): see the dead letters", reply.status
            )
            await uninterrupted(self._spool.bury(batch, reply.status, reply.body))
        else:
            self._delivered(batch.rows)
            await uninterrupted(self._spool.settle(batch))

    def _delivered(self, rows: Sequence[Row]) -> None:
        self._counters.deliver(len(rows))
        self._tell(rows)
