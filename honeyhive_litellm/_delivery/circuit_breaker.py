"""What all batches share: how the server is, and whose turn it is to try it.

While all is well a few requests travel side by side. As soon as one meets trouble the others wait, and one batch at a
time probes, with back-off: a recovering server is met by one request, not by a herd. The batches in hand take turns
at probing, so that one whose events are what the server refuses cannot keep the way closed for the others.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import AsyncIterator

from honeyhive_litellm._log import recovered, warn
from honeyhive_litellm._stats import Counters

from .sinks.http_status import WAITING, BackOff, Reply, Verdict, classify, describe, longest_pause

WORKERS = 4
"""How many batches travel side by side."""

_REMIND_S = 3600.0


class CircuitBreaker:
    """The way to one server. Belongs to one event loop."""

    def __init__(self, api_url: str, counters: Counters, back_off: BackOff) -> None:
        self.is_open = False
        self.deliveries = 0
        self.failures = 0
        self._api_url = api_url
        self._counters = counters
        self._back_off = back_off
        self._slots = asyncio.Semaphore(WORKERS)
        self._probe = asyncio.Lock()
        self._changed = asyncio.Event()
        self._round = 0
        self._failed_rounds = 0
        self._has_failed_twice = False
        self._probe_due = 0.0  # these two by the monotonic clock
        self._retry_after_until = 0.0

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[int]:
        """Wait until a request may be made; yields the round, which `record_result` takes, called inside."""
        while True:
            if self.is_open:
                async with self._probe:
                    await self._until_due()
                    if self.is_open:
                        async with self._slots:
                            yield self._round
                            return
            else:
                async with self._slots:
                    if not self.is_open:
                        yield self._round
                        return

    async def _until_due(self) -> None:
        loop = asyncio.get_running_loop()
        while self.is_open and self._probe_due > time.monotonic():
            self._changed.clear()
            alarm = loop.call_later(self._probe_due - time.monotonic(), self._changed.set)
            try:
                await self._changed.wait()
            finally:
                alarm.cancel()

    def probe_now(self) -> None:
        """Somebody waits: probe at once, and begin anew with short pauses. A Retry-After is honoured all the same."""
        self._failed_rounds = 0
        self._probe_due = self._retry_after_until
        self._changed.set()

    def record_result(self, reply: Reply, round_number: int, *, is_delivery: bool, is_suspect: bool) -> None:
        """Remember how the server answered in this round, and tell the user when it changes.

        The failure of a suspect - an event that is refused while others are taken - says nothing about the server.
        """
        verdict = classify(reply, 1)
        if verdict not in WAITING:
            self._close(is_delivery)
            return
        self.failures += 1
        if is_suspect and not self.is_open:
            return
        was_open, self.is_open = self.is_open, True
        self._counters.last_error = describe(reply)
        now = time.monotonic()
        if reply.retry_after_s is not None:
            self._retry_after_until = max(self._retry_after_until, now + reply.retry_after_s)
            self._probe_due = max(self._probe_due, self._retry_after_until)
        if round_number == self._round:  # requests that set out together and fail together are one failure
            self._round += 1
            self._failed_rounds += 1
            self._has_failed_twice = was_open
            self._probe_due = max(
                self._retry_after_until, now + self._back_off.seconds(self._failed_rounds, reply, longest_pause(reply))
            )
        if self._has_failed_twice:  # a single failure may be a slip, or the fault of one event
            self._warn(reply, verdict)

    def _close(self, is_delivery: bool) -> None:
        self.deliveries += is_delivery
        if self._retry_after_until > time.monotonic():
            return  # it set out before the server asked for a pause
        self.is_open = False
        self._round += 1
        self._failed_rounds = 0
        self._has_failed_twice = False
        self._changed.set()
        self._counters.last_error = None
        for kind in ("server", "refused"):
            recovered(kind, "honeyhive: the server takes events again")

    def _warn(self, reply: Reply, verdict: Verdict) -> None:
        if verdict is Verdict.PAUSE:
            warn(
                "refused",
                "honeyhive: %s answers %s, so the key or the address is wrong: check api_key / HONEYHIVE_API_KEY and "
                "api_url / HONEYHIVE_API_URL. All events stay in the spool and go out once it works",
                self._api_url,
                describe(reply),
                repeat_s=_REMIND_S,
            )
        else:
            warn(
                "server",
                "honeyhive: %s takes no events now (%s); they stay in the spool and are tried again",
                self._api_url,
                describe(reply),
                repeat_s=_REMIND_S,
            )
