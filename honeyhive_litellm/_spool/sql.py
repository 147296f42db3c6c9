"""Every SQL statement of the spool, by name; the async and the late writer use the same ones.

A segment is a SQLite file with one connection at a time. The order of the pragmas matters. The lock is made exclusive
before WAL mode is entered: then there is no shared-memory file, and no second connection can open the database. The
header is checkpointed under FULL once, because SQLite discards the WAL of a database whose main file is empty.
"""

from __future__ import annotations

APPLICATION_ID = 0x48484C4C
"""Marks our files ("HHLL"), so that another program's database is never taken for a segment."""

FORMAT = 1
"""The segment's `user_version`. A segment with a higher one is left to a newer version of this package."""

ENCRYPTED_FORMAT = FORMAT + 256
"""That of an encrypted segment. Versions of this package that cannot decrypt take it for a newer one's."""

PAGE_BYTES = 8192
"""Of a segment's database."""

# With its first page SQLite allocates as many as the cache may have then, 20 at most. A destination with a few events
# needs fewer, and there may be hundreds: so the limit is low until that page is read. Later pages come one by one.
_SEGMENT = f"""
PRAGMA cache_size = 3;
PRAGMA synchronous = OFF;
PRAGMA locking_mode = EXCLUSIVE;
PRAGMA page_size = {PAGE_BYTES};
PRAGMA journal_mode = WAL;
PRAGMA cache_size = -512;
BEGIN;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {{version}};
{{key_table}}
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
    at REAL NOT NULL,
    dead INTEGER NOT NULL,
    damaged INTEGER NOT NULL
);
CREATE TABLE seal (one INTEGER PRIMARY KEY, events INTEGER NOT NULL);
COMMIT;
PRAGMA synchronous = FULL;
PRAGMA wal_checkpoint(TRUNCATE);
"""

_KEY_TABLE = """
CREATE TABLE cipher_key (id BLOB PRIMARY KEY);
INSERT INTO cipher_key (id) VALUES (x'{key_id}');
"""

CREATE_SEGMENT = _SEGMENT.format(version=FORMAT, key_table="")

CREATE_ENCRYPTED_SEGMENT = _SEGMENT.format(version=ENCRYPTED_FORMAT, key_table=_KEY_TABLE)

KEY_IDS = "SELECT id FROM cipher_key"

ADD_KEY_ID = "INSERT OR IGNORE INTO cipher_key (id) VALUES (?)"

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

# sqlite3 releases Python's lock at every row and may wait 5 ms to get it back while other threads compute. So a batch
# is packed into a single row: the heads of its events as text, and each body after the other. See `packed_rows`.
PACKED_SIZES = """
SELECT group_concat(seq || ' ' || length(body)) FROM
    (SELECT seq, body FROM record WHERE seq BETWEEN ? AND ? AND kind = 1 ORDER BY seq LIMIT ?)
"""

PACKED_EVENTS = """
SELECT
    group_concat(
        seq || ' ' || hex(id) || ' ' || quote(started_ms) || ' ' || hex(session) || ' ' || crc || ' ' || length(body)
    ),
    CAST(group_concat(CAST(body AS TEXT), '') AS BLOB)
FROM (SELECT * FROM record WHERE seq BETWEEN ? AND ? AND kind = 1 ORDER BY seq)
"""

READ_RECORD = "SELECT kind, id, started_ms, session, crc, body FROM record WHERE seq = ?"

READ_START = "SELECT id, started_ms, session, crc, body FROM record WHERE seq = ?"

NEXT_SEQ = "SELECT min(seq) FROM record WHERE seq > ?"

LATEST_RECORD = "SELECT seq, kind, id, started_ms, session, crc, body FROM record ORDER BY seq DESC LIMIT 1"

EVENT_SIZES = "SELECT seq, length(body) FROM record WHERE kind = 1 ORDER BY seq"

REMOVE_STARTS = "DELETE FROM record WHERE kind != 1"

SCAN = "SELECT seq, kind, id FROM record WHERE seq > ? ORDER BY seq LIMIT ?"

COUNT_TABLES = "SELECT count(*) FROM sqlite_master"

OLDEST_EVENT = "SELECT started_ms FROM record WHERE seq BETWEEN ? AND ? AND kind = 1 ORDER BY seq LIMIT 1"

LAST_SEQ = "SELECT coalesce(max(seq), 0) FROM record"

SEAL = "INSERT OR REPLACE INTO seal (one, events) VALUES (1, ?)"

READ_SEAL = "SELECT events FROM seal"

READ_RANGES = "SELECT lo, hi, state, events, at, dead, damaged FROM span"

REMOVE_ALL_RANGES = "DELETE FROM span"

DELETE_RANGES = "DELETE FROM span WHERE lo BETWEEN {lo} AND {hi};"

ADD_RANGE = """
INSERT INTO span (lo, hi, state, events, at, dead, damaged)
VALUES ({lo}, {hi}, {state}, {events}, {at!r}, {dead}, {damaged});
"""

LETTER_TABLES = ("letter", "encrypted_letter")
"""Plain dead letters, and encrypted ones, which an older version would take for events and send."""

CREATE_DEAD = """
CREATE TABLE IF NOT EXISTS {schema}.{table} (
    id TEXT PRIMARY KEY,
    at REAL NOT NULL,
    status INTEGER,
    reason TEXT NOT NULL,
    started_ms REAL NOT NULL,
    session TEXT,
    retried_at REAL,
    body BLOB NOT NULL
)
"""

TABLES_OF_DEAD = "SELECT name FROM {schema}.sqlite_master"

ADD_LETTER = """
INSERT OR REPLACE INTO {table} (id, at, status, reason, started_ms, session, body) VALUES (?, ?, ?, ?, ?, ?, ?)
"""

LETTER_HEADS = """
SELECT id, at, status, reason, started_ms, session, retried_at, length(body), substr(body, 1, 16)
FROM {table} ORDER BY at, id
"""

LETTER_CONTENT = "SELECT started_ms, session, body FROM {table} WHERE id = ?"

REFUSED_AGAIN = "UPDATE {table} SET at = ?, status = ?, reason = ?, retried_at = NULL WHERE id = ?"

RETRYING = "UPDATE {table} SET retried_at = ? WHERE id = ?"

REMOVE_LETTER = "DELETE FROM {table} WHERE id = ?"

CREATE_LEDGER = """
PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS account (
    name TEXT NOT NULL,
    item TEXT NOT NULL,
    events INTEGER NOT NULL,
    PRIMARY KEY (name, item)
) WITHOUT ROWID;
"""

ACCOUNTS = "SELECT name, item, events FROM account"

CLOSE_ACCOUNT = "DELETE FROM account WHERE name = ?"

ADD_TO_ACCOUNT = """
INSERT INTO account (name, item, events) VALUES (?, ?, ?)
ON CONFLICT (name, item) DO UPDATE SET events = events + excluded.events
"""
