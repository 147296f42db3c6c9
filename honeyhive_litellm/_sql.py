"""Every statement the spool runs, as text: named, in one place, and the same for its async and its sync writer.

A segment is a SQLite file with one connection for life. The order of the pragmas matters: the lock is made
exclusive before WAL is entered, so that no shared-memory file exists and no second connection can; the header
is checkpointed under FULL once, because SQLite throws away the WAL of a database whose main file is empty.
"""

from __future__ import annotations

APPLICATION_ID = 0x48484C4C
"""Marks our files ("HHLL"), so that a stranger's database is never taken for a segment."""

FORMAT = 1
"""The segment's `user_version`. A newer one is left alone: its writer knows better."""

CREATE_SEGMENT = f"""
PRAGMA synchronous = OFF;
PRAGMA locking_mode = EXCLUSIVE;
PRAGMA page_size = 8192;
PRAGMA journal_mode = WAL;
BEGIN;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {FORMAT};
CREATE TABLE record (
    seq INTEGER PRIMARY KEY,
    kind INTEGER NOT NULL,
    id TEXT NOT NULL,
    started_ms REAL NOT NULL,
    session TEXT,
    crc INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE TABLE span (
    lo INTEGER PRIMARY KEY,
    hi INTEGER NOT NULL,
    state INTEGER NOT NULL,
    events INTEGER NOT NULL,
    at REAL NOT NULL
);
CREATE TABLE seal (one INTEGER PRIMARY KEY, events INTEGER NOT NULL);
COMMIT;
PRAGMA synchronous = FULL;
PRAGMA wal_checkpoint(TRUNCATE);
"""

OPEN_SEGMENT = """
PRAGMA locking_mode = EXCLUSIVE;
PRAGMA journal_mode = WAL;
"""

TUNE_SEGMENT = """
PRAGMA synchronous = {synchronous};
PRAGMA fullfsync = ON;
PRAGMA wal_autocheckpoint = 0;
PRAGMA secure_delete = OFF;
PRAGMA cache_size = -512;
"""

SYNCHRONOUS = {"process": "NORMAL", "power": "FULL"}
"""Durability level to `PRAGMA synchronous`: in WAL mode NORMAL survives the process, FULL also the power.

On macOS that takes `fullfsync` as well, since an ordinary fsync ends in the drive's cache; elsewhere it does nothing.
"""

APPEND = "INSERT INTO record (seq, kind, id, started_ms, session, crc, body) VALUES (?, ?, ?, ?, ?, ?, ?)"

SIZES = "SELECT seq, length(body) FROM record WHERE seq BETWEEN ? AND ? AND kind = 1 ORDER BY seq LIMIT ?"

READ = """
SELECT seq, id, started_ms, session, crc, body FROM record WHERE seq BETWEEN ? AND ? AND kind = 1 ORDER BY seq
"""

READ_START = "SELECT id, started_ms, session, crc, body FROM record WHERE seq = ?"

SCAN = "SELECT seq, kind, id FROM record WHERE seq > ? ORDER BY seq LIMIT ?"

LAST = "SELECT coalesce(max(seq), 0) FROM record"

SEAL = "INSERT OR REPLACE INTO seal (one, events) VALUES (1, ?)"

READ_SEAL = "SELECT events FROM seal"

SPANS = "SELECT lo, hi, state, events, at FROM span"

DELETE_SPANS = "DELETE FROM span WHERE lo BETWEEN {lo} AND {hi};"

ADD_SPAN = "INSERT INTO span (lo, hi, state, events, at) VALUES ({lo}, {hi}, {state}, {events}, {at!r});"

CREATE_DEAD = """
CREATE TABLE IF NOT EXISTS letter (
    id TEXT PRIMARY KEY,
    at REAL NOT NULL,
    status INTEGER,
    reason TEXT NOT NULL,
    body BLOB NOT NULL
)
"""

BURY = "INSERT OR REPLACE INTO letter (id, at, status, reason, body) VALUES (?, ?, ?, ?, ?)"

LETTERS = "SELECT id, at, status, reason, body FROM letter ORDER BY at"
