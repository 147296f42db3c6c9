"""One segment of the spool: a SQLite file in WAL mode that has exactly one connection.

The connection is aiosqlite's, and is used per group of records, never per event. Each method below is a single
transaction, so that the writer and the flusher, who share the connection, never stand inside one another's. What takes
long is a hop to aiosqlite's thread each. A small group or batch that needs no fsync takes less time than the way there
and back, and is written or read here. sqlite3's errors leave here as SpoolError.
"""

from __future__ import annotations

import os
import sqlite3
import time
import zlib
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, NamedTuple, Optional, Sequence, Set, Tuple, Union

import aiosqlite

from honeyhive_litellm._errors import LockedError, NewerFormatError, SpoolError
from honeyhive_litellm._stats import Totals

from . import sql
from .connection import CAN_UNLINK_OPEN_FILES, Connection, close_quietly, private_file, uninterrupted
from .ranges import SENDING, SETTLED, Change, Span, Spans
from .record import EVENT, START, Record, Row

MEMORY = ":memory:"
"""The path of a segment that has no file: the last resort while nothing can be written."""

_SCAN_ROWS = 5000
_EVACUATED_BYTES = 8 * 1024 * 1024

_HERE_BYTES = 128 * 1024
_HERE_ROWS = 32
"""A group up to this size is copied into the page cache in a fraction of a millisecond. A hop to another thread and
back waits for Python's lock several times, 5 ms each while the application computes; so long it is not on disk."""
_READ_HERE_BYTES = 512 * 1024
"""So much is read back from there in as short a time."""

_ROWS_AT_ONCE = 100
"""Rows in one statement; SQLite before 3.32 takes 999 values."""


class Batch(NamedTuple):
    """Events of one segment that travel together: the records `lo..hi`, `events` of them events.

    `rows` are those still to be sent; `damaged` could not be read back. `ambiguous_since` is the Unix time of an
    earlier attempt whose outcome nobody knows, None where there was none.
    """

    segment: Segment
    lo: int
    hi: int
    events: int
    rows: Tuple[Row, ...]
    damaged: int = 0
    ambiguous_since: Optional[float] = None


class _AtomicConnection(sqlite3.Connection):
    """A connection whose `executemany` is one transaction: all rows or none, in one call from the async side.

    And in few steps: sqlite3 lets go of Python's lock at each, and while other threads compute it may take 5 ms to get
    it back. A hundred rows, one by one, would keep the next group waiting for half a second.
    """

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> sqlite3.Cursor:
        rows = list(parameters)
        if len(rows) <= _ROWS_AT_ONCE:
            return self._insert(sql, rows)  # a statement alone is a transaction
        with self:
            self.execute("BEGIN")
            for first in range(0, len(rows), _ROWS_AT_ONCE):
                cursor = self._insert(sql, rows[first : first + _ROWS_AT_ONCE])
            return cursor

    def _insert(self, sql: str, rows: List[Sequence[Any]]) -> sqlite3.Cursor:
        more = f", ({', '.join('?' * len(rows[0]))})" * (len(rows) - 1)
        return self.execute(sql + more, [value for row in rows for value in row])


class Segment:
    """An append-only log of records and the spans that tell how far it is delivered.

    `last` is the highest record number, `events` how many records are events, `size` its bytes, roughly.
    `open_starts` maps the id of each call that began here and has no event yet to its record's number; `ended`,
    known after `open` alone and where it is not sealed, are the ids of its events.
    """

    def __init__(self, path: Union[Path, str], durability: str) -> None:
        self.path = path
        self.last = 0
        self.events = 0
        self.size = self.pages = 0
        self.sealed = False
        self.begun_at = self.written_at = time.time()
        self.open_starts: Dict[str, int] = {}
        self.ended: Set[str] = set()
        self._synchronous = sql.SYNCHRONOUS[durability]
        self._is_synced = durability == "power"
        self._spans = Spans()
        self._cursor = 0
        self._is_known = False
        self._is_void = False
        self._file: Optional[Tuple[int, int]] = None
        self._inherited: List[Span] = []
        self._db: Optional[Connection] = None

    def __repr__(self) -> str:
        state = "sealed" if self.sealed else "active"
        return f"<Segment {self.path} {state} records={self.last} pending={self.pending}>"

    @property
    def pending(self) -> int:
        """Committed events that are not settled yet."""
        return self.events - self._spans.settled_events()

    def totals(self) -> Totals:
        """What became of the events in here, up to now."""
        settled = self._spans.settled()
        dead, damaged = sum(span.dead for span in settled), sum(span.damaged for span in settled)
        delivered = sum(span.events for span in settled) - dead - damaged
        return Totals(self.events, delivered, dead, {"damaged": damaged} if damaged else {})

    def has_vanished(self) -> bool:
        """Whether the file that was opened is no longer there under its name; SQLite goes on writing into nowhere."""
        return self._file is not None and _identity(self.path) != self._file

    @property
    def is_open(self) -> bool:
        return self._db is not None

    @property
    def connection(self) -> Optional[aiosqlite.Connection]:
        """For tests, which set limits and look into files."""
        return self._db

    # ---- opening and closing

    async def create(self) -> None:
        """Make the file, with its header durable before the first record. Raises SpoolError."""
        await uninterrupted(self._connect(sql.CREATE_SEGMENT, create=True))
        self._is_known = True

    async def open(self) -> None:
        """Open a file that exists and read how far it is delivered. Raises SpoolError when it is no segment of ours."""
        if self._db is not None:
            return
        if _size(self.path) == 0:
            # SQLite would take it for a new database and throw its WAL away.
            raise SpoolError(f"{self.path} is empty")
        self.written_at = max(_written_at(self.path), _written_at(f"{self.path}-wal"))
        await uninterrupted(self._connect(sql.OPEN_SEGMENT, create=False))
        if self._is_known:
            return  # only closed meanwhile; nobody else can have changed it
        try:
            await self._load()
        except BaseException:
            await self.close()
            raise
        self._is_known = True

    async def _connect(self, script: str, *, create: bool) -> None:
        try:
            if self.path == MEMORY:
                name = MEMORY
            else:
                if create:
                    private_file(Path(self.path))
                name = f"{Path(self.path).as_uri()}?mode=rw"  # never "rwc": what is gone must not come back empty
            db = Connection(lambda: _connected(name))
            await db
        except (sqlite3.Error, OSError) as error:
            raise SpoolError(f"{self.path}: {error}") from error
        try:
            await db.executescript(script + sql.TUNE_SEGMENT.format(synchronous=self._synchronous))
        except BaseException as error:
            await close_quietly(db)
            if isinstance(error, sqlite3.Error):
                refusal = LockedError if "locked" in str(error) else SpoolError
                raise refusal(f"{self.path}: {error}") from error
            raise
        self._db = db
        self._file = _identity(self.path)

    async def _load(self) -> None:
        (application_id,) = (await self._fetch("PRAGMA application_id"))[0]
        (version,) = (await self._fetch("PRAGMA user_version"))[0]
        if application_id != sql.APPLICATION_ID:
            ((things,),) = await self._fetch(sql.COUNT_THINGS)
            self._is_void = application_id == 0 and things == 0
            raise SpoolError(f"{self.path} is a database, but no spool segment")
        if version > sql.FORMAT:
            raise NewerFormatError(f"{self.path} has format {version}; this version reads up to {sql.FORMAT}")
        self._spans = Spans(Span(*row) for row in await self._fetch(sql.SPANS))
        self._inherited = self._spans.sending()
        ((self.last,),) = await self._fetch(sql.LAST)
        seal = await self._fetch(sql.READ_SEAL)
        self.sealed = bool(seal)
        if seal:
            ((self.events,),) = seal
        else:
            await self._scan()
        ((self.pages,),) = await self._fetch("PRAGMA page_count")
        ((page_size,),) = await self._fetch("PRAGMA page_size")
        self.size = self.pages * page_size

    async def _scan(self) -> None:
        """Count the events and match them with their starts, by reading every record's head."""
        self.events = 0
        seq = 0
        while True:
            rows = await self._fetch(sql.SCAN, (seq, _SCAN_ROWS))
            for seq, kind, id_ in rows:
                if kind == START:
                    self.open_starts[id_] = seq
                else:
                    self.events += kind == EVENT
                    self.open_starts.pop(id_, None)
                    self.ended.add(id_)
            if len(rows) < _SCAN_ROWS:
                return

    async def close(self) -> None:
        """Close the connection; what is committed stays. Idempotent."""
        db, self._db = self._db, None
        if db is not None:
            await uninterrupted(close_quietly(db))

    def is_blank(self) -> bool:
        """Whether there is nothing in it: what a kill leaves of making it, or of removing it, the database first."""
        return self._is_void or not os.path.exists(self.path) or _size(self.path) == _size(f"{self.path}-wal") == 0

    async def discard(self) -> None:
        """Remove the files and close. Idempotent."""
        if not CAN_UNLINK_OPEN_FILES:
            await self.close()
            self._each_file(os.unlink)
            return
        # Unlinked first, under the lock, and closed without a last checkpoint into a file that is gone already.
        self._each_file(os.unlink)
        db, self._db = self._db, None
        if db is not None:
            await uninterrupted(_close_unsaved(db))

    async def move_to(self, folder: Path) -> None:
        """Put the files aside for a person to look at: the database first, since a WAL alone destroys nothing."""
        if not CAN_UNLINK_OPEN_FILES:
            await self.close()
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
        except OSError:
            pass  # then the moves below fail as well, and the file stays where it is
        self._each_file(lambda path: os.replace(path, folder / os.path.basename(path)))
        await self.close()

    async def rename(self, path: Path) -> None:
        """Close, and give the file another name. Raises SpoolError, and then it has its old one."""
        await self.close()
        if _exists(f"{self.path}-wal"):
            raise SpoolError(f"{self.path} could not be closed in full")  # the name alone must not move
        try:
            os.rename(self.path, path)
        except OSError as error:
            raise SpoolError(f"{self.path}: {error}") from error

    def _each_file(self, action: Callable[[str], None]) -> None:
        if self.path == MEMORY:
            return
        for suffix in ("", "-wal", "-journal"):  # the last for a moment only, while the file is made
            try:
                action(f"{self.path}{suffix}")
            except OSError:
                pass  # gone already, or a folder that lets nothing go: the next process tries again

    # ---- writing

    def append_here(self, records: Sequence[Record]) -> bool:
        """`append` on the calling thread, which must be the loop's; False, and nothing is done, for what takes longer.

        Raises SpoolError, and then nothing is done either.
        """
        size = sum(len(record.body) for record in records)
        if len(records) > _HERE_ROWS or size > _HERE_BYTES or self._is_synced:
            return False
        try:
            self._opened().executemany_here(sql.APPEND, self._rows_of(records))
        except sqlite3.Error as error:
            raise SpoolError(f"{self.path}: {error}") from error
        self._appended(records, size)
        return True

    async def append(self, records: Sequence[Record]) -> None:
        """Commit `records` in one transaction, in order. Raises SpoolError, and then none of them is there."""
        await self._write_many(sql.APPEND, self._rows_of(records))
        self._appended(records, sum(len(record.body) for record in records))

    def _rows_of(self, records: Sequence[Record]) -> List[Tuple[Any, ...]]:
        return [
            (seq, r.kind, r.id, r.started_ms, r.session, zlib.crc32(r.body), r.body)
            for seq, r in enumerate(records, self.last + 1)
        ]

    def _appended(self, records: Sequence[Record], size: int) -> None:
        for seq, record in enumerate(records, self.last + 1):
            if record.kind == START:
                self.open_starts[record.id] = seq
            else:
                self.events += record.kind == EVENT
                self.open_starts.pop(record.id, None)
        self.size += size + 100 * len(records)
        self.last += len(records)
        self.written_at = time.time()

    async def evacuate(self) -> List[Record]:
        """Everything that is neither settled nor on its way, to be appended elsewhere; it is settled here.

        Raises SpoolError.
        """
        records = [start for start in [await self.start_of(seq) for seq in self.open_starts.values()] if start]
        self.open_starts.clear()
        while True:
            batch = await self.next_batch(_SCAN_ROWS, _EVACUATED_BYTES)
            if batch is None:
                return records
            records += [Record(EVENT, row.id, row.started_ms, row.session, row.body) for row in batch.rows]
            self.events -= batch.events
            self._spans.mark(Span(batch.lo, batch.hi, SETTLED, 0, time.time()))

    def untouched(self) -> List[Tuple[int, int]]:
        """The numbers of what is settled or on its way."""
        return [(span.lo, span.hi) for span in self._spans.settled() + self._spans.sending()]

    async def start_of(self, seq: int) -> Optional[Record]:
        """The start record at `seq`; None if it is damaged."""
        ((id_, started_ms, session, crc, body),) = await self._fetch(sql.READ_START, (seq,))
        return Record(START, id_, started_ms, session, body) if zlib.crc32(body) == crc else None

    async def seal(self) -> None:
        """Say that nothing more will be appended: who opens it later need not count again."""
        await self._write_many(sql.SEAL, [(self.events,)])
        self.sealed = True

    # ---- delivering

    async def next_batch(self, max_events: int, max_bytes: int) -> Optional[Batch]:
        """The next events that are on nobody's way, marked as sending; None when there are none.

        First what a dead sender had marked, then oldest first; at least one event, however big.
        """
        while self._inherited:
            span = self._inherited.pop(0)
            rows, damaged = await self._rows(span.lo, span.hi)
            return Batch(self, span.lo, span.hi, span.events, rows, damaged, ambiguous_since=span.at)
        while True:
            gap = self._spans.gap(self._cursor, self.last)
            if gap is None:
                return None
            lo, hi = gap
            ((told,),) = await self._fetch(sql.SIZES, (lo, hi, max_events), here=True)
            sizes = [(int(seq), int(size)) for seq, size in _told(told)]
            taken = _how_many(sizes, max_bytes)
            if taken < len(sizes) or len(sizes) == max_events:
                hi = sizes[taken - 1][0]
            if not sizes:  # starts only
                if hi >= self.last:
                    return None  # their events come later and travel in one span with them
                self._cursor = hi
                continue
            self._cursor = hi
            is_small = sum(size for _, size in sizes[:taken]) <= _READ_HERE_BYTES
            rows, damaged = await self._rows(lo, hi, here=is_small)
            await self.write(self._spans.mark(Span(lo, hi, SENDING, taken, time.time())))
            return Batch(self, lo, hi, taken, rows, damaged)

    def halves(self, batch: Batch) -> Tuple[Tuple[Batch, Batch], Change]:
        """Two batches in the place of one of at least two events, and what is to be written of it."""
        middle = len(batch.rows) // 2
        left, right = batch.rows[:middle], batch.rows[middle:]
        border = right[0].seq - 1
        halves = (
            batch._replace(hi=border, rows=left, events=batch.events - len(right)),
            batch._replace(lo=border + 1, rows=right, events=len(right), damaged=0),
        )
        spans = [Span(half.lo, half.hi, SENDING, half.events, time.time()) for half in halves]
        return halves, self._spans.replace((batch.lo, batch.hi), spans)

    async def mark(self, batch: Batch) -> None:
        """`batch` is about to be sent: should this process die, its outcome is unknown."""
        await self.write(self._spans.mark(Span(batch.lo, batch.hi, SENDING, batch.events, time.time())))

    async def unmark(self, batch: Batch) -> None:
        """`batch` was certainly not stored; it stays its holder's to send."""
        await self.write(self._spans.replace((batch.lo, batch.hi), []))

    async def settle(self, batch: Batch, dead: int = 0) -> None:
        """Nothing is left to do for `batch`: `dead` of its events are dead letters, what could be read is delivered."""
        span = Span(batch.lo, batch.hi, SETTLED, batch.events, time.time(), dead, batch.damaged)
        await self.write(self._spans.mark(span))

    async def write(self, change: Change) -> None:
        """Write a change of the spans. They are right in memory even if the disk refuses, at worst sent again."""
        # A script, for one transaction in one go; it takes no parameters, and these are numbers.
        statements = [sql.DELETE_SPANS.format(lo=change.lo, hi=change.hi)]
        statements += [sql.ADD_SPAN.format(**span._asdict()) for span in change.spans]
        script = "BEGIN;" + "".join(statements) + "COMMIT;"
        db = self._opened()
        try:
            if self._is_synced:
                await db.executescript(script)
            else:
                db.executescript_here(script)
        except sqlite3.Error as error:
            if db.in_transaction:
                await db.rollback()
            raise SpoolError(f"{self.path}: {error}") from error

    async def _rows(self, lo: int, hi: int, *, here: bool = False) -> Tuple[Tuple[Row, ...], int]:
        """The events among these records, and how many could not be read."""
        ((told, bodies),) = await self._fetch(sql.READ, (lo, hi), here=here)
        heads = _told(told)
        rows = []
        end = 0
        for seq, id_, started_ms, session, crc, length in heads:
            begin, end = end, end + int(length)
            body = bodies[begin:end]
            if zlib.crc32(body) == int(crc):
                rows.append(Row(int(seq), _text(id_), float(started_ms), _text(session) or None, body))
        return tuple(rows), len(heads) - len(rows)

    # ---- the connection

    def _opened(self) -> Connection:
        if self._db is None:
            raise SpoolError(f"{self.path} is closed")
        return self._db

    async def _fetch(self, sql: str, parameters: Sequence[Any] = (), *, here: bool = False) -> List[Any]:
        """All rows; `here` reads them on the calling thread."""
        db = self._opened()
        try:
            return db.fetchall_here(sql, parameters) if here else list(await db.execute_fetchall(sql, parameters))
        except sqlite3.Error as error:
            raise SpoolError(f"{self.path}: {error}") from error

    async def _write_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        try:
            await self._opened().executemany(sql, rows)
        except sqlite3.Error as error:
            raise SpoolError(f"{self.path}: {error}") from error


def _connected(name: str) -> sqlite3.Connection:
    return sqlite3.connect(
        name, uri=True, timeout=0, isolation_level=None, factory=_AtomicConnection, check_same_thread=False
    )


async def _close_unsaved(db: aiosqlite.Connection) -> None:
    try:
        await db.executescript("PRAGMA synchronous = OFF")
    except sqlite3.Error:
        pass  # then it is closed slowly
    finally:
        await close_quietly(db)


def _told(heads: Optional[str]) -> List[List[str]]:
    """What a statement tells of each event, from the one row it makes of them."""
    return [head.split(" ") for head in heads.split(",")] if heads else []


def _text(hexadecimal: str) -> str:
    return bytes.fromhex(hexadecimal).decode(errors="replace")


def _how_many(sizes: Sequence[Tuple[int, int]], max_bytes: int) -> int:
    """How many of (seq, bytes) fit, at least one where there is any."""
    total = 0
    for count, (_, size) in enumerate(sizes):
        total += size + 1
        if count and total > max_bytes:
            return count
    return len(sizes)


def _identity(path: Union[Path, str]) -> Optional[Tuple[int, int]]:
    """Which file has this name now; None for none, and for a segment in memory."""
    try:
        found = os.stat(path) if path != MEMORY else None
    except OSError:
        return None
    return None if found is None else (found.st_dev, found.st_ino)


def _written_at(path: Union[Path, str]) -> float:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return 0.0


def _exists(path: str) -> bool:
    return os.path.lexists(path)


def _size(path: Union[Path, str]) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
