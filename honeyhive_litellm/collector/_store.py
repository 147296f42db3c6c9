"""What the server keeps, in SQLite: every event's latest version by id, and a receipt for each time one came.

HoneyHive's own texts disagree on whether posting an `event_id` twice makes two events. So both are kept
apart: `events` has one row an id, `receipts` one row a receipt, and a test can count duplicates. One
request is one transaction. Without a path the database is SQLite's private temporary one: in memory,
spilling to disk when it grows, gone when closed. With a path it is a WAL file that survives a crash of the
process.

A lock guards the connection, so that a test's thread may read while the server's thread writes.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from pathlib import Path
from typing import Any, Iterable, List, NamedTuple, Optional, Sequence, Union

import orjson

from honeyhive_litellm._errors import ConfigError

from ._semantics import Event

_APPLICATION_ID = 0x68686C63  # "hhlc": whose file this is
_SCHEMA_VERSION = 1
_BUSY_TIMEOUT_S = 5.0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY,
    event_id TEXT NOT NULL UNIQUE,
    session_id TEXT NOT NULL,
    event_type TEXT NOT NULL,
    start_time REAL,
    received_at REAL NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS sessions ON events (event_id) WHERE event_type = 'session';
CREATE INDEX IF NOT EXISTS by_start ON events (start_time);
CREATE TABLE IF NOT EXISTS receipts (
    seq INTEGER PRIMARY KEY,
    event_id TEXT NOT NULL,
    received_at REAL NOT NULL
);
"""
# An event that comes again keeps its place and the time it was first received.
_PUT = """
INSERT INTO events (event_id, session_id, event_type, start_time, received_at, body) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (event_id) DO UPDATE SET session_id = excluded.session_id, event_type = excluded.event_type,
    start_time = excluded.start_time, body = excluded.body
"""
_RECEIPT = "INSERT INTO receipts (event_id, received_at) VALUES (?, ?)"
_GET = "SELECT body FROM events WHERE event_id = ? AND received_at <= ?"
_HAS_SESSION = "SELECT 1 FROM events WHERE event_id = ? AND event_type = 'session'"
_EVENTS = "SELECT body FROM events WHERE event_type <> 'session' ORDER BY seq"
_SESSIONS = "SELECT body FROM events WHERE event_type = 'session' ORDER BY seq"
_NEWEST_FIRST = "SELECT body FROM events WHERE received_at <= ? ORDER BY start_time DESC, seq DESC"
_ORPHANS = """
SELECT body FROM events AS e WHERE event_type <> 'session' AND NOT EXISTS
    (SELECT 1 FROM events AS s WHERE s.event_type = 'session' AND s.event_id = e.session_id) ORDER BY seq
"""
_RECEIPTS = "SELECT event_id, count(*) FROM receipts GROUP BY event_id ORDER BY min(seq)"
# No row is ever deleted, so the highest number is the count, at the price of one look-up.
_COUNTS = """
SELECT (SELECT coalesce(max(seq), 0) FROM events),
    (SELECT count(*) FROM events WHERE event_type = 'session'),
    (SELECT coalesce(max(seq), 0) FROM receipts)
"""


class Counts(NamedTuple):
    """How much is kept: events and sessions by distinct id, receipts by arrival."""

    events: int
    sessions: int
    receipts: int


class Store:
    """An open database. Raise ConfigError when *path* cannot be one, or belongs to something else."""

    def __init__(self, path: Optional[Union[str, Path]] = None) -> None:
        self._lock = threading.Lock()
        self._connection: Optional[sqlite3.Connection] = None
        try:
            self._connection = _open(path)
        except (sqlite3.Error, OSError) as error:
            raise ConfigError(f"the collector cannot use {path} as its database: {error}") from error

    def close(self) -> None:
        """Close the database; a second call does nothing."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def add(self, events: Sequence[Event], now_ms: float) -> None:
        """Store *events*, complete with their ids, and a receipt for each, in one transaction."""
        self._write(events, now_ms, [(event["event_id"], now_ms) for event in events])

    def put(self, events: Sequence[Event], now_ms: float) -> None:
        """Store *events* without a receipt: sessions, and events that a PUT has changed."""
        self._write(events, now_ms, [])

    def get(self, event_id: str, received_until_ms: float = float("inf")) -> Optional[Event]:
        """The latest version of an event or session, if it was first received by then."""
        found = self._bodies(_GET, (event_id, received_until_ms))
        return found[0] if found else None

    def has_session(self, session_id: str) -> bool:
        """Whether there is a session event of that id."""
        return bool(self._rows(_HAS_SESSION, (session_id,)))

    def events(self) -> List[Event]:
        """Every event that is no session, in the order of its first receipt."""
        return self._bodies(_EVENTS)

    def sessions(self) -> List[Event]:
        """Every session, in the order of its start."""
        return self._bodies(_SESSIONS)

    def orphans(self) -> List[Event]:
        """The events whose session was never started."""
        return self._bodies(_ORPHANS)

    def newest_first(self, received_until_ms: float) -> List[Event]:
        """Events and sessions by descending start time; those without one come last."""
        return self._bodies(_NEWEST_FIRST, (received_until_ms,))

    def receipts(self) -> Counter[str]:
        """How many times each event was received."""
        return Counter(dict(self._rows(_RECEIPTS)))

    def counts(self) -> Counts:
        """How much is kept; costs the same however much that is."""
        everything, sessions, receipts = self._rows(_COUNTS)[0]
        return Counts(everything - sessions, sessions, receipts)

    def _write(self, events: Sequence[Event], now_ms: float, receipts: Iterable[Any]) -> None:
        rows = [
            (
                event["event_id"],
                event["session_id"],
                event["event_type"],
                event.get("start_time"),
                now_ms,
                orjson.dumps(event),
            )
            for event in events
        ]
        with self._lock:
            connection = self._opened()
            connection.execute("BEGIN IMMEDIATE")
            try:
                connection.executemany(_PUT, rows)
                connection.executemany(_RECEIPT, receipts)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # a full disk has rolled it back already
                    connection.execute("ROLLBACK")
                raise

    def _bodies(self, statement: str, values: Sequence[Any] = ()) -> List[Event]:
        return [orjson.loads(body) for (body,) in self._rows(statement, values)]

    def _rows(self, statement: str, values: Sequence[Any] = ()) -> List[Any]:
        with self._lock:
            return self._opened().execute(statement, values).fetchall()

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            raise RuntimeError("the collector is closed; what it holds is read while it runs")
        return self._connection


def _open(path: Optional[Union[str, Path]]) -> sqlite3.Connection:
    # An empty name is SQLite's private temporary database.
    connection = sqlite3.connect(
        "" if path is None else str(path),
        timeout=_BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        _check_owner(connection)
        if path is not None:
            connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        # The marks first: a crash in between leaves an empty database that is known to be ours.
        connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
        connection.executescript(_SCHEMA)
    except BaseException:
        connection.close()
        raise
    return connection


def _check_owner(connection: sqlite3.Connection) -> None:
    """Refuse a database that has tables and is not ours, or is of another version: it stays as it is."""
    owner = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    is_empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if not is_empty and (owner, version) != (_APPLICATION_ID, _SCHEMA_VERSION):
        raise sqlite3.DatabaseError("it is a database of something else, or of another version")
