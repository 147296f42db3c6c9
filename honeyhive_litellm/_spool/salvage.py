"""Reads what can still be read of a damaged segment, and detects a write-ahead log that SQLite cut short.

A damaged page of the database fails only the statements that touch it, so records are read one by one. Of a damaged
write-ahead log SQLite uses the frames before the first bad one and silently ignores the rest, so frames are counted.
"""

from __future__ import annotations

import sqlite3
import struct
from contextlib import closing
from pathlib import Path
from typing import FrozenSet, List, NamedTuple, Optional, Set, Tuple

from honeyhive_litellm._errors import UnknownKeyError, UnsafeFileError
from honeyhive_litellm._privacy.cipher import NO_CIPHER, Cipher

from . import sql
from .encryption import stored_record
from .private_files import check_database, open_file
from .ranges import SETTLED
from .record import EVENT, START, Record

_WAL_HEADER = struct.Struct(">IIIIIIII")
_FRAME_HEADER = struct.Struct(">IIIIII")
_LONGEST_GAP = 10_000
"""A longer gap in the numbers is not gone through: no segment has so many records."""

_GIVE_UP_AFTER = 2000
"""After so many consecutive numbers without a record the segment is taken to have ended, if its last is unknown."""


class Salvaged(NamedTuple):
    """The readable records that are not settled; `lost` is how many others there were, as far as can be counted.

    `locked` are not among them: intact records that are encrypted with keys, of the ids `missing_keys`, that are not
    there.
    """

    records: List[Record]
    lost: int
    locked: int = 0
    missing_keys: FrozenSet[bytes] = frozenset()


def salvage(path: Path, skip: List[Tuple[int, int]], cipher: Cipher = NO_CIPHER) -> Salvaged:
    """Read the records of the segment at `path`, which nothing has open, without the ranges of numbers in `skip`."""
    try:
        check_database(path)
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=0)) as db:
            db.execute("PRAGMA writable_schema = ON")  # else SQLite refuses a truncated file altogether
            return _read(db, skip + _settled(db), cipher)
    except (sqlite3.Error, OSError, UnsafeFileError):
        return Salvaged([], 0)


def _settled(db: sqlite3.Connection) -> List[Tuple[int, int]]:
    try:
        settled = [(lo, hi) for lo, hi, state, *_ in db.execute(sql.READ_RANGES) if state == SETTLED]
        return [(lo, hi) for lo, hi in settled if isinstance(lo, int) and isinstance(hi, int)]
    except sqlite3.Error:
        return []  # then every event is sent again, under the same ids


def _read(db: sqlite3.Connection, skip: List[Tuple[int, int]], cipher: Cipher) -> Salvaged:
    last: Optional[int] = None
    try:
        ((last,),) = db.execute(sql.LAST_SEQ)
    except sqlite3.Error:
        pass  # then it is found by trying
    events: List[Record] = []
    starts = {}
    missing_keys: Set[bytes] = set()
    lost = locked = misses = seq = 0
    while seq < last if last is not None else misses < _GIVE_UP_AFTER:
        seq += 1
        if any(lo <= seq <= hi for lo, hi in skip):
            continue
        try:
            row = db.execute(sql.READ_RECORD, (seq,)).fetchone()
        except sqlite3.Error:
            row = None
        try:
            record = None if row is None else stored_record(cipher, *row)
        except UnknownKeyError as error:
            missing_keys.update(error.key_ids)
            locked, misses = locked + 1, 0
            continue
        if record is None:
            misses += 1
            lost += last is not None
            if misses > _LONGEST_GAP:  # a number that no segment has: go on behind the gap, if that can be read
                following = _next_number(db, seq)
                if following is None:
                    break
                lost -= misses
                misses, seq = 0, following - 1
            continue
        misses = 0
        if record.kind == START:
            starts[record.id] = record
        elif starts.pop(record.id, None) is None or record.kind == EVENT:
            events.append(record)
    return Salvaged([*starts.values(), *events], lost, locked, frozenset(missing_keys))


def _next_number(db: sqlite3.Connection, seq: int) -> Optional[int]:
    try:
        ((following,),) = db.execute(sql.NEXT_SEQ, (seq,))
    except sqlite3.Error:
        return None
    return following if isinstance(following, int) else None


def lost_commits(wal: Path, pages: int) -> int:
    """How many transactions of the log SQLite ignored: those after which the database has more than `pages` pages.

    For the format see https://www.sqlite.org/fileformat2.html, section 4.1. A transaction cut off by a kill has no
    commit frame and does not count; nor do the remains of an older log, whose salts differ.
    """
    try:
        with open_file(wal) as file:
            header = file.read(_WAL_HEADER.size)
            if len(header) < _WAL_HEADER.size:
                return 0
            _, _, page_size, _, *salts, _, _ = _WAL_HEADER.unpack(header)
            lost = 0
            while True:
                frame = file.read(_FRAME_HEADER.size)
                if len(frame) < _FRAME_HEADER.size:
                    return lost
                _, size_after_commit, *frame_salts, _, _ = _FRAME_HEADER.unpack(frame)
                if frame_salts == salts and size_after_commit > pages:
                    lost += 1
                file.seek(page_size, 1)
    except OSError:
        return 0
