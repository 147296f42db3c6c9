"""Who owns which segments: one small lease file per owner, held by SQLite's own lock.

The kernel frees the lock when the owner dies, however it dies, so a lease can neither be forgotten nor outlive
its owner, and no clock is involved. The lock is a POSIX lock on Linux and macOS: never open or copy a lease file
with ordinary file calls in a process that holds it, closing such a handle would drop the lock.
"""

from __future__ import annotations

import os
import re
import socket
import sqlite3
import time
import uuid
from pathlib import Path
from typing import Dict, List, Optional, Set, Tuple

from honeyhive_litellm._errors import SpoolError

from .connection import CAN_UNLINK_OPEN_FILES, gate, private_file

SUFFIX = ".lease"
STATE_SUFFIX = ".state"
"""Where an owner tells how it stands: see `_published`."""

SEGMENT_SUFFIX = ".spool"
NEWBORN_S = 10.0
"""A lease file without segments is left alone for so long: its owner may just be starting."""

_SEGMENT_NAME = re.compile(r"(?P<segment>(?P<owner>.+)-\d{6,}\.spool)(-wal)?")


class Lease:
    """The right to write, deliver and remove one owner's segments, until `release` or the process's death."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self.connection = connection

    @property
    def owner(self) -> str:
        return self.path.name[: -len(SUFFIX)]

    @classmethod
    def take(cls, path: Path) -> Optional[Lease]:
        """Take the lease, creating its file if need be; None when somebody living holds it. Raises SpoolError."""
        while True:
            lease, is_in_place = cls._take(path)
            if lease is None or is_in_place:
                return lease
            lease.release(remove=False)  # whoever held it before removed the file when we had only opened it

    @classmethod
    def _take(cls, path: Path) -> Tuple[Optional[Lease], bool]:
        connection = None
        try:
            private_file(path)
            before = _identity(path)
            with gate:
                connection = sqlite3.connect(str(path), timeout=0, isolation_level=None, check_same_thread=False)
                # No journal: nothing is ever written, and a journal file would outlive a killed owner.
                connection.execute("PRAGMA journal_mode = OFF")
                connection.execute("BEGIN EXCLUSIVE")
        except (sqlite3.Error, OSError) as error:
            if connection is not None:
                with gate:
                    connection.close()
            if "locked" in str(error):
                return None, True
            raise SpoolError(f"{path}: {error}") from error
        return cls(path, connection), before is not None and before == _identity(path)

    def release(self, *, remove: bool) -> None:
        """Let go; with `remove` the file goes first, while nobody else can hold it.

        Where an open file cannot be removed it goes last, unless somebody has taken it meanwhile: then it is open.
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
            pass  # a leftover lease file is empty and is removed by the next process that looks


def is_newborn(path: Path) -> bool:
    """Whether the lease at `path` may be about to be taken for the first time: its file comes before its lock."""
    try:
        return abs(time.time() - path.stat().st_mtime) < NEWBORN_S
    except OSError:
        return True


def _identity(path: Path) -> Optional[Tuple[int, int]]:
    """What tells a file from another one of the same name; None if there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def new_owner() -> str:
    """A name never used before: host, process and a random part."""
    host = re.sub(r"[^A-Za-z0-9.]+", "_", socket.gethostname())[:40] or "host"
    return f"{host}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


def lease_path(folder: Path, owner: str) -> Path:
    return folder / f"{owner}{SUFFIX}"


def state_path(folder: Path, owner: str) -> Path:
    return folder / f"{owner}{STATE_SUFFIX}"


def segment_path(folder: Path, owner: str, number: int) -> Path:
    return folder / f"{owner}-{number:06d}{SEGMENT_SUFFIX}"


def owners_in(folder: Path) -> Dict[str, List[Path]]:
    """Every owner that left a file in `folder`, with its segments oldest first. Raises OSError.

    Of a segment whose owner died while removing it only the write-ahead log may be there.
    """
    owners: Dict[str, Set[str]] = {}
    for name in os.listdir(folder):
        stem, suffix = os.path.splitext(name)
        if suffix in (SUFFIX, STATE_SUFFIX):
            owners.setdefault(stem, set())
            continue
        match = _SEGMENT_NAME.fullmatch(name)
        if match:
            owners.setdefault(match["owner"], set()).add(match["segment"])
    return {owner: [folder / name for name in sorted(names)] for owner, names in owners.items()}
