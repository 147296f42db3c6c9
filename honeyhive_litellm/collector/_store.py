"""What the server keeps, in SQLite: every event's latest version by id, and a receipt for each time one came.

HoneyHive's own texts disagree on whether posting an `event_id` twice makes two events. So both are kept
apart: `records` has one row an id, `receipts` one row a receipt, and a test can count duplicates. One
request is one transaction. With a path the database is a WAL file that survives a crash of the process.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, Iterable, List, NamedTuple, Optional, Sequence, Union

import orjson

from ._database import Database
from ._semantics import Event

# An event that comes again keeps its place and the time it was first received.
_PUT = """
INSERT INTO records (event_id, session_id, event_type, start_time, received_at, body, receipts)
VALUES (?, ?, ?, ?, ?, ?, {receipts})
ON CONFLICT (event_id) DO UPDATE SET session_id = excluded.session_id, event_type = excluded.event_type,
    start_time = excluded.start_time, body = excluded.body, receipts = receipts + {receipts}
"""
_RECEIVED = _PUT.format(receipts=1)
_CHANGED = _PUT.format(receipts=0)
_RECEIPT = "INSERT INTO receipts (event_id, received_at) VALUES (?, ?)"
_GET = "SELECT body FROM records WHERE event_id = ? AND received_at <= ?"
_HAS_SESSION = "SELECT 1 FROM records WHERE event_id = ? AND event_type = 'session'"
_EVENTS = "SELECT body FROM records WHERE event_type <> 'session' ORDER BY seq"
_SESSIONS = "SELECT body FROM records WHERE event_type = 'session' ORDER BY seq"
_NEWEST_FIRST = "SELECT body FROM records WHERE received_at <= ? ORDER BY start_time DESC, seq DESC"
_ORPHANS = """
SELECT body FROM records AS e WHERE event_type <> 'session' AND NOT EXISTS
    (SELECT 1 FROM records AS s WHERE s.event_type = 'session' AND s.event_id = e.session_id) ORDER BY seq
"""
_RECEIPTS = "SELECT event_id, count(*) FROM receipts GROUP BY event_id ORDER BY min(seq)"
# Rows are deleted all together or not at all, so the highest number is the count, at the price of one look-up.
_COUNTS = """
SELECT (SELECT coalesce(max(seq), 0) FROM records),
    (SELECT count(*) FROM records WHERE event_type = 'session'),
    (SELECT coalesce(max(seq), 0) FROM receipts)
"""


class TooDeepError(ValueError):
    """An event is nested more deeply than JSON can be written here."""


class Counts(NamedTuple):
    """How much is kept: events and sessions by distinct id, receipts by arrival."""

    events: int
    sessions: int
    receipts: int


class Store:
    """The events of one database. Raise ConfigError when *path* cannot be one, or belongs to something else."""

    def __init__(self, path: Optional[Union[str, Path]] = None) -> None:
        self.database = Database(path)
        self.written = 0
        """How many events this process has stored or changed."""

    def close(self) -> None:
        """Close the database; a second call does nothing."""
        self.database.close()

    def add(self, events: Sequence[Event], now_ms: float) -> None:
        """Store *events*, complete with their ids, and a receipt for each, in one transaction."""
        self._write(_RECEIVED, events, now_ms, [(event["event_id"], now_ms) for event in events])

    def put(self, events: Sequence[Event], now_ms: float) -> None:
        """Store *events* without a receipt: sessions, and events that a PUT has changed."""
        self._write(_CHANGED, events, now_ms, [])

    def get(self, event_id: str, received_until_ms: float = float("inf")) -> Optional[Event]:
        """The latest version of an event or session, if it was first received by then."""
        found = self._events_of(_GET, (event_id, received_until_ms))
        return found[0] if found else None

    def has_session(self, session_id: str) -> bool:
        """Whether there is a session event of that id."""
        return bool(self._rows(_HAS_SESSION, (session_id,)))

    def events(self) -> List[Event]:
        """Every event that is no session, in the order of its first receipt."""
        return self._events_of(_EVENTS)

    def sessions(self) -> List[Event]:
        """Every session, in the order of its start."""
        return self._events_of(_SESSIONS)

    def orphans(self) -> List[Event]:
        """The events whose session was never started."""
        return self._events_of(_ORPHANS)

    def newest_first(self, received_until_ms: float) -> List[Event]:
        """Events and sessions by descending start time; those without one come last."""
        return self._events_of(_NEWEST_FIRST, (received_until_ms,))

    def receipts(self) -> Counter[str]:
        """How many times each event was received."""
        return Counter(dict(self._rows(_RECEIPTS)))

    def counts(self) -> Counts:
        """How much is kept; costs the same however much that is."""
        everything, sessions, receipts = self._rows(_COUNTS)[0]
        return Counts(everything - sessions, sessions, receipts)

    def _write(self, statement: str, events: Sequence[Event], now_ms: float, receipts: Iterable[Any]) -> None:
        rows = [
            (
                event["event_id"],
                event["session_id"],
                event["event_type"],
                event.get("start_time"),
                now_ms,
                _encode(event),
            )
            for event in events
        ]
        with self.database.write() as connection:
            connection.executemany(statement, rows)
            connection.executemany(_RECEIPT, receipts)
        self.written += len(rows)

    def _events_of(self, statement: str, values: Sequence[Any] = ()) -> List[Event]:
        return [orjson.loads(body) for (body,) in self._rows(statement, values)]

    def _rows(self, statement: str, values: Sequence[Any] = ()) -> List[Any]:
        with self.database.read() as connection:
            return connection.execute(statement, values).fetchall()


_ORJSON_IS_SOUND = tuple(map(int, orjson.__version__.split(".")[:2])) >= (3, 12)
_MAX_LEVELS = 120
"""Of an older orjson: from some 130 levels on it writes beyond its buffer, and the process aborts (3.10.15, 3.11.9)."""


def _encode(event: Event) -> bytes:
    """The event as JSON. Raise TooDeepError unless it can also be written inside an answer's list of events."""
    if not _ORJSON_IS_SOUND and _is_deeper_than(_MAX_LEVELS, event):
        raise TooDeepError("an event is nested too deeply")
    try:
        return orjson.dumps([[event]])[2:-2]
    except TypeError as error:
        if "Recursion limit" in str(error):
            raise TooDeepError("an event is nested too deeply") from error
        raise


def _is_deeper_than(levels: int, value: Any) -> bool:
    level = [value]
    for _ in range(levels):
        level = [
            item
            for container in level
            for item in (container.values() if isinstance(container, dict) else container)
            if isinstance(item, (dict, list))
        ]
        if not level:
            return False
    return True
