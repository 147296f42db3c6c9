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


class Road:
    """The way to one server. Belongs to one event loop."""

    def __init__(self, api_url: str, counters: Counters, back_off: BackOff) -> None:
        self.is_down = False
        self.deliveries = 0
        self.failures = 0
        self._api_url = api_url
        self._counters = counters
        self._back_off = back_off
        self._slots = asyncio.Semaphore(WORKERS)
        self._probe = asyncio.Lock()
        self._news = asyncio.Event()
        self._round = 0
        self._failed_rounds = 0
        self._has_failed_twice = False
        self._due = 0.0  # these two by the monotonic clock
        self._asked_for = 0.0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[int]:
        """Wait until a request may be made; gives the number of the round, for `report`, which belongs inside."""
        while True:
            if self.is_down:
                async with self._probe:
                    await self._until_due()
                    if self.is_down:
                        async with self._slots:
                            yield self._round
                            return
            else:
                async with self._slots:
                    if not self.is_down:
                        yield self._round
                        return

    async def _until_due(self) -> None:
        loop = asyncio.get_running_loop()
        while self.is_down and self._due > time.monotonic():
            self._news.clear()
            alarm = loop.call_later(self._due - time.monotonic(), self._news.set)
            try:
                await self._news.wait()
            finally:
                alarm.cancel()

    def hurry(self) -> None:
        """Somebody waits: probe at once, and begin anew with short pauses. A Retry-After is honoured all the same."""
        self._failed_rounds = 0
        self._due = self._asked_for
        self._news.set()

    def report(self, reply: Reply, turn: int, *, is_delivery: bool, is_suspect: bool) -> None:
        """Remember how the server answered in this `turn`, and tell the user when it changes.

        The failure of a suspect - an event that is refused while others are taken - says nothing about the server.
        """
        verdict = classify(reply, 1)
        if verdict not in WAITING:
            self._open(is_delivery)
            return
        self.failures += 1
        if is_suspect and not self.is_down:
            return
        was_down, self.is_down = self.is_down, True
        self._counters.last_error = describe(reply)
        now = time.monotonic()
        if reply.retry_after_s is not None:
            self._asked_for = max(self._asked_for, now + reply.retry_after_s)
            self._due = max(self._due, self._asked_for)
        if turn == self._round:  # requests that set out together and fail together are one failure
            self._round += 1
            self._failed_rounds += 1
            self._has_failed_twice = was_down
            self._due = max(
                self._asked_for, now + self._back_off.seconds(self._failed_rounds, reply, longest_pause(reply))
            )
        if self._has_failed_twice:  # a single failure may be a slip, or the fault of one event
            self._tell(reply, verdict)

    def _open(self, is_delivery: bool) -> None:
        self.deliveries += is_delivery
        if self._asked_for > time.monotonic():
            return  # it set out before the server asked for a pause
        self.is_down = False
        self._round += 1
        self._failed_rounds = 0
        self._has_failed_twice = False
        self._news.set()
        self._counters.last_error = None
        for kind in ("server", "refused"):
            recovered(kind, "honeyhive: the server takes events again")

    def _tell(self, reply: Reply, verdict: Verdict) -> None:
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
