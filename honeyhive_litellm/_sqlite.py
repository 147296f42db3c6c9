"""What has to be done about SQLite's files and aiosqlite's threads, each in one place."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import threading
from pathlib import Path
from typing import Awaitable, TypeVar

import aiosqlite

_T = TypeVar("_T")


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


_THREAD = "honeyhive-sqlite"


def _is_not_ours(record: logging.LogRecord) -> bool:
    return record.threadName != _THREAD


# At the level DEBUG aiosqlite logs every statement with its parameters, and ours are prompts and completions.
logging.getLogger("aiosqlite").addFilter(_is_not_ours)


def make_daemon(connection: aiosqlite.Connection) -> None:
    """Keep aiosqlite's thread from holding up the interpreter's exit, and what it does for us out of the log.

    It is no daemon, and the interpreter joins such threads before any `atexit` handler runs: one connection that
    nobody could close in time would hang the exit for ever. aiosqlite has no option for it; until 0.21 the
    connection is the thread, since 0.22 it has one.
    """
    thread = getattr(connection, "_thread", connection)
    if isinstance(thread, threading.Thread):
        thread.daemon = True
        thread.name = _THREAD
