"""A pull that never waits for a full batch: the broker sends what it has, as long as there is room for it here.

A request for messages stays open until it is used up or expires; a new one follows as soon as half of the room is free.
The broker sends idle heartbeats, so that silence means that a request is lost: with the node that had it, or with the
connection.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from typing import Callable, Deque, List, Mapping, Optional

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error

from honeyhive_litellm._broker.connection import Connection, NotConnectedError
from honeyhive_litellm._broker.silence import Silence
from honeyhive_litellm._log import recovered, warn
from honeyhive_litellm._log_codes import LogCode

from .config import RUN_INIT

_EXPIRES_S = 10.0
_HEARTBEAT_S = 2.0
_GAP_S = 3.0
"""Longer than between two heartbeats, and shorter than the broker takes to elect another leader."""
_SILENCE_S = 5.0
_TICK_S = 0.5
_RETRY_S = 1.0
_NANOSECONDS = 1_000_000_000

_HEARTBEAT = "100"
_NO_LEADER = "503"
_ENDED = ("404", "408", "409")
_COMPLETED = "batch completed"
_DELETED = ("consumer deleted", "stream deleted")
_LEADER_GOES = ("leadership change", "server shutdown")
_ORDINARY = (*_LEADER_GOES, "", "message size exceeds maxbytes", "no messages", "request timeout")
"""What the broker says of a request that ended early in the course of things."""


class StandingPull:
    """Receives the messages of one consumer. `run` it on the loop of its connection."""

    def __init__(
        self,
        connection: Connection,
        stream: str,
        consumer: str,
        *,
        most_bytes: int,
        room: Callable[[], int],
        most_room: int,
        on_message: Callable[[Msg], None],
        on_loss: Callable[[], None],
        on_deleted: Callable[[], None],
    ) -> None:
        """`room` is how many messages may come now, at most `most_room`; one request asks for at most `most_bytes`.

        `on_loss` is called when requests may be lost, before any message comes for new ones; `on_deleted` when the
        consumer, perhaps with its stream, was deleted.
        """
        self._connection = connection
        self._stream = stream
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._most_bytes = most_bytes
        self._room = room
        self._most_room = most_room
        self._on_message = on_message
        self._on_loss = on_loss
        self._on_deleted = on_deleted
        self._requests: Deque[List[float]] = deque()
        self._heard_at = 0.0
        self._silence = Silence()
        self._wake = asyncio.Event()
        self._trouble: Optional[str] = None

    def resume(self) -> None:
        """There is room again."""
        self._wake.set()

    async def run(self) -> None:
        """Receive until cancelled, over every loss of the connection."""
        while True:
            try:
                client = await self._connection.client()
                await self._receive(client)
            except NotConnectedError as error:
                self._warn(str(error))
            except Error as error:  # it was closed meanwhile
                self._warn(type(error).__name__)
            await asyncio.sleep(_RETRY_S if not self._connection.is_connected else 0)

    async def _receive(self, client: Client) -> None:
        inbox = client.new_inbox()
        subscription = await client.subscribe(inbox, cb=self._received, pending_bytes_limit=0)
        try:
            if self._heard_at:  # there were requests over another connection
                self._lose_requests()
            connections = client.stats["reconnects"]
            while not client.is_closed:
                if client.stats["reconnects"] != connections:  # the broker forgot the requests
                    connections = client.stats["reconnects"]
                    self._lose_requests()
                if not client.is_connected:
                    await self._until_connected()
                    continue
                await self._request(client, inbox)
                await self._notice_silence()
                if self._silence.leaves_server():
                    await self._connection.leave()
                await self._until_woken()
        finally:
            if not client.is_closed:
                await subscription.unsubscribe()

    async def _until_connected(self) -> None:
        self._silence.end()  # of the stream: nobody knows
        try:
            await self._connection.client()
        except NotConnectedError as error:
            self._warn(str(error))

    async def _until_woken(self) -> None:
        alarm = asyncio.get_running_loop().call_later(_TICK_S, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            alarm.cancel()
        self._wake.clear()

    async def _request(self, client: Client, inbox: str) -> None:
        now = time.monotonic()
        while self._requests and (self._requests[0][0] <= 0 or self._requests[0][1] <= now):
            messages, _ = self._requests.popleft()
            if messages > 0:  # the broker would have said that it ended
                self._on_loss()
        room = self._room() - int(sum(messages for messages, _ in self._requests))
        if room < self._most_room // 2:
            return
        request = {
            "batch": room,
            "max_bytes": self._most_bytes,
            "expires": int(_EXPIRES_S * _NANOSECONDS),
            "idle_heartbeat": int(_HEARTBEAT_S * _NANOSECONDS),
        }
        if not self._requests:
            self._heard_at = now  # nobody was to be heard
        self._requests.append([room, now + _EXPIRES_S + _HEARTBEAT_S])
        await client.publish(self._subject, json.dumps(request).encode(), reply=inbox)

    async def _notice_silence(self) -> None:
        if not self._requests or time.monotonic() - self._heard_at < _SILENCE_S:
            return
        self._silence.begin(self._heard_at)
        self._lose_requests()
        denial = self._connection.denial
        if denial is not None:
            self._warn(f"not permitted: {denial}")
            self._connection.forget_denial()
        else:
            await self._connection.check()
        self._wake.set()

    async def _received(self, message: Msg) -> None:
        now = time.monotonic()
        if self._requests and now - self._heard_at > _GAP_S:
            self._on_loss()  # of an older request: the answer is to a newer one
        self._heard_at = now
        headers = message.headers or {}
        if headers.get("Status") == _NO_LEADER:
            self._silence.begin(now)
        else:
            self._silence.end()
        if message.reply:
            if self._requests:
                self._requests[0][0] -= 1
                if self._requests[0][0] <= 0:
                    self._requests.popleft()
            if self._trouble is not None:
                self._recovered()
            self._on_message(message)
            return
        self._note_status(headers)

    def _note_status(self, headers: Mapping[str, str]) -> None:
        status, words = headers.get("Status", ""), headers.get("Description", "")
        if status == _HEARTBEAT:
            if self._trouble is not None:
                self._recovered()
            return
        reason = words.strip().lower()
        if reason == _COMPLETED:  # its messages are counted already
            self._wake.set()
            return
        if status in _ENDED and reason in _ORDINARY:
            # Which of the requests ended is not said, but never a newer one before an older one.
            if self._requests:
                self._requests.popleft()
            if reason in _LEADER_GOES:
                self._on_loss()
            self._wake.set()
            return
        if reason in _DELETED:
            self._on_deleted()
        self._lose_requests()
        no_answer = f"the stream or its consumer has no leader or is missing: if this lasts, {RUN_INIT}"
        self._warn(no_answer if status == _NO_LEADER else f"status {status}: {words}")

    def _lose_requests(self) -> None:
        self._requests.clear()
        self._on_loss()

    def _warn(self, reason: str) -> None:
        self._trouble = reason
        warn(
            LogCode.STREAM_UNAVAILABLE,
            "honeyhive: no messages can be taken from the stream %s now (%s); tried again until they can",
            self._stream,
            reason,
            about=self._stream,
        )

    def _recovered(self) -> None:
        self._trouble = None
        recovered(
            LogCode.STREAM_UNAVAILABLE,
            LogCode.STREAM_AVAILABLE,
            "honeyhive: messages come from the stream %s again",
            self._stream,
            about=self._stream,
        )

    @property
    def trouble(self) -> Optional[str]:
        """Why no messages come, None if nothing is wrong."""
        return self._trouble
