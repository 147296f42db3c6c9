"""The queue between the callbacks and the writer.

Any thread puts entries in, on an event loop or not; the writer takes them out on our own loop. A `put` costs an append
and, only while the writer sleeps, a wake-up. The queue belongs to no loop, because LiteLLM calls back from threads,
from loops that are about to end, and from a throw-away loop at the interpreter's exit.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Callable, Deque, List, Optional, Tuple

from honeyhive_litellm._foreign import class_name, is_interrupt
from honeyhive_litellm._log import warn
from honeyhive_litellm._log_codes import LogCode
from honeyhive_litellm._stats import Counters

from .record import CLOSED, EVENT, Entry, Record

GROUP_RECORDS = 1000
GROUP_BYTES = 8 * 1024 * 1024
"""The limits of one transaction, so that a burst of records does not hold up the flusher's reads."""

GROUP_UNENCODED = 64
"""How many entries are encoded for one transaction: encoding takes 0.1 to 0.2 ms each."""

MAX_UNENCODED = 1000
"""With more entries than this in the queue, `put` encodes on the caller's thread: the writer's cannot keep up, and
MAX_BYTES does not count what an unencoded entry keeps alive."""

MAX_BYTES = 256 * 1024 * 1024
"""With more encoded bytes than this in the queue, `put` refuses: a disk that hangs must not use up the application's
memory."""


class RecordQueue:
    """Entries on their way to the writer, in order. `take` encodes them.

    What was taken stays in hand until `committed`: if the writer is interrupted in between, it gets the same group
    again.
    """

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._entries: Deque[Entry] = deque()
        self._in_hand: List[Record] = []
        self._bytes = 0
        self._lock = threading.Lock()
        self._wake: Optional[Callable[[], None]] = None
        self._demand: Optional[Callable[[], None]] = None
        self._is_whole_group = False
        self._put = self._taken = self._committed = 0
        self._waiting: List[Tuple[int, Callable[[], None]]] = []
        self.is_closed = False

    def put(self, entry: Entry) -> bool:
        """Append `entry`; False if the queue is full or closed. Never waits.

        With more than MAX_UNENCODED entries in the queue, the calling thread encodes. A record that voids a start
        record is taken even if the queue is full: there are no more of these than calls in flight.
        """
        if len(self._entries) <= MAX_UNENCODED or self.is_closed:
            return self._append(entry)
        try:
            record = self.encode(entry)
        except BaseException:  # an interrupt of the caller's thread
            self._append(entry)
            raise
        return record is None or self._append(record)

    def _append(self, entry: Entry) -> bool:
        size = _size(entry)
        with self._lock:
            if self.is_closed or (self._bytes > MAX_BYTES and entry.kind != CLOSED):
                return False
            self._bytes += size
            self._put += 1
            self._entries.append(entry)
            wake, self._wake = self._wake, None
        if wake is not None:
            wake()
        return True

    def arm_wakeup(self, wake: Callable[[], None]) -> bool:
        """Have the next `put` call `wake`. If the queue is not empty, do nothing and return False."""
        with self._lock:
            if self._entries or self._in_hand:
                return False
            self._wake = wake
            return True

    def arm_demand(self, demand: Callable[[], None]) -> bool:
        """Have the next `when_committed` that has to wait call `demand`. If somebody waits now, return False."""
        with self._lock:
            if self._waiting:
                return False
            self._demand = demand
            return True

    def disarm(self) -> None:
        """Forget what `arm_wakeup` and `arm_demand` got: their writer has ended, and another one will take over."""
        with self._lock:
            self._wake = self._demand = None

    def close(self) -> None:
        """Refuse every later `put`. What is in the queue can still be taken."""
        with self._lock:
            self.is_closed = True

    def take(self) -> List[Record]:
        """Encode the oldest entries, one group at most, for the writer's thread; empty if the queue is empty.

        Before `committed` is called, the same group is returned again.
        """
        group = self._in_hand
        size = encoded = 0
        while not self._is_whole_group and len(group) < GROUP_RECORDS and size < GROUP_BYTES:
            if encoded >= GROUP_UNENCODED and group:
                break
            with self._lock:
                if not self._entries:
                    break
                entry = self._entries[0]
            record = self._encode_for_writer(entry)
            encoded += entry is not record
            with self._lock:
                if record is not None:
                    size += len(record.body)
                    group.append(record)
                self._entries.popleft()
                self._bytes -= _size(entry)
                self._taken += 1
        self._is_whole_group = bool(group)
        return list(group)

    def _encode_for_writer(self, entry: Entry) -> Optional[Record]:
        """`encode`, once more if an interrupt came in between: one that comes each time is the entry's own."""
        try:
            return self.encode(entry)
        except BaseException:
            try:
                return self.encode(entry)
            except BaseException as error:
                return self.lose(entry, error)

    def encode(self, entry: Entry) -> Optional[Record]:
        """The record of `entry`; None if there is none any more. Raises nothing but interrupts of this thread.

        If an event cannot be encoded, it is counted as dropped, and the record voids its start record.
        """
        try:
            return entry.encode()
        except BaseException as error:
            if is_interrupt(error):
                raise
            return self.lose(entry, error)

    def lose(self, entry: Entry, error: BaseException) -> Optional[Record]:
        """Log and count that `entry` cannot be recorded; the record that voids the start record of an event."""
        # The message may quote the call's content, so the log gets the class alone.
        warn(
            LogCode.ENCODING_FAILED,
            "honeyhive: a call could not be recorded: %s while encoding it",
            class_name(error),
        )
        if entry.kind != EVENT:
            return None
        self._counters.lose("fault", 1)
        return Record(CLOSED, entry.id, 0.0, None, b"")

    def committed(self) -> None:
        """Note that all that was taken so far is committed, or dropped and counted; run the callbacks that wait."""
        ready: List[Callable[[], None]] = []
        with self._lock:
            self._in_hand = []
            self._is_whole_group = False
            self._committed = self._taken
            if self._waiting:
                ready = [callback for position, callback in self._waiting if position <= self._committed]
                self._waiting = [waiting for waiting in self._waiting if waiting[0] > self._committed]
        for callback in ready:
            callback()

    @property
    def position(self) -> int:
        """The position of the latest entry: how many were put so far."""
        return self._put

    @property
    def committed_position(self) -> int:
        """All entries up to this position are committed, or dropped and counted."""
        return self._committed

    def is_committed(self, position: int) -> bool:
        """Whether all entries up to this position are committed, or dropped and counted."""
        return self._committed >= position

    def when_committed(self, callback: Callable[[], None], position: Optional[int] = None) -> None:
        """Call `callback` once all up to `position`, by default all that was put so far, is committed.

        That is now, or on the writer's thread, which then commits as soon as it can.
        """
        demand = None
        with self._lock:
            if position is None:
                position = self._put
            is_committed = self._committed >= position
            if not is_committed:
                self._waiting.append((position, callback))
                demand, self._demand = self._demand, None
        if is_committed:
            callback()
        elif demand is not None:
            demand()

    def stop_waiting(self, callback: Callable[[], None]) -> None:
        """Forget a callback of `when_committed`, unless it has been called: its caller waits no longer."""
        with self._lock:
            self._waiting = [waiting for waiting in self._waiting if waiting[1] != callback]


def _size(entry: Entry) -> int:
    """The bytes that only the queue keeps in memory: what an unencoded entry refers to is the application's as well."""
    return len(entry.body) if isinstance(entry, Record) else 0
