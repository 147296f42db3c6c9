"""The spool: a folder in which this process writes segments of its own and adopts those of the dead.

No file ever has two users. An owner (one process, one run) holds a lease and appends to its active segment; when
that is full it is sealed and a new one begun; what is delivered in full is unlinked. A dead owner's lease can be
taken, and whoever takes it delivers what is left, in place. So nothing here waits for another process, damage
stays in one file, and space comes back by `unlink`.

When nothing can be written - the disk is full, the folder read-only, gone, or a file - records go to a segment in
memory, bounded in size, until a file can be created again. They are delivered as usual and lost only with the
process.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Awaitable, Dict, Iterator, List, Optional, Sequence, Set, Tuple

from . import _dead
from ._errors import NewerFormatError, SpoolError
from ._interrupted import interrupted
from ._lease import Lease, is_newborn, lease_path, new_owner, owners_in, segment_path
from ._log import recovered, warn
from ._record import EVENT, Record
from ._segment import MEMORY, Batch, Segment
from ._stats import Counters

SEGMENT_BYTES = 32 * 1024 * 1024
"""A segment this big is sealed."""

MEMORY_BYTES = 64 * 1024 * 1024
"""How much is kept in memory while nothing can be written; beyond it the newest are dropped and counted."""

BATCH_EVENTS = 100
BATCH_BYTES = 4 * 1024 * 1024
"""One request's limits. HoneyHive's documentation says that more than 5 MB is refused."""

_DISK_RETRY_S = 5.0
_ADOPT_AT_ONCE = 4
_QUARANTINE = "quarantine"


class _Owned:
    """One owner's lease and its segments, oldest first."""

    def __init__(self, lease: Optional[Lease] = None) -> None:
        self.lease = lease
        self.segments: List[Segment] = []


class Spool:
    """All of it lives on the runtime's loop: nothing here is thread-safe, and nothing needs to be."""

    def __init__(self, folder: Path, counters: Counters, *, durability: str, max_bytes: int) -> None:
        self.folder = folder
        self.owner = new_owner()
        self.next_number = 1
        self._counters = counters
        self._durability = durability
        self._max_bytes = max_bytes
        self._own = _Owned()
        self._orphans: Dict[str, _Owned] = {}
        self._left_alone: Set[str] = set()
        self._active: Optional[Segment] = None
        self._sending: Dict[Segment, int] = {}
        self._retry_disk_at = 0.0
        self._orphans_turn = False
        self.has_more_orphans = False

    def segments(self) -> Iterator[Segment]:
        """Every segment in hand, own ones first, oldest first."""
        for owned in (self._own, *self._orphans.values()):
            yield from owned.segments

    @property
    def pending(self) -> int:
        """Events in the segments in hand that are not settled."""
        return sum(segment.pending for segment in self.segments())

    # ---- writing

    async def append(self, records: Sequence[Record]) -> None:
        """Commit `records` in order, in one transaction. Never raises: what cannot be kept is counted as dropped."""
        events = sum(1 for record in records if record.kind == EVENT)
        for _attempt in ("the active segment", "a fresh one", "one in memory"):
            segment = await self._writable()
            try:
                await segment.append(records)
            except SpoolError as error:
                warn("append", "honeyhive: the spool cannot be written, a new segment is begun: %s", error)
                self._active = None
                if segment.last == 0:  # not even a fresh file takes anything
                    self._retry_disk_at = time.monotonic() + _DISK_RETRY_S
            else:
                if segment.path != MEMORY:
                    self._counters.commit(events)
                self._close_starts(records, segment)
                await self._bound()
                return
        self._counters.drop("spool", events)

    def _close_starts(self, records: Sequence[Record], home: Segment) -> None:
        """A start in an older segment is closed by its event in this one."""
        for older in self._own.segments:
            if older is not home and older.open_starts:
                for record in records:
                    if record.kind == EVENT:
                        older.open_starts.pop(record.id, None)

    async def _writable(self) -> Segment:
        """The active segment, a fresh one when there is none, it is full, or a file can replace memory again."""
        active = self._active
        if active is not None:
            on_disk = active.path != MEMORY
            if active.size < SEGMENT_BYTES and (on_disk or time.monotonic() < self._retry_disk_at):
                return active
        fresh = await self._begin()
        self._active = fresh
        self._own.segments.append(fresh)
        if active is not None:
            await self._seal(active, fresh)
        return fresh

    async def _begin(self) -> Segment:
        if time.monotonic() >= self._retry_disk_at:
            segment = Segment(segment_path(self.folder, self.owner, self.next_number), self._durability)
            self.next_number += 1
            try:
                self._take_own_lease()
                await segment.create()
            except (SpoolError, OSError) as error:
                self._retry_disk_at = time.monotonic() + _DISK_RETRY_S
                warn(
                    "disk",
                    "honeyhive: nothing can be written to the spool, events are kept in memory and still "
                    "delivered, but a crash would lose them. Mend the folder or set spool_path / "
                    "HONEYHIVE_SPOOL_PATH: %s",
                    error,
                )
            else:
                recovered("disk", "honeyhive: the spool can be written again")
                return segment
        segment = Segment(MEMORY, self._durability)
        await segment.create()
        return segment

    def _take_own_lease(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = lease_path(self.folder, self.owner)
        if self._own.lease is None or not path.exists():
            self._own.lease = Lease.take(path)
        if self._own.lease is None:
            raise SpoolError(f"{path} is held by another process")

    async def _seal(self, old: Segment, fresh: Segment) -> None:
        """Nothing more goes into `old`. Calls still in flight take their start records along.

        So that whoever adopts these files has to read the newest one alone to learn which calls never ended.
        """
        try:
            starts = [await old.start_of(seq) for seq in old.open_starts.values()]
            carried = [start for start in starts if start is not None]
            if carried:
                await fresh.append(carried)
            old.open_starts.clear()
            await old.seal()
        except SpoolError as error:
            warn("seal", "honeyhive: a spool segment could not be sealed: %s", error)
        if not await self._discard_if_done(old) and old.path != MEMORY and old not in self._sending:
            await old.close()  # an outage's backlog keeps no connections; delivery opens it again

    async def _bound(self) -> None:
        """Keep within the limits of disk and memory: the oldest segment but the active one goes, and is counted."""
        for reason, limit, in_memory in (("capacity", self._max_bytes, False), ("memory", MEMORY_BYTES, True)):
            segments = [s for s in self.segments() if (s.path == MEMORY) is in_memory]
            size = sum(s.size for s in segments)
            for oldest in segments:
                if size <= limit or oldest is self._active:
                    break
                warn(reason, "honeyhive: the spool is full (%s), its oldest events are dropped", reason)
                self._counters.drop(reason, oldest.pending - self._sending.get(oldest, 0))
                size -= oldest.size
                await self._discard(oldest)

    # ---- delivering

    async def next_batch(self) -> Optional[Batch]:
        """The next events to send, marked as on their way; own and adopted ones in turn, each oldest first."""
        turns = [self._own.segments, [s for o in self._orphans.values() for s in o.segments]]
        self._orphans_turn = not self._orphans_turn
        for segments in reversed(turns) if self._orphans_turn else turns:
            for segment in list(segments):
                if segment.pending > self._sending.get(segment, 0):
                    batch = await self._batch_of(segment)
                    if batch is not None:
                        return batch
        return None

    async def _batch_of(self, segment: Segment) -> Optional[Batch]:
        try:
            await segment.open()
            batch = await segment.next_batch(BATCH_EVENTS, BATCH_BYTES)
        except SpoolError as error:
            warn("read", "honeyhive: a spool segment cannot be read and is put aside: %s", error)
            await self._quarantine(segment)
            return None
        if batch is not None:
            self._sending[segment] = self._sending.get(segment, 0) + batch.events
            if batch.damaged:
                warn("damaged", "honeyhive: %d damaged events in %s are dropped", batch.damaged, segment.path)
                self._counters.drop("damaged", batch.damaged)
        return batch

    async def mark(self, batch: Batch) -> None:
        """Note that `batch` is about to be sent (`next_batch` has already done so for the first attempt)."""
        await self._note(batch.segment.mark(batch))

    async def unmark(self, batch: Batch) -> None:
        """Note that `batch` was certainly not stored, so that after a crash nobody has to ask for it."""
        await self._note(batch.segment.unmark(batch))

    async def split(self, batch: Batch) -> Tuple[Batch, Batch]:
        """Halve a batch of at least two events."""
        halves, change = batch.segment.halves(batch)
        await self._note(batch.segment.write(change))
        return halves

    async def settle(self, batch: Batch) -> None:
        """`batch` needs nothing more."""
        segment = batch.segment
        left = self._sending.pop(segment, 0) - batch.events
        if left > 0:
            self._sending[segment] = left
        await self._note(segment.settle(batch))
        await self._discard_if_done(segment)

    async def _note(self, writing: Awaitable[None]) -> None:
        """Write how far delivery is. What the disk refuses to note is right in memory, and at worst sent again."""
        try:
            await writing
        except SpoolError as error:
            warn("note", "honeyhive: how far delivery is could not be noted in the spool: %s", error)

    async def bury(self, batch: Batch, status: Optional[int], reason: str) -> bool:
        """Move the events of `batch` to the dead letters; False if they could not be written there."""
        try:
            await _dead.bury(self.folder, batch.rows, status, reason)
        except SpoolError as error:
            warn("bury", "honeyhive: dead letters cannot be written, the events stay in the spool: %s", error)
            return False
        self._counters.bury(len(batch.rows))
        await self.settle(batch)
        return True

    # ---- adopting

    async def adopt(self) -> int:
        """Look for segments of dead owners and take them in hand, a few owners at a time; how many events came.

        Never raises, never takes what a living owner holds, and puts aside what cannot be read.
        """
        if self.has_more_orphans and len(self._orphans) >= _ADOPT_AT_ONCE:
            return 0  # both hands full
        events = 0
        self.has_more_orphans = False
        try:
            owners = owners_in(self.folder)
        except OSError:
            return 0
        for owner in sorted(owners):
            if owner == self.owner or owner in self._orphans or owner in self._left_alone:
                continue
            if not owners[owner] and is_newborn(lease_path(self.folder, owner)):
                continue
            if len(self._orphans) >= _ADOPT_AT_ONCE:
                self.has_more_orphans = True
                break
            try:
                events += await self._adopt_owner(owner)
            except (SpoolError, OSError) as error:
                warn("adopt", "honeyhive: what a dead process left could not be taken over: %s", error)
            await asyncio.sleep(0)  # a thousand of them must not keep our own events waiting
        return events

    async def _adopt_owner(self, owner: str) -> int:
        lease = Lease.take(lease_path(self.folder, owner))
        if lease is None:
            return 0  # alive
        orphan = _Owned(lease)
        self._orphans[owner] = orphan
        # Listed again: it may have finished and removed files between our look and its death.
        for path in owners_in(self.folder).get(owner, []):
            segment = Segment(path, self._durability)
            orphan.segments.append(segment)
            try:
                await segment.open()
            except NewerFormatError as error:
                warn("newer", "honeyhive: a spool segment is left to a newer version of this package: %s", error)
                self._leave(owner, orphan)
                return 0
            except SpoolError as error:
                if segment.is_blank():  # its owner died while creating it
                    await self._discard(segment)
                else:
                    warn("quarantine", "honeyhive: a spool segment is put aside in %s/: %s", _QUARANTINE, error)
                    await self._quarantine(segment)
        await self._report_interrupted(orphan)
        events = sum(segment.pending for segment in orphan.segments)
        self._counters.adopt(events)
        for index, segment in enumerate(list(orphan.segments)):
            if not await self._discard_if_done(segment) and index:
                await segment.close()  # delivery opens it when its turn comes
        self._let_go_if_empty()
        return events

    def _leave(self, owner: str, orphan: _Owned) -> None:
        """Keep away from an owner's files from now on."""
        self._left_alone.add(owner)
        if orphan.lease is not None:
            orphan.lease.release(remove=False)
        del self._orphans[owner]

    async def _report_interrupted(self, orphan: _Owned) -> None:
        """Give every call that its process took along into death its event, in the segment where it began."""
        finished = {id_ for segment in orphan.segments for id_ in segment.strays}
        for segment in orphan.segments:
            seqs = [seq for id_, seq in segment.open_starts.items() if id_ not in finished]
            starts = [await segment.start_of(seq) for seq in seqs]
            events = [interrupted(start) for start in starts if start is not None]
            if events:
                await segment.append(events)
            segment.open_starts.clear()
            segment.strays.clear()

    # ---- the end of a segment

    async def _discard_if_done(self, segment: Segment) -> bool:
        done = segment is not self._active and segment.pending == 0 and not segment.open_starts
        if done:
            await self._discard(segment)
            self._let_go_if_empty()
        return done

    async def _discard(self, segment: Segment) -> None:
        self._forget(segment)
        await segment.discard()

    async def _quarantine(self, segment: Segment) -> None:
        """Move a file that cannot be read out of the way; its events are lost to us, and counted as such."""
        self._counters.drop("damaged", segment.pending - self._sending.get(segment, 0))
        self._forget(segment)
        await segment.move_to(self.folder / _QUARANTINE)
        self._let_go_if_empty()

    def _forget(self, segment: Segment) -> None:
        if segment is self._active:
            self._active = None
        for owned in (self._own, *self._orphans.values()):
            if segment in owned.segments:
                owned.segments.remove(segment)

    def _let_go_if_empty(self) -> None:
        for owner, orphan in list(self._orphans.items()):
            if not orphan.segments and orphan.lease is not None:
                orphan.lease.release(remove=True)
                del self._orphans[owner]

    async def close(self) -> None:
        """Close every file. What is delivered in full is removed; the rest waits for the next process."""
        self._active = None
        for segment in list(self.segments()):
            if not await self._discard_if_done(segment):
                await segment.close()
        for owned in (self._own, *self._orphans.values()):
            if owned.lease is not None:
                owned.lease.release(remove=not any(s.path != MEMORY for s in owned.segments))
                owned.lease = None
        self._orphans.clear()
