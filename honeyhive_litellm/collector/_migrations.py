"""The database's tables, and how one of an earlier format gets them. Text, and one transaction.

Format 1 had `events` (now `records`) and `receipts`. Format 2 adds what the pages read, all of it made from the
records by `_index`: `summaries`, `tags`, `facets`, `minutes`, and a full-text index `search` where SQLite has FTS5.
`events` and `sessions` are views since then, for `sqlite3` and Datasette.
"""

from __future__ import annotations

import sqlite3
from typing import Tuple

APPLICATION_ID = 0x68686C63  # "hhlc": whose file this is
FORMAT = 2
MINUTE_MS = 60_000.0

_RECORDS = (
    """
CREATE TABLE records (
    seq INTEGER PRIMARY KEY,
    event_id TEXT NOT NULL UNIQUE,
    session_id TEXT NOT NULL,
    event_type TEXT NOT NULL,
    start_time REAL,
    received_at REAL NOT NULL,
    body BLOB NOT NULL,
    receipts INTEGER NOT NULL DEFAULT 1
)""",
    "CREATE INDEX sessions_by_id ON records (event_id) WHERE event_type = 'session'",
    "CREATE INDEX by_start ON records (start_time)",
    "CREATE TABLE receipts (seq INTEGER PRIMARY KEY, event_id TEXT NOT NULL, received_at REAL NOT NULL)",
)
# A view cannot have the name of an index. Only rows whose count is not the default are written again, bodies and all.
_RECORDS_FROM_1 = (
    "DROP INDEX IF EXISTS sessions",
    "ALTER TABLE events RENAME TO records",
    "ALTER TABLE records ADD COLUMN receipts INTEGER NOT NULL DEFAULT 1",
    "CREATE INDEX sessions_by_id ON records (event_id) WHERE event_type = 'session'",
    "CREATE INDEX IF NOT EXISTS by_start ON records (start_time)",
    "CREATE TABLE IF NOT EXISTS receipts (seq INTEGER PRIMARY KEY, event_id TEXT NOT NULL, received_at REAL NOT NULL)",
    "CREATE TEMP TABLE counted (event_id TEXT PRIMARY KEY, receipts INTEGER)",
    "INSERT INTO counted SELECT event_id, count(*) FROM receipts GROUP BY event_id",
    """
UPDATE records SET receipts = (SELECT c.receipts FROM counted AS c WHERE c.event_id = records.event_id)
WHERE event_id IN (SELECT event_id FROM counted WHERE receipts > 1)
""",
    "UPDATE records SET receipts = 0 WHERE event_type = 'session' AND event_id NOT IN (SELECT event_id FROM counted)",
    "DROP TABLE counted",
)

# `start_ms` is the time of receipt where an event has no start. The wide index answers every filter and every chart
# without reading a summary's texts.
_INDEX = (
    "CREATE INDEX repeated ON records (seq) WHERE receipts > 1",
    """
CREATE TABLE summaries (
    seq INTEGER PRIMARY KEY,
    event_id TEXT NOT NULL,
    event_type TEXT NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    status TEXT NOT NULL,
    model TEXT,
    provider TEXT,
    project TEXT,
    source TEXT,
    user TEXT,
    session_id TEXT NOT NULL,
    trace_id TEXT,
    parent_id TEXT,
    start_ms REAL NOT NULL,
    duration_ms REAL,
    first_token_ms REAL,
    prompt_tokens INTEGER,
    completion_tokens INTEGER,
    cost REAL,
    attempt INTEGER,
    deployment TEXT,
    last_seen TEXT,
    bytes INTEGER NOT NULL,
    error TEXT,
    question TEXT,
    answer TEXT
)""",
    """
CREATE INDEX summaries_by_start ON summaries (start_ms, seq, event_type, status, model, provider, kind, project, source,
    user, duration_ms, first_token_ms, prompt_tokens, completion_tokens, cost)
""",
    "CREATE INDEX summaries_by_session ON summaries (session_id, start_ms)",
    "CREATE INDEX summaries_by_trace ON summaries (trace_id, start_ms) WHERE trace_id IS NOT NULL",
    "CREATE TABLE tags (tag TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (tag, seq)) WITHOUT ROWID",
    "CREATE INDEX tags_by_seq ON tags (seq)",
    """
CREATE TABLE facets (field TEXT NOT NULL, value TEXT NOT NULL, events INTEGER NOT NULL, PRIMARY KEY (field, value))
    WITHOUT ROWID
""",
    # The sums of each minute and model, for the overview.
    """
CREATE TABLE minutes (minute INTEGER NOT NULL, model TEXT NOT NULL, calls INTEGER NOT NULL, errors INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, cost REAL NOT NULL, PRIMARY KEY (minute, model))
    WITHOUT ROWID
""",
    "CREATE TABLE progress (name TEXT PRIMARY KEY, value INTEGER NOT NULL)",
    "INSERT INTO progress VALUES ('summarized', 0), ('searchable', 0)",
    # What was indexed and has changed since, with the body that was indexed. An upsert that fires the trigger would
    # override an OR IGNORE in it, hence the NOT EXISTS.
    "CREATE TABLE stale (seq INTEGER PRIMARY KEY, body BLOB NOT NULL)",
    """
CREATE TRIGGER records_changed AFTER UPDATE OF body ON records
WHEN old.seq <= (SELECT value FROM progress WHERE name = 'summarized')
BEGIN
    INSERT INTO stale SELECT old.seq, old.body WHERE NOT EXISTS (SELECT 1 FROM stale WHERE seq = old.seq);
END
""",
)
_FULL_TEXT = "CREATE VIRTUAL TABLE search USING fts5 (text, content = '', columnsize = 0)"
_VIEWS = (
    """
CREATE VIEW events AS
SELECT r.seq, r.event_id, r.session_id, r.event_type, s.name AS event_name, s.kind, s.status, s.model, s.provider,
    s.project, s.source, s.user, s.trace_id, s.parent_id,
    strftime('%Y-%m-%dT%H:%M:%fZ', r.start_time / 1000.0, 'unixepoch') AS started, r.start_time, r.received_at,
    s.duration_ms, s.first_token_ms AS time_to_first_token_ms, s.prompt_tokens, s.completion_tokens, s.cost, s.error,
    json_extract(CAST(r.body AS TEXT), '$.inputs') AS inputs,
    json_extract(CAST(r.body AS TEXT), '$.outputs') AS outputs,
    json_extract(CAST(r.body AS TEXT), '$.config') AS config,
    json_extract(CAST(r.body AS TEXT), '$.metadata') AS metadata,
    r.receipts, CAST(r.body AS TEXT) AS body
FROM records AS r LEFT JOIN summaries AS s ON s.seq = r.seq WHERE r.event_type <> 'session'
""",
    """
CREATE VIEW sessions AS
SELECT s.session_id, (SELECT n.name FROM records AS r JOIN summaries AS n ON n.seq = r.seq
        WHERE r.event_id = s.session_id AND r.event_type = 'session') AS name,
    strftime('%Y-%m-%dT%H:%M:%fZ', min(s.start_ms) / 1000.0, 'unixepoch') AS started,
    sum(s.event_type <> 'session') AS events,
    sum(s.event_type <> 'session' AND s.status <> 'success') AS not_successful,
    sum(s.prompt_tokens) AS prompt_tokens, sum(s.completion_tokens) AS completion_tokens, sum(s.cost) AS cost
FROM summaries AS s GROUP BY s.session_id
""",
)


def migrate(connection: sqlite3.Connection) -> None:
    """Give the database the tables of this format, in one transaction; refuse one that is not ours, or newer."""
    owner, version, is_empty = _marks_of(connection)
    if not is_empty:
        if owner != APPLICATION_ID:
            raise sqlite3.DatabaseError("it is a database of something else; name another file")
        if version > FORMAT:
            raise sqlite3.DatabaseError(
                f"a newer version of honeyhive-litellm wrote it (format {version}, and this one reads up to {FORMAT}): "
                "update with `pip install -U honeyhive-litellm`, or name another file"
            )
    if is_empty or version < FORMAT:
        connection.execute("BEGIN IMMEDIATE")
        try:
            _change(connection)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _marks_of(connection: sqlite3.Connection) -> Tuple[int, int, bool]:
    owner = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    return owner, version, connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0


def _change(connection: sqlite3.Connection) -> None:
    _, version, is_empty = _marks_of(connection)  # another process may have done it meanwhile
    if not is_empty and version == FORMAT:
        return
    has_tables = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'events'").fetchone() is not None
    for statement in (*(_RECORDS_FROM_1 if has_tables else _RECORDS), *_INDEX):
        connection.execute(statement)
    if has_full_text(connection):
        connection.execute(_FULL_TEXT)
    for statement in _VIEWS:
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {FORMAT}")


def has_full_text(connection: sqlite3.Connection) -> bool:
    """Whether this SQLite was built with FTS5."""
    options = connection.execute("SELECT compile_options FROM pragma_compile_options").fetchall()
    return ("ENABLE_FTS5",) in options
