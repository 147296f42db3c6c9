"""The one connection that a segment's database has at a time. sqlite3's errors leave this module as SpoolError."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any, List, Optional, Sequence, Union

from honeyhive_litellm._aio import run_to_completion
from honeyhive_litellm._errors import LockedError, SpoolError

from . import sql
from .connection import Connection, atomic_connection, close_quietly, close_without_sync
from .private_files import check_database, make_file
from .segment_files import MEMORY

INLINE_WRITE_BYTES = 128 * 1024
INLINE_WRITE_ROWS = 32
"""A group up to this size is copied into the page cache in a fraction of a millisecond. The way to another thread and
back waits for Python's lock several times, up to 5 ms each while the application computes, and meanwhile the group is
not on disk."""
INLINE_READ_BYTES = 512 * 1024
"""This much is read from the page cache in as short a time."""

LEAST_JOURNAL_BYTES = 1024 * 1024
"""A journal that changes have made longer than this is written back, if it is also long beside its segment."""


class SegmentConnection:
    """Opens and closes, reads and writes. Each write is one transaction.

    The inline methods work on the calling thread, which must be the loop's; the others await aiosqlite's thread.
    `is_synced`: each transaction waits for an fsync (durability "power").
    """

    def __init__(self, path: Union[Path, str], durability: str) -> None:
        self.is_synced = durability == "power"
        self.db: Optional[Connection] = None
        self._path = path
        self._journal_bytes = 0
        """By how much `change` has made the journal longer since it was last written back."""
        self._synchronous = sql.SYNCHRONOUS[durability]

    async def create(self, script: str) -> None:
        """Create the file, with its header on disk, by the statements of `script`. Raises SpoolError."""
        await run_to_completion(self._connect(script, create=True))

    async def open(self) -> None:
        """Open an existing file. Raises SpoolError, or LockedError if another connection has it."""
        await run_to_completion(self._connect(sql.OPEN_SEGMENT, create=False))

    async def _connect(self, script: str, *, create: bool) -> None:
        try:
            if self._path == MEMORY:
                name = MEMORY
            else:
                if create:
                    make_file(self._path)
                check_database(Path(self._path))
                name = f"{Path(self._path).as_uri()}?mode=rw"  # not "rwc": a removed file must not come back empty
            db = atomic_connection(name)
            await db
        except (sqlite3.Error, OSError) as error:
            raise self._spool_error(error) from error
        try:
            if self._path != MEMORY:
                check_database(Path(self._path))  # once more, before anything is read or written
            await db.executescript(script + sql.TUNE_SEGMENT.format(synchronous=self._synchronous))
        except BaseException as error:
            await close_quietly(db)
            if isinstance(error, (sqlite3.Error, OSError)):
                refusal = LockedError if "locked" in str(error) else SpoolError
                raise refusal(f"{self._path}: {error}") from error
            raise
        self.db = db
        self._journal_bytes = 0  # whoever closed it last wrote it back, or it is as long as a kill left it

    async def close(self, *, is_removed: bool = False) -> None:
        """Close; what is committed stays. `is_removed`: the file has no name any more. Idempotent."""
        db, self.db = self.db, None
        if db is not None:
            await run_to_completion(close_without_sync(db) if is_removed else close_quietly(db))

    @property
    def is_busy(self) -> bool:
        """Whether the other thread is at work on the file, perhaps for long: nothing is done inline then."""
        return self.db is not None and self.db.is_busy

    async def fetch(self, sql: str, parameters: Sequence[Any] = (), *, inline: bool = False) -> List[Any]:
        """All rows of a query. Raises SpoolError."""
        db = self._opened()
        try:
            if inline and not db.is_busy:
                return db.fetchall_inline(sql, parameters)
            return list(await db.execute_fetchall(sql, parameters))
        except sqlite3.Error as error:
            raise self._spool_error(error) from error

    async def insert(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Insert all rows or none. Raises SpoolError."""
        try:
            await self._opened().executemany(sql, rows)
        except sqlite3.Error as error:
            raise self._spool_error(error) from error

    def insert_inline(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Insert all rows or none. Raises SpoolError."""
        try:
            self._opened().executemany_inline(sql, rows)
        except sqlite3.Error as error:
            raise self._spool_error(error) from error

    async def change(self, statements: str, segment_bytes: int) -> None:
        """Run several statements as one transaction, inline unless it waits for a disk. Raises SpoolError.

        `segment_bytes` is what the records take. A change replaces few bytes, but appends a page to the journal: while
        a server is down, each attempt to send adds two. A journal that has become longer than half of the records by
        that is written back.
        """
        # A script is one call, and with that one wait for Python's lock.
        script = f"BEGIN;{statements}COMMIT;"
        db = self._opened()
        try:
            if self.is_synced or db.is_busy:
                await db.executescript(script)
            else:
                db.executescript_inline(script)
        except sqlite3.Error as error:
            if db.in_transaction:
                await db.rollback()
            raise self._spool_error(error) from error
        self._journal_bytes += sql.PAGE_BYTES
        if self._journal_bytes > max(LEAST_JOURNAL_BYTES, segment_bytes // 2):
            await self._write_journal_back(db)

    async def _write_journal_back(self, db: Connection) -> None:
        """On the other thread, since it waits for the disk."""
        self._journal_bytes = 0
        try:
            await db.executescript("PRAGMA wal_checkpoint(TRUNCATE);")
        except sqlite3.Error:
            pass  # a full disk, say: all of it stays in the journal, which is tried again once it is longer

    def _opened(self) -> Connection:
        if self.db is None:
            raise SpoolError(f"{self._path} is closed")
        return self.db

    def _spool_error(self, error: Exception) -> SpoolError:
        return SpoolError(f"{self._path}: {error}")
