"""The dead letters: events that the server refused for good, kept with its reason in one small file of the folder.

Several processes write it, so it is opened for one short transaction and closed again, with SQLite's ordinary rollback
journal and lock. Removing a letter changes the ledger in the same transaction.

With a key, letters are encrypted like the records of a segment; the reason as well, since a server may quote the event
in it. Plain and encrypted letters are in tables of their own.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from honeyhive_litellm._errors import DamagedBodyError, SpoolError
from honeyhive_litellm._privacy.cipher import NO_CIPHER, Cipher, key_id_of
from honeyhive_litellm._stats import Totals

from . import sql
from .connection import Connection
from .encryption import decrypt_content, encrypt_content
from .layout import DEAD_LETTERS_NAME, LEDGER_NAME
from .ledger import BUSY_TIMEOUT_S, MERGED
from .private_files import check_database, effective_folder, make_database
from .record import Row

PURGED = "purged"
"""The reason under which events are dropped whose letter a user purged."""

_PLAIN, _ENCRYPTED = sql.LETTER_TABLES
_LETTER, _REASON = 3, 4
"""What an encrypted letter's body and reason are bound to, besides its id; records have other kinds."""


class DeadLetter(NamedTuple):
    """One refused event without its body, which has `size` bytes.

    `at` is when it was refused, in Unix seconds; `status` and `reason` are the server's. `started_ms` and `session` are
    those of its `Record`. `retried_at` is the Unix time of a redrive whose outcome is unknown. `is_locked`: it is
    encrypted with a key that is not there, so `reason` is empty. An encrypted letter has its `session` in its body.
    """

    id: str
    at: float
    status: Optional[int]
    reason: str
    started_ms: float
    session: Optional[str]
    retried_at: Optional[float]
    size: int
    is_locked: bool = False


async def add(
    folder: Path, rows: Sequence[Row], status: Optional[int], reason: str, cipher: Cipher = NO_CIPHER
) -> None:
    """Store `rows` as dead letters. A second call for the same event replaces its letter. Raises SpoolError."""
    now = time.time()
    path = effective_folder(folder) / DEAD_LETTERS_NAME
    if cipher.key_id is None:
        table = _PLAIN
        letters = [(row.id, now, status, reason, row.started_ms, row.session, row.body) for row in rows]
    else:
        table = _ENCRYPTED
        letters = [_encrypted_letter(row, now, status, reason, cipher) for row in rows]
    try:
        make_database(path)
        async with Connection(lambda: sqlite3.connect(str(path), timeout=BUSY_TIMEOUT_S)) as db:
            check_database(path)
            for name in dict.fromkeys((_PLAIN, table)):  # older versions fail without the table of plain letters
                await db.execute(sql.CREATE_DEAD.format(schema="main", table=name))
            for name in _letter_tables(await db.execute_fetchall(sql.TABLES_OF_DEAD.format(schema="main"))):
                await db.executemany(sql.REMOVE_LETTER.format(table=name), [(row.id,) for row in rows])
            await db.executemany(sql.ADD_LETTER.format(table=table), letters)
            await db.commit()
    except (sqlite3.Error, OSError) as error:
        raise SpoolError(f"{path}: {error}") from error


def _encrypted_letter(row: Row, at: float, status: Optional[int], reason: str, cipher: Cipher) -> Tuple[Any, ...]:
    body = encrypt_content(cipher, row.id, _LETTER, row.session, row.body)
    return row.id, at, status, _encrypted_reason(cipher, row.id, reason), row.started_ms, None, body


def _encrypted_reason(cipher: Cipher, id_: str, reason: str) -> bytes:
    return cipher.seal(id_, _REASON, reason.encode("utf-8", "replace"))


def letters(folder: Path, cipher: Cipher = NO_CIPHER) -> List[DeadLetter]:
    """Every dead letter of the spool in `folder`, oldest first. Raises SpoolError."""
    found = [_letter(row, cipher) for row in _read(folder, sql.LETTER_HEADS)]
    return sorted(found, key=lambda letter: (letter.at, letter.id))


def _letter(row: Sequence[Any], cipher: Cipher) -> DeadLetter:
    id_, at, status, reason, started_ms, session, retried_at, size, head = row
    if isinstance(reason, str):
        return DeadLetter(id_, at, status, reason, started_ms, session, retried_at, size)
    keys = [key for key in (key_id_of(reason), key_id_of(head)) if key is not None]
    is_locked = bool(cipher.missing(keys))
    try:
        text = "" if is_locked else cipher.open(id_, _REASON, reason).decode("utf-8", "replace")
    except DamagedBodyError:
        text = "(damaged)"
    return DeadLetter(id_, at, status, text, started_ms, session, retried_at, size, is_locked)


def row_of(folder: Path, id_: str, cipher: Cipher = NO_CIPHER) -> Optional[Row]:
    """The event as it was sent, with its session; None if there is no such letter.

    Raises SpoolError: UnknownKeyError if its key is not there, DamagedBodyError if it is damaged.
    """
    found = _read(folder, sql.LETTER_CONTENT, id_)
    if not found:
        return None
    started_ms, stored_session, stored = found[0]
    session, body = decrypt_content(cipher, id_, _LETTER, stored_session, bytes(stored))
    return Row(0, id_, started_ms, session, body)


def body_of(folder: Path, id_: str, cipher: Cipher = NO_CIPHER) -> Optional[bytes]:
    """The body alone of `row_of`."""
    row = row_of(folder, id_, cipher)
    return None if row is None else row.body


def mark(folder: Path, ids: Sequence[str], at: Optional[float]) -> None:
    """Note that these letters are sent again from the Unix time `at` on: after a crash their outcome is unknown.

    With None, note that the server certainly did not store them. Raises SpoolError.
    """
    with _transaction(folder) as db:
        _each(db, sql.RETRYING, [(at, id_) for id_ in ids])


def refused_again(
    folder: Path, ids: Sequence[str], status: Optional[int], reason: str, cipher: Cipher = NO_CIPHER
) -> None:
    """Replace status and reason of these letters. Raises SpoolError."""
    now = time.time()
    with _transaction(folder) as db:
        db.executemany(sql.REFUSED_AGAIN.format(table=_PLAIN), [(now, status, reason, id_) for id_ in ids])
        if cipher.key_id is not None and _ENCRYPTED in _tables(db, "dead"):
            changes = [(now, status, _encrypted_reason(cipher, id_, reason), id_) for id_ in ids]
            db.executemany(sql.REFUSED_AGAIN.format(table=_ENCRYPTED), changes)


def accepted(folder: Path, ids: Sequence[str]) -> int:
    """Remove letters whose events were delivered after all; returns how many. Raises SpoolError."""
    return _remove(folder, ids, lambda events: Totals(delivered=events, dead=-events))


def purge(folder: Path, ids: Sequence[str]) -> int:
    """Remove letters for good; returns how many. Raises SpoolError."""
    return _remove(folder, ids, lambda events: Totals(dead=-events, dropped={PURGED: events}))


def _remove(folder: Path, ids: Sequence[str], change: Callable[[int], Totals]) -> int:
    with _transaction(folder) as db:
        removed = _each(db, sql.REMOVE_LETTER, [(id_,) for id_ in ids])
        rows = [(MERGED, item, events) for item, events in change(removed).as_items().items()]
        db.executemany(sql.ADD_TO_ACCOUNT, rows)
    return removed


def _each(db: sqlite3.Connection, statement: str, parameters: Sequence[Tuple[Any, ...]]) -> int:
    """Run `statement` on plain and encrypted letters; how many it changed."""
    return sum(db.executemany(statement.format(table=table), parameters).rowcount for table in _tables(db, "dead"))


def _tables(db: sqlite3.Connection, schema: str) -> List[str]:
    return _letter_tables(db.execute(sql.TABLES_OF_DEAD.format(schema=schema)))


def _letter_tables(rows: Iterable[Any]) -> List[str]:
    names = {name for (name,) in rows}
    return [table for table in sql.LETTER_TABLES if table in names]


def _read(folder: Path, query: str, *parameters: object) -> List[Any]:
    """The rows of plain and encrypted letters."""
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
            return [row for table in _tables(db, "main") for row in db.execute(query.format(table=table), parameters)]
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
            db.execute(sql.CREATE_DEAD.format(schema="dead", table=_PLAIN))
            db.execute("BEGIN IMMEDIATE")
            yield db
            db.execute("COMMIT")
        finally:
            db.close()
    except (sqlite3.Error, OSError) as error:
        raise SpoolError(f"{path}: {error}") from error
