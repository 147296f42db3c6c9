"""What has to be done about SQLite's files, its locks in a fork, and aiosqlite's threads, each in one place."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import threading
import time
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Any, Awaitable, Callable, Deque, Generator, List, Optional, Sequence, Type, TypeVar

import aiosqlite

from honeyhive_litellm._log import warn

_T = TypeVar("_T")

CAN_UNLINK_OPEN_FILES = os.name != "nt"
"""On Windows a file has to be closed before it can be removed or renamed."""

_FORK_WAIT_S = 5.0
"""How long a fork waits for SQLite at most: a disk that hangs must not hang the application with it.

Usually it is microseconds. But SQLite closes files under a mutex of the whole process, and to close a file that is
removed takes a busy disk a second.
"""


class _Gate:
    """Keeps a fork out while a thread of ours is inside SQLite: `with gate: connection.execute(…)`.

    A fork copies SQLite's process-wide mutexes and its table of file locks as they are. Had another thread just been
    in there, the child would hang at its first statement, and so lose every event it records. Not to be entered
    twice by one thread, nor held while waiting for something else. A condition would cost more than twice as much.
    """

    def __init__(self) -> None:
        self.forget()

    def __enter__(self) -> None:
        with self._door:
            self._inside.append(None)

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self._inside.pop()
        if self._is_shut:
            self._left.set()

    def shut(self) -> None:
        """Before a fork: let nobody in, and wait until all are out."""
        self._door.acquire()
        self._is_shut = True  # from now on who leaves says so; who left before is not inside
        deadline = time.monotonic() + _FORK_WAIT_S
        while True:
            self._left.clear()
            if not self._inside:
                return
            if not self._left.wait(max(0.0, deadline - time.monotonic())):
                warn(
                    "fork",
                    "honeyhive: the disk did not answer for %s s while this process forked; the child may not be able "
                    "to write its events",
                    _FORK_WAIT_S,
                )
                return

    def open(self) -> None:
        """After a fork, in the parent."""
        self._is_shut = False
        self._door.release()

    def forget(self) -> None:
        """After a fork, in the child, where nobody is inside any more."""
        self._door = threading.Lock()
        self._inside: Deque[None] = deque()
        self._is_shut = False
        self._left = threading.Event()


gate = _Gate()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=gate.shut, after_in_parent=gate.open, after_in_child=gate.forget)


_THREAD = "honeyhive-sqlite"


def _is_not_ours(record: logging.LogRecord) -> bool:
    return record.threadName != _THREAD


# At the level DEBUG aiosqlite logs every statement with its parameters, and ours are prompts and completions.
logging.getLogger("aiosqlite").addFilter(_is_not_ours)


class Connection(aiosqlite.Connection):
    """aiosqlite's connection; its thread passes the gate for each call, and does not hold up the interpreter's exit.

    That thread is no daemon, and the interpreter joins such threads before any `atexit` handler runs: one connection
    that nobody could close in time would hang the exit for ever. aiosqlite has no option for it; until 0.21 the
    connection is the thread, since 0.22 it has one.

    From Python 3.12 on no thread starts once the interpreter ends. A connection that is opened then, to close the
    accounts, works on the loop's own thread, which serves nobody else by that time.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        super().__init__(lambda: _in_gate(connect), iter_chunk_size=64)
        self._turn = threading.Lock()
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
        # Every method of aiosqlite's sends its work to the thread through this one.
        if self._is_threadless:
            return self._in_turn(fn, *args, **kwargs)
        result: _T = await super()._execute(self._in_turn, fn, *args, **kwargs)  # type: ignore[no-untyped-call]
        return result

    # On the calling thread: for what takes less time than the way to the other thread and back. The connection must
    # have been made for more than one thread. These raise what sqlite3 raises.

    def executemany_here(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        self._in_turn(self._conn.executemany, sql, rows)

    def executescript_here(self, script: str) -> None:
        self._in_turn(self._conn.executescript, script)

    def fetchall_here(self, sql: str, parameters: Sequence[Any]) -> List[Any]:
        return self._in_turn(lambda: self._conn.execute(sql, parameters).fetchall())

    def _in_turn(self, work: Callable[..., _T], *args: Any, **kwargs: Any) -> _T:
        with self._turn:  # nobody's statement may fall into the other thread's transaction
            return _in_gate(work, *args, **kwargs)


def _in_gate(work: Callable[..., _T], *args: Any, **kwargs: Any) -> _T:
    with gate:
        return work(*args, **kwargs)


async def uninterrupted(work: Awaitable[_T]) -> _T:
    """Await `work` to its end, even if cancelled meanwhile, more than once, and be cancelled only then.

    aiosqlite's thread goes on with what it was asked whatever becomes of the asker: a connection whose opening is
    cancelled would answer to a loop that may be closed by then, and a cancelled commit commits.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError:
                pass  # it is remembered already
        raise


async def close_quietly(db: aiosqlite.Connection) -> None:
    try:
        await db.close()
    except (sqlite3.Error, ValueError):
        pass  # a connection that cannot even close holds nothing that is not already on disk


def private_file(path: Path) -> None:
    """Make an empty file, unless it exists, that only its owner can read: SQLite gives its WAL and journal its mode.

    A file that exists is not even opened: closing it again would drop a POSIX lock that this process holds on it.
    """
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        pass
