"""Connections to SQLite files: aiosqlite's, with what we add about threads, transactions, exits and file modes."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from typing import Any, Callable, Generator, Iterable, List, Sequence, TypeVar

import aiosqlite

from .fork_gate import gate

_T = TypeVar("_T")

CAN_UNLINK_OPEN_FILES = os.name != "nt"
"""On Windows a file has to be closed before it can be removed or renamed."""

_ROWS_PER_STATEMENT = 100
"""SQLite before 3.32 takes at most 999 values in one statement."""

_THREAD = "honeyhive-sqlite"


def _is_not_ours(record: logging.LogRecord) -> bool:
    return record.threadName != _THREAD


# At the level DEBUG aiosqlite logs every statement with its parameters, and ours are prompts and completions.
logging.getLogger("aiosqlite").addFilter(_is_not_ours)


class AtomicConnection(sqlite3.Connection):
    """A connection whose `executemany` is one transaction, all rows or none, in few statements.

    sqlite3 releases Python's lock at each statement and may wait 5 ms to get it back while other threads compute: with
    a statement per row, a group of a hundred records would hold up the next group for half a second.
    """

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> sqlite3.Cursor:
        rows = list(parameters)
        if len(rows) <= _ROWS_PER_STATEMENT:
            return self._insert(sql, rows)  # a single statement is a transaction
        with self:
            self.execute("BEGIN")
            for first in range(0, len(rows), _ROWS_PER_STATEMENT):
                cursor = self._insert(sql, rows[first : first + _ROWS_PER_STATEMENT])
            return cursor

    def _insert(self, sql: str, rows: List[Sequence[Any]]) -> sqlite3.Cursor:
        more = f", ({', '.join('?' * len(rows[0]))})" * (len(rows) - 1)
        return self.execute(sql + more, [value for row in rows for value in row])


class Connection(aiosqlite.Connection):
    """aiosqlite's connection, whose thread enters the fork gate for each call and does not hold up the exit.

    aiosqlite's thread is no daemon, and the interpreter joins such threads before it runs any `atexit` handler: a
    single connection left open would hang the exit for ever. aiosqlite has no option for that. Until 0.21 the
    connection is the thread, since 0.22 it has one.

    From Python 3.12 on no thread can be started once the interpreter ends. A connection opened then, to close the
    accounts, works on the loop's own thread, which has no other task by that time.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        super().__init__(lambda: _in_gate(connect), iter_chunk_size=64)
        self._one_call = threading.Lock()
        thread = getattr(self, "_thread", self)
        if isinstance(thread, threading.Thread):
            thread.daemon = True
            thread.name = _THREAD
        self._is_threadless = False

    def __await__(self) -> Generator[Any, None, aiosqlite.Connection]:
        thread: Any = getattr(self, "_thread", self)
        try:
            thread.start()
        except RuntimeError:
            if thread.ident is not None:
                raise  # it had been started before
            self._is_threadless = True
        return self._connect().__await__()

    async def _connect(self) -> aiosqlite.Connection:
        if not self._is_threadless:
            return await super()._connect()
        self._connection = self._connector()
        return self

    async def close(self) -> None:
        if not self._is_threadless:
            await super().close()
        elif self._connection is not None:
            _in_gate(self._connection.close)
            self._connection = None

    async def _execute(self, fn: Callable[..., _T], *args: Any, **kwargs: Any) -> _T:
        # Every method of aiosqlite sends its work to the thread through this one.
        if self._is_threadless:
            return self._alone(fn, *args, **kwargs)
        result: _T = await super()._execute(self._alone, fn, *args, **kwargs)  # type: ignore[no-untyped-call]
        return result

    @property
    def is_busy(self) -> bool:
        """Whether the other thread is at work on the file: the inline methods would wait for it."""
        return self._one_call.locked()

    # The inline methods work on the calling thread, for what takes less time than the way to the other thread and back.
    # The connection must have been made with `check_same_thread=False`. They raise what sqlite3 raises.

    def executemany_inline(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        self._alone(self._conn.executemany, sql, rows)

    def executescript_inline(self, script: str) -> None:
        self._alone(self._conn.executescript, script)

    def fetchall_inline(self, sql: str, parameters: Sequence[Any]) -> List[Any]:
        return self._alone(lambda: self._conn.execute(sql, parameters).fetchall())

    def _alone(self, work: Callable[..., _T], *args: Any, **kwargs: Any) -> _T:
        with self._one_call:  # no statement of one thread may fall into the other's transaction
            return _in_gate(work, *args, **kwargs)


def _in_gate(work: Callable[..., _T], *args: Any, **kwargs: Any) -> _T:
    with gate:
        return work(*args, **kwargs)


def atomic_connection(name: str) -> Connection:
    """A connection, still to be awaited, to the database with this path or `file:` URI."""
    return Connection(
        lambda: sqlite3.connect(
            name, uri=True, timeout=0, isolation_level=None, factory=AtomicConnection, check_same_thread=False
        )
    )


async def close_quietly(db: aiosqlite.Connection) -> None:
    try:
        await db.close()
    except (sqlite3.Error, ValueError):
        pass  # what this connection committed is on disk already


async def close_without_sync(db: aiosqlite.Connection) -> None:
    """Close a connection to a file that has been removed: its last checkpoint need not reach the disk."""
    try:
        await db.executescript("PRAGMA synchronous = OFF")
    except sqlite3.Error:
        pass  # then closing it takes longer
    finally:
        await close_quietly(db)
