"""Which way the events go: take batches from the spool, have them carried, act on the verdict.

The flusher sleeps until something is committed, lingers a moment for company, and then takes batches, a few at a time,
until nothing is left. Those that only wait do not count: a few events that the server cannot digest, or replies that
were lost, must not keep the others from going out.
"""

from __future__ import annotations

import asyncio
from typing import Callable, Optional, Sequence, Set

from honeyhive_litellm._aio import run_to_completion
from honeyhive_litellm._config.settings import Settings
from honeyhive_litellm._log import warn
from honeyhive_litellm._spool.record import Row
from honeyhive_litellm._spool.segment import Batch
from honeyhive_litellm._spool.spool import BATCH_EVENTS, Spool
from honeyhive_litellm._stats import Counters

from .batch_sender import BatchSender
from .circuit_breaker import WORKERS, CircuitBreaker
from .sinks.honeyhive import HoneyHiveSink
from .sinks.http_status import BackOff, Reply, Verdict, describe

LINGER_S = 1.0
"""How long a lone event waits for company, once it is safe on disk. A full batch or a `flush` does not wait.

To send a batch costs some milliseconds of CPU time, however few events are in it.
"""

HELD_BYTES = 32 * 1024 * 1024
"""How much may be held in memory of batches that wait. With more, none is taken until one of them is settled."""

_BURY_AGAIN_S = 5.0


class Flusher:
    """Delivers what is in the spool until it is cancelled. Lives on the runtime's loop."""

    def __init__(
        self,
        spool: Spool,
        sink: HoneyHiveSink,
        counters: Counters,
        settings: Settings,
        on_delivered: Callable[[Sequence[Row]], None],
        back_off: Optional[BackOff] = None,
    ) -> None:
        self._spool = spool
        self._sink = sink
        self._counters = counters
        self._lookup_delay_s = settings.lookup_delay
        self._on_delivered = on_delivered
        self._back_off = back_off or BackOff()
        self._breaker = CircuitBreaker(sink.api_url, counters, self._back_off)
        self._senders: Set[BatchSender] = set()
        self._tasks: Set[asyncio.Future[None]] = set()
        self._room = asyncio.Event()
        self._has_events = asyncio.Event()
        self._no_linger = asyncio.Event()
        self._is_urgent = False

    async def run(self) -> None:
        """Deliver until cancelled; what is then on its way stays in the spool."""
        try:
            while True:
                try:
                    await self._wait_for_room()
                    self._start_sending(await self._take())
                except Exception as error:
                    # A fault of ours must not end delivery.
                    warn("flusher", "honeyhive: no batch could be taken from the spool: %r", error)
                    await asyncio.sleep(1)
        finally:
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def wake(self) -> None:
        """Something was committed or adopted."""
        self._has_events.set()
        if self._spool.pending >= BATCH_EVENTS:
            self._no_linger.set()

    def set_urgent(self, on: bool) -> None:
        """While on, nothing lingers: somebody waits for the delivery. Turned on, it ends a pause of the back-off."""
        self._is_urgent = on
        if on:
            self._has_events.set()
            self._no_linger.set()
            self._breaker.probe_now()

    async def _wait_for_room(self) -> None:
        while not self._has_room():
            self._room.clear()
            await self._room.wait()

    def _has_room(self) -> bool:
        at_work = sum(not sender.is_parked for sender in self._senders)
        return at_work < WORKERS and sum(sender.size for sender in self._senders) < HELD_BYTES

    async def _take(self) -> Batch:
        while True:
            await self._has_events.wait()
            # Not `wait_for`: before Python 3.12 it swallows a cancellation that comes together with the event.
            alarm = asyncio.get_running_loop().call_later(LINGER_S, self._no_linger.set)
            try:
                await self._no_linger.wait()
            finally:
                alarm.cancel()
            # Cleared before the look: what is committed meanwhile sets it again, and no wake-up is lost.
            self._has_events.clear()
            batch = await self._spool.next_batch()
            if batch is not None:
                self._has_events.set()
                self._no_linger.set()
                return batch
            if not self._is_urgent:
                self._no_linger.clear()

    def _start_sending(self, batch: Batch, failures: int = 0) -> None:
        sender = BatchSender(
            batch,
            self._spool,
            self._sink,
            self._breaker,
            failures=failures,
            lookup_delay_s=self._lookup_delay_s,
            back_off=self._back_off,
            on_found=self._delivered,
            on_parked=self._room.set,
        )
        self._senders.add(sender)
        task = asyncio.ensure_future(self._deliver(sender))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, sender: BatchSender) -> None:
        try:
            await self._act(sender, await sender.send())
        except Exception as error:
            # Its events stay marked: the next process looks them up.
            warn("flusher", "honeyhive: a batch could not be handled: %r", error)
        finally:
            self._senders.discard(sender)
            self._room.set()

    async def _act(self, sender: BatchSender, reply: Reply) -> None:
        batch = sender.batch
        if sender.verdict is Verdict.SPLIT:
            for half in await run_to_completion(self._spool.split(batch)):
                # A half of what failed twice need fail only once more.
                self._start_sending(half, failures=sender.failures and 1)
        elif sender.verdict is Verdict.REJECT:
            warn("dead", "honeyhive: the server refused an event for good (%s): see the dead letters", describe(reply))
            while not await run_to_completion(
                self._spool.add_dead_letter(batch, reply.status, reply.body or describe(reply))
            ):
                await sender.park(_BURY_AGAIN_S)
        else:
            self._delivered(batch.rows)
            await run_to_completion(self._spool.settle(batch))

    def _delivered(self, rows: Sequence[Row]) -> None:
        self._counters.deliver(len(rows))
        self._on_delivered(rows)
