"""One SQLite database: a private file in WAL mode with a connection of its own for each reader, or a temporary one.

Without a path the database is SQLite's private temporary one: in memory, spilling to disk when it grows, gone when
closed. No second connection can see it, so its readers take turns with the writer.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, List, Optional, Set, Union

from honeyhive_litellm._errors import ConfigError

from ._migrations import migrate

_BUSY_TIMEOUT_S = 5.0
_STEPS_BETWEEN_CHECKS = 20_000
_IDLE_READERS_KEPT = 4
_INTERRUPT_EVERY_S = 0.02


class QueryTimeoutError(Exception):
    """A query took longer than its reader may."""


class Database:
    """An open database. Raise ConfigError when *path* cannot be one, or belongs to something else.

    `write` and `read` may be used from any thread, each by one thread at a time.
    """

    def __init__(self, path: Optional[Union[str, Path]] = None) -> None:
        self._path = None if path is None else str(path)
        self._write_lock = threading.Lock()
        self._readers = threading.Condition()
        self._idle: List[sqlite3.Connection] = []
        self._busy: Set[sqlite3.Connection] = set()
        self._is_closed = False
        self._writer: sqlite3.Connection
        try:
            if self._path is not None:
                _make_or_check(self._path)
            self._writer = _connect(self._path)
            try:
                migrate(self._writer)
                if self._path is not None:
                    _make_private(self._path)
                    self._writer.execute("PRAGMA journal_mode = WAL")
                self._writer.execute("PRAGMA synchronous = NORMAL")
            except BaseException:
                self._writer.close()
                raise
        except (sqlite3.Error, OSError) as error:
            raise ConfigError(f"the collector cannot use {path} as its database: {error}") from error

    def close(self) -> None:
        """End the queries that run, and close every connection; a second call does nothing."""
        with self._readers:
            self._is_closed = True
            while self._busy:  # a reader may be between two queries, where an interrupt has no effect
                for connection in self._busy:
                    connection.interrupt()
                self._readers.wait(_INTERRUPT_EVERY_S)
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
        with self._write_lock:
            self._writer.close()

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """One transaction: committed at the end of the block, rolled back if that raises."""
        with self._write_lock:
            self._check_open()
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:  # a full disk has rolled it back already
                    self._writer.execute("ROLLBACK")
                raise

    @contextmanager
    def read(self, timeout_s: Optional[float] = None) -> Iterator[sqlite3.Connection]:
        """A connection that sees one state of the database for the whole block, and cannot change it.

        Raise QueryTimeoutError when the queries of the block take longer than *timeout_s*.
        """
        if self._path is None:
            with self._write_lock:
                self._check_open()
                with _limited(self._writer, timeout_s):
                    yield self._writer
            return
        connection = self._take_reader()
        try:
            connection.execute("BEGIN")
            with _limited(connection, timeout_s):
                yield connection
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            self._give_back(connection)

    def _check_open(self) -> None:
        if self._is_closed:
            raise RuntimeError("the collector is closed; what it holds is read while it runs")

    def _take_reader(self) -> sqlite3.Connection:
        with self._readers:
            self._check_open()
            if self._idle:
                connection = self._idle.pop()
            else:
                connection = _connect(self._path)
                connection.execute("PRAGMA query_only = 1")
            self._busy.add(connection)
            return connection

    def _give_back(self, connection: sqlite3.Connection) -> None:
        with self._readers:
            self._busy.discard(connection)
            if self._is_closed or len(self._idle) >= _IDLE_READERS_KEPT:
                connection.close()
            else:
                self._idle.append(connection)
            self._readers.notify_all()


@contextmanager
def _limited(connection: sqlite3.Connection, timeout_s: Optional[float]) -> Iterator[None]:
    """Let SQLite give up a query of the block once *timeout_s* have passed."""
    if timeout_s is None:
        yield
        return
    deadline = time.monotonic() + timeout_s
    connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS_BETWEEN_CHECKS)
    try:
        yield
    except sqlite3.OperationalError as error:
        if time.monotonic() > deadline:
            raise QueryTimeoutError(f"the query took longer than {timeout_s:g} s") from error
        raise
    finally:
        connection.set_progress_handler(None, 0)


def _connect(path: Optional[str]) -> sqlite3.Connection:
    # An empty name is SQLite's private temporary database.
    return sqlite3.connect(path or "", timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)


def _make_or_check(path: str) -> None:
    """Make the file, for its owner alone; refuse one that is a link, no file, or somebody else's.

    A file that exists is not opened here: closing it again would drop the POSIX locks that this process may hold on it.
    """
    flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0)
    try:
        os.close(os.open(path, flags, 0o600))
        return
    except FileExistsError:
        found = os.lstat(path)
    if stat.S_ISLNK(found.st_mode):
        raise OSError("it is a symbolic link; name the file itself")
    if not stat.S_ISREG(found.st_mode):
        raise OSError("it is no regular file")
    if os.name == "posix" and os.geteuid() not in (0, found.st_uid):
        raise OSError("it belongs to another user")


def _make_private(path: str) -> None:
    """Let nobody but the owner read the database, once it is known to be ours; SQLite's later files inherit that."""
    for name in (path, f"{path}-wal", f"{path}-shm"):
        try:
            if stat.S_IMODE(os.stat(name).st_mode) & 0o077:
                os.chmod(name, 0o600)
        except FileNotFoundError:
            pass  # the WAL comes later
