"""What the spool stores: three kinds of record, in the order in which they came."""

from __future__ import annotations

import zlib
from typing import NamedTuple, Optional, Protocol, Sequence

START = 0
"""A call began: the event with what is in it at that time. Superseded by the event record of the same id.

A strict call has a second start record, which holds the outcome: a kill before the event record then loses no answer.
"""

IN_FLIGHT = "in_flight"
"""The `metadata.status` of a start record without an outcome; no event has it."""

EVENT = 1
"""The finished v1 event, as it is sent."""

CLOSED = 2
"""A call ended well and is not in the sample: its start record is void, and no event follows. Its body is empty."""


class Entry(Protocol):
    """What the queue takes: a record, or an object that can still become one.

    `encode` runs on the writer's thread, or on the thread that calls `RecordQueue.put` while the queue is long.
    It returns the record, of this `kind`, or None if the record is no longer needed.
    """

    @property
    def kind(self) -> int: ...

    @property
    def id(self) -> str: ...

    def encode(self) -> Optional[Record]: ...


class Record(NamedTuple):
    """One entry of the append-only log.

    `body` is a JSON object in UTF-8. If the event names a session, `session` is the session's UUID, a space and its
    name, so that the session can be created without parsing the body. `started_ms` is the call's start in Unix
    milliseconds.
    """

    kind: int
    id: str
    started_ms: float
    session: Optional[str]
    body: bytes

    def encode(self) -> Record:
        """The record itself: it is encoded already."""
        return self


class Row(NamedTuple):
    """A committed event, read back for delivery."""

    seq: int
    id: str
    started_ms: float
    session: Optional[str]
    body: bytes


def intact_record(
    kind: object, id_: object, started_ms: object, session: object, crc: object, body: object
) -> Optional[Record]:
    """A record from the columns of its row; None if it is damaged."""
    if (
        isinstance(kind, int)
        and isinstance(id_, str)
        and isinstance(started_ms, (int, float))
        and (session is None or isinstance(session, str))
        and isinstance(body, bytes)
        and zlib.crc32(body) == crc
    ):
        return Record(kind, id_, started_ms, session, body)
    return None


def events_of(records: Sequence[Record]) -> int:
    """How many of `records` are events."""
    return sum(1 for record in records if record.kind == EVENT)
