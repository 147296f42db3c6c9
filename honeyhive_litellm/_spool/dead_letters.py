"""The dead letters: events that the server refused for good, kept with its reason in one small file of the folder.

Several processes write it, so it is opened for one short transaction and closed again, with SQLite's ordinary rollback
journal and lock. Removing a letter changes the ledger in the same transaction.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Iterator, List, NamedTuple, Optional, Sequence

from honeyhive_litellm._errors import SpoolError
from honeyhive_litellm._stats import Totals

from . import sql
from .connection import Connection
from .layout import DEAD_LETTERS_NAME, LEDGER_NAME
from .ledger import BUSY_TIMEOUT_S, MERGED
from .private_files import check_database, effective_folder, make_database
from .record import Row

PURGED = "purged"
"""The reason under which events are dropped whose letter a user purged."""


class DeadLetter(NamedTuple):
    """One refused event without its body, which has `size` bytes.

    `at` is when it was refused, in Unix seconds; `status` and `reason` are the server's. `started_ms` and `session` are
    those of its `Record`. `retried_at` is the Unix time of a redrive whose outcome is unknown.
    """

    id: str
    at: float
    status: Optional[int]
    reason: str
    started_ms: float
    session: Optional[str]
    retried_at: Optional[float]
    size: int


async def add(folder: Path, rows: Sequence[Row], status: Optional[int], reason: str) -> None:
    """Store `rows` as dead letters. A second call for the same event replaces its letter. Raises SpoolError."""
    now = time.time()
    path = effective_folder(folder) / DEAD_LETTERS_NAME
    try:
        make_database(path)
        async with Connection(lambda: sqlite3.connect(str(path), timeout=BUSY_TIMEOUT_S)) as db:
            check_database(path)
            await db.execute(sql.CREATE_DEAD.format(schema="main"))
            letters = [(row.id, now, status, reason, row.started_ms, row.session, row.body) for row in rows]
            await db.executemany(sql.ADD_LETTER, letters)
            await db.commit()
    except (sqlite3.Error, OSError) as error:
        raise SpoolError(f"{path}: {error}") from error


def letters(folder: Path) -> List[DeadLetter]:
    """Every dead letter of the spool in `folder`, oldest first. Raises SpoolError."""
    return [DeadLetter(*row) for row in _read(folder, sql.LETTER_HEADS)]


def body_of(folder: Path, id_: str) -> Optional[bytes]:
    """The event as it was sent; None if there is no such letter. Raises SpoolError."""
    found = _read(folder, sql.LETTER_BODY, id_)
    return bytes(found[0][0]) if found else None


def mark(folder: Path, ids: Sequence[str], at: Optional[float]) -> None:
    """Note that these letters are sent again from the Unix time `at` on: after a crash their outcome is unknown.

    With None, note that the server certainly did not store them. Raises SpoolError.
    """
    with _transaction(folder) as db:
        db.executemany(sql.RETRYING, [(at, id_) for id_ in ids])


def refused_again(folder: Path, ids: Sequence[str], status: Optional[int], reason: str) -> None:
    """Replace status and reason of these letters. Raises SpoolError."""
    with _transaction(folder) as db:
        db.executemany(sql.REFUSED_AGAIN, [(time.time(), status, reason, id_) for id_ in ids])


def accepted(folder: Path, ids: Sequence[str]) -> int:
    """Remove letters whose events were delivered after all; returns how many. Raises SpoolError."""
    return _remove(folder, ids, lambda events: Totals(delivered=events, dead=-events))


def purge(folder: Path, ids: Sequence[str]) -> int:
    """Remove letters for good; returns how many. Raises SpoolError."""
    return _remove(folder, ids, lambda events: Totals(dead=-events, dropped={PURGED: events}))


def _remove(folder: Path, ids: Sequence[str], change: Callable[[int], Totals]) -> int:
    with _transaction(folder) as db:
        removed = db.executemany(sql.REMOVE_LETTER, [(id_,) for id_ in ids]).rowcount
        rows = [(MERGED, item, events) for item, events in change(removed).as_items().items()]
        db.executemany(sql.ADD_TO_ACCOUNT, rows)
    return removed


def _read(folder: Path, sql: str, *parameters: object) -> List[Any]:
    path = effective_folder(folder) / DEAD_LETTERS_NAME
    try:
        if not os.path.lexists(path):
            return []
        check_database(path)
        if path.stat().st_size == 0:  # a process died between creating it and the first letter
            return []
        db = sqlite3.connect(str(path), timeout=BUSY_TIMEOUT_S)
        try:
            check_database(path)
            return db.execute(sql, parameters).fetchall()
        finally:
            db.close()
    except (sqlite3.Error, OSError) as error:
        raise SpoolError(f"{path}: {error}") from error


@contextmanager
def _transaction(folder: Path) -> Iterator[sqlite3.Connection]:
    """One transaction on the letters and the ledger."""
    own = effective_folder(folder)
    path, ledger = own / DEAD_LETTERS_NAME, own / LEDGER_NAME
    try:
        make_database(path)
        make_database(ledger)
        db = sqlite3.connect(str(ledger), timeout=BUSY_TIMEOUT_S, isolation_level=None)
        try:
            db.executescript(sql.CREATE_LEDGER)
            db.execute("ATTACH DATABASE ? AS dead", (str(path),))
            check_database(path)
            check_database(ledger)
            db.execute(sql.CREATE_DEAD.format(schema="dead"))
            db.execute("BEGIN IMMEDIATE")
            yield db
            db.execute("COMMIT")
        finally:
            db.close()
    except (sqlite3.Error, OSError) as error:
        raise SpoolError(f"{path}: {error}") from error
