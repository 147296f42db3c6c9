"""Events in the streams of a real broker, a relay's configuration, and what the collector got."""

from __future__ import annotations

import asyncio
import json
import uuid
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, AsyncIterator, Dict, Iterable, List, Mapping, NamedTuple, Optional

import nats.errors
from nats.js import JetStreamContext

from honeyhive_litellm._broker.connection import Connection
from honeyhive_litellm._broker.message import encrypted, headers_of
from honeyhive_litellm._broker.names import RELAY_INBOX, subject_of
from honeyhive_litellm._privacy.cipher import NO_CIPHER, Cipher
from honeyhive_litellm._relay import streams
from honeyhive_litellm._relay.config import RelayConfig, config_of
from honeyhive_litellm._relay.relay import Relay
from honeyhive_litellm._spool.record import Row
from honeyhive_litellm.testing import Collector

from ..rig import QUICK
from ..support.broker import Broker
from ..waiting import until_awaited


class Balance(NamedTuple):
    """accepted == delivered + waiting + dead + purged"""

    accepted: int
    delivered: int
    waiting: int = 0
    dead: int = 0
    purged: int = 0


STREAM_BYTES = 64 * 1024 * 1024
KEY = "hh_key"
RETRY_S = 0.1


def event(number: int, session: Optional[str] = None, text: str = "") -> Row:
    """Event *number*; *session* is "<uuid> <name>", *text* goes into its input."""
    id_ = str(uuid.UUID(int=number + 1))
    body: Dict[str, Any] = {
        "event_id": id_,
        "event_type": "model",
        "event_name": f"e{number}",
        "inputs": {"n": number, "text": text},
    }
    if session is not None:
        body["session_id"] = session.partition(" ")[0]
    return Row(0, id_, 1700000000000.0, session, json.dumps(body).encode())


def table(nodes: Broker, destinations: Mapping[str, str], *, workers: int = 4, **options: Any) -> Dict[str, Any]:
    """The decoded `relay.toml` for destinations with these addresses."""
    return {
        "broker": nodes.address,
        "lookup_delay": 0,
        "request_timeout": 2,
        "ack_wait": 2,
        "shutdown_timeout": 5,
        "dead_max_bytes": STREAM_BYTES,
        "destinations": {
            name: {"api_url": url, "api_key_env": f"KEY_{name.upper()}", "max_bytes": STREAM_BYTES, "workers": workers}
            for name, url in destinations.items()
        },
        **options,
    }


def config_for(
    nodes: Broker,
    destinations: Mapping[str, str],
    keys: Optional[Mapping[str, str]] = None,
    spool_key: str = "",
    **options: Any,
) -> RelayConfig:
    """A configuration in which every destination has the key KEY, or that in *keys*; *spool_key* decrypts."""
    environ = {f"KEY_{name.upper()}": (keys or {}).get(name, KEY) for name in destinations}
    environ["HONEYHIVE_SPOOL_KEY"] = spool_key
    return config_of(table(nodes, destinations, **options), environ, with_keys=True, source="the test")


@asynccontextmanager
async def administering(config: RelayConfig) -> AsyncIterator[JetStreamContext]:
    """JetStream as the commands have it."""
    connection = Connection(config.broker, name="test", inbox_prefix=RELAY_INBOX)
    try:
        yield await streams.jetstream(connection)
    finally:
        await connection.aclose()


async def make_streams(config: RelayConfig) -> List[streams.Made]:
    """What `relay init` does."""
    async with administering(config) as js:
        return await streams.init(js, config)


async def balance(config: RelayConfig) -> List[Balance]:
    """The numbers of each destination."""
    async with administering(config) as js:
        found = [await streams.numbers_of(js, destination) for destination in config.destinations]
    return [Balance(each.accepted, each.delivered, each.waiting, each.dead, each.purged) for each in found]


async def until_balance(config: RelayConfig, *expected: Balance) -> None:
    """Wait until the broker has processed the acknowledgements."""
    found: object = None

    async def holds() -> bool:
        nonlocal found
        try:
            found = await balance(config)
        except streams.BrokerError as error:  # it has no leader yet
            found = error
        return found == list(expected)

    await until_awaited(holds, what=lambda: f"{found} instead of {expected}")


async def publish(
    broker: Broker,
    rows: Iterable[Row],
    destination: str = "default",
    *,
    may_be_duplicate: bool = False,
    suffix: str = "",
    cipher: Cipher = NO_CIPHER,
) -> None:
    """Publish as an application does; a *suffix* of the message ids has the broker take what it had before."""
    client = await broker.connect()
    try:
        js = client.jetstream(timeout=3)
        gate = asyncio.Semaphore(100)

        async def one(row: Row) -> None:
            row = encrypted(row, cipher)
            headers = headers_of(row, "p", may_be_duplicate=may_be_duplicate)
            if suffix:
                headers["Nats-Msg-Id"] += suffix
                headers["HH-Event-Id"] = row.id

            async def is_published() -> bool:
                try:
                    await js.publish(subject_of(destination), row.body, headers=headers)
                except (nats.errors.Error, asyncio.TimeoutError):  # the stream has no leader now
                    return False
                return True

            async with gate:
                await until_awaited(is_published, every_s=RETRY_S)

        await asyncio.gather(*(one(row) for row in rows))
    finally:
        await client.close()


@asynccontextmanager
async def relaying(config: RelayConfig) -> AsyncIterator[Relay]:
    """A relay on the test's own loop."""
    relay = Relay(config, QUICK)
    task = asyncio.ensure_future(relay.run())
    try:
        yield relay
    finally:
        relay.stop()
        await task


def delivered(relay: Relay) -> int:
    return sum(state.delivered for state in relay.states())


def trouble(relay: Relay) -> str:
    return " ".join(state.trouble or "" for state in relay.states())


def in_hand(relay: Relay) -> int:
    return sum(state.in_hand for state in relay.states())


def assert_once(collector: Collector, numbers_: Iterable[int]) -> None:
    """The collector has exactly these events, and got each of them once."""
    assert sorted(found["inputs"]["n"] for found in collector.events) == sorted(numbers_)
    assert set(collector.receipts.values()) <= {1}


def write_config(path: Path, options: Mapping[str, Any]) -> None:
    """Write what `table` returns as TOML."""
    destinations = options["destinations"]
    lines = [f"{name} = {json.dumps(value)}" for name, value in options.items() if name != "destinations"]
    for name, values in destinations.items():
        lines += ["", f"[destinations.{name}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())]
    path.write_text("\n".join([*lines, ""]))
