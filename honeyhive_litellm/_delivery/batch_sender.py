"""One batch's way to the server: attempt after attempt, until the server says something final.

tenacity does the waiting of seconds; the hours are the spool's.
"""

from __future__ import annotations

import asyncio
import time
from typing import Callable, Optional, Sequence, Set

import tenacity

from honeyhive_litellm._log import warn
from honeyhive_litellm._spool.record import Row
from honeyhive_litellm._spool.segment import Batch
from honeyhive_litellm._spool.spool import Spool

from .circuit_breaker import CircuitBreaker
from .sinks.honeyhive import HoneyHiveSink
from .sinks.http_status import (
    WAITING,
    BackOff,
    Reply,
    Verdict,
    classify,
    is_ambiguous,
    longest_pause,
    may_be_the_events,
)

_ROW_BYTES = 500
_BLIND_LOOK_UPS = 5
"""After so many failed look-ups, while others are delivered, an event is sent again without."""


class BatchSender:
    """Carries one batch. Used once; `batch` afterwards has those of its events that the verdict is about.

    `failures` counts the failures for which the events may be to blame; `size` is roughly its memory, in bytes.
    """

    def __init__(
        self,
        batch: Batch,
        spool: Spool,
        sink: HoneyHiveSink,
        breaker: CircuitBreaker,
        *,
        failures: int,
        lookup_delay_s: float,
        back_off: BackOff,
        on_found: Callable[[Sequence[Row]], None],
        on_parked: Callable[[], None],
    ) -> None:
        self.batch = batch
        self.verdict = Verdict.RETRY
        self.failures = failures
        self.size = sum(len(row.body) + _ROW_BYTES for row in batch.rows)
        self._spool = spool
        self._sink = sink
        self._breaker = breaker
        self._lookup_delay_s = lookup_delay_s
        self._back_off = back_off
        self._on_found = on_found
        self._on_parked = on_parked
        self._is_waiting = False
        self._is_marked = True
        self._is_posting = False
        self._missing: Set[str] = set()
        self._failed_look_ups = 0
        # To tell the server's trouble from that of these very events, by what became of other batches meanwhile.
        self._contradicted = 0  # failures although others were delivered since the one before
        self._alone = 0  # failures since the first such
        self._held_against = 0  # those of them that count as `failures`
        self._deliveries_at_failure: Optional[int] = None
        self._deliveries_before = breaker.deliveries
        self._failures_before = breaker.failures
        self._own_failures = 0

    @property
    def is_parked(self) -> bool:
        """Whether another batch may be taken in its stead.

        It rests, or its one event may be what the server fails on, and only others can prove that.
        """
        return self._is_waiting or (len(self.batch.rows) == 1 and self.failures > 1)

    @property
    def _is_suspect(self) -> bool:
        return len(self.batch.rows) == 1 and self._held_against > 0

    async def send(self) -> Reply:
        """Send until the verdict is final, and leave it in `verdict`. Cancelled, the batch stays in the spool."""
        if not self.batch.rows:  # nothing of it could be read
            self.verdict = Verdict.DELIVERED
            return Reply(200)
        retrying = tenacity.AsyncRetrying(
            wait=self._wait, sleep=self.park, retry=tenacity.retry_if_result(lambda _: self.verdict in WAITING)
        )
        try:
            reply: Reply = await retrying(self._attempt)
        except asyncio.CancelledError:
            if self._is_marked and not self._is_posting and self.batch.ambiguous_since is None:
                await self._spool.unmark(self.batch)
            raise
        if self.verdict is Verdict.SPLIT and not self._is_marked:
            await self._spool.mark(self.batch)
        return reply

    def _wait(self, state: tenacity.RetryCallState) -> float:
        """The breaker makes all batches pause; this one pauses by itself if it fails while others are delivered."""
        assert state.outcome is not None
        reply: Reply = state.outcome.result()
        return self._back_off.seconds(self._alone, None, longest_pause(reply)) if self._alone else 0.0

    async def park(self, seconds: float) -> None:
        """Wait for so long, and let others be taken meanwhile."""
        if seconds <= 0:
            return
        self._is_waiting = True
        self._on_parked()
        try:
            await asyncio.sleep(seconds)
        finally:
            self._is_waiting = False

    async def _attempt(self) -> Reply:
        if self.batch.ambiguous_since is not None and self._sink.may_read:
            passed_s = time.time() - self.batch.ambiguous_since
            # Never longer than the delay, whatever was done to the clock meanwhile.
            await self.park(self._lookup_delay_s - max(0.0, passed_s))
        async with self._breaker.slot() as round_number:
            was_suspect = self._is_suspect
            try:
                reply = await self._try_once()
            except Exception as error:
                # A fault of ours must not end delivery, not even of this batch. Nobody knows how far it came.
                warn("batch sender", "honeyhive: a batch could not be sent: %r", error)
                reply = Reply(None, error="internal")
                self._judge(reply)
                self._note_ambiguity(reply)
            failures = self._breaker.failures
            is_delivery = self.verdict is Verdict.DELIVERED and len(self.batch.rows) > 0
            self._breaker.record_result(reply, round_number, is_delivery=is_delivery, is_suspect=was_suspect)
            self._own_failures += self._breaker.failures - failures
        if self.is_parked:
            self._on_parked()
        return reply

    async def _try_once(self) -> Reply:
        if self.batch.ambiguous_since is not None and self._sink.may_read:
            trouble = await self._look_up()
            if trouble is not None:
                return trouble
        if not self.batch.rows:
            self.verdict = Verdict.DELIVERED
            return Reply(200)
        reply = await self._sink.ensure_sessions(self.batch.rows)
        if reply is not None:
            self._judge(reply)
        else:
            reply = await self._post()
        if self.verdict in WAITING and self._is_marked and self.batch.ambiguous_since is None:
            await self._spool.unmark(self.batch)
            self._is_marked = False
        return reply

    async def _look_up(self) -> Optional[Reply]:
        """Learn which events the server has, and forget those; the reply that keeps us from learning it, if any."""
        seen = await self._sink.look_up([row for row in self.batch.rows if row.id not in self._missing])
        self._missing.update(row.id for row in seen.missing)
        if seen.found:
            self.batch = self.batch._replace(rows=tuple(row for row in self.batch.rows if row not in seen.found))
            self._on_found(seen.found)
        if seen.trouble is None or classify(seen.trouble, 1) is not Verdict.RETRY:
            self._is_marked = False  # to be marked anew: an heir must not look before the next attempt can be seen
            return None  # all is known, or this key may not read: what is left is sent again
        self._note_failure()
        self._failed_look_ups += self._alone > 0
        if self._failed_look_ups >= _BLIND_LOOK_UPS:
            return None
        self.verdict = Verdict.RETRY
        return seen.trouble

    async def _post(self) -> Reply:
        if not self._is_marked or self.batch.ambiguous_since is not None:
            # Also anew: an heir must not look before this attempt can be seen either.
            await self._spool.mark(self.batch)
            self._is_marked = True
        self._is_posting = True
        reply = await self._sink.post_events(self.batch.rows)
        self._judge(reply)
        self._note_ambiguity(reply)
        return reply

    def _judge(self, reply: Reply) -> None:
        if classify(reply, 1) in WAITING:
            self._note_failure()
            if may_be_the_events(reply):
                self.failures += 1
                self._held_against += self._alone > 0
        self.verdict = classify(reply, len(self.batch.rows), max(1, self.failures), self._chance())

    def _note_failure(self) -> None:
        before, self._deliveries_at_failure = self._deliveries_at_failure, self._breaker.deliveries
        self._contradicted += before is not None and before < self._breaker.deliveries
        self._alone += self._contradicted > 0

    def _chance(self) -> float:
        """How likely events that are no worse than the others would have failed as often as these, by mere chance."""
        if self._contradicted < 2:
            return 1.0
        delivered = self._breaker.deliveries - self._deliveries_before
        failed = self._breaker.failures - self._failures_before - self._own_failures
        return float(((failed + 1) / (failed + delivered + 1)) ** self._held_against)

    def _note_ambiguity(self, reply: Reply) -> None:
        """Keep in mind, beyond a split or a crash, whether the server may have these events.

        A refusal tells nothing about an earlier request whose outcome is unknown; and where even the key was refused,
        a look-up's "not found" told nothing either.
        """
        self._is_posting = False
        verdict = classify(reply, 1)
        if is_ambiguous(reply):
            self.batch = self.batch._replace(ambiguous_since=time.time())
        elif verdict not in WAITING:
            self.batch = self.batch._replace(ambiguous_since=None)
        if verdict is not Verdict.RETRY or is_ambiguous(reply):
            self._missing.clear()
