"""One batch's way to the server: attempt after attempt, until the server says something final.

While all is well batches travel side by side. As soon as one meets trouble the others wait, and a single batch
probes with back-off until the server takes it: a recovering server is met by one request, not by a herd.
tenacity does the waiting of seconds; the hours are the spool's.
"""

from __future__ import annotations

import asyncio
import time
from typing import Callable, Sequence

import tenacity

from ._delivery import BackOff, Reply, Verdict, classify, is_ambiguous
from ._ingestion import Ingestion
from ._log import recovered, warn
from ._record import Row
from ._segment import Batch
from ._spool import Spool
from ._stats import Counters

PROBE_PAUSE_S = 30.0
"""How often a refused key or address is tried again."""

POISON_ATTEMPTS = 8
"""A single event that the server fails on this often, while it takes others, is refused for good."""

_WAITING = (Verdict.RETRY, Verdict.PAUSE)


class Road:
    """What all batches share: whether the server is in trouble, and who may probe it."""

    def __init__(self, ingestion: Ingestion, counters: Counters) -> None:
        self.is_down = False
        self.deliveries = 0
        self.probe = asyncio.Lock()
        self._ingestion = ingestion
        self._counters = counters

    def report(self, reply: Reply, verdict: Verdict) -> None:
        """Remember how the server is, and tell the user once when that changes."""
        self.is_down = verdict in _WAITING
        if not self.is_down:
            self.deliveries += 1
            self._counters.last_error = None
            recovered("server", "honeyhive: the server takes events again")
            return
        trouble = f"HTTP {reply.status}" if reply.status is not None else str(reply.error)
        self._counters.last_error = trouble
        if verdict is Verdict.PAUSE:
            warn(
                "server",
                "honeyhive: %s answers %s, so the key or the address is wrong: check api_key / HONEYHIVE_API_KEY and "
                "api_url / HONEYHIVE_API_URL. All events stay in the spool and go out once it works",
                self._ingestion.api_url,
                trouble,
            )
        else:
            warn(
                "server",
                "honeyhive: %s takes no events now (%s); they stay in the spool and are tried again",
                self._ingestion.api_url,
                trouble,
            )


class Courier:
    """Carries one batch. Used once; `batch` afterwards has those of its events that the verdict is about."""

    def __init__(
        self,
        batch: Batch,
        spool: Spool,
        ingestion: Ingestion,
        road: Road,
        *,
        lookup_delay_s: float,
        back_off: BackOff,
        on_found: Callable[[Sequence[Row]], None],
    ) -> None:
        self.batch = batch
        self.verdict = Verdict.RETRY
        self._spool = spool
        self._ingestion = ingestion
        self._road = road
        self._lookup_delay_s = lookup_delay_s
        self._back_off = back_off
        self._on_found = on_found
        self._attempts = 0
        self._others_before = road.deliveries
        self._is_marked = True
        self._is_posting = False
        self._probes = False

    async def carry(self) -> Reply:
        """Send until the verdict is final, and leave it in `verdict`. Cancelled, the batch stays in the spool."""
        retrying = tenacity.AsyncRetrying(
            wait=self._wait, retry=tenacity.retry_if_result(lambda _: self.verdict in _WAITING)
        )
        try:
            reply: Reply = await retrying(self._attempt)
            return reply
        except asyncio.CancelledError:
            if self._is_marked and not self._is_posting and self.batch.ambiguous_since is None:
                await self._spool.unmark(self.batch)
            raise
        finally:
            self._stop_probing()

    async def _attempt(self) -> Reply:
        if self.batch.ambiguous_since is not None:
            self._stop_probing()  # others need not wait until it can be seen what became of this one
            await asyncio.sleep(self.batch.ambiguous_since + self._lookup_delay_s - time.time())
        if self._road.is_down:
            await self._start_probing()
        reply = await self._try_once()
        if self._is_poison(reply):
            self.verdict = Verdict.REJECT
        self._road.report(reply, self.verdict)
        if self._road.is_down and len(self.batch.rows) > 1:
            await self._start_probing()
        else:
            # A single event may itself be what the server fails on: others must be able to prove it.
            self._stop_probing()
        return reply

    def _is_poison(self, reply: Reply) -> bool:
        """Whether it is this event that the server fails on, again and again, and not the server that is in trouble."""
        return (
            self.verdict is Verdict.RETRY
            and reply.status is not None
            and reply.status >= 500
            and len(self.batch.rows) == 1
            and self._attempts >= POISON_ATTEMPTS
            and self._road.deliveries > self._others_before
        )

    async def _try_once(self) -> Reply:
        if self.batch.ambiguous_since is not None:
            missing = await self._ingestion.look_up(self.batch.rows)
            if isinstance(missing, Reply):
                self.verdict = Verdict.RETRY
                return missing
            stored = [row for row in self.batch.rows if row not in missing]
            self.batch = self.batch._replace(rows=tuple(missing), ambiguous_since=None)
            self._is_marked = False  # to be marked anew: an heir must not look before this attempt can be seen either
            self._on_found(stored)
        if not self.batch.rows:
            self.verdict = Verdict.DELIVERED
            return Reply(200)
        return await self._post()

    async def _post(self) -> Reply:
        refusal = await self._ingestion.ensure_sessions(self.batch.rows)
        if refusal is not None:
            self.verdict = classify(refusal, 1, 1)
            return refusal
        if not self._is_marked:
            await self._spool.mark(self.batch)
            self._is_marked = True
        self._attempts += 1
        self._is_posting = True
        reply = await self._ingestion.post_events(self.batch.rows)
        self._is_posting = False
        self.verdict = classify(reply, len(self.batch.rows), self._attempts)
        if self.verdict is Verdict.DELIVERED:
            return reply
        if is_ambiguous(reply):
            self.batch = self.batch._replace(ambiguous_since=time.time())
        elif self.verdict in _WAITING:
            await self._spool.unmark(self.batch)
            self._is_marked = False
        return reply

    async def _start_probing(self) -> None:
        """Wait for the turn of being the one batch that tries a server in trouble."""
        if not self._probes:
            await self._road.probe.acquire()
            self._probes = True

    def _stop_probing(self) -> None:
        if self._probes:
            self._probes = False
            self._road.probe.release()

    def _wait(self, state: tenacity.RetryCallState) -> float:
        if self.verdict is Verdict.PAUSE:
            return PROBE_PAUSE_S
        assert state.outcome is not None
        reply: Reply = state.outcome.result()
        return self._back_off.seconds(state.attempt_number, reply)
