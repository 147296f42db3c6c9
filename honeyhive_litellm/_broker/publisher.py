"""Publishes to a stream and waits for the acknowledgements, with a deadline of its own.

nats-py's own way leaves a publish without an answer waiting for ever when its server dies. Here one inbox takes all
answers, a publish without one is over after ACK_TIMEOUT_S, and so is one whose connection is lost. How many messages
are unacknowledged at a time is up to the callers: four workers with batches of 100 have 400, and more bring no more.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Deque, Dict, List, NamedTuple, Optional, Sequence, Tuple

from nats.aio.subscription import Subscription
from nats.errors import Error

from honeyhive_litellm._json import decode

from .client import BrokerClient
from .connection import Connection, NotConnectedError
from .message import encoded

ACK_TIMEOUT_S = 5.0
NO_STREAM = 503
"""The `code` of an answer that says that no stream takes the subject, or says nothing."""

_NO_RESPONDERS = b"NATS/1.0 503"
_UNKNOWN = 500
_EXPECTED_STREAM = "Nats-Expected-Stream"
_OTHER_STREAM = 10060
_PUBLISHING = "publish "
_SUBSCRIBING_S = 5
_MAX_TEXT = 200
_INBOXES = 2
"""The inbox before the last one is still subscribed to: a publish that began with it may wait for its answers there."""


class Ack(NamedTuple):
    """The answer to one publish. `code` is the broker's error number, 503 where no stream answers; 0 is success.

    `is_duplicate`: the stream had a message with this id already, and stored no second one.
    """

    code: int = 0
    text: str = ""
    is_duplicate: bool = False

    @property
    def is_stored(self) -> bool:
        return self.code == 0


UNANSWERED = Ack(_UNKNOWN, "no acknowledgement in time")
"""What `Publisher.probe` returns if no answer came."""


class DeniedError(Exception):
    """The broker does not permit what publishing needs. The text is the operation."""

    def __init__(self, operation: str, *, may_be_stored: bool) -> None:
        """`may_be_stored`: messages were sent, perhaps before the permission was taken away."""
        super().__init__(operation)
        self.may_be_stored = may_be_stored


@dataclass
class _Group:
    """The messages of one `publish`; `done` is set when the last is answered, or when waiting is of no use."""

    acks: List[Optional[Ack]]
    left: int
    done: asyncio.Event = field(default_factory=asyncio.Event)
    denial: Optional[str] = None


class Publisher:
    """Publishes over one connection, whose `on_trouble` it takes. Used on one event loop, by several tasks."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        connection.on_trouble = self._end_waiting
        self._subscribing = asyncio.Lock()
        self._client: Optional[BrokerClient] = None
        self._inbox = ""
        self._subscriptions: Deque[Tuple[BrokerClient, Subscription]] = deque()
        self._number = 0
        self._pending: Dict[bytes, Tuple[_Group, int]] = {}

    async def connect(self) -> BrokerClient:
        """A client whose answers come here. Raises NotConnectedError, and DeniedError if the inbox is denied."""
        client = await self._connection.client()
        if client is not self._client:
            async with self._subscribing:
                if client is not self._client:
                    await self._subscribe(client)
        return client

    async def _subscribe(self, client: BrokerClient) -> None:
        """Subscribe to a new inbox. With a wrong prefix a message would be stored, and its answer never come."""
        self._connection.forget_denial()
        inbox = client.new_inbox()
        subscription = await client.listen(f"{inbox}.*", self._on_answer)
        try:
            await client.flush(_SUBSCRIBING_S)
        except Error as error:  # the broker hangs, or the connection is lost
            await client.unlisten(subscription)
            raise NotConnectedError("no answer in time", is_refused=False) from error
        denial = self._connection.denial
        if denial is not None:
            await client.unlisten(subscription)
            raise DeniedError(denial, may_be_stored=False)
        self._client, self._inbox = client, inbox
        self._subscriptions.append((client, subscription))
        while len(self._subscriptions) > _INBOXES:
            await BrokerClient.unlisten(*self._subscriptions.popleft())

    async def publish(
        self, subject: str, messages: Sequence[Tuple[bytes, bytes]], timeout_s: float = ACK_TIMEOUT_S
    ) -> List[Optional[Ack]]:
        """Publish (encoded headers, body) and wait; the answer to each, None where none came: it may be stored or not.

        Raises NotConnectedError: then nothing was stored. Raises DeniedError if none was answered because of a denial.
        """
        client = await self.connect()
        group = _Group([None] * len(messages), len(messages))
        pieces: List[bytes] = []
        tokens: List[bytes] = []
        for index, (headers, body) in enumerate(messages):
            self._number += 1
            token = b"%d" % self._number
            tokens.append(token)
            self._pending[token] = (group, index)
            size = len(headers) + len(body)
            start = f"HPUB {subject} {self._inbox}.{self._number} {len(headers)} {size}\r\n"
            pieces += (start.encode(), headers, body, b"\r\n")
        try:
            if client.is_connected:
                await client.send(pieces)
                await self._wait(group, timeout_s)
        finally:
            for token in tokens:
                self._pending.pop(token, None)
        if group.denial is not None:
            self._client = None  # subscribe again: the inbox may be what is denied
            if group.denial.startswith(_PUBLISHING) and group.left == len(messages):
                raise DeniedError(group.denial, may_be_stored=True)
        return group.acks

    async def probe(self, subject: str, timeout_s: float = ACK_TIMEOUT_S) -> Optional[Ack]:
        """Publish a message that a stream refuses to store: None if the answer is that refusal, as it should be.

        It proves what an event needs: the permissions to publish and to get the answer, and a stream that answers.
        """
        message = encoded({_EXPECTED_STREAM: "HH-none"}), b""
        (ack,) = await self.publish(subject, [message], timeout_s)
        if ack is None:
            return UNANSWERED
        return None if ack.code == _OTHER_STREAM else ack

    async def _wait(self, group: _Group, timeout_s: float) -> None:
        alarm = asyncio.get_running_loop().call_later(timeout_s, group.done.set)
        try:
            await group.done.wait()
        finally:
            alarm.cancel()
        if group.left == len(group.acks) and group.denial is None:
            await self._connection.check()  # not one answer: the server may hang

    def _on_answer(self, subject: bytes, data: bytes, headers: bytes) -> None:
        found = self._pending.pop(subject.rpartition(b".")[2], None)
        if found is None:
            return  # it comes after its deadline
        group, index = found
        group.acks[index] = _ack_of(data, headers)
        group.left -= 1
        if not group.left:
            group.done.set()

    def _end_waiting(self) -> None:
        """A connection was lost, or something was denied: answers may not come any more."""
        for group, _ in self._pending.values():
            group.denial = self._connection.denial
            group.done.set()


def _ack_of(data: bytes, headers: bytes) -> Ack:
    if not data:
        is_status = headers.startswith(_NO_RESPONDERS)
        return Ack(NO_STREAM, "no stream takes this subject now" if is_status else "an empty answer")
    try:
        answer = decode(data)
    except ValueError:
        return Ack(NO_STREAM, "an answer that is no JSON")
    error = answer.get("error")
    if isinstance(error, dict):
        code = error.get("err_code") or error.get("code")
        return Ack(code if isinstance(code, int) else _UNKNOWN, str(error.get("description", ""))[:_MAX_TEXT])
    if "seq" not in answer:
        return Ack(_UNKNOWN, "an answer of an unknown kind")
    return Ack(is_duplicate=answer.get("duplicate") is True)
