"""The dead letters: events the server refused for good, kept with its reason in one small file of the folder.

Several processes may write it, so it is opened for one short transaction and closed again, with SQLite's ordinary
rollback journal and lock.
"""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import List, NamedTuple, Optional, Sequence

from . import _sql
from ._errors import SpoolError
from ._record import Row
from ._sqlite import Connection, private_file

FILE_NAME = "dead.db"
_BUSY_TIMEOUT_S = 5.0


class DeadLetter(NamedTuple):
    """One refused event: when (Unix seconds), the HTTP status, the server's words, the body as it was sent."""

    id: str
    at: float
    status: Optional[int]
    reason: str
    body: bytes


async def bury(folder: Path, rows: Sequence[Row], status: Optional[int], reason: str) -> None:
    """Keep `rows` as dead letters. Doing it twice leaves one letter. Raises SpoolError."""
    now = time.time()
    try:
        private_file(folder / FILE_NAME)
        async with Connection(lambda: sqlite3.connect(str(folder / FILE_NAME), timeout=_BUSY_TIMEOUT_S)) as db:
            await db.execute(_sql.CREATE_DEAD)
            await db.executemany(_sql.BURY, [(row.id, now, status, reason, row.body) for row in rows])
            await db.commit()
    except (sqlite3.Error, OSError) as error:
        raise SpoolError(f"{folder / FILE_NAME}: {error}") from error


def letters(folder: Path) -> List[DeadLetter]:
    """Every dead letter of the spool in `folder`, oldest first."""
    path = folder / FILE_NAME
    if not path.exists():
        return []
    connection = sqlite3.connect(str(path), timeout=_BUSY_TIMEOUT_S)
    try:
        return [DeadLetter(*row) for row in connection.execute(_sql.LETTERS)]
    finally:
        connection.close()
