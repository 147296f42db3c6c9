"""Messages that were received and are not acknowledged, and how batches are made of them: decisions, without IO."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from typing import Deque, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from honeyhive_litellm._spool.limits import BATCH_BYTES, BATCH_EVENTS
from honeyhive_litellm._spool.record import Row

_REMEMBERED = 20_000
"""How many delivered events are remembered, so that a second message with one of them is acknowledged at once."""

_ACK_PREFIX = "$JS.ACK."
_NANOSECONDS = 1_000_000_000
_TOKENS = 9
"""How many tokens a reply subject has; newer servers put a domain and an account in front of the stream."""


class Message(NamedTuple):
    """A message with an event. `row.seq` is its number in the stream, `reply` what it is acknowledged on.

    `is_ambiguous`: HoneyHive may have the event already, because the message was delivered before or its application
    says so. `key_id`: with which key the event was encrypted, None if it was not.
    """

    reply: str
    row: Row
    project: str
    is_ambiguous: bool
    key_id: Optional[bytes] = None


class StreamBatch(NamedTuple):
    """Events that are sent together, and the messages that are acknowledged then. See `Batch`."""

    rows: Tuple[Row, ...]
    ambiguous_since: Optional[float]
    messages: Tuple[Message, ...]

    def halves(self) -> Tuple[StreamBatch, StreamBatch, Tuple[Message, ...]]:
        """Two batches of the rows that are left, and the messages of those that are not: they are delivered."""
        middle = len(self.rows) // 2
        by_id = {message.row.id: message for message in self.messages}
        left, right = (self._of(rows, by_id) for rows in (self.rows[:middle], self.rows[middle:]))
        ids = {row.id for row in self.rows}
        return left, right, tuple(message for message in self.messages if message.row.id not in ids)

    def _of(self, rows: Tuple[Row, ...], by_id: Dict[str, Message]) -> StreamBatch:
        return StreamBatch(rows, self.ambiguous_since, tuple(by_id[row.id] for row in rows))


class Numbers(NamedTuple):
    """What the broker says of a message: its number in the stream, how often it was delivered, when it was published.

    `published_at` is in Unix seconds.
    """

    seq: int
    deliveries: int
    published_at: float


def numbers_in(reply: str) -> Optional[Numbers]:
    """The numbers in a message's reply subject; None without."""
    if not reply.startswith(_ACK_PREFIX):
        return None
    tokens = reply.split(".")
    first = 2 if len(tokens) == _TOKENS else 4
    try:
        return Numbers(int(tokens[first + 3]), int(tokens[first + 2]), int(tokens[first + 5]) / _NANOSECONDS)
    except (IndexError, ValueError):
        return None


class Inbound:
    """The messages in hand: those that wait to be taken, those in batches, and copies of events in hand.

    Two messages can hold the same event: an application published it twice, or the broker delivers a message again
    although this process still has it. Only one at a time goes out.
    """

    def __init__(self) -> None:
        self._waiting: Tuple[Deque[Message], Deque[Message]] = (deque(), deque())
        self._in_hand: Dict[str, Message] = {}
        self._copies: Dict[str, List[Message]] = {}
        self._delivered: OrderedDict[str, None] = OrderedDict()
        self._takes_ambiguous = False
        self.waiting_bytes = 0
        self.copies = self.copies_bytes = 0
        """How many copies there are of events in hand, and the size of their events."""

    @property
    def waiting(self) -> int:
        """How many messages wait to be taken."""
        return sum(map(len, self._waiting))

    @property
    def in_hand(self) -> int:
        """How many messages are not acknowledged, without copies."""
        return len(self._in_hand)

    def messages(self) -> Iterator[Message]:
        """Every message that is not acknowledged."""
        yield from self._in_hand.values()
        for copies in self._copies.values():
            yield from copies

    def add(self, message: Message) -> Optional[Message]:
        """Take a message in; the same message if it need not be sent but acknowledged, since its event is delivered."""
        id_ = message.row.id
        if id_ in self._delivered:
            return message
        held = self._in_hand.get(id_)
        if held is None:
            self._put(message)
        elif held.row.seq != message.row.seq:
            copies = self._copies.setdefault(id_, [])
            if all(copy.row.seq != message.row.seq for copy in copies):
                copies.append(message)
                self._count_copies(1, message)
        return None

    def _put(self, message: Message) -> None:
        self._in_hand[message.row.id] = message
        self._waiting[message.is_ambiguous].append(message)
        self.waiting_bytes += len(message.row.body)

    def take(self) -> Optional[StreamBatch]:
        """The next batch, of messages that all are ambiguous or all are not, of each kind in turn."""
        self._takes_ambiguous = not self._takes_ambiguous
        for is_ambiguous in (self._takes_ambiguous, not self._takes_ambiguous):
            queue = self._waiting[is_ambiguous]
            messages: List[Message] = []
            size = 0
            while (
                queue
                and len(messages) < BATCH_EVENTS
                and (not messages or size + len(queue[0].row.body) <= BATCH_BYTES)
            ):
                size += len(queue[0].row.body)
                messages.append(queue.popleft())
            if messages:
                self.waiting_bytes -= size
                rows = tuple(message.row for message in messages)
                return StreamBatch(rows, time.time() if is_ambiguous else None, tuple(messages))
        return None

    def settle(self, messages: Sequence[Message], *, are_delivered: bool) -> List[Message]:
        """Let go of these messages; all that are to be acknowledged: the copies of delivered events as well."""
        done = list(messages)
        for message in messages:
            id_ = message.row.id
            self._in_hand.pop(id_, None)
            copies = self._copies.pop(id_, [])
            for copy in copies:
                self._count_copies(-1, copy)
            if are_delivered:
                self._remember(id_)
                done.extend(copies)
            elif copies:
                # The event was refused, and a copy is refused again; but it has to be a dead letter of its own.
                self._put(copies[0]._replace(is_ambiguous=True))
                if copies[1:]:
                    self._copies[id_] = copies[1:]
                    for copy in copies[1:]:
                        self._count_copies(1, copy)
        return done

    def _count_copies(self, change: int, message: Message) -> None:
        self.copies += change
        self.copies_bytes += change * len(message.row.body)

    def _remember(self, id_: str) -> None:
        self._delivered[id_] = None
        if len(self._delivered) > _REMEMBERED:
            self._delivered.popitem(last=False)

    def give_up_waiting(self) -> List[Message]:
        """Let go of all messages that no batch has, with all copies. The caller gives them back."""
        left = [message for queue in self._waiting for message in queue]
        for queue in self._waiting:
            queue.clear()
        self.waiting_bytes = 0
        for message in left:
            del self._in_hand[message.row.id]
        for copies in self._copies.values():
            left.extend(copies)
        self._copies.clear()
        self.copies = self.copies_bytes = 0
        return left
