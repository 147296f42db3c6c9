"""One relay process: every destination of its configuration, until it is stopped."""

from __future__ import annotations

import asyncio
import time
from typing import List, Optional

from honeyhive_litellm._delivery.backoff import BackOff

from .config import RelayConfig
from .delivery import DestinationDelivery, DestinationState

_PULSE_S = 0.5


class Relay:
    """Made anywhere; `run` it on a loop, `stop` it from there."""

    def __init__(self, config: RelayConfig, back_off: Optional[BackOff] = None) -> None:
        """The configuration must have its keys."""
        self._config = config
        self._back_off = back_off
        self._deliveries: List[DestinationDelivery] = []
        self._stop: Optional[asyncio.Event] = None
        self._is_stopped = False
        self.turned_at = time.monotonic()
        """When the loop last turned, by the monotonic clock; other threads read it."""

    def stop(self) -> None:
        """Take nothing more, finish what is being sent, give back the rest, and end."""
        self._is_stopped = True
        if self._stop is not None:
            self._stop.set()

    def states(self) -> List[DestinationState]:
        """Each destination as this process sees it."""
        return [delivery.state for delivery in self._deliveries]

    async def run(self) -> List[DestinationState]:
        """Deliver until `stop`; the states at the end. Takes at most `shutdown_timeout` longer."""
        self._stop = asyncio.Event()
        self._deliveries = [
            DestinationDelivery(self._config, destination, self._back_off) for destination in self._config.destinations
        ]
        for delivery in self._deliveries:
            delivery.start()
        try:
            while not self._is_stopped:
                self.turned_at = time.monotonic()
                alarm = asyncio.get_running_loop().call_later(_PULSE_S, self._stop.set)
                await self._stop.wait()
                alarm.cancel()
                self._stop.clear()
        finally:
            deadline = time.monotonic() + self._config.shutdown_timeout
            await asyncio.gather(*(delivery.finish(deadline) for delivery in self._deliveries))
        return self.states()
