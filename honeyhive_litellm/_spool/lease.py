"""Who owns which segments: one small lease file per owner, held by SQLite's own lock.

The kernel frees the lock when the owner dies, however it dies, so a lease can neither be left held nor outlive its
owner, and no clock is involved. The lock is a POSIX lock on Linux and macOS: a process that holds it must never open or
copy the lease file with ordinary file calls, since closing that handle would drop the lock.
"""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Optional, Tuple

from honeyhive_litellm._errors import SpoolError

from .connection import CAN_UNLINK_OPEN_FILES
from .fork_gate import gate
from .private_files import check_database, make_database
from .segment_files import identity_of

NEW_LEASE_S = 10.0
"""How long a lease file without segments is left alone: its owner creates it just before it takes it."""


class Lease:
    """The right to write, deliver and remove one owner's segments, until `release` or the process's death."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self.connection = connection

    @classmethod
    def take(cls, path: Path) -> Optional[Lease]:
        """Take the lease, creating its file if need be; None if a living process holds it. Raises SpoolError."""
        while True:
            lease, is_in_place = cls._take(path)
            if lease is None or is_in_place:
                return lease
            # The previous holder removed the file after we had opened it: our lock is on a file without a name.
            lease.release(remove=False)

    @classmethod
    def _take(cls, path: Path) -> Tuple[Optional[Lease], bool]:
        connection = None
        try:
            make_database(path)
            before = identity_of(path)
            with gate:
                connection = sqlite3.connect(str(path), timeout=0, isolation_level=None, check_same_thread=False)
                # Nothing is ever read or written; SQLite keeps memory for 20 pages ready all the same.
                connection.execute("PRAGMA page_size = 512")
                # No journal, since its file would outlive a killed owner.
                connection.execute("PRAGMA journal_mode = OFF")
                connection.execute("BEGIN EXCLUSIVE")
            check_database(path)
        except (sqlite3.Error, OSError, SpoolError) as error:
            if connection is not None:
                with gate:
                    connection.close()
            if "locked" in str(error):
                return None, True
            raise SpoolError(f"{path}: {error}") from error
        return cls(path, connection), before is not None and before == identity_of(path)

    def release(self, *, remove: bool) -> None:
        """Give the lease up. With `remove` the file is removed first, while no other process can hold the lease.

        Where an open file cannot be removed, it is removed last; if another process has taken the lease by then, the
        file is open and stays.
        """
        if remove and CAN_UNLINK_OPEN_FILES:
            self._unlink()
        with gate:
            self.connection.close()
        if remove and not CAN_UNLINK_OPEN_FILES:
            self._unlink()

    def _unlink(self) -> None:
        try:
            self.path.unlink()
        except OSError:
            pass  # a leftover lease file is empty, and the next adopter removes it


def is_free(path: Path) -> bool:
    """Whether nobody holds the lease, so that its owner has died. False where that cannot be found out.

    It is taken for a moment. The file stays; if there was none, there is one then.
    """
    try:
        lease = Lease.take(path)
    except SpoolError:
        return False
    if lease is None:
        return False
    lease.release(remove=False)
    return True


def may_be_about_to_be_taken(path: Path) -> bool:
    """Whether the owner of the lease at `path` may just be starting: it creates the file before it locks it."""
    try:
        return abs(time.time() - path.stat().st_mtime) < NEW_LEASE_S
    except OSError:
        return True
