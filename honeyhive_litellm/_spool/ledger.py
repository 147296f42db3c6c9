"""The ledger: what became of the events of segments that are gone, in one small file of the folder.

A segment tells of its own events while it exists. Before it is removed its totals are written here, under its name;
so they count only once its file is gone, and a crash between the two counts nothing twice or not at all. Names are
never used again, so accounts of files that are gone are melted into one, and the file stays small.

Several processes write it: like the dead letters it is opened for one short transaction and closed again.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from pathlib import Path
from typing import Any, Dict, Iterable, Optional

import aiosqlite

from honeyhive_litellm._errors import SpoolError
from honeyhive_litellm._log import warn
from honeyhive_litellm._stats import Totals

from . import sql
from .connection import Connection, private_file, uninterrupted

FILE_NAME = "ledger.db"
BUSY_TIMEOUT_S = 5.0
ALL_GONE = ""
"""The account of everything whose file is gone."""


class Ledger:
    """The ledger of one folder. Belongs to a loop."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / FILE_NAME
        self._turn = asyncio.Lock()
        # Kept while it is open: a forked child must neither use nor close it, see `Runtime.forget_inherited`.
        self._db: Optional[aiosqlite.Connection] = None

    async def close_account(self, name: str, totals: Totals) -> None:
        """Write down `totals` of the file `name`, which is about to be removed. Doing so again replaces them.

        Raises SpoolError.
        """
        await self._write(name, totals)

    async def correct(self, change: Totals) -> None:
        """Add `change`, which may be negative, to what became of events whose file is gone. Raises SpoolError."""
        await self._write(ALL_GONE, change)

    async def _write(self, name: str, totals: Totals) -> None:
        async with self._turn:
            try:
                try:
                    await uninterrupted(self._transaction(name, totals))
                except sqlite3.DatabaseError as error:
                    if type(error) is not sqlite3.DatabaseError:  # locked, full, read-only: the file is sound
                        raise
                    self._put_aside(error)
                    await uninterrupted(self._transaction(name, totals))
            except (sqlite3.Error, OSError) as error:
                raise SpoolError(f"{self._path}: {error}") from error

    async def _transaction(self, name: str, totals: Totals) -> None:
        private_file(self._path)
        path = str(self._path)
        self._db = Connection(lambda: sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None))
        try:
            async with self._db as db:
                await db.executescript(sql.CREATE_LEDGER + "BEGIN IMMEDIATE;")
                if name != ALL_GONE:
                    await db.execute(sql.CLOSE_ACCOUNT, (name,))
                    await self._melt(db)
                rows = [(name, item, events) for item, events in totals.as_items().items()]
                await db.executemany(sql.ADD_TO_ACCOUNT, rows)
                await db.execute("COMMIT")
        finally:
            self._db = None

    async def _melt(self, db: aiosqlite.Connection) -> None:
        accounts = _by_name(await db.execute_fetchall(sql.ACCOUNTS))
        files = set(os.listdir(self._folder))
        for name, totals in accounts.items():
            if name != ALL_GONE and name not in files:
                rows = [(ALL_GONE, item, events) for item, events in totals.as_items().items()]
                await db.executemany(sql.ADD_TO_ACCOUNT, rows)
                await db.execute(sql.CLOSE_ACCOUNT, (name,))

    def _put_aside(self, error: sqlite3.DatabaseError) -> None:
        aside = self._path.with_name(f"{FILE_NAME}.damaged-{int(time.time())}")
        warn("ledger", "honeyhive: the ledger is damaged, it is put aside as %s and begun anew: %s", aside.name, error)
        os.replace(self._path, aside)


def accounts_in(folder: Path) -> Dict[str, Totals]:
    """Every account by the name of its file, "" for those that were melted. Raises SpoolError."""
    path = folder / FILE_NAME
    if not path.exists():
        return {}
    try:
        connection = sqlite3.connect(str(path), timeout=BUSY_TIMEOUT_S)
        try:
            connection.executescript(sql.CREATE_LEDGER)
            return _by_name(connection.execute(sql.ACCOUNTS))
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise SpoolError(f"{path}: {error}") from error


def _by_name(rows: Iterable[Any]) -> Dict[str, Totals]:
    items: Dict[str, Dict[str, int]] = {}
    for name, item, events in rows:
        items.setdefault(name, {})[item] = events
    return {name: Totals.of_items(numbers) for name, numbers in items.items()}
