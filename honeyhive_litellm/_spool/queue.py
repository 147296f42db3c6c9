"""The queue between the callbacks and the writer.

Any thread puts entries in, on an event loop or not; the writer takes them out on our own loop. A `put` costs an append
and, only while the writer sleeps, a wake-up. The queue belongs to no loop, because LiteLLM calls back from threads,
from loops that are about to end, and from a throw-away loop at the interpreter's exit.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Callable, Deque, List, Optional, Tuple

from honeyhive_litellm._log import warn
from honeyhive_litellm._log_codes import LogCode
from honeyhive_litellm._stats import Counters

from .record import EVENT, Entry, Record

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
    """Entries on their way to the writer, in order. `take` encodes them."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._entries: Deque[Entry] = deque()
        self._bytes = 0
        self._lock = threading.Lock()
        self._wake: Optional[Callable[[], None]] = None
        self._put = self._taken = self._committed = 0
        self._waiting: List[Tuple[int, Callable[[], None]]] = []
        self.is_closed = False

    def put(self, entry: Entry) -> bool:
        """Append `entry`; False if the queue is full or closed. Never waits.

        With more than MAX_UNENCODED entries in the queue, the calling thread encodes.
        """
        if len(self._entries) > MAX_UNENCODED and not self.is_closed:
            record = self.encode(entry)
            if record is None:
                return True
            entry = record
        size = _size(entry)
        with self._lock:
            if self.is_closed or self._bytes > MAX_BYTES:
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
            if self._entries:
                return False
            self._wake = wake
            return True

    def close(self) -> None:
        """Refuse every later `put`. What is in the queue can still be taken."""
        with self._lock:
            self.is_closed = True

    def take(self) -> List[Record]:
        """Remove and encode the oldest entries, one group at most. An empty list means that the queue is empty."""
        group: List[Record] = []
        size = encoded = 0
        while len(group) < GROUP_RECORDS and size < GROUP_BYTES and (encoded < GROUP_UNENCODED or not group):
            with self._lock:
                if not self._entries:
                    break
                entry = self._entries.popleft()
                self._bytes -= _size(entry)
                self._taken += 1
            record = self.encode(entry)
            encoded += entry is not record
            if record is not None:
                size += len(record.body)
                group.append(record)
        return group

    def encode(self, entry: Entry) -> Optional[Record]:
        """The record of `entry`; None if there is none any more, or if encoding failed. Never raises."""
        try:
            return entry.encode()
        except Exception as error:
            # The message may quote the call's content, so the log gets the class alone.
            warn(
                LogCode.ENCODING_FAILED,
                "honeyhive: a call could not be recorded: %s while encoding it",
                type(error).__name__,
            )
            if entry.kind == EVENT:
                self._counters.lose("fault", 1)
            return None

    def committed(self) -> None:
        """Note that all that was taken so far is committed, or dropped and counted; run the callbacks that wait."""
        ready: List[Callable[[], None]] = []
        with self._lock:
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

        That is now, or later on the writer's thread.
        """
        with self._lock:
            if position is None:
                position = self._put
            if self._committed < position:
                self._waiting.append((position, callback))
                return
        callback()

    def stop_waiting(self, callback: Callable[[], None]) -> None:
        """Forget a callback of `when_committed`, unless it has been called: its caller waits no longer."""
        with self._lock:
            self._waiting = [waiting for waiting in self._waiting if waiting[1] != callback]


def _size(entry: Entry) -> int:
    """The bytes that only the queue keeps in memory: what an unencoded entry refers to is the application's as well."""
    return len(entry.body) if isinstance(entry, Record) else 0
