"""One segment of the spool: a SQLite file in WAL mode with exactly one connection.

Each method that writes is a single transaction, because the writer and the flusher share the connection and must never
be inside each other's. Most methods await aiosqlite's thread, once per group of records, never once per event. A small
group or batch that needs no fsync takes less time than the way to that thread and back, and is written or read inline,
on the calling thread.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Sequence, Set, Tuple, Union

import aiosqlite

from honeyhive_litellm._errors import NewerFormatError, SpoolError, UnknownKeyError
from honeyhive_litellm._privacy.cipher import NO_CIPHER, Cipher
from honeyhive_litellm._stats import Totals

from . import sql
from .connection import CAN_UNLINK_OPEN_FILES
from .encryption import SegmentCipher, key_ids_from
from .packed_rows import how_many_fit, unpack_events, unpack_sizes
from .ranges import SENDING, SETTLED, Change, RangeSet, SeqRange
from .record import EVENT, START, Record, Row
from .segment_connection import INLINE_READ_BYTES, INLINE_WRITE_BYTES, INLINE_WRITE_ROWS, SegmentConnection
from .segment_files import SegmentFiles

_SCAN_ROWS = 5000
_MOST_RECORDS = 2**40
"""No segment has so many: a higher number is damage."""
_EVACUATED_BYTES = 8 * 1024 * 1024


class Batch(NamedTuple):
    """Events of one segment that are sent together: the records `lo..hi`, of which `events` are events.

    `rows` are the events still to be sent; `damaged` others could not be read back. `ambiguous_since` is the Unix time
    of an earlier attempt whose outcome is unknown, None if there was none.
    """

    segment: Segment
    lo: int
    hi: int
    events: int
    rows: Tuple[Row, ...]
    damaged: int = 0
    ambiguous_since: Optional[float] = None


class Segment:
    """An append-only log of records, and the ranges of them that are being sent or are settled.

    `last` is the highest record number, `events` how many records are events, `size` roughly its bytes on disk, `pages`
    SQLite's pages when it was opened. `oldest_pending_at` is the Unix time at which the call of its oldest unsettled
    event began, as of `open` or the last `look_for_oldest`. `open_starts` maps the id of each call that began here and
    has no event yet to the number of its start record. `ended` holds the ids of its events; it is filled by `open`, for
    a segment that is not sealed.
    """

    def __init__(self, path: Union[Path, str], durability: str, cipher: Cipher = NO_CIPHER) -> None:
        self.path = path
        self.last = 0
        self.events = 0
        self.size = self.pages = 0
        self.sealed = False
        self.created_at = self.written_at = time.time()
        self.oldest_pending_at: Optional[float] = None
        self.open_starts: Dict[str, int] = {}
        self.ended: Set[str] = set()
        self._encryption = SegmentCipher(cipher)
        self._files = SegmentFiles(path)
        self._connection = SegmentConnection(path, durability)
        self._identity: Optional[Tuple[int, int]] = None
        self._ranges = RangeSet()
        self._taken_up_to = 0
        self._is_loaded = False
        self._has_no_tables = False
        self._left_sending: List[SeqRange] = []
        self._taking: Optional[Tuple[int, int]] = None

    def __repr__(self) -> str:
        state = "sealed" if self.sealed else "active"
        return f"<Segment {self.path} {state} records={self.last} pending={self.pending}>"

    @property
    def missing_keys(self) -> List[bytes]:
        """The ids of the keys with which its content is encrypted and that the cipher does not have."""
        return self._encryption.missing_keys

    @property
    def pending(self) -> int:
        """Committed events that are not settled yet."""
        return self.events - self._ranges.settled_events()

    def totals(self) -> Totals:
        """What has become of its events so far."""
        settled = self._ranges.settled()
        dead, damaged = sum(r.dead for r in settled), sum(r.damaged for r in settled)
        delivered = sum(r.events for r in settled) - dead - damaged
        return Totals(self.events, delivered, dead, {"damaged": damaged} if damaged else {})

    def has_vanished(self) -> bool:
        """Whether its file was removed or replaced. SQLite would go on writing to the file without a name."""
        return self._identity is not None and self._files.identity() != self._identity

    @property
    def is_open(self) -> bool:
        return self._connection.db is not None

    @property
    def connection(self) -> Optional[aiosqlite.Connection]:
        """For tests, which set limits and look into files."""
        return self._connection.db

    # ---- opening and closing

    async def create(self) -> None:
        """Create the file and make its header durable, before the first record. Raises SpoolError."""
        await self._connection.create(self._encryption.creation_script())
        self._identity = self._files.identity()
        self._is_loaded = True

    async def open(self) -> None:
        """Open an existing file and read which records are settled. Raises SpoolError if it is no segment."""
        if self.is_open:
            return
        if self._files.has_empty_database:
            # SQLite would take it for a new database and discard its WAL.
            raise SpoolError(f"{self.path} is empty")
        self.written_at = self._files.written_at()
        await self._connection.open()
        self._identity = self._files.identity()
        if self._is_loaded:
            return  # closed by this process meanwhile; no other one writes to it
        try:
            await self._load()
        except (TypeError, ValueError, OverflowError) as error:  # values that no version of this package writes
            self._ranges, self.last, self.events = RangeSet(), 0, 0
            await self.close()
            raise SpoolError(f"{self.path} is damaged: {error}") from error
        except BaseException:
            await self.close()
            raise
        self._is_loaded = True

    async def _load(self) -> None:
        (application_id,) = (await self._connection.fetch("PRAGMA application_id"))[0]
        (version,) = (await self._connection.fetch("PRAGMA user_version"))[0]
        if application_id != sql.APPLICATION_ID:
            ((tables,),) = await self._connection.fetch(sql.COUNT_TABLES)
            self._has_no_tables = application_id == 0 and tables == 0
            raise SpoolError(f"{self.path} is a database, but no spool segment")
        if version > sql.FORMAT and version != sql.ENCRYPTED_FORMAT:
            raise NewerFormatError(f"{self.path} has format {version}; this version reads up to {sql.FORMAT}")
        if version == sql.ENCRYPTED_FORMAT:
            self._encryption.key_ids = key_ids_from(await self._connection.fetch(sql.KEY_IDS))
        self._ranges = RangeSet(SeqRange(*row) for row in await self._connection.fetch(sql.READ_RANGES))
        self._left_sending = self._ranges.sending()
        ((self.last,),) = await self._connection.fetch(sql.LAST_SEQ)
        if not all(
            type(value) is int and 0 <= value <= _MOST_RECORDS for value in (self.last, *self._ranges.numbers())
        ):
            raise ValueError("a record has an impossible number")
        seal = await self._connection.fetch(sql.READ_SEAL)
        self.sealed = bool(seal)
        if seal:
            ((self.events,),) = seal
            if type(self.events) is not int or not 0 <= self.events <= self.last:
                raise ValueError("the number of its events is impossible")
        else:
            await self._scan()
        ((self.pages,),) = await self._connection.fetch("PRAGMA page_count")
        ((page_size,),) = await self._connection.fetch("PRAGMA page_size")
        self.size = self.pages * page_size
        await self.look_for_oldest()

    async def _scan(self) -> None:
        """Count the events and match them with their start records, by reading every record without its body."""
        self.events = 0
        seq = 0
        while True:
            rows = await self._connection.fetch(sql.SCAN, (seq, _SCAN_ROWS))
            for seq, kind, id_ in rows:
                if kind == START:
                    self.open_starts[id_] = seq
                else:
                    self.events += kind == EVENT
                    self.open_starts.pop(id_, None)
                    self.ended.add(id_)
            if len(rows) < _SCAN_ROWS:
                return

    async def look_for_oldest(self) -> None:
        """Update `oldest_pending_at`. Without a connection, or if the read fails, it stays as it is."""
        oldest: Optional[float] = None
        try:
            for lo, hi in self._ranges.unsettled(self.last) if self.pending else ():
                for (started_ms,) in await self._connection.fetch(sql.OLDEST_EVENT, (lo, hi), inline=True):
                    oldest = started_ms / 1000 if oldest is None else min(oldest, started_ms / 1000)
        except SpoolError:
            return  # whoever delivers it next reports it
        self.oldest_pending_at = oldest

    async def close(self) -> None:
        """Close the connection; what is committed stays. Idempotent."""
        await self._connection.close()

    def is_blank(self) -> bool:
        """Whether it holds nothing, because a kill interrupted its creation or its removal."""
        return self._has_no_tables or self._files.are_empty

    async def discard(self) -> None:
        """Remove the files and close. Idempotent."""
        if not CAN_UNLINK_OPEN_FILES:
            await self.close()
            self._files.unlink()
            return
        self._files.unlink()  # first, while the lock still keeps others from opening it
        await self._connection.close(is_removed=True)

    async def move_to(self, folder: Path) -> None:
        """Move the files into `folder`, for a person to look at, and close."""
        if not CAN_UNLINK_OPEN_FILES:
            await self.close()
        self._files.move_to(folder)
        await self.close()

    async def rename(self, path: Path) -> None:
        """Close, and give the file another name. Raises SpoolError, and then it keeps its name."""
        await self.close()
        self._files.rename(path)

    # ---- writing

    def append_inline(self, records: Sequence[Record]) -> bool:
        """Do what `append` does on the calling thread, which must be the loop's, if that is quick.

        Returns False if it is not, and then nothing is written. Raises SpoolError, and then nothing is written either.
        """
        size = sum(len(record.body) for record in records)
        if len(records) > INLINE_WRITE_ROWS or size > INLINE_WRITE_BYTES or self._connection.is_synced:
            return False
        if self._encryption.new_key_id is not None or self._connection.is_busy:
            return False
        self._connection.insert_inline(sql.APPEND, self._encryption.rows_of(records, self.last + 1))
        self._appended(records, size)
        return True

    async def append(self, records: Sequence[Record]) -> None:
        """Commit `records` in one transaction, in order. Raises SpoolError, and then none of them is committed."""
        key_id = self._encryption.new_key_id
        if key_id is not None:
            await self._connection.insert(sql.ADD_KEY_ID, [(key_id,)])
            self._encryption.key_ids.append(key_id)
        await self._connection.insert(sql.APPEND, self._encryption.rows_of(records, self.last + 1))
        self._appended(records, sum(len(record.body) for record in records))

    async def ends_with(self, records: Sequence[Record]) -> bool:
        """Whether the latest records are these. Counts them if an interrupted `append` did not. Raises SpoolError."""
        latest = await self._connection.fetch(sql.LATEST_RECORD)
        if not latest or self._encryption.record_of(*latest[0][1:]) != records[-1]:
            return False
        if latest[0][0] > self.last:
            self._appended(records, sum(len(record.body) for record in records))
        return True

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
        """Take out every record that is neither settled nor being sent, to be appended to another segment.

        Here these count as settled from now on. Raises SpoolError.
        """
        records = [start for start in [await self.start_of(seq) for seq in self.open_starts.values()] if start]
        self.open_starts.clear()
        while True:
            batch = await self.next_batch(_SCAN_ROWS, _EVACUATED_BYTES)
            if batch is None:
                return records
            records += [Record(EVENT, row.id, row.started_ms, row.session, row.body) for row in batch.rows]
            self.events -= batch.events
            self._ranges.mark(SeqRange(batch.lo, batch.hi, SETTLED, 0, time.time()))

    def settled_or_sending(self) -> List[Tuple[int, int]]:
        """The ranges of record numbers that are settled or being sent."""
        return [(r.lo, r.hi) for r in self._ranges.settled() + self._ranges.sending()]

    async def start_of(self, seq: int) -> Optional[Record]:
        """The start record with number `seq`; None if it is damaged."""
        found = await self._connection.fetch(sql.READ_START, (seq,))
        return self._encryption.record_of(START, *found[0]) if found else None

    async def seal(self) -> None:
        """Store the number of events, as nothing more will be appended: `open` need not count them again."""
        await self._connection.insert(sql.SEAL, [(self.events,)])
        self.sealed = True

    # ---- delivering

    async def next_batch(self, max_events: int, max_bytes: int) -> Optional[Batch]:
        """Mark the next unsent events as being sent and return them; None if there are none.

        Events that a dead process was sending come first, then the oldest. A batch has at least one event, of any size.
        """
        self._taking = None
        while self._left_sending:
            left = self._left_sending.pop(0)
            self._taking = (left.lo, left.hi)
            rows = await self._rows(left.lo, left.hi)
            damaged = max(0, left.events - len(rows))
            return Batch(self, left.lo, left.hi, left.events, rows, damaged, ambiguous_since=left.at)
        while True:
            unsent = self._ranges.next_unsent(self._taken_up_to, self.last)
            if unsent is None:
                return None
            lo, hi = unsent
            ((packed,),) = await self._connection.fetch(sql.PACKED_SIZES, (lo, hi, max_events), inline=True)
            sizes = unpack_sizes(packed)
            taken = how_many_fit(sizes, max_bytes)
            if taken < len(sizes) or len(sizes) == max_events:
                hi = sizes[taken - 1][0]
            if not sizes:  # start records only
                if hi >= self.last:
                    return None  # they become part of the range of the next events
                self._taken_up_to = hi
                continue
            self._taking = (lo, hi)
            self._taken_up_to = hi
            is_small = sum(size for _, size in sizes[:taken]) <= INLINE_READ_BYTES
            rows = await self._rows(lo, hi, inline=is_small)
            await self.write(self._ranges.mark(SeqRange(lo, hi, SENDING, taken, time.time())))
            return Batch(self, lo, hi, taken, rows, taken - len(rows))

    def put_back(self) -> None:
        """Have `next_batch` take again what it took last: it, or its caller, was interrupted."""
        if self._taking is not None:
            lo, hi = self._taking
            self._left_sending += (r for r in self._ranges.sending() if (r.lo, r.hi) == (lo, hi))
            self._taken_up_to = min(self._taken_up_to, lo - 1)
            self._taking = None

    def halves(self, batch: Batch) -> Tuple[Tuple[Batch, Batch], Change]:
        """Split a batch of at least two events: its halves, and the change to `write`."""
        middle = len(batch.rows) // 2
        left, right = batch.rows[:middle], batch.rows[middle:]
        border = right[0].seq - 1
        halves = (
            batch._replace(hi=border, rows=left, events=batch.events - len(right)),
            batch._replace(lo=border + 1, rows=right, events=len(right), damaged=0),
        )
        ranges = [SeqRange(half.lo, half.hi, SENDING, half.events, time.time()) for half in halves]
        return halves, self._ranges.replace((batch.lo, batch.hi), ranges)

    async def mark(self, batch: Batch) -> None:
        """Mark `batch` as being sent from now on: if this process dies, its outcome is unknown."""
        await self.write(self._ranges.mark(SeqRange(batch.lo, batch.hi, SENDING, batch.events, time.time())))

    async def unmark(self, batch: Batch) -> None:
        """Note that the server certainly did not store `batch`. The caller still has it and may send it again."""
        await self.write(self._ranges.replace((batch.lo, batch.hi), []))

    async def settle(self, batch: Batch, dead: int = 0) -> None:
        """Note that `batch` is done: `dead` of its events are dead letters, the other readable ones are delivered."""
        settled = SeqRange(batch.lo, batch.hi, SETTLED, batch.events, time.time(), dead, batch.damaged)
        await self.write(self._ranges.mark(settled))

    async def write(self, change: Change) -> None:
        """Write a change of the ranges. Raises SpoolError.

        In memory the change holds even then; after a crash its events are at worst sent again.
        """
        # A script takes no parameters, but these are numbers.
        statements = [sql.DELETE_RANGES.format(lo=change.lo, hi=change.hi)]
        statements += [sql.ADD_RANGE.format(**new._asdict()) for new in change.ranges]
        await self._connection.change("".join(statements), self.size)

    def forget_missing(self) -> int:
        """Count no events that are not there, after `next_batch` found none although some are pending; how many."""
        missing = self.pending
        self.events -= missing
        return missing

    async def _rows(self, lo: int, hi: int, *, inline: bool = False) -> Tuple[Row, ...]:
        """The events among the records `lo..hi` that can be read."""
        ((heads, joined),) = await self._connection.fetch(sql.PACKED_EVENTS, (lo, hi), inline=inline)
        try:
            return self._encryption.opened(unpack_events(heads, joined))
        except UnknownKeyError as error:
            raise SpoolError(f"{self.path} is damaged: it does not name the key of all its records") from error
