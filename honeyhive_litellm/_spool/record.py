"""What the spool stores: three kinds of record, in the order they came."""

from __future__ import annotations

from typing import Callable, NamedTuple, Optional, Protocol

START = 0
"""A call began: the event as far as it was known then. Worth nothing once its event follows.

A strict call has a second one that knows the outcome, so that a kill before the final event loses no answer.
"""

IN_FLIGHT = "in_flight"
"""The `metadata.status` of a start that knows no outcome; no event has it."""

EVENT = 1
"""The finished v1 event, as it goes onto the wire."""

CLOSED = 2
"""A call ended well and is not in the sample: its start is worth nothing, and no event follows. Its body is empty."""


class Entry(Protocol):
    """What the queue takes: a record, or an object that can still become one.

    `encode` runs on the writer's thread, or on the thread that calls `RecordQueue.put` while the queue is long.
    It returns the record, of this `kind`, or None if the record is no longer needed.
    """

    @property
    def kind(self) -> int: ...

    def encode(self) -> Optional[Record]: ...


class Record(NamedTuple):
    """One entry of the append-only log.

    `body` is a JSON object in UTF-8. `session` is the session's UUID, a space and its name where the event
    names a session, so that the flusher can ensure it without parsing the body. `started_ms` is the call's
    start in Unix milliseconds.
    """

    kind: int
    id: str
    started_ms: float
    session: Optional[str]
    body: bytes

    def encode(self) -> Record:
        """The record itself: it is encoded already."""
        return self


class Draft(NamedTuple):
    """An entry whose record `make` returns."""

    kind: int
    id: str
    make: Callable[[], Optional[Record]]

    def encode(self) -> Optional[Record]:
        return self.make()


class Row(NamedTuple):
    """A committed event, read back for delivery."""

    seq: int
    id: str
    started_ms: float
    session: Optional[str]
    body: bytes
