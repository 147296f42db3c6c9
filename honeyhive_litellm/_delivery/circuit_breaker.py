"""What all batches share: whether the server takes events now, and which batch may try it next.

While the breaker is closed, a few requests run side by side. The first failure opens it: the others wait, and one
batch at a time probes, with back-off. So a recovering server is met by one request and not by all. The waiting batches
take turns at probing, so that one with an event that the server always fails on cannot keep the breaker open.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import AsyncIterator

from honeyhive_litellm._log import recovered, warn
from honeyhive_litellm._log_codes import LogCode
from honeyhive_litellm._stats import Counters

from .backoff import BackOff
from .sink import WAITING, Result, Sink, Verdict

WORKERS = 4
"""How many batches are sent side by side, where nothing else is configured."""

_REMIND_S = 3600.0

PREFIX = "honeyhive: "
TAKES_NOTHING = "honeyhive: %s takes no events now (%s); they stay in %s and are sent again until it does"
REFUSES = "honeyhive: %s answers %s, so %s wrong: %s. All events stay in %s and go out once it works"


class CircuitBreaker:
    """Guards one sink. Belongs to one event loop.

    `deliveries` and `failures` are totals over all batches.
    """

    def __init__(
        self, sink: Sink, counters: Counters, back_off: BackOff, *, events_stay_in: str, workers: int = WORKERS
    ) -> None:
        """`events_stay_in` is what log lines call the place where the events wait."""
        self.is_open = False
        self.deliveries = 0
        self.failures = 0
        self._sink = sink
        self._counters = counters
        self._back_off = back_off
        self._events_stay_in = events_stay_in
        self._slots = asyncio.Semaphore(workers)
        self._probe = asyncio.Lock()
        self._changed = asyncio.Event()
        self._round = 0
        self._failed_rounds = 0
        self._has_failed_twice = False
        self._probe_due = 0.0  # this and the next by the monotonic clock
        self._retry_after_until = 0.0

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[int]:
        """Wait until a request may be made. Yields the round, which `record_result` takes, called inside."""
        while True:
            if self.is_open:
                async with self._probe:
                    await self._until_probe_due()
                    if self.is_open:
                        async with self._slots:
                            yield self._round
                            return
            else:
                async with self._slots:
                    if not self.is_open:
                        yield self._round
                        return

    async def _until_probe_due(self) -> None:
        loop = asyncio.get_running_loop()
        while self.is_open and self._probe_due > time.monotonic():
            self._changed.clear()
            alarm = loop.call_later(self._probe_due - time.monotonic(), self._changed.set)
            try:
                await self._changed.wait()
            finally:
                alarm.cancel()

    def probe_now(self) -> None:
        """End the pause and start again with short ones: a caller waits for delivery. Retry-After is still honoured."""
        self._failed_rounds = 0
        self._probe_due = self._retry_after_until
        self._changed.set()

    def record_result(self, result: Result, round_number: int, *, is_delivery: bool, is_suspect: bool) -> None:
        """Open or close the breaker by the result of a request of this round, and log the change.

        The failure of a suspect, an event that fails while others are delivered, does not open it.
        """
        if result.verdict not in WAITING:
            self._note_success(is_delivery)
            return
        self.failures += 1
        if is_suspect and not self.is_open:
            return
        was_open, self.is_open = self.is_open, True
        self._counters.last_error = self._sentence(result)
        now = time.monotonic()
        if result.retry_after_s is not None:
            self._retry_after_until = max(self._retry_after_until, now + result.retry_after_s)
            self._probe_due = max(self._probe_due, self._retry_after_until)
        if round_number == self._round:  # requests that started together and fail together are one failure
            self._round += 1
            self._failed_rounds += 1
            self._has_failed_twice = was_open
            pause_s = self._back_off.seconds(self._failed_rounds, result.retry_after_s, result.longest_pause_s)
            self._probe_due = max(self._retry_after_until, now + pause_s)
        if self._has_failed_twice:  # a single failure may be an accident, or the fault of one event
            self._warn(result)

    def _note_success(self, is_delivery: bool) -> None:
        self.deliveries += is_delivery
        if self._retry_after_until > time.monotonic():
            return  # this request started before the server requested a pause
        self.is_open = False
        self._round += 1
        self._failed_rounds = 0
        self._has_failed_twice = False
        self._changed.set()
        self._counters.last_error = None
        for trouble in (LogCode.SERVER_UNAVAILABLE, LogCode.SERVER_REFUSES):
            recovered(
                trouble,
                LogCode.SERVER_RECOVERED,
                "honeyhive: %s takes events again",
                self._sink.name,
                about=self._events_stay_in,
            )

    def _sentence(self, result: Result) -> str:
        """What happened, where, and what to do: for `stats().last_error`, in the words of the log."""
        if result.verdict is Verdict.PAUSE:
            sink = self._sink
            sentence = REFUSES % (sink.name, result.log_text, sink.suspicion, sink.remedy, self._events_stay_in)
        else:
            sentence = TAKES_NOTHING % (self._sink.name, result.log_text, self._events_stay_in)
        return sentence[len(PREFIX) :]

    def _warn(self, result: Result) -> None:
        name, text, place = self._sink.name, result.log_text, self._events_stay_in
        counts = {"pending": self._counters.snapshot().pending}
        if result.verdict is Verdict.PAUSE:
            remedy = self._sink.remedy
            warn(
                LogCode.SERVER_REFUSES,
                REFUSES,
                name,
                text,
                self._sink.suspicion,
                remedy,
                place,
                about=place,
                repeat_s=_REMIND_S,
                counts=counts,
            )
        else:
            warn(
                LogCode.SERVER_UNAVAILABLE,
                TAKES_NOTHING,
                name,
                text,
                place,
                about=place,
                repeat_s=_REMIND_S,
                counts=counts,
            )
