"""The ledger: what became of the events of removed segments, in one small file of the folder.

While a segment exists, it holds its own totals. Before it is removed they are written here as an account under its
file name. An account counts only once its file is removed, so a crash between writing and removing counts nothing twice
and forgets nothing. Names are never used again, so the accounts of removed files are merged into one, and the ledger
stays small.

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

from honeyhive_litellm._aio import run_to_completion
from honeyhive_litellm._errors import SpoolError
from honeyhive_litellm._log import warn
from honeyhive_litellm._log_codes import LogCode
from honeyhive_litellm._stats import Totals

from . import sql
from .connection import Connection
from .layout import LEDGER_NAME
from .private_files import check_database, effective_folder, make_database

BUSY_TIMEOUT_S = 5.0
MERGED = ""
"""The name of the account into which those of removed files are merged."""


class Ledger:
    """The ledger of one folder. Belongs to a loop."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / LEDGER_NAME
        self._one_write = asyncio.Lock()
        # Referenced while open: a forked child must neither use nor close it, see `Runtime.forget_inherited`.
        self._db: Optional[aiosqlite.Connection] = None

    async def close_account(self, name: str, totals: Totals) -> None:
        """Store the totals of the file `name`, which is about to be removed. A second call replaces them.

        Raises SpoolError.
        """
        await self._write(name, totals)

    async def correct(self, change: Totals) -> None:
        """Add `change`, which may be negative, to the merged account. Raises SpoolError."""
        await self._write(MERGED, change)

    async def _write(self, name: str, totals: Totals) -> None:
        async with self._one_write:
            try:
                try:
                    await run_to_completion(self._transaction(name, totals))
                except sqlite3.DatabaseError as error:
                    if (
                        type(error) is not sqlite3.DatabaseError
                    ):  # a subclass means locked, full, read-only: not damaged
                        raise
                    self._put_aside(error)
                    await run_to_completion(self._transaction(name, totals))
            except (sqlite3.Error, OSError) as error:
                raise SpoolError(f"{self._path}: {error}") from error

    async def _transaction(self, name: str, totals: Totals) -> None:
        make_database(self._path)
        path = str(self._path)
        self._db = Connection(lambda: sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None))
        try:
            async with self._db as db:
                check_database(self._path)
                await db.executescript(sql.CREATE_LEDGER + "BEGIN IMMEDIATE;")
                if name != MERGED:
                    await db.execute(sql.CLOSE_ACCOUNT, (name,))
                    await self._merge_removed(db)
                rows = [(name, item, events) for item, events in totals.as_items().items()]
                await db.executemany(sql.ADD_TO_ACCOUNT, rows)
                await db.execute("COMMIT")
        finally:
            self._db = None

    async def _merge_removed(self, db: aiosqlite.Connection) -> None:
        accounts = _by_name(await db.execute_fetchall(sql.ACCOUNTS))
        files = set(os.listdir(self._folder))
        for name, totals in accounts.items():
            if name != MERGED and name not in files:
                rows = [(MERGED, item, events) for item, events in totals.as_items().items()]
                await db.executemany(sql.ADD_TO_ACCOUNT, rows)
                await db.execute(sql.CLOSE_ACCOUNT, (name,))

    def _put_aside(self, error: sqlite3.DatabaseError) -> None:
        aside = self._path.with_name(f"{LEDGER_NAME}.damaged-{int(time.time())}")
        os.replace(self._path, aside)
        warn(
            LogCode.LEDGER_DAMAGED,
            "honeyhive: the ledger is damaged and was renamed to %s. No event is lost, but the totals of "
            "`honeyhive-litellm status` start again from here: %s",
            aside,
            error,
        )


def accounts_in(folder: Path) -> Dict[str, Totals]:
    """Every account by file name; under MERGED those that were merged. Raises SpoolError."""
    path = effective_folder(folder) / LEDGER_NAME
    try:
        if not os.path.lexists(path):
            return {}
        check_database(path)
        connection = sqlite3.connect(str(path), timeout=BUSY_TIMEOUT_S)
        try:
            check_database(path)
            connection.executescript(sql.CREATE_LEDGER)
            return _by_name(connection.execute(sql.ACCOUNTS))
        finally:
            connection.close()
    except (sqlite3.Error, OSError) as error:
        raise SpoolError(f"{path}: {error}") from error


def _by_name(rows: Iterable[Any]) -> Dict[str, Totals]:
    items: Dict[str, Dict[str, int]] = {}
    for name, item, events in rows:
        items.setdefault(name, {})[item] = events
    return {name: Totals.of_items(numbers) for name, numbers in items.items()}
