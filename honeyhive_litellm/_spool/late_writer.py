"""Writes records that come after shutdown, when no loop is left to take them: with plain sqlite3, synchronously.

LiteLLM's own exit handler delivers late callbacks on a throw-away loop after ours has ended, when the interpreter no
longer starts threads. Their records go to one more segment of the same owner, so that a start record and its event stay
together, and are delivered by the next process that opens the spool.
"""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from typing import Optional

from honeyhive_litellm._errors import SpoolError
from honeyhive_litellm._privacy.cipher import NO_CIPHER, Cipher

from . import sql
from .encryption import SegmentCipher
from .fork_gate import gate
from .layout import lease_path, new_owner, project_of, segment_path
from .lease import Lease
from .private_files import check_database, effective_folder, make_database, make_private_folder
from .record import Record

LATE_NUMBER = 999_999
"""Sorts after every segment that the owner wrote before."""


class LateWriter:
    """One segment, opened at the first record and never closed: the process ends."""

    def __init__(self, folder: Path, owner: str, cipher: Cipher = NO_CIPHER) -> None:
        """`owner` is that of the spool that has just been closed, or a new one."""
        self._folder = effective_folder(folder)
        self._owner = owner
        self._encryption = SegmentCipher(cipher)
        self._lock = threading.Lock()
        self._lease: Optional[Lease] = None
        self._db: Optional[sqlite3.Connection] = None
        self._seq = 0

    def append(self, record: Record) -> None:
        """Commit `record`. Blocks for the disk. Raises SpoolError."""
        with self._lock:
            try:
                db = self._db = self._db or self._open()
                self._seq += 1
                (row,) = self._encryption.rows_of([record], self._seq)
                with gate:
                    db.execute(sql.APPEND, row)
            except Exception as error:  # also what SQLite cannot take as a value
                raise SpoolError(f"{self._folder}: {error}") from error

    def _open(self) -> sqlite3.Connection:
        make_private_folder(self._folder)
        self._lease = Lease.take(lease_path(self._folder, self._owner))
        if self._lease is None:  # another process has adopted this owner's segments already: use a new owner
            self._owner = new_owner(project_of(self._owner))
            self._lease = Lease.take(lease_path(self._folder, self._owner))
        path = segment_path(self._folder, self._owner, LATE_NUMBER)
        make_database(path)
        with gate:
            db = sqlite3.connect(str(path), timeout=0, isolation_level=None, check_same_thread=False)
            check_database(path)
            db.executescript(self._encryption.creation_script() + sql.TUNE_SEGMENT.format(synchronous="NORMAL"))
        return db
