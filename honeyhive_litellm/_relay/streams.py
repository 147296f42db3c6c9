"""Streams and consumers as a fleet needs them: what `relay init` makes, and the numbers that they show."""

from __future__ import annotations

import asyncio
import time
from typing import Dict, List, NamedTuple, Optional, Tuple

from nats.aio.client import Client
from nats.errors import Error
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    ConsumerInfo,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
    StreamInfo,
)
from nats.js.errors import APIError, NotFoundError

from honeyhive_litellm._broker.connection import Connection, NotConnectedError
from honeyhive_litellm._broker.names import DEAD_STREAM, DEAD_SUBJECTS, RELAY_INBOX, dead_subject_of, subject_of
from honeyhive_litellm._errors import HoneyHiveError
from honeyhive_litellm._privacy.cipher import Cipher, key_id_of

from .config import RUN_INIT, Destination, RelayConfig
from .dead_letters import DeadLetterError, account_of

MAX_PAYLOAD = 2 * 1024 * 1024
"""What the server's `max_payload` has to be."""

_MAX_MESSAGE = MAX_PAYLOAD - 1024
_DUPLICATE_WINDOW_S = 120.0
_MOST_REPLICAS = 3
_STANDALONE = 10074  # replicas > 1 not supported in non-clustered mode
_NO_PEERS = 10005  # no suitable peers for placement
_NO_STORAGE = (10023, 10047)  # insufficient resources; insufficient storage resources available
_TIMEOUT_S, _ASK_AGAIN_S = 10.0, 2.0
_OFFLINE = "peer offline"
_JOINING_S, _JOINING_POLL_S = 30.0, 0.25
"""How long a node may be "peer offline": one that has just started is so for some seconds although it is healthy."""

_LOOKED_AT = 100
_LOOKED_AT_BYTES = 8 * 1024 * 1024
"""How many waiting messages are looked at, and how many bytes: what is locked stays, so it is among the oldest."""

CREATED, UPDATED, UNCHANGED = "created", "updated", "unchanged"


class BrokerError(HoneyHiveError):
    """The broker refused something, or did not answer."""


class Made(NamedTuple):
    """What `init` did with one stream or consumer."""

    name: str
    what: str
    change: str
    replicas: int


class Numbers(NamedTuple):
    """What became of the messages of one destination: `accepted == delivered + waiting + dead + purged`.

    `waiting` includes those that relays have in hand, `in_hand`. The numbers are the broker's, so that they include
    all relays, also those that have ended. A purge of the stream by hand counts as delivered.
    """

    destination: str
    accepted: int
    delivered: int
    waiting: int
    in_hand: int
    dead: int
    purged: int
    bytes: int
    max_bytes: int
    replicas: int
    leader: Optional[str]


class Locked(NamedTuple):
    """How many of the oldest 100 waiting messages are encrypted with keys that are not here, and these keys' ids."""

    locked: int
    missing_keys: Tuple[str, ...]


async def jetstream(connection: Connection) -> JetStreamContext:
    """JetStream on this connection. Raises BrokerError if it cannot be used."""
    try:
        client = await connection.client()
    except NotConnectedError as error:
        raise BrokerError(f"no connection to {connection.servers}: {error}") from error
    if client.max_payload < MAX_PAYLOAD:
        raise BrokerError(
            f"the broker takes messages of {client.max_payload} bytes only: set `max_payload: 2MB` on every node"
        )
    js = client.jetstream(timeout=_TIMEOUT_S)
    try:
        await _until_it_answers(client)
    except (Error, asyncio.TimeoutError) as error:
        reason = f"not permitted: {connection.denial}" if connection.denial else type(error).__name__
        raise BrokerError(
            f"JetStream does not answer ({reason}). The user of this command needs $JS.API.> and may have to "
            f"subscribe {RELAY_INBOX}.>, where the answers come"
        ) from error
    return js


async def _until_it_answers(client: Client) -> None:
    """Ask for the account until there is an answer: what is asked while the nodes elect a leader has none, ever."""
    deadline = time.monotonic() + _TIMEOUT_S
    while True:
        try:
            await client.jetstream(timeout=_ASK_AGAIN_S).account_info()
            return
        except asyncio.TimeoutError:
            if time.monotonic() >= deadline:
                raise


async def init(js: JetStreamContext, config: RelayConfig) -> List[Made]:
    """Make what is missing and bring the rest up to date. Raises BrokerError."""
    try:
        made = [await _ensure_stream(js, _dead_stream(config), config)]
        for destination in config.destinations:
            stream = await _ensure_stream(js, _stream(destination), config)
            made += [stream, await _ensure_consumer(js, destination, config, stream.replicas)]
    except (Error, asyncio.TimeoutError) as error:
        raise BrokerError(f"the broker refused: {_words(error)}") from error
    return made


async def numbers_of(js: JetStreamContext, destination: Destination) -> Numbers:
    """The numbers of one destination. Raises BrokerError."""
    try:
        info = await js.stream_info(destination.stream)
        consumer = await js.consumer_info(destination.stream, destination.consumer)
        subject = dead_subject_of(destination.name)
        subjects: Dict[str, int] = (await js.stream_info(DEAD_STREAM, subjects_filter=subject)).state.subjects or {}
        account = await account_of(js, destination.name)
    except NotFoundError as error:
        raise BrokerError(f"the streams of the destination {destination.name} are not complete: {RUN_INIT}") from error
    except (DeadLetterError, Error, asyncio.TimeoutError) as error:
        raise BrokerError(f"the broker does not answer for {destination.stream}: {_words(error)}") from error
    dead = subjects.get(subject, 0)
    state = info.state
    settled = state.last_seq - state.messages
    return Numbers(
        destination=destination.name,
        accepted=state.last_seq - account.retried,
        # A letter is for a moment in both streams, until its message is acknowledged.
        delivered=max(0, settled - dead - account.purged - account.retried),
        waiting=state.messages,
        in_hand=consumer.num_ack_pending or 0,
        dead=dead,
        purged=account.purged,
        bytes=state.bytes,
        max_bytes=info.config.max_bytes or 0,
        replicas=info.config.num_replicas or 1,
        leader=info.cluster.leader if info.cluster is not None else None,
    )


async def locked_in(js: JetStreamContext, destination: Destination, cipher: Cipher) -> Locked:
    """What of a destination's stream these keys do not open. Raises BrokerError."""
    missing: List[bytes] = []
    seq = size = 0
    try:
        for _ in range(_LOOKED_AT):
            found = await js.get_msg(destination.stream, seq + 1, subject=subject_of(destination.name), next=True)
            seq, body = found.seq or seq + 1, found.data or b""
            key_id = key_id_of(body)
            missing += [] if key_id is None else cipher.missing([key_id])
            size += len(body)
            if size > _LOOKED_AT_BYTES:
                break
    except NotFoundError:
        pass  # that was the last one
    except (Error, asyncio.TimeoutError) as error:
        raise BrokerError(f"the broker does not answer for {destination.stream}: {_words(error)}") from error
    return Locked(len(missing), tuple(sorted({key_id.hex() for key_id in missing})))


def _stream(destination: Destination) -> StreamConfig:
    return StreamConfig(
        name=destination.stream,
        subjects=[subject_of(destination.name)],
        retention=RetentionPolicy.WORK_QUEUE,
        storage=StorageType.FILE,
        # A full stream refuses new events, which stay in their spools, and never drops old ones.
        discard=DiscardPolicy.NEW,
        max_bytes=destination.max_bytes,
        max_msg_size=_MAX_MESSAGE,
        duplicate_window=_DUPLICATE_WINDOW_S,
    )


def _dead_stream(config: RelayConfig) -> StreamConfig:
    return StreamConfig(
        name=DEAD_STREAM,
        subjects=[DEAD_SUBJECTS],
        retention=RetentionPolicy.LIMITS,
        storage=StorageType.FILE,
        discard=DiscardPolicy.NEW,
        max_bytes=config.dead_max_bytes,
        duplicate_window=_DUPLICATE_WINDOW_S,
    )


async def _ensure_stream(js: JetStreamContext, wanted: StreamConfig, config: RelayConfig) -> Made:
    try:
        return await _made(js, wanted, config.replicas)
    except APIError as error:
        if error.err_code != _NO_PEERS and error.err_code not in _NO_STORAGE:
            raise
        is_dead = wanted.name == DEAD_STREAM
        remedy = "dead_max_bytes" if is_dead else "its max_bytes"
        others = "" if is_dead else f" {DEAD_STREAM} takes {config.dead_max_bytes} bytes of them: dead_max_bytes."
        raise BrokerError(
            f"the stream {wanted.name} does not fit: the broker has not {config.replicas or _MOST_REPLICAS} nodes with "
            f"{wanted.max_bytes} bytes left each ({error.description}). All streams share the space of a node, "
            f"max_file_store.{others} Lower {remedy} or replicas, or add disks or nodes"
        ) from error


async def _made(js: JetStreamContext, wanted: StreamConfig, replicas: Optional[int]) -> Made:
    assert wanted.name is not None
    try:
        found = await js.stream_info(wanted.name)
    except NotFoundError:
        info = await _create(js, wanted, replicas)
        return Made(wanted.name, "stream", CREATED, info.config.num_replicas or 1)
    have = found.config
    number = replicas or have.num_replicas or 1
    changes = {
        name: value
        for name, value in (
            ("subjects", wanted.subjects),
            ("discard", wanted.discard),
            ("max_bytes", wanted.max_bytes),
            ("max_msg_size", wanted.max_msg_size),
            ("duplicate_window", wanted.duplicate_window),
            ("num_replicas", number),
        )
        if getattr(have, name) != value
    }
    if have.retention != wanted.retention:
        raise BrokerError(f"the stream {wanted.name} exists with another retention: rename or delete it first")
    if changes:
        await js.update_stream(have.evolve(**changes))
    return Made(wanted.name, "stream", UPDATED if changes else UNCHANGED, number)


async def _create(js: JetStreamContext, wanted: StreamConfig, replicas: Optional[int]) -> StreamInfo:
    deadline = time.monotonic() + _JOINING_S
    while True:
        try:
            return await js.add_stream(wanted.evolve(num_replicas=replicas or _MOST_REPLICAS))
        except APIError as error:
            if error.err_code == _STANDALONE and replicas is None:
                return await js.add_stream(wanted.evolve(num_replicas=1))
            if _OFFLINE not in (error.description or "") or time.monotonic() > deadline:
                raise
        await asyncio.sleep(_JOINING_POLL_S)


async def _ensure_consumer(js: JetStreamContext, destination: Destination, config: RelayConfig, replicas: int) -> Made:
    wanted = ConsumerConfig(
        durable_name=destination.consumer,
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=config.ack_wait,
        max_deliver=-1,
        max_ack_pending=config.max_ack_pending,
    )
    found: Optional[ConsumerInfo] = None
    try:
        found = await js.consumer_info(destination.stream, destination.consumer)
    except NotFoundError:
        pass
    names = ("ack_policy", "ack_wait", "max_deliver", "max_ack_pending")
    if found is not None and all(getattr(found.config, name) == getattr(wanted, name) for name in names):
        return Made(destination.consumer, "consumer", UNCHANGED, replicas)
    await js.add_consumer(destination.stream, wanted)
    return Made(destination.consumer, "consumer", CREATED if found is None else UPDATED, replicas)


def _words(error: BaseException) -> str:
    if isinstance(error, APIError) and error.description:
        return error.description
    return str(error) if isinstance(error, DeadLetterError) else type(error).__name__
