"""Segments that are kept for a while after a broker has acknowledged all their events (option `broker_keep`).

What a broker acknowledges is settled here, so what it loses afterwards is lost. A kept segment can be offered again:
its events are then published once more, with the same ids and marked as perhaps stored, so that a relay looks them up.

Kept segments are in a folder of their own, where no process takes them for undelivered ones. They use the room that the
spool leaves free: the oldest are removed first when it needs more.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Iterator, List, NamedTuple, Sequence, Tuple

from honeyhive_litellm._errors import NewerFormatError, SpoolError, UnsafeFileError

from . import sql
from .layout import KEPT_NAME, SEGMENT_SUFFIX, new_owner, segment_path
from .limits import BATCH_BYTES, BATCH_EVENTS
from .packed_rows import how_many_fit
from .private_files import check_database, make_private_folder
from .ranges import SENDING
from .segment import Segment
from .segment_files import SegmentFiles

LOOK_EVERY_S = 5.0
"""How often the kept files are looked at."""


class KeptFile(NamedTuple):
    """A kept segment: its path, its size in bytes, and since when it is kept, in Unix seconds."""

    path: Path
    size: int
    since: float


def kept_in(folder: Path) -> List[KeptFile]:
    """The kept segments of a spool folder, the oldest first. Raises SpoolError."""
    found = []
    try:
        with os.scandir(folder / KEPT_NAME) as entries:
            for entry in entries:
                try:
                    if entry.name.endswith(SEGMENT_SUFFIX) and entry.is_file(follow_symlinks=False):
                        status = entry.stat(follow_symlinks=False)
                        found.append(KeptFile(Path(entry.path), status.st_size, status.st_mtime))
                except FileNotFoundError:
                    pass  # another process has just removed it
    except FileNotFoundError:
        pass  # nothing was ever kept
    except OSError as error:
        raise SpoolError(f"{folder / KEPT_NAME} cannot be read: {error}") from error
    return sorted(found, key=lambda kept: (kept.since, kept.path))


class KeptSegments:
    """Keeps the settled segments of one folder for `keep_s` seconds. Belongs to the spool's loop."""

    def __init__(self, folder: Path, keep_s: float) -> None:
        self._folder = folder
        self._keep_s = keep_s
        self._next_look = 0.0

    async def has_kept(self, segment: Segment) -> bool:
        """Close `segment` and keep its file; False if it is not to be kept, or cannot be."""
        if self._keep_s <= 0 or not segment.events or not isinstance(segment.path, Path):
            return False
        kept = self._folder / KEPT_NAME / segment.path.name
        try:
            make_private_folder(kept.parent)
            await segment.rename(kept)
            os.utime(kept)
        except (OSError, SpoolError):
            return False  # the broker has the events; without room for copies there are none
        self._next_look = 0.0  # the next round sees whether there is room for it
        return True

    def prune(self, room_bytes: int) -> None:
        """Remove what was kept long enough, and the oldest of the others that do not fit into `room_bytes`.

        Without room that is done at once, else now and then. Never raises.
        """
        if self._keep_s <= 0 or (room_bytes > 0 and time.monotonic() < self._next_look):
            return
        self._next_look = time.monotonic() + LOOK_EVERY_S
        try:
            kept = kept_in(self._folder)
        except SpoolError:
            return  # the next look may be able to
        size = sum(each.size for each in kept)
        for each in kept:
            if size > room_bytes or each.since < time.time() - self._keep_s:
                size -= each.size
                remove(each)


def remove(kept: KeptFile) -> bool:
    """Remove a kept segment; whether it was there."""
    try:
        with suppress(FileNotFoundError):  # a kill in `offer_again` may have left a journal: it goes first
            os.unlink(f"{kept.path}-wal")
        os.unlink(kept.path)
    except OSError:
        return False  # another process did it
    return True


def offer_again(folder: Path, kept: KeptFile) -> int:
    """Put a kept segment back among the undelivered ones; how many events it has. Raises SpoolError.

    The next process that looks at the folder delivers it, as what a dead process was sending when it died. A kill in
    between leaves it kept, or offers all of it.
    """
    try:
        check_database(kept.path)
        with closing(sqlite3.connect(f"{kept.path.as_uri()}?mode=rw", uri=True, timeout=0, isolation_level=None)) as db:
            _check_format(db, kept.path)
            db.execute("PRAGMA locking_mode = EXCLUSIVE")
            db.execute("BEGIN IMMEDIATE")
            db.execute(sql.REMOVE_ALL_RANGES)
            db.execute(sql.REMOVE_STARTS)  # their calls ended in this segment or in a later one
            sizes = db.execute(sql.EVENT_SIZES).fetchall()
            for lo, hi, events in _batches(sizes):
                db.execute(sql.ADD_RANGE.format(lo=lo, hi=hi, state=SENDING, events=events, at=0.0, dead=0, damaged=0))
            db.execute("COMMIT")
        SegmentFiles(kept.path).rename(segment_path(folder, new_owner(), 1))  # not while it has a journal
    except (sqlite3.Error, OSError, UnsafeFileError) as error:
        raise SpoolError(f"{kept.path} cannot be offered again: {error}") from error
    return len(sizes)


def _check_format(db: sqlite3.Connection, path: Path) -> None:
    ((application_id,),) = db.execute("PRAGMA application_id")
    ((version,),) = db.execute("PRAGMA user_version")
    if application_id != sql.APPLICATION_ID:
        raise SpoolError(f"{path} is no spool segment")
    if version not in (sql.FORMAT, sql.ENCRYPTED_FORMAT):
        raise NewerFormatError(f"{path} has format {version}, of a newer version of this package")


def _batches(sizes: Sequence[Tuple[int, int]]) -> Iterator[Tuple[int, int, int]]:
    """The first and the last number of the events of each batch, and how many they are; `sizes` by number."""
    begin = 0
    while begin < len(sizes):
        events = how_many_fit(sizes[begin : begin + BATCH_EVENTS], BATCH_BYTES)
        yield sizes[begin][0], sizes[begin + events - 1][0], events
        begin += events
