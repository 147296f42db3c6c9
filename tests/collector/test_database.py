"""The database file: who may read it, which ones are refused, and how one of an earlier format is taken on."""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
import uuid
from pathlib import Path
from typing import Any, Dict, List

import orjson
import pytest

from honeyhive_litellm._errors import ConfigError
from honeyhive_litellm.collector._database import Database, QueryTimeoutError
from honeyhive_litellm.collector._migrations import APPLICATION_ID, FORMAT, migrate
from honeyhive_litellm.collector._store import Counts, Store

FORMAT_1 = f"""
PRAGMA journal_mode = WAL;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = 1;
CREATE TABLE events (seq INTEGER PRIMARY KEY, event_id TEXT NOT NULL UNIQUE, session_id TEXT NOT NULL,
    event_type TEXT NOT NULL, start_time REAL, received_at REAL NOT NULL, body BLOB NOT NULL);
CREATE INDEX sessions ON events (event_id) WHERE event_type = 'session';
CREATE INDEX by_start ON events (start_time);
CREATE TABLE receipts (seq INTEGER PRIMARY KEY, event_id TEXT NOT NULL, received_at REAL NOT NULL);
"""
LONG_QUERY = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n LIMIT 1"

posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX modes and links")


def event(**fields: Any) -> Dict[str, Any]:
    id_ = str(uuid.uuid4())
    return {"event_id": id_, "session_id": id_, "event_type": "model", "inputs": {}, "start_time": 1.0, **fields}


def write_format_1(path: Path, events: List[Dict[str, Any]], receipts: List[str]) -> None:
    connection = sqlite3.connect(path)
    connection.executescript(FORMAT_1)
    for one in events:
        row = (one["event_id"], one["session_id"], one["event_type"], one["start_time"], 5.0, orjson.dumps(one))
        connection.execute(
            "INSERT INTO events (event_id, session_id, event_type, start_time, received_at, body) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            row,
        )
    connection.executemany("INSERT INTO receipts (event_id, received_at) VALUES (?, 5.0)", [(id_,) for id_ in receipts])
    connection.commit()
    connection.close()


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


@posix
def test_a_new_file_is_its_owners_alone_and_so_is_its_wal(tmp_path: Path) -> None:
    store = Store(tmp_path / "local.db")
    store.add([event()], now_ms=1.0)
    assert {path.name: oct(mode_of(path)) for path in tmp_path.iterdir()} == {
        "local.db": "0o600",
        "local.db-wal": "0o600",
        "local.db-shm": "0o600",
    }
    store.close()


@posix
def test_a_file_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "local.db"
    write_format_1(path, [event()], [])
    path.chmod(0o644)
    store = Store(path)
    store.add([event()], now_ms=1.0)
    assert {mode_of(found) for found in tmp_path.iterdir()} == {0o600}
    store.close()


@posix
def test_a_foreign_database_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "theirs.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="something else"):
        Store(path)
    assert mode_of(path) == 0o644


@posix
@pytest.mark.parametrize("leads", ["to a file", "nowhere"])
def test_a_link_is_not_followed(tmp_path: Path, leads: str) -> None:
    target = tmp_path / "target.db"
    if leads == "to a file":
        target.write_bytes(b"")
    (tmp_path / "link.db").symlink_to(target)
    with pytest.raises(ConfigError, match="symbolic link"):
        Store(tmp_path / "link.db")
    assert target.exists() == (leads == "to a file")
    assert not target.exists() or target.read_bytes() == b""


@posix
def test_a_fifo_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.db")
    with pytest.raises(ConfigError, match="no regular file"):
        Store(tmp_path / "pipe.db")


@posix
def test_a_file_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "theirs.db"
    path.write_bytes(b"")
    somebody_else = path.stat().st_uid + 1
    monkeypatch.setattr(os, "geteuid", lambda: somebody_else)
    with pytest.raises(ConfigError, match="another user"):
        Store(path)
    assert path.read_bytes() == b""


def test_format_1_is_taken_on_with_all_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    once, twice = event(event_name="once"), event(event_name="twice")
    session = event(event_type="session", event_name="chat")
    write_format_1(path, [once, session, twice], [once["event_id"], twice["event_id"], twice["event_id"]])

    store = Store(path)
    assert store.events() == [once, twice]
    assert store.sessions() == [session]
    assert store.receipts() == {once["event_id"]: 1, twice["event_id"]: 2}
    assert store.counts() == Counts(events=2, sessions=1, receipts=3)
    with store.database.read() as connection:
        assert connection.execute("SELECT event_id, receipts FROM records ORDER BY seq").fetchall() == [
            (once["event_id"], 1),
            (session["event_id"], 0),
            (twice["event_id"], 2),
        ]
        assert connection.execute("PRAGMA user_version").fetchone() == (FORMAT,)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    store.add([twice, event()], now_ms=9.0)
    assert store.counts() == Counts(events=3, sessions=1, receipts=5)
    store.close()

    again = Store(path)
    assert again.counts() == Counts(events=3, sessions=1, receipts=5)
    again.close()


def test_a_format_1_that_a_crash_left_without_tables_is_taken_on(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    connection = sqlite3.connect(path)
    connection.executescript(f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 1;")
    connection.close()
    store = Store(path)
    store.add([event()], now_ms=1.0)
    assert store.counts().events == 1
    store.close()


@pytest.mark.parametrize(
    ("in_the_way", "trouble"),
    [
        ("CREATE TABLE facets (x)", "facets"),  # a table that the migration makes late
        ("CREATE TRIGGER theirs BEFORE UPDATE ON events BEGIN SELECT RAISE(ROLLBACK, 'no changes'); END", "no changes"),
    ],
    ids=["a table", "what rolls back by itself"],
)
def test_a_migration_that_fails_leaves_format_1_as_it_was(tmp_path: Path, in_the_way: str, trouble: str) -> None:
    path = tmp_path / "old.db"
    write_format_1(path, [event(), event(event_type="session")], [])
    connection = sqlite3.connect(path)
    connection.execute(in_the_way)
    connection.commit()
    before = connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall()
    with pytest.raises(ConfigError, match=trouble):
        Store(path)
    assert connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall() == before
    assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    connection.close()


def test_of_two_processes_that_make_a_database_the_second_uses_it_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "local.db"
    kept = event()

    def make_first(statement: str) -> None:
        if statement == "BEGIN IMMEDIATE":  # of the second one, which has seen an empty file
            connection.set_trace_callback(None)
            first = Store(path)
            first.add([kept], now_ms=1.0)
            first.close()

    connection = sqlite3.connect(path, isolation_level=None)
    connection.set_trace_callback(make_first)
    migrate(connection)
    assert connection.execute("SELECT event_id FROM records").fetchall() == [(kept["event_id"],)]
    assert connection.execute("PRAGMA user_version").fetchone() == (FORMAT,)
    connection.close()


def test_a_full_disk_stops_a_migration_and_nothing_is_half_made(tmp_path: Path) -> None:
    path = tmp_path / "local.db"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA max_page_count = 5")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        migrate(connection)
    assert not connection.in_transaction
    assert connection.execute("SELECT name FROM sqlite_master").fetchall() == []
    connection.close()
    Store(path).close()


@pytest.mark.parametrize("kept", ["in a file", "temporarily"])
def test_a_full_disk_refuses_an_event_and_takes_the_next_one(tmp_path: Path, kept: str) -> None:
    store = Store(tmp_path / "local.db" if kept == "in a file" else None)
    with store.database.read() as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
    with store.database.write() as connection:
        connection.execute(f"PRAGMA max_page_count = {pages + 8}")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        store.add([event(inputs={"prompt": "x" * 200_000})], now_ms=1.0)
    assert store.counts() == Counts(events=0, sessions=0, receipts=0)
    store.add([event()], now_ms=2.0)
    assert store.counts() == Counts(events=1, sessions=0, receipts=1)
    store.close()


def test_a_transaction_that_sqlite_has_rolled_back_shows_its_own_error() -> None:
    store = Store()
    kept = event()
    store.add([kept], now_ms=1.0)
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"), store.database.write() as connection:
        connection.execute("DELETE FROM receipts")
        connection.execute("INSERT OR ROLLBACK INTO records SELECT * FROM records")
    assert store.events() == [kept] and store.counts().receipts == 1
    store.close()


def test_a_newer_format_is_refused_with_the_remedy_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    Store(path).close()
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {FORMAT + 1}")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=r"newer version .* `pip install -U honeyhive-litellm`"):
        Store(path)
    assert path.read_bytes() == before


def test_the_views_are_text_that_any_reader_of_sqlite_understands(tmp_path: Path) -> None:
    path = tmp_path / "local.db"
    store = Store(path)
    store.add([event(inputs={"prompt": "why?"}, outputs={"text": "because"}, start_time=1_700_000_000_123.0)], 1.0)
    connection = sqlite3.connect(path)
    (row,) = connection.execute("SELECT started, inputs, outputs, typeof(body), receipts FROM events").fetchall()
    assert row == ("2023-11-14T22:13:20.123Z", '{"prompt":"why?"}', '{"text":"because"}', "text", 1)
    connection.close()
    store.close()


@pytest.mark.parametrize("kept", ["in a file", "temporarily"])
def test_a_query_that_takes_too_long_is_interrupted_and_the_next_one_works(tmp_path: Path, kept: str) -> None:
    database = Database(tmp_path / "local.db" if kept == "in a file" else None)
    with pytest.raises(QueryTimeoutError), database.read(timeout_s=0.05) as connection:
        connection.execute(LONG_QUERY).fetchall()
    with database.read(timeout_s=5.0) as connection:
        assert connection.execute("SELECT count(*) FROM records").fetchone() == (0,)
    database.close()


@pytest.mark.parametrize("kept", ["in a file", "temporarily"])
def test_a_query_that_fails_is_no_timeout(tmp_path: Path, kept: str) -> None:
    database = Database(tmp_path / "local.db" if kept == "in a file" else None)
    with pytest.raises(sqlite3.OperationalError, match="no such table"), database.read(timeout_s=5.0) as connection:
        connection.execute("SELECT * FROM nowhere")
    with database.read(timeout_s=5.0) as connection:
        assert connection.execute("SELECT count(*) FROM records").fetchone() == (0,)
    database.close()


def test_a_reader_that_ends_its_transaction_itself_leaves_a_sound_connection(tmp_path: Path) -> None:
    store = Store(tmp_path / "local.db")
    with store.database.read() as connection:
        connection.execute("ROLLBACK")
    store.add([event()], now_ms=1.0)
    assert len(store.events()) == 1
    store.close()


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    database = Database(tmp_path / "local.db")
    with pytest.raises(
        sqlite3.OperationalError, match="attempt to write a readonly database"
    ), database.read() as connection:
        connection.execute("DELETE FROM records")
    database.close()


def test_closing_ends_a_query_that_runs(tmp_path: Path) -> None:
    database = Database(tmp_path / "local.db")
    is_reading, outcome = threading.Event(), []

    def read_for_ever() -> None:
        try:
            with database.read() as connection:
                connection.create_function("reading", 0, is_reading.set)
                connection.execute("SELECT reading()")
                connection.execute(LONG_QUERY).fetchall()
        except sqlite3.OperationalError as error:
            outcome.append(str(error))

    thread = threading.Thread(target=read_for_ever)
    thread.start()
    assert is_reading.wait(10)
    database.close()
    thread.join(10)
    assert outcome == ["interrupted"]
