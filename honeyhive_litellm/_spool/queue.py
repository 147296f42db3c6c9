"""The door between the callbacks and the writer: any thread, any loop or none on one side, our loop on the other.

The caller's side costs an append and, only when the writer sleeps, a wake-up. It belongs to no loop, because
LiteLLM calls back from threads, from loops that are about to end, and from a throw-away loop at exit.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Callable, Deque, List, Optional, Tuple

from .record import Entry, Record, made

GROUP_RECORDS = 1000
GROUP_BYTES = 8 * 1024 * 1024
"""A transaction takes at most this much, so that one burst does not hold up the flusher's reads."""

GROUP_DRAFTS = 64
"""Nor does it take more of these: to encode one takes a tenth of a millisecond or two."""

MOST_DRAFTS = 1000
"""Beyond this our thread cannot keep up, and those who make the calls have to encode them: what a draft refers to stays
in memory, and does not count in MAX_BYTES."""

MAX_BYTES = 256 * 1024 * 1024
"""Beyond this a disk that hangs would eat the application's memory; further records are refused."""


class Intake:
    """Records and drafts on their way to the writer, in order. `make` makes records of them."""

    def __init__(self, make: Callable[[Entry], Optional[Record]] = made) -> None:
        self._make = make
        self._entries: Deque[Entry] = deque()
        self._bytes = 0
        self._lock = threading.Lock()
        self._wake: Optional[Callable[[], None]] = None
        self._put = self._taken = self._committed = 0
        self._waiting: Deque[Tuple[int, Callable[[], None]]] = deque()
        self.is_closed = False

    def put(self, entry: Entry) -> bool:
        """Hand `entry` over; False if there is no room for it, or nobody left to take it. Never waits.

        A draft is made here, by the caller, where too many wait.
        """
        if len(self._entries) > MOST_DRAFTS and not self.is_closed:
            record = self._make(entry)
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

    def sleep_unless_filled(self, wake: Callable[[], None]) -> bool:
        """Ask to be woken by the next `put`; False, and no wake-up, when records are there already."""
        with self._lock:
            if self._entries:
                return False
            self._wake = wake
            return True

    def close(self) -> None:
        """Refuse what comes from now on. What came before is still there to take."""
        with self._lock:
            self.is_closed = True

    def take(self) -> List[Record]:
        """All that came, oldest first, up to one group. Empty only if nothing is left."""
        group: List[Record] = []
        size = drafts = 0
        while len(group) < GROUP_RECORDS and size < GROUP_BYTES and (drafts < GROUP_DRAFTS or not group):
            with self._lock:
                if not self._entries:
                    break
                entry = self._entries.popleft()
                self._bytes -= _size(entry)
                self._taken += 1
            record = self._make(entry)
            drafts += entry is not record
            if record is not None:
                size += len(record.body)
                group.append(record)
        return group

    def committed(self) -> None:
        """All that was taken so far is committed, or given up and counted."""
        ready = []
        with self._lock:
            self._committed = self._taken
            while self._waiting and self._waiting[0][0] <= self._committed:
                ready.append(self._waiting.popleft()[1])
        for tell in ready:
            tell()

    def when_committed(self, tell: Callable[[], None]) -> None:
        """Have `tell` called, on the writer's thread, once all that was put so far is committed."""
        with self._lock:
            if self._committed < self._put:
                self._waiting.append((self._put, tell))
                return
        tell()


def _size(entry: Entry) -> int:
    """What the entry alone keeps in memory; what a draft refers to is the application's still."""
    return len(entry.body) if isinstance(entry, Record) else 0
