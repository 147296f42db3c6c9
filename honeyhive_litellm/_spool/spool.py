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
import shutil
import time
from pathlib import Path
from typing import Awaitable, Dict, Iterator, List, Optional, Sequence, Set, Tuple

from honeyhive_litellm._errors import LockedError, NewerFormatError, SpoolError
from honeyhive_litellm._log import recovered, warn
from honeyhive_litellm._stats import Counters, Totals

from . import dead_letters
from .accounts import Accounts
from .interrupted import report_interrupted
from .layout import QUARANTINE_NAME, lease_path, new_owner, owners_in, segment_path
from .lease import Lease, may_be_about_to_be_taken
from .limits import MEMORY_BYTES, Ceiling, Limits
from .process_state import last_seen
from .record import EVENT, START, Record, events_of
from .salvage import lost_commits, salvage
from .segment import Batch, Segment
from .segment_files import MEMORY

BATCH_EVENTS = 100
BATCH_BYTES = 4 * 1024 * 1024
"""One request's limits. HoneyHive's documentation says that more than 5 MB is refused."""

DISK_RETRY_S = 5.0
_ADOPT_AT_ONCE = 4


class _Owned:
    """One owner's lease and its segments, oldest first."""

    def __init__(self, lease: Optional[Lease] = None) -> None:
        self.lease = lease
        self.segments: List[Segment] = []
        self.is_adopted = False


class Spool:
    """All of it lives on the runtime's loop: nothing here is thread-safe, and nothing needs to be."""

    def __init__(self, folder: Path, counters: Counters, *, durability: str, limits: Limits) -> None:
        self.folder = folder
        self.owner = new_owner()
        self.next_number = 1
        self.scan_complete = False
        self._counters = counters
        self._durability = durability
        self._limits = limits
        self._ceiling = Ceiling(limits)
        self._own = _Owned()
        self._adopted: Dict[str, _Owned] = {}
        self._owners_of_newer_format: Set[str] = set()
        self._active: Optional[Segment] = None
        self._sending: Dict[Segment, int] = {}
        self._accounts = Accounts(folder)
        self._closing: Dict[Segment, str] = {}
        self._reading: Optional[Segment] = None
        self._retry_disk_at = 0.0
        self._adopted_first = False

    def segments(self) -> Iterator[Segment]:
        """Every segment in hand, own ones first, oldest first."""
        for owned in (self._own, *self._adopted.values()):
            yield from owned.segments

    @property
    def pending(self) -> int:
        """Events in the segments in hand that are not settled."""
        return sum(segment.pending for segment in self.segments())

    # ---- writing

    def append_inline(self, records: Sequence[Record]) -> bool:
        """`append` where nothing has to be waited for; False, and nothing is done, where something has."""
        segment = self._active
        if segment is None or segment.path == MEMORY or self._is_full(segment):
            return False
        if self._disk_bytes() >= self._ceiling.bytes:
            return False
        try:
            is_done = segment.append_inline(records)
        except SpoolError:
            return False  # `append` will meet with it as well, and says so
        if is_done:
            self._appended(records, segment)
        return is_done

    async def append(self, records: Sequence[Record]) -> None:
        """Commit `records` in order, in one transaction. Never raises: what cannot be kept is counted as dropped."""
        if self._limits.drops_newest and self._disk_bytes() >= self._ceiling.bytes:
            self._refuse(records, self._ceiling.reason)
            return
        for _attempt in ("the active segment", "a fresh one", "one in memory"):
            segment = await self._writable()
            try:
                if not segment.append_inline(records):
                    await segment.append(records)
            except SpoolError as error:
                warn("append", "honeyhive: the spool cannot be written, a new segment is begun: %s", error)
                self._active = None
                if segment.last == 0:  # not even a fresh file takes anything
                    self._retry_disk_at = time.monotonic() + DISK_RETRY_S
            else:
                self._appended(records, segment)
                await self._bound()
                return
        self._refuse(records, "spool")

    def _appended(self, records: Sequence[Record], segment: Segment) -> None:
        if segment.path != MEMORY:
            self._counters.commit(events_of(records))
        self._close_starts(records, segment)

    def _refuse(self, records: Sequence[Record], reason: str) -> None:
        """Drop what is not to be written or cannot be."""
        warn(reason, "honeyhive: the spool takes nothing more (%s), events are dropped", reason)
        self._counters.lose(reason, events_of(records))
        for segment in self._own.segments:
            for record in records:
                if record.kind != START:
                    segment.open_starts.pop(record.id, None)

    def _close_starts(self, records: Sequence[Record], home: Segment) -> None:
        """A start in an older segment is closed by its event in this one."""
        for older in self._own.segments:
            if older is not home and older.open_starts:
                for record in records:
                    if record.kind != START:
                        older.open_starts.pop(record.id, None)

    async def _writable(self) -> Segment:
        """The active segment, a fresh one when there is none, it is full, or a file can replace memory again."""
        active = self._active
        if active is not None:
            on_disk = active.path != MEMORY
            if not self._is_full(active) and (on_disk or time.monotonic() < self._retry_disk_at):
                return active
        fresh = await self._new_segment()
        self._active = fresh
        self._own.segments.append(fresh)
        if active is not None:
            await self._seal(active, fresh)
        return fresh

    def _is_full(self, segment: Segment) -> bool:
        return segment.size >= self._limits.segment_bytes or self._limits.rotation_due(time.time() - segment.created_at)

    async def _new_segment(self) -> Segment:
        if time.monotonic() >= self._retry_disk_at:
            segment = Segment(segment_path(self.folder, self.owner, self.next_number), self._durability)
            self.next_number += 1
            try:
                self._take_own_lease()
                await segment.create()
            except (SpoolError, OSError) as error:
                self._retry_disk_at = time.monotonic() + DISK_RETRY_S
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

    async def _seal(self, old: Segment, fresh: Optional[Segment]) -> None:
        """Nothing more goes into `old`. Calls still in flight take their start records along.

        So that whoever adopts these files has to read the newest one alone to learn which calls never ended.
        """
        try:
            starts = [await old.start_of(seq) for seq in old.open_starts.values()]
            carried = [start for start in starts if start is not None]
            if carried and fresh is not None:
                await fresh.append(carried)
            old.open_starts.clear()
            await old.seal()
        except SpoolError as error:
            warn("seal", "honeyhive: a spool segment could not be sealed: %s", error)
        if not await self._discard_if_done(old) and not self._is_in_use(old):
            await old.close()  # an outage's backlog keeps no connections; delivery opens it again

    def _is_in_use(self, segment: Segment) -> bool:
        return segment.path == MEMORY or segment in self._sending or segment is self._reading

    async def _bound(self) -> None:
        """Keep within the limits of disk and memory: the oldest segment but the active one goes, and is counted."""
        on_disk, in_memory_only = (self._ceiling.reason, self._ceiling.bytes, False), ("memory", MEMORY_BYTES, True)
        for reason, limit, in_memory in (on_disk, in_memory_only):
            segments = [s for s in self.segments() if (s.path == MEMORY) is in_memory]
            size = sum(s.size for s in segments)
            for oldest in segments:
                if size <= limit or oldest is self._active or (self._limits.drops_newest and not in_memory):
                    break
                warn(reason, "honeyhive: the spool is full (%s), its oldest events are dropped", reason)
                self._counters.drop(reason, oldest.pending - self._sending.get(oldest, 0))
                size -= oldest.size
                await self._discard(oldest, reason)

    def _disk_bytes(self) -> int:
        return sum(segment.size for segment in self.segments() if segment.path != MEMORY)

    async def maintain(self) -> None:
        """What has to be looked at from time to time: space, age, and whether the files are still there."""
        try:
            free: Optional[int] = shutil.disk_usage(self.folder).free
        except OSError:
            free = None
        self._ceiling.update(self._disk_bytes(), free)
        for segment in list(self.segments()):
            if segment.has_vanished():
                await self._carry_over(segment)
                continue
            waiting = segment.pending - self._sending.get(segment, 0)
            if waiting and self._limits.is_over_age(time.time() - segment.written_at):
                warn("age", "honeyhive: events older than spool_max_age are dropped")
                self._counters.drop("age", waiting)
                await self._discard(segment, "age")

    async def _carry_over(self, segment: Segment) -> None:
        """Somebody removed the file of a segment in hand. What its connection still reads goes to a fresh one."""
        warn("vanished", "honeyhive: %s was removed while in use, its events are written anew", segment.path)
        waiting = segment.pending - self._sending.get(segment, 0)
        if segment is self._active:
            self._active = None
        try:
            records = await segment.evacuate()
        except SpoolError:
            records = []
        self._forget(segment)
        if segment not in self._sending:
            await segment.close()
        carried = events_of(records)
        self._counters.drop("damaged", waiting - carried)
        self._counters.commit(-carried)
        if records:
            await self.append(records)

    # ---- handing over

    async def seal_active(self) -> None:
        """Let the next record begin a new segment, so that all events up to now can be handed over."""
        await self._leave_memory()
        active = self._active
        if active is None or active.path == MEMORY or not active.events:
            return
        fresh = await self._new_segment() if active.open_starts else None
        if fresh is not None:
            if fresh.path == MEMORY:
                await fresh.discard()
                return
            self._own.segments.append(fresh)
        self._active = fresh
        await self._seal(active, fresh)

    async def _leave_memory(self) -> None:
        """Put on disk what could not be written there when it came: nobody else delivers what is in our memory."""
        for segment in [s for s in self._own.segments if s.path == MEMORY]:
            active = await self._writable()
            if active.path == MEMORY:
                return
            batch = await segment.next_batch(BATCH_EVENTS, BATCH_BYTES)
            while batch is not None:
                await self.append([Record(EVENT, r.id, r.started_ms, r.session, r.body) for r in batch.rows])
                batch = await segment.next_batch(BATCH_EVENTS, BATCH_BYTES)
            self._forget(segment)  # without an account: these events have another segment now
            await segment.discard()

    async def hand_off(self) -> None:
        """Give all segments that are full or sealed to whoever delivers: they get the name of an owner that is dead.

        A crash in between leaves them under one name or the other, and either way they are adopted.
        """
        for segment in list(self._own.segments):
            if segment is not self._active and segment.path != MEMORY and not segment.open_starts:
                try:
                    if not segment.sealed:
                        await segment.open()
                        await segment.seal()
                    await segment.rename(segment_path(self.folder, new_owner(), 1))
                except SpoolError as error:
                    warn("hand over", "honeyhive: a spool segment could not be handed over: %s", error)
                else:
                    self._forget(segment)

    # ---- delivering

    async def next_batch(self) -> Optional[Batch]:
        """The next events to send, marked as on their way; own and adopted ones in turn, each oldest first."""
        turns = [self._own.segments, [s for o in self._adopted.values() if o.is_adopted for s in o.segments]]
        self._adopted_first = not self._adopted_first
        for segments in reversed(turns) if self._adopted_first else turns:
            for segment in list(segments):
                if segment not in self._closing and segment.pending > self._sending.get(segment, 0):
                    batch = await self._batch_of(segment)
                    if batch is not None:
                        return batch
        return None

    async def _batch_of(self, segment: Segment) -> Optional[Batch]:
        self._reading = segment  # nobody may close it meanwhile
        try:
            await segment.open()
            batch = await segment.next_batch(BATCH_EVENTS, BATCH_BYTES)
        except LockedError:
            return None  # a stranger looks at it; it is tried again
        except SpoolError as error:
            if segment in self.segments() and segment not in self._closing:
                warn("read", "honeyhive: a spool segment cannot be read and is put aside: %s", error)
                await self._quarantine(segment, is_counted=True)
            return None
        finally:
            self._reading = None
        if segment in self._closing or segment not in self.segments():
            return None  # dropped meanwhile
        if batch is not None:
            self._sending[segment] = self._sending.get(segment, 0) + batch.events
            if batch.damaged:
                warn("damaged", "honeyhive: %d damaged events in %s are dropped", batch.damaged, segment.path)
                self._counters.drop("damaged", batch.damaged)
            return batch
        return None

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

    async def settle(self, batch: Batch, dead: int = 0) -> None:
        """`batch` needs nothing more: `dead` of its events are dead letters, what could be read is delivered."""
        segment = batch.segment
        left = self._sending.pop(segment, 0) - batch.events
        if left > 0:
            self._sending[segment] = left
        if segment in self._closing:
            await self._correct(batch, dead)
            return
        await self._note(segment.settle(batch, dead))
        await self._discard_if_done(segment)

    async def _note(self, writing: Awaitable[None]) -> None:
        """Write how far delivery is. What the disk refuses to note is right in memory, and at worst sent again."""
        try:
            await writing
        except SpoolError as error:
            warn("note", "honeyhive: how far delivery is could not be noted in the spool: %s", error)

    async def add_dead_letter(self, batch: Batch, status: Optional[int], reason: str) -> bool:
        """Move the events of `batch` to the dead letters; False if they could not be written there."""
        try:
            await dead_letters.add(self.folder, batch.rows, status, reason)
        except SpoolError as error:
            warn("bury", "honeyhive: dead letters cannot be written, the events stay in the spool: %s", error)
            return False
        self._counters.bury(len(batch.rows))
        await self.settle(batch, dead=len(batch.rows))
        return True

    # ---- adopting

    async def adopt(self) -> int:
        """Look for segments of dead owners and take them in hand, a few owners at a time; how many events came.

        Never raises, never takes what a living owner holds, and puts aside what cannot be read. `scan_complete` tells
        afterwards whether some were left for later.
        """
        events = 0
        if len(self._adopted) >= _ADOPT_AT_ONCE:
            return 0
        try:
            owners = owners_in(self.folder)
        except OSError:
            owners = {}
        left_for_later = False
        for owner in sorted(owners):
            if owner == self.owner or owner in self._adopted or owner in self._owners_of_newer_format:
                continue
            if not owners[owner] and may_be_about_to_be_taken(lease_path(self.folder, owner)):
                continue
            if len(self._adopted) >= _ADOPT_AT_ONCE:
                left_for_later = True
                break
            try:
                events += await self._adopt_owner(owner)
            except LockedError:
                pass  # a stranger looks at it: until the next look
            except NewerFormatError as error:
                warn("newer", "honeyhive: a spool segment is left to a newer version of this package: %s", error)
            except (SpoolError, OSError) as error:
                warn("adopt", "honeyhive: what a dead process left could not be taken over: %s", error)
            await asyncio.sleep(0)  # a thousand of them must not keep our own events waiting
        self.scan_complete = not left_for_later
        return events

    async def _adopt_owner(self, owner: str) -> int:
        lease = Lease.take(lease_path(self.folder, owner))
        if lease is None:
            return 0  # alive
        orphan = _Owned(lease)
        self._adopted[owner] = orphan
        try:
            return await self._take_in(owner, orphan)
        except BaseException as error:  # cancelled, of a newer version, or in trouble that another look may not meet
            if isinstance(error, NewerFormatError):
                self._owners_of_newer_format.add(owner)
            for segment in orphan.segments:
                await segment.close()
            lease.release(remove=False)
            del self._adopted[owner]
            raise

    async def _take_in(self, owner: str, orphan: _Owned) -> int:
        """Open a dead owner's segments, report the calls that died with it, and only then show them to delivery."""
        # Listed again: it may have finished and removed files between our look and its death.
        paths = owners_in(self.folder).get(owner, [])
        seen = last_seen(self.folder, owner, paths)
        for path in paths:
            segment = Segment(path, self._durability)
            orphan.segments.append(segment)
            try:
                await segment.open()
            except (NewerFormatError, LockedError):
                raise
            except SpoolError as error:
                if segment.is_blank():  # its owner died while creating or removing it
                    await self._discard(segment)
                else:
                    warn("quarantine", "honeyhive: a spool segment is put aside in %s/: %s", QUARANTINE_NAME, error)
                    await self._quarantine(segment, is_counted=False)
            else:
                await self._count_lost_end(segment)
        await report_interrupted(orphan.segments, seen)
        await self._accounts.close_dead_owner(owner)
        events = sum(segment.pending for segment in orphan.segments)
        self._counters.adopt(events)
        for index, segment in enumerate(list(orphan.segments)):
            if not await self._discard_if_done(segment) and index:
                await segment.close()  # delivery opens it when its turn comes
        orphan.is_adopted = True
        self._let_go_if_empty()
        return events

    async def _count_lost_end(self, segment: Segment) -> None:
        """A damaged write-ahead log ends early, and SQLite is silent about it."""
        lost = lost_commits(Path(f"{segment.path}-wal"), segment.pages)
        if lost:
            warn("damaged", "honeyhive: %s is damaged, %d transactions at its end are lost", segment.path, lost)
            self._counters.accept(lost)
            self._counters.lose("damaged", lost)

    # ---- the numbers

    def totals(self) -> Tuple[Totals, Dict[str, Totals]]:
        """What became of the events that are in no file, and of those of each segment file in hand."""
        unspooled = self._accounts.unspooled.plus(self._counters.lost())
        files = {}
        for segment in self.segments():
            if segment in self._closing:
                continue
            if isinstance(segment.path, Path):
                files[segment.path.name] = segment.totals()
            else:
                unspooled = unspooled.plus(segment.totals())
        return unspooled, files

    def ensure_lease(self) -> bool:
        """Take this process's lease, if there is a folder to take it in; whether it is held."""
        try:
            if self.folder.is_dir():
                self._take_own_lease()
                return True
        except (SpoolError, OSError):
            pass  # writing will tell
        return False

    async def _correct(self, batch: Batch, dead: int) -> None:
        """`batch` was on its way when its segment was given up, and made it after all."""
        segment = batch.segment
        made_it = Totals(0, batch.events - dead - batch.damaged, dead, {"damaged": batch.damaged})
        made_it = made_it.plus(Totals(dropped={self._closing[segment]: -batch.events}))
        if segment not in self._sending and segment not in self.segments():  # or `_end` is at it still, and needs it
            del self._closing[segment]
        await self._accounts.correct(segment, made_it)

    # ---- the end of a segment

    async def _discard_if_done(self, segment: Segment) -> bool:
        done = segment is not self._active and segment.pending == 0 and not segment.open_starts
        if done:
            await self._discard(segment)
            self._let_go_if_empty()
        return done

    async def _discard(self, segment: Segment, reason: str = "") -> None:
        """Remove a segment. Events that are still in it are dropped for `reason`."""
        if await self._end(segment, reason):
            await segment.discard()
        elif segment not in self.segments():
            await segment.close()  # its file had vanished

    async def _end(self, segment: Segment, reason: str) -> bool:
        """Close the segment's account and take it out of hand; False if that is being done already."""
        if segment in self._closing or segment not in self.segments():
            return False
        if segment is self._active:
            self._active = None
        self._closing[segment] = reason
        # It stays in hand meanwhile, so that nobody lets its lease go.
        await self._accounts.close(segment, reason)
        self._forget(segment)
        if segment not in self._sending:
            del self._closing[segment]
        return True

    async def _quarantine(self, segment: Segment, *, is_counted: bool) -> None:
        """Move a damaged file out of the way, after what can still be read of it was written anew.

        The rest is lost and counted as such. `is_counted` tells whether its events are among the accepted ones.
        """
        if segment in self._closing or not isinstance(segment.path, Path):
            return
        waiting = segment.pending - self._sending.get(segment, 0)
        await segment.close()
        skip = segment.settled_or_sending()
        saved = await asyncio.get_running_loop().run_in_executor(None, salvage, segment.path, skip)
        carried = events_of(saved.records)
        lost = waiting - carried if is_counted else saved.lost
        segment.events += lost - waiting
        if not is_counted:
            self._counters.accept(carried + lost)
        elif carried:
            self._counters.commit(-carried)
        if await self._end(segment, "damaged"):
            self._counters.drop("damaged", lost)
            await segment.move_to(self.folder / QUARANTINE_NAME)
            if saved.records:
                await self.append(saved.records)
        self._let_go_if_empty()

    def _forget(self, segment: Segment) -> None:
        if segment is self._active:
            self._active = None
        for owned in (self._own, *self._adopted.values()):
            if segment in owned.segments:
                owned.segments.remove(segment)

    def _let_go_if_empty(self) -> None:
        for owner, orphan in list(self._adopted.items()):
            if orphan.is_adopted and not orphan.segments and orphan.lease is not None:
                orphan.lease.release(remove=True)
                del self._adopted[owner]

    async def close(self) -> None:
        """Close every file. What is delivered in full is removed; the rest waits for the next process."""
        self._active = None
        for segment, events in self._sending.items():
            if segment not in self.segments():  # dropped when it was full, and what was on its way did not arrive
                self._counters.drop("capacity", events)
        for segment in list(self.segments()):
            if not await self._discard_if_done(segment):
                await segment.close()
        await self._accounts.close_owner(self.owner, self.totals()[0])
        for owned in (self._own, *self._adopted.values()):
            if owned.lease is not None:
                owned.lease.release(remove=not any(s.path != MEMORY for s in owned.segments))
                owned.lease = None
        self._adopted.clear()
