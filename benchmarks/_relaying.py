"""A relay and its stream, out of private modules. Apart from `_internals.py`, since it loads the NATS client."""

from __future__ import annotations

import asyncio
import time

from _internals import records

from honeyhive_litellm._broker.connection import Connection
from honeyhive_litellm._broker.message import headers_of
from honeyhive_litellm._broker.names import RELAY_INBOX, subject_of
from honeyhive_litellm._relay import streams
from honeyhive_litellm._relay.config import RelayConfig, config_of
from honeyhive_litellm._relay.relay import Relay
from honeyhive_litellm._spool.record import Record, Row

_FILL_AT_ONCE = 10_000
_PUBLISH_WINDOW = 256
_POLL_S = 0.01


def _relay_config(broker: str, url: str) -> RelayConfig:
    destination = {"api_url": url, "max_bytes": 30 * 2**30}
    options = {"broker": broker, "destinations": {"bench": destination}}
    return config_of(options, {"HONEYHIVE_API_KEY": "hh_bench"}, with_keys=True, source="the benchmark")


async def fill_stream(broker: str, url: str, count: int, size: int) -> None:
    """Make the streams of a relay, and leave so many events of `size` bytes in them."""
    config = _relay_config(broker, url)
    connection = Connection(config.broker, name="bench", inbox_prefix=RELAY_INBOX)
    try:
        js = await streams.jetstream(connection)
        await streams.init(js, config)
        gate = asyncio.Semaphore(_PUBLISH_WINDOW)

        async def publish(each: Record) -> None:
            row = Row(0, each.id, each.started_ms, each.session, each.body)
            async with gate:
                await js.publish(subject_of("bench"), row.body, headers=headers_of(row, "p", may_be_duplicate=False))

        for first in range(0, count, _FILL_AT_ONCE):
            await asyncio.gather(*map(publish, records(min(_FILL_AT_ONCE, count - first), size, first)))
    finally:
        await connection.aclose()


async def relay_all(broker: str, url: str, count: int, timeout_s: float) -> None:
    """Run a relay until it has delivered so many events."""
    relay = Relay(_relay_config(broker, url))
    running = asyncio.ensure_future(relay.run())
    deadline = time.monotonic() + timeout_s
    while sum(state.delivered for state in relay.states()) < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"not delivered in time: {relay.states()}")
        await asyncio.sleep(_POLL_S)
    relay.stop()
    await running
