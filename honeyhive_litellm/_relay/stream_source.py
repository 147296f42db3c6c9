"""A destination's stream as the flusher's source.

A message is acknowledged after HoneyHive has accepted its event, or after the event is in the stream of dead letters.
Until then the broker hears every few seconds that somebody works on it; otherwise it would give it to another relay.
A message that is encrypted with a key that is not here goes back to the broker, which delivers it again after a while.
"""

from __future__ import annotations

import asyncio
import time
from typing import Awaitable, Callable, Dict, List, Optional, Sequence, Set, Tuple

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error

from honeyhive_litellm._broker.connection import Connection, NotConnectedError
from honeyhive_litellm._broker.message import decrypted, received
from honeyhive_litellm._errors import DamagedBodyError, UnknownKeyError
from honeyhive_litellm._log import warn
from honeyhive_litellm._log_codes import LogCode
from honeyhive_litellm._privacy.cipher import Cipher, key_id_of
from honeyhive_litellm._spool.limits import BATCH_EVENTS
from honeyhive_litellm._spool.record import Row
from honeyhive_litellm._stats import Counters

from .config import Destination
from .dead_letters import DeadLetterError, add_dead_letter
from .inbound import Inbound, Message, StreamBatch, numbers_in
from .leader_changes import LeaderChanges
from .locked import LockedMessages
from .standing_pull import StandingPull

_ACK, _NAK, _IN_PROGRESS = b"+ACK", b"-NAK", b"+WPI"

_ROOM_BYTES = 8 * 1024 * 1024
"""How many bytes of events may wait to be taken; a batch has half of it at most."""

_PICKED_PER_ROOM = 2
"""After a loss so many times the room is looked up: what other relays had in hand, and what they settled meanwhile."""

_ACK_TIMEOUT_S = 5.0
_TICK_S = 1.0
_LETTER_RETRY_S = 5.0
_SIGNS_IN_A_ROW = 500
_NANOSECONDS = 1_000_000_000


class StreamSource:
    """The events of one destination's stream. See `Source` for what the flusher calls."""

    def __init__(
        self,
        destination: Destination,
        connection: Connection,
        counters: Counters,
        *,
        cipher: Cipher,
        sign_every_s: float,
        confirms_acks: bool,
    ) -> None:
        """`cipher` decrypts. `sign_every_s`: the broker hears so often that a message is worked on.

        With `confirms_acks` every acknowledgement is confirmed by the broker: one that is lost means that an event is
        sent again, which matters where it cannot be looked up.
        """
        self.name = f"the stream {destination.stream}"
        self.dead_letters_command = f"honeyhive-litellm relay dead list --destination {destination.name}"
        self._destination = destination
        self._connection = connection
        self._counters = counters
        self._cipher = cipher
        self._sign_every_s = sign_every_s
        self._confirms_acks = confirms_acks
        self._inbound = Inbound()
        self._most_room = 2 * destination.workers * BATCH_EVENTS
        self._on_events: Callable[[], None] = lambda: None
        self._locked = LockedMessages()
        self._unusable: List[Tuple[Message, str]] = []
        """Messages that become dead letters unsent, each with the reason."""
        self._unusable_due = 0.0
        self._unacknowledged: Dict[int, str] = {}
        self._void: Set[str] = set()
        """What is not to be acknowledged any more: its stream is gone, and another one may use its numbers again."""
        self._is_ending = False
        self._tasks: Set[asyncio.Future[None]] = set()
        self._leader_changes = LeaderChanges(most=_PICKED_PER_ROOM * self._most_room)
        self._pull = StandingPull(
            connection,
            destination.stream,
            destination.consumer,
            most_bytes=_ROOM_BYTES,
            room=self._room,
            most_room=self._most_room,
            on_message=self._take_in,
            on_loss=self._leader_changes.note_loss,
            on_deleted=self._void_all,
        )

    @property
    def pending(self) -> int:
        """How many messages this process has and has not acknowledged."""
        return self._inbound.in_hand

    @property
    def trouble(self) -> Optional[str]:
        """Why messages do not come, or cannot be read; None if nothing is wrong."""
        locked = self.locked
        if self._pull.trouble is None and locked:
            return f"of the events in the stream, {locked} are encrypted with a key that this relay does not have"
        return self._pull.trouble

    @property
    def locked(self) -> int:
        """How many messages came that are encrypted with a missing key. They are in the stream, and not pending."""
        return self._locked.count()

    def on_events(self, wake: Callable[[], None]) -> None:
        """Call `wake` when messages have come."""
        self._on_events = wake

    # ---- tasks

    async def receive(self) -> None:
        """Receive messages until cancelled."""
        await self._pull.run()

    async def keep_in_hand(self) -> None:
        """Until cancelled: say of what is in hand that it is worked on, and repeat acknowledgements that failed."""
        signed_at = time.monotonic()
        while True:
            await asyncio.sleep(_TICK_S)
            await self._acknowledge_again()
            if time.monotonic() - signed_at >= self._sign_every_s:
                signed_at = time.monotonic()
                await self._publish_to_all([message.reply for message in self._inbound.messages()], _IN_PROGRESS)

    # ---- what the flusher calls

    async def next_batch(self) -> Optional[StreamBatch]:
        if self._unusable and time.monotonic() >= self._unusable_due:
            await self._bury_unusable()
        batch = self._inbound.take()
        self._pull.resume()
        return batch

    async def mark(self, batch: StreamBatch) -> None:
        """Do nothing: every message that is delivered again is looked up."""

    async def unmark(self, batch: StreamBatch) -> None:
        """Do nothing, as for `mark`."""

    async def split(self, batch: StreamBatch) -> Tuple[StreamBatch, StreamBatch]:
        left, right, delivered = batch.halves()
        await self._settle(delivered, are_delivered=True)
        return left, right

    async def settle(self, batch: StreamBatch) -> None:
        await self._settle(batch.messages, are_delivered=True)

    async def add_dead_letter(self, batch: StreamBatch, status: Optional[int], reason: str) -> bool:
        ids = {row.id for row in batch.rows}
        refused = [message for message in batch.messages if message.row.id in ids]
        if not await self._write_letters(refused, status, reason):
            return False
        self._counters.dead_letter(len(refused))
        await self._settle(refused, are_delivered=False)
        await self._settle([message for message in batch.messages if message.row.id not in ids], are_delivered=True)
        return True

    # ---- the end

    async def give_back_waiting(self) -> None:
        """Give back what no batch has, at once, and from now on all that still comes."""
        self._is_ending = True
        await self._give_back(self._inbound.give_up_waiting())

    async def give_back_all(self) -> None:
        """Give back everything in hand. The batches are cancelled already."""
        await self._acknowledge_again()
        await self._give_back(list(self._inbound.messages()))
        try:
            client = await self._connection.client(timeout_s=0.1)
            await client.flush(timeout=1)
        except (Error, NotConnectedError, OSError, asyncio.TimeoutError):
            pass  # the broker gives the messages to another relay after `ack_wait`

    async def _give_back(self, messages: Sequence[Message]) -> None:
        await self._publish_to_all([message.reply for message in messages], _NAK)

    # ---- receiving

    def _room(self) -> int:
        """Everything that is kept counts, so that none of it grows while letters or acknowledgements do not go out."""
        unusable_bytes = sum(len(message.row.body) for message, _ in self._unusable)
        if self._is_ending or self._inbound.waiting_bytes + self._inbound.copies_bytes + unusable_bytes >= _ROOM_BYTES:
            return 0
        kept = self._inbound.waiting + self._inbound.copies + len(self._unusable) + len(self._unacknowledged)
        return max(0, self._most_room - kept)

    def _take_in(self, message: Msg) -> None:
        numbers = numbers_in(message.reply)
        if numbers is None:
            return
        seq = numbers.seq
        if self._is_ending:
            self._in_background(self._publish_to_all([message.reply], _NAK))
            return
        if seq in self._unacknowledged:
            earlier = numbers_in(self._unacknowledged[seq])
            if earlier is not None and earlier.published_at == numbers.published_at:
                self._unacknowledged[seq] = message.reply
                return
            self._void_all()  # it is another message with this number, so that the stream is another one
        try:
            event = received(seq, message.headers, message.data)
        except ValueError:
            row = Row(seq, f"{self._destination.stream}.{seq}", 0.0, None, message.data)
            self._refuse(Message(message.reply, row, "", is_ambiguous=False), "the message holds no event")
            return
        is_ambiguous = (
            event.may_be_duplicate or numbers.deliveries > 1 or self._leader_changes.may_be_repeat(numbers.published_at)
        )
        found = Message(message.reply, event.row, event.project, is_ambiguous, key_id_of(message.data))
        try:
            found = found._replace(row=decrypted(event.row, self._cipher))
        except UnknownKeyError as error:
            self._give_back_locked(found, numbers.deliveries, error.key_ids)
            return
        except DamagedBodyError:
            self._refuse(found._replace(key_id=None), "the encrypted event is damaged, or was sealed for another id")
            return
        held = self._inbound.in_hand
        copy = self._inbound.add(found)
        if copy is not None:
            self._in_background(self._acknowledge_later({seq: copy.reply}))
        elif self._inbound.in_hand > held:
            self._counters.adopt(1)
            self._on_events()

    def _void_all(self) -> None:
        self._void.update(message.reply for message in self._inbound.messages())
        self._void.update(message.reply for message, _ in self._unusable)
        self._unacknowledged.clear()

    def _in_background(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _give_back_locked(self, message: Message, deliveries: int, key_ids: Sequence[bytes]) -> None:
        """Have the broker deliver it again later: this relay or another one may have the key then."""
        delay_s = self._locked.add(message.row.seq, deliveries)
        again = b'%s {"delay": %d}' % (_NAK, delay_s * _NANOSECONDS)
        self._in_background(self._publish_to_all([message.reply], again))
        if self._locked.is_new_key(key_ids):
            ids = ", ".join(key_id.hex() for key_id in key_ids)
            warn(
                LogCode.EVENTS_LOCKED,
                "honeyhive: events in %s are encrypted with a key that this relay does not have (id %s). Nothing is "
                "lost: they stay in the stream until a relay has the key, which is read from key_env or key_file",
                self.name,
                ids,
                about=f"{self.name} {ids}",
            )

    def _refuse(self, message: Message, reason: str) -> None:
        """Have a message that cannot be sent become a dead letter."""
        if all(other.row.seq != message.row.seq for other, _ in self._unusable):
            self._unusable.append((message, reason))
            warn(
                LogCode.MESSAGE_UNUSABLE,
                "honeyhive: a message in %s cannot be sent: %s. It is kept as a dead letter: see `%s`",
                self.name,
                reason,
                self.dead_letters_command,
                about=self.name,
            )
        self._on_events()

    async def _bury_unusable(self) -> None:
        self._unusable_due = time.monotonic() + _LETTER_RETRY_S
        for entry in list(self._unusable):
            message, reason = entry
            if not await self._write_letters([message], None, reason):
                return
            self._unusable.remove(entry)
            self._counters.adopt(1)
            self._counters.dead_letter(1)
            await self._acknowledge_later({message.row.seq: message.reply})

    # ---- acknowledging

    async def _settle(self, messages: Sequence[Message], *, are_delivered: bool) -> None:
        waiting = self._inbound.waiting
        done = self._inbound.settle(messages, are_delivered=are_delivered)
        copies = self._inbound.waiting - waiting
        if copies:  # of refused events: no message announces them any more
            self._counters.adopt(copies)
            self._on_events()
        await self._acknowledge_later({message.row.seq: message.reply for message in done})

    async def _acknowledge_later(self, replies: Dict[int, str]) -> None:
        """Acknowledge these, now or as soon as it works."""
        self._unacknowledged.update(await self._acknowledge(replies))

    async def _acknowledge_again(self) -> None:
        tried = dict(self._unacknowledged)
        if tried:
            left = await self._acknowledge(tried)
            for seq in tried:
                if seq not in left:
                    self._unacknowledged.pop(seq, None)

    async def _acknowledge(self, replies: Dict[int, str]) -> Dict[int, str]:
        """Those that could not be acknowledged now."""
        void = self._void.intersection(replies.values())
        if void:
            self._void -= void
            replies = {seq: reply for seq, reply in replies.items() if reply not in void}
        client = await self._client()
        if client is None:
            return replies
        if self._confirms_acks:
            confirmed = await asyncio.gather(*(self._confirm(client, reply) for reply in replies.values()))
            return {seq: reply for (seq, reply), done in zip(replies.items(), confirmed) if not done}
        left = dict(replies)
        for seq, reply in replies.items():
            try:
                await client.publish(reply, _ACK)
            except Error:
                break
            del left[seq]
        return left

    async def _confirm(self, client: Client, reply: str) -> bool:
        try:
            await client.request(reply, _ACK, timeout=_ACK_TIMEOUT_S)
        except (Error, OSError, asyncio.TimeoutError):
            return False
        return True

    async def _publish_to_all(self, replies: Sequence[str], content: bytes) -> None:
        client = await self._client()
        if client is None:
            return
        for number, reply in enumerate([reply for reply in replies if reply not in self._void]):
            if number % _SIGNS_IN_A_ROW == _SIGNS_IN_A_ROW - 1:
                await asyncio.sleep(0)
            try:
                await client.publish(reply, content)
            except Error:
                return

    async def _client(self) -> Optional[Client]:
        """The client if it is connected now."""
        if not self._connection.is_connected:
            return None
        try:
            return await self._connection.client(timeout_s=0)
        except NotConnectedError:
            return None

    async def _write_letters(self, messages: Sequence[Message], status: Optional[int], reason: str) -> bool:
        try:
            for message in messages:
                cipher = self._cipher.sealing_with(message.key_id)
                await add_dead_letter(
                    self._connection, self._destination.name, message.row, message.project, status, reason, cipher
                )
        except DeadLetterError as error:
            warn(
                LogCode.LETTERS_UNWRITABLE,
                "honeyhive: dead letters cannot be written. The refused events stay in %s until they can: %s",
                self.name,
                error,
                about=self.name,
                counts={"events": len(messages)},
            )
            return False
        return True
