"""Sends one batch to the sink, attempt after attempt, until the verdict is final.

tenacity repeats the attempts and waits the seconds in between. In longer outages the events stay in their source.
"""

from __future__ import annotations

import asyncio
import time
from typing import Callable, Generic, Optional, Sequence, Set

import tenacity

from honeyhive_litellm._log import warn
from honeyhive_litellm._log_codes import LogCode
from honeyhive_litellm._spool.record import Row

from .backoff import BackOff
from .circuit_breaker import CircuitBreaker
from .poison import PoisonEvidence, final_verdict
from .sink import WAITING, Result, Sink, Verdict
from .source import B, Source

_ROW_BYTES = 500
_MAX_FAILED_LOOK_UPS = 5
"""After so many failed look-ups, while other batches are delivered, an event is sent again without one."""

_INTERNAL_FAULT = Result(
    Verdict.RETRY, ambiguous=True, may_be_event=True, log_text="a fault in this package, logged above"
)


class BatchSender(Generic[B]):
    """Sends one batch. Used once.

    After `send`, `verdict` is final, and `batch` holds the events that it applies to: without those that a look-up
    found on the server. `size` is roughly the batch's memory, in bytes. `is_done` says that the verdict is being
    acted on, so that the batch must not be sent once more.
    """

    def __init__(
        self,
        batch: B,
        source: Source[B],
        sink: Sink,
        breaker: CircuitBreaker,
        *,
        blamable_failures: int,
        lookup_delay_s: float,
        back_off: BackOff,
        on_found: Callable[[Sequence[Row]], None],
        on_parked: Callable[[], None],
    ) -> None:
        self.batch = batch
        self.verdict = Verdict.RETRY
        self.is_done = False
        self.size = sum(len(row.body) + _ROW_BYTES for row in batch.rows)
        self.evidence = PoisonEvidence(
            blamable_failures, deliveries_at_start=breaker.deliveries, failures_at_start=breaker.failures
        )
        self._source = source
        self._sink = sink
        self._breaker = breaker
        self._lookup_delay_s = lookup_delay_s
        self._back_off = back_off
        self._on_found = on_found
        self._on_parked = on_parked
        self._is_waiting = False
        self._is_marked = True
        self._is_sending = False
        self._missing: Set[str] = set()
        self._failed_look_ups = 0

    @property
    def is_parked(self) -> bool:
        """Whether the flusher may take another batch although this one is not finished.

        This one waits, or its single event may be poison, which only the delivery of others can prove.
        """
        return self._is_waiting or (len(self.batch.rows) == 1 and self.evidence.blamable_failures > 1)

    @property
    def _is_suspect(self) -> bool:
        return len(self.batch.rows) == 1 and self.evidence.lone_blamable_failures > 0

    async def send(self) -> Result:
        """Send until `verdict` is final. If cancelled, the batch stays in the source."""
        if not self.batch.rows:  # none of its events could be read back
            self.verdict = Verdict.DELIVERED
            return Result(Verdict.DELIVERED)
        retrying = tenacity.AsyncRetrying(
            wait=self._pause_s, sleep=self.park, retry=tenacity.retry_if_result(lambda _: self.verdict in WAITING)
        )
        try:
            result: Result = await retrying(self._attempt)
        except asyncio.CancelledError:
            if self._is_marked and not self._is_sending and self.batch.ambiguous_since is None:
                await self._source.unmark(self.batch)
            raise
        if self.verdict is Verdict.SPLIT and not self._is_marked:
            await self._source.mark(self.batch)
        return result

    def _pause_s(self, state: tenacity.RetryCallState) -> float:
        """The pause of a batch that fails while others are delivered. In an outage the breaker makes all pause."""
        assert state.outcome is not None
        result: Result = state.outcome.result()
        if not self.evidence.lone_failures:
            return 0.0
        return self._back_off.seconds(self.evidence.lone_failures, longest_s=result.longest_pause_s)

    async def park(self, seconds: float) -> None:
        """Wait so long, and let the flusher take other batches meanwhile."""
        if seconds <= 0:
            return
        self._is_waiting = True
        self._on_parked()
        try:
            await asyncio.sleep(seconds)
        finally:
            self._is_waiting = False

    async def _attempt(self) -> Result:
        if self.batch.ambiguous_since is not None and self._sink.can_look_up:
            passed_s = time.time() - self.batch.ambiguous_since
            # A clock that was set back must not prolong the wait.
            await self.park(self._lookup_delay_s - max(0.0, passed_s))
        async with self._breaker.slot() as round_number:
            was_suspect = self._is_suspect
            try:
                result = await self._try_once()
            except (asyncio.CancelledError, GeneratorExit):
                raise
            except BaseException as error:
                # A fault of ours must not end the delivery of this batch. How far it came is unknown: ambiguous.
                warn(
                    LogCode.BATCH_FAILED,
                    "honeyhive: a batch could not be sent and is tried again: %r",
                    error,
                    counts={"events": len(self.batch.rows)},
                )
                result = _INTERNAL_FAULT
                self._decide(result)
                self._note_ambiguity(result)
            failures = self._breaker.failures
            is_delivery = self.verdict is Verdict.DELIVERED and len(self.batch.rows) > 0
            self._breaker.record_result(result, round_number, is_delivery=is_delivery, is_suspect=was_suspect)
            self.evidence.own_failures += self._breaker.failures - failures
        if self.is_parked:
            self._on_parked()
        return result

    async def _try_once(self) -> Result:
        if self.batch.ambiguous_since is not None and self._sink.can_look_up:
            failure = await self._look_up()
            if failure is not None:
                return failure
        if not self.batch.rows:
            self.verdict = Verdict.DELIVERED
            return Result(Verdict.DELIVERED)
        failure = await self._sink.prepare(self.batch.rows)
        if failure is not None:
            self._decide(failure)
            result = failure
        else:
            result = await self._send_marked()
        if self.verdict in WAITING and self._is_marked and self.batch.ambiguous_since is None:
            await self._source.unmark(self.batch)
            self._is_marked = False
        return result

    async def _look_up(self) -> Optional[Result]:
        """Take the events that the server has out of the batch. The failure, if the rest must not be sent yet."""
        looked_up = await self._sink.look_up([row for row in self.batch.rows if row.id not in self._missing])
        self._missing.update(row.id for row in looked_up.missing)
        if looked_up.found:
            self._take_out(looked_up.found)
        failure = looked_up.failure
        if failure is None or failure.verdict is not Verdict.RETRY:
            # All are looked up, or this key may not read: what is left is sent again, marked again before that, since
            # an adopter waits `lookup_delay` from the mark before it looks the events up.
            self._is_marked = False
            return None
        self._note_failure(may_be_event=False)
        self._failed_look_ups += self.evidence.lone_failures > 0
        if self._failed_look_ups >= _MAX_FAILED_LOOK_UPS:
            return None
        self.verdict = Verdict.RETRY
        return failure

    async def _send_marked(self) -> Result:
        if not self._is_marked or self.batch.ambiguous_since is not None:
            # Also if it is marked from an earlier attempt: an adopter waits `lookup_delay` from the newest one.
            await self._source.mark(self.batch)
            self._is_marked = True
        self._is_sending = True
        may_be_stored = self.batch.ambiguous_since is not None
        result = await self._sink.send(self.batch.rows, may_be_stored=may_be_stored)
        if result.delivered:
            self._take_out(result.delivered)
        self._decide(result)
        self._note_ambiguity(result)
        return result

    def _take_out(self, found: Sequence[Row]) -> None:
        """Go on without these events, which the server has. They are settled with the rest of the batch."""
        ids = {row.id for row in found}
        self.batch = self.batch._replace(rows=tuple(row for row in self.batch.rows if row.id not in ids))
        self._on_found(found)

    def _decide(self, result: Result) -> None:
        if result.verdict in WAITING:
            self._note_failure(may_be_event=result.may_be_event)
        chance = self.evidence.chance(self._breaker.deliveries, self._breaker.failures)
        failures = max(1, self.evidence.blamable_failures)
        self.verdict = final_verdict(result, len(self.batch.rows), failures, chance)

    def _note_failure(self, *, may_be_event: bool) -> None:
        self.evidence.note_failure(self._breaker.deliveries, may_be_event=may_be_event)

    def _note_ambiguity(self, result: Result) -> None:
        """Keep in the batch, beyond a split or a crash, whether the server may have stored these events.

        A refused key proves nothing about an earlier attempt that was ambiguous, nor about a look-up before it that
        answered "not found".
        """
        self._is_sending = False
        if result.ambiguous:
            self.batch = self.batch._replace(ambiguous_since=time.time())
        elif result.verdict not in WAITING:
            self.batch = self.batch._replace(ambiguous_since=None)
        if result.verdict is not Verdict.RETRY or result.ambiguous:
            self._missing.clear()
