"""Puts together what delivers one destination: connection, source, flusher, sink.

Nothing is shared between destinations, so that trouble with one, its key or its stream, holds up no other.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from typing import Awaitable, Callable, List, NamedTuple, Optional, Sequence

from honeyhive_litellm._aio import cancel_all, restart_forever
from honeyhive_litellm._broker.connection import Connection
from honeyhive_litellm._broker.names import RELAY_INBOX
from honeyhive_litellm._delivery.backoff import BackOff
from honeyhive_litellm._delivery.flusher import Flusher
from honeyhive_litellm._delivery.sinks.honeyhive import HoneyHiveSink
from honeyhive_litellm._spool.record import Row
from honeyhive_litellm._stats import Counters

from .config import Destination, RelayConfig
from .inbound import StreamBatch
from .stream_source import StreamSource

_SIGNS_PER_ACK_WAIT = 3
_POLL_S = 0.02


class DestinationState(NamedTuple):
    """One destination as this process sees it. `trouble` is why nothing comes or goes, None if all is well."""

    name: str
    is_connected: bool
    delivered: int
    dead: int
    in_hand: int
    locked: int
    is_circuit_open: bool
    trouble: Optional[str]


class DestinationDelivery:
    """Delivers the events of one destination, on the event loop that runs when it is made."""

    def __init__(self, config: RelayConfig, destination: Destination, back_off: Optional[BackOff] = None) -> None:
        assert destination.api_key is not None
        self._name = destination.name
        self._counters = Counters()
        self._connection = Connection(
            config.broker,
            name=f"honeyhive-litellm relay {destination.name} ({socket.gethostname()}, {os.getpid()})",
            inbox_prefix=RELAY_INBOX,
        )
        self._sink = HoneyHiveSink(
            destination.api_url,
            destination.api_key,
            lookup_api_key=destination.lookup_api_key,
            project=destination.project,
            source=destination.environment,
            timeout_s=config.request_timeout,
        )
        self._source = StreamSource(
            destination,
            self._connection,
            self._counters,
            cipher=config.cipher,
            sign_every_s=config.ack_wait / _SIGNS_PER_ACK_WAIT,
            confirms_acks=not self._sink.can_look_up,
        )
        self._flusher: Flusher[StreamBatch] = Flusher(
            self._source,
            self._sink,
            self._counters,
            lookup_delay_s=config.lookup_delay,
            on_delivered=_ignore,
            back_off=back_off,
            workers=destination.workers,
        )
        self._source.on_events(self._flusher.wake)
        self._is_closing = False
        self._flushing: List[asyncio.Future[None]] = []
        self._tasks: List[asyncio.Future[None]] = []

    def start(self) -> None:
        """Begin to receive and deliver."""
        self._tasks = [self._start("receiver", self._source.receive), self._start("signs", self._source.keep_in_hand)]
        self._flushing = [self._start("flusher", self._flusher.run)]

    def _start(self, name: str, work: Callable[[], Awaitable[None]]) -> asyncio.Future[None]:
        return asyncio.ensure_future(
            restart_forever(f"{name} of destination {self._name}", work, lambda: self._is_closing)
        )

    @property
    def state(self) -> DestinationState:
        stats = self._counters.snapshot()
        return DestinationState(
            name=self._name,
            is_connected=self._connection.is_connected,
            delivered=stats.delivered,
            dead=stats.dead,
            in_hand=self._source.pending,
            locked=self._source.locked,
            is_circuit_open=self._flusher.is_circuit_open,
            trouble=self._source.trouble or stats.last_error,
        )

    async def finish(self, deadline: float) -> None:
        """Deliver what is being sent, until this time of the monotonic clock; give everything else back; close."""
        await self._source.give_back_waiting()
        self._flusher.set_urgent(True)
        while self._source.pending and not self._flusher.is_circuit_open and time.monotonic() < deadline:  # noqa: ASYNC110  settling wakes nobody
            await asyncio.sleep(_POLL_S)
        self._is_closing = True
        await cancel_all(self._flushing)
        await self._source.give_back_all()
        await cancel_all(self._tasks)
        await self._sink.aclose()
        await self._connection.aclose()


def _ignore(_rows: Sequence[Row]) -> None:
    pass
