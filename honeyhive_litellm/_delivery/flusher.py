"""Takes batches from a source, has each one sent, and acts on the verdict.

The flusher sleeps until something is committed, waits LINGER_S for more to send along, and then takes batches, a few
at a time, until all that lingered is taken. Batches that only wait do not count among the few: a poison event, or
batches that wait for their look-up, must not keep the others from going out.
"""

from __future__ import annotations

import asyncio
import time
from typing import Callable, Generic, List, Optional, Sequence, Set

from honeyhive_litellm._aio import run_to_completion
from honeyhive_litellm._log import warn
from honeyhive_litellm._log_codes import LogCode
from honeyhive_litellm._spool.limits import BATCH_EVENTS
from honeyhive_litellm._spool.record import Row
from honeyhive_litellm._stats import Counters

from .backoff import BackOff
from .batch_sender import BatchSender
from .circuit_breaker import WORKERS, CircuitBreaker
from .sink import Result, Sink, Verdict
from .source import B, Source

LINGER_S = 1.0
"""How long a lone event, which is safe on disk, waits for others. A full batch or a `flush` does not wait.

A request costs some milliseconds of CPU time, however few events are in it.
"""

HELD_BYTES = 32 * 1024 * 1024
"""The most memory for batches that are being sent or wait. With more, none is taken until one is settled."""

HELD_FOR_EVIDENCE_BYTES = 32 * 1024 * 1024
"""How much more may be taken, a batch at a time, while all batches in hand only wait."""

_DEAD_LETTER_RETRY_S = 5.0
_FAULT_RETRY_S = 1.0


class Flusher(Generic[B]):
    """Delivers what is in the source until it is cancelled. Lives on the runtime's loop."""

    def __init__(
        self,
        source: Source[B],
        sink: Sink,
        counters: Counters,
        *,
        lookup_delay_s: float,
        on_delivered: Callable[[Sequence[Row]], None],
        back_off: Optional[BackOff] = None,
        workers: int = WORKERS,
        linger_s: float = LINGER_S,
    ) -> None:
        """`workers` is how many batches are sent side by side."""
        self._source = source
        self._sink = sink
        self._counters = counters
        self._lookup_delay_s = lookup_delay_s
        self._on_delivered = on_delivered
        self._back_off = back_off or BackOff()
        self._linger_s = linger_s
        self._breaker = CircuitBreaker(sink, counters, self._back_off, events_stay_in=source.name, workers=workers)
        self._workers = workers
        self._senders: Set[BatchSender[B]] = set()
        self._tasks: Set[asyncio.Future[None]] = set()
        self._interrupted: List[BatchSender[B]] = []
        """Whose task ended before the source heard what became of the batch."""
        self._room = asyncio.Event()
        self._has_events = asyncio.Event()
        self._no_linger = asyncio.Event()
        self._is_urgent = False
        self._due = 0
        """How many of the events that wait are to be sent now."""

    async def run(self) -> None:
        """Deliver until cancelled. Batches that are being sent then stay in the source."""
        self._has_events.set()
        try:
            while True:
                try:
                    await self._wait_for_room()
                    self._start_sending(await self._take())
                except (asyncio.CancelledError, GeneratorExit):
                    raise
                except BaseException as error:
                    # A fault of ours must not end delivery.
                    warn(
                        LogCode.BATCH_NOT_TAKEN,
                        "honeyhive: no batch could be taken from %s, trying again: %r",
                        self._source.name,
                        error,
                    )
                    await asyncio.sleep(1)
        finally:
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def is_circuit_open(self) -> bool:
        """Whether the server takes nothing now, so that one batch at a time probes."""
        return self._breaker.is_open

    def wake(self) -> None:
        """Something was committed or adopted."""
        self._has_events.set()
        if self._waiting >= BATCH_EVENTS:
            self._no_linger.set()

    @property
    def _waiting(self) -> int:
        """How many events are in no batch yet."""
        return self._source.pending - sum(len(sender.batch.rows) for sender in self._senders)

    def set_urgent(self, on: bool) -> None:
        """While on, nothing lingers: a caller waits for the delivery. Turning it on also ends a back-off pause."""
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
        busy = sum(not sender.is_parked for sender in self._senders)
        held = sum(sender.size for sender in self._senders)
        if held >= HELD_BYTES:
            # If all in hand wait, these may be poison, which only the delivery of others proves: one batch at a time.
            return busy == 0 and held < HELD_BYTES + HELD_FOR_EVIDENCE_BYTES
        return busy < self._workers

    async def _take(self) -> B:
        while True:
            await self._has_events.wait()
            await self._linger()
            # Cleared before the look: what is committed meanwhile sets it again, and no wake-up is lost.
            self._has_events.clear()
            self._send_interrupted()
            batch = await self._source.next_batch()
            if batch is not None:
                self._has_events.set()
                self._due -= len(batch.rows)
                return batch
            self._due = 0

    async def _linger(self) -> None:
        """Wait for more events to send along, unless those that wait have lingered, or are urgent or a full batch.

        What full batches leave over lingers anew: under steady load it is a few events, and makes up the next batch.
        """
        if self._due > 0 or self._is_urgent or self._waiting <= 0:
            return
        if self._waiting < BATCH_EVENTS:
            self._no_linger.clear()
            # Not `wait_for`: before Python 3.12 it swallows a cancellation that comes together with the event.
            alarm = asyncio.get_running_loop().call_later(self._linger_s, self._no_linger.set)
            try:
                await self._no_linger.wait()
            finally:
                alarm.cancel()
        waiting = self._waiting
        self._due = waiting - waiting % BATCH_EVENTS or waiting

    def _start_sending(self, batch: B, blamable_failures: int = 0) -> None:
        sender = BatchSender(
            batch,
            self._source,
            self._sink,
            self._breaker,
            blamable_failures=blamable_failures,
            lookup_delay_s=self._lookup_delay_s,
            back_off=self._back_off,
            on_found=self._note_delivered,
            on_parked=self._room.set,
        )
        self._senders.add(sender)
        task = asyncio.ensure_future(self._deliver(sender))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, sender: BatchSender[B]) -> None:
        try:
            await self._act(sender, await sender.send())
        except (asyncio.CancelledError, GeneratorExit):
            raise
        except BaseException as error:
            warn(
                LogCode.BATCH_NOT_HANDLED,
                "honeyhive: a batch could not be handled and is tried again: %r",
                error,
                counts={"events": len(sender.batch.rows)},
            )
            if not sender.is_done:
                await sender.park(_FAULT_RETRY_S)
        finally:
            self._senders.discard(sender)
            if not sender.is_done:
                self._interrupted.append(sender)
                self._has_events.set()
                self._no_linger.set()
            self._room.set()

    def _send_interrupted(self) -> None:
        """Send the batches again whose task was ended by something else than `run`: a fault, or an interrupted loop."""
        while self._interrupted:
            batch = self._interrupted.pop().batch
            self._start_sending(batch._replace(ambiguous_since=batch.ambiguous_since or time.time()))

    async def _act(self, sender: BatchSender[B], result: Result) -> None:
        batch = sender.batch
        sender.is_done = True
        if sender.verdict is Verdict.SPLIT:
            for half in await run_to_completion(self._source.split(batch)):
                # For a half of what has failed twice, one more failure is enough to split it again.
                self._start_sending(half, min(1, sender.evidence.blamable_failures))
        elif sender.verdict is Verdict.REJECT:
            warn(
                LogCode.EVENT_REFUSED,
                "honeyhive: %s refused an event for good (%s). It is kept as a dead letter: see `%s`",
                self._sink.name,
                result.log_text,
                self._source.dead_letters_command,
                about=self._source.name,
                counts={"events": len(batch.rows)},
            )
            while not await run_to_completion(self._source.add_dead_letter(batch, result.status, result.reason)):
                await sender.park(_DEAD_LETTER_RETRY_S)
        else:
            self._note_delivered(batch.rows)
            await run_to_completion(self._source.settle(batch))

    def _note_delivered(self, rows: Sequence[Row]) -> None:
        self._counters.deliver(len(rows))
        self._on_delivered(rows)
