"""The appending half of the spool: this process's own segments, of which the newest takes the records.

When nothing can be written - the disk is full, the folder read-only, deleted, or a file - records go to a segment in
memory, bounded in size, until a file can be created again. They are delivered as usual, and lost only if the process
dies before.
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Optional, Sequence

from honeyhive_litellm._errors import SpoolError
from honeyhive_litellm._log import recovered, warn
from honeyhive_litellm._log_codes import LogCode
from honeyhive_litellm._privacy.cipher import Cipher
from honeyhive_litellm._stats import Counters

from . import limits
from .held_segments import HeldSegments
from .layout import handed_off_owner, lease_path, segment_path
from .lease import Lease
from .limits import Ceiling, Limits
from .private_files import make_private_folder
from .record import CLOSED, EVENT, START, Record, events_of
from .segment import Segment
from .segment_files import MEMORY

DISK_RETRY_S = 5.0
"""How long after trouble with the disk the next file is tried."""


class Appender:
    """Appends to the active segment and begins the next one when it is full. Belongs to the spool's loop."""

    def __init__(
        self,
        folder: Path,
        owner: str,
        held: HeldSegments,
        counters: Counters,
        *,
        durability: str,
        limits: Limits,
        ceiling: Ceiling,
        cipher: Cipher,
        delivers: bool,
    ) -> None:
        self._folder = folder
        self._owner = owner
        self._held = held
        self._counters = counters
        self._durability = durability
        self._limits = limits
        self._ceiling = ceiling
        self._cipher = cipher
        self._delivers = delivers
        self._next_number = 1
        self._handed_off = 0
        self._retry_disk_at = math.inf if folder == Path(MEMORY) else 0.0

    # ---- appending

    def append_inline(self, records: Sequence[Record]) -> bool:
        """Do what `append` does if nothing has to be awaited for it; otherwise do nothing and return False."""
        segment = self._held.active
        if segment is None or segment.path == MEMORY or self._is_full(segment):
            return False
        if self._bytes_that_count() >= self._ceiling.bytes:
            return False
        try:
            is_done = segment.append_inline(records)
        except SpoolError:
            return False  # `append` will meet the same error and handle it
        if is_done:
            self._appended(records, segment)
        return is_done

    async def has_appended(self, records: Sequence[Record]) -> bool:
        """Whether an `append` of these records that was interrupted has committed them all the same."""
        segment = self._held.active
        try:
            return segment is not None and await segment.ends_with(records)
        except SpoolError:
            return False  # then they are at worst there twice, under the same ids

    async def append(self, records: Sequence[Record]) -> None:
        """Commit `records` in order, in one transaction. Never raises: what cannot be kept is counted as dropped."""
        if self._limits.drops_newest and self._bytes_that_count() >= self._ceiling.bytes:
            self._warn_full(self._ceiling.reason, "new events")
            await self._drop(records, self._ceiling.reason)
            return
        for _target in ("the active segment", "a new one", "one in memory"):
            segment = await self._writable_segment()
            try:
                if not segment.append_inline(records):
                    await segment.append(records)
            except SpoolError as error:
                warn(
                    LogCode.WRITE_FAILED,
                    "honeyhive: a spool file cannot be written, its next records go to a new one: %s",
                    error,
                )
                self._held.active = None
                self._held.kept.prune(0)  # the disk may be full: copies give way to what is undelivered
                if segment.last == 0:  # not even a new file takes anything
                    self._retry_disk_at = time.monotonic() + DISK_RETRY_S
            else:
                self._appended(records, segment)
                await self.enforce_limits()
                return
        warn(
            LogCode.NOTHING_TAKES_EVENTS,
            "honeyhive: events can be kept neither on disk nor in memory and are dropped",
            counts={"events": events_of(records)},
        )
        await self._drop(records, "spool")

    def _bytes_that_count(self) -> int:
        """The bytes with which a record meets the limit. What only nobody's files exceed, `FolderLimits` drops."""
        if self._limits.drops_newest:
            return self._held.bytes_in_folder(with_adopted=not self._delivers)
        return self._held.bytes_on_disk()

    def _appended(self, records: Sequence[Record], segment: Segment) -> None:
        if segment.path != MEMORY:
            self._counters.commit(events_of(records))
        self._close_starts(records, segment)

    async def _drop(self, records: Sequence[Record], reason: str) -> None:
        self._counters.lose(reason, events_of(records))
        await self._void_starts(records)
        self._close_starts(records, None)

    async def _void_starts(self, records: Sequence[Record]) -> None:
        """Void on disk the start records of dropped events: an adopter would report these calls as interrupted.

        This takes a few bytes, for which there is room even in a full spool.
        """
        open_starts = [segment.open_starts for segment in self._held.own.segments]
        voids = [
            Record(CLOSED, record.id, record.started_ms, None, b"")
            for record in records
            if record.kind == EVENT and any(record.id in starts for starts in open_starts)
        ]
        active = self._held.active
        if voids and active is not None:
            try:
                await active.append(voids)
            except SpoolError:
                pass  # the disk takes nothing: the calls are reported as interrupted if this process dies now

    def _close_starts(self, records: Sequence[Record], segment: Optional[Segment]) -> None:
        """Forget the start records in other segments than `segment` that these records supersede."""
        for older in self._held.own.segments:
            if older is not segment and older.open_starts:
                for record in records:
                    if record.kind != START:
                        older.open_starts.pop(record.id, None)

    async def _writable_segment(self) -> Segment:
        """The active segment, or a new one if there is none, it is full, or a file can replace memory again."""
        active = self._held.active
        if active is not None:
            is_on_disk = active.path != MEMORY
            if not self._is_full(active) and (is_on_disk or time.monotonic() < self._retry_disk_at):
                return active
        fresh = await self._new_segment()
        self._held.active = fresh
        self._held.own.segments.append(fresh)
        if active is not None:
            await self._seal(active, fresh)
        return fresh

    def _is_full(self, segment: Segment) -> bool:
        age_s = time.time() - segment.created_at
        return segment.size >= self._limits.segment_bytes or self._limits.rotation_due(age_s)

    async def _new_segment(self) -> Segment:
        """A new file or, if none can be created or the last try was just now, a segment in memory."""
        if time.monotonic() >= self._retry_disk_at:
            path = segment_path(self._folder, self._owner, self._next_number)
            segment = Segment(path, self._durability, self._cipher)
            self._next_number += 1
            try:
                self._take_lease()
                await segment.create()
            except (SpoolError, OSError) as error:
                self._retry_disk_at = time.monotonic() + DISK_RETRY_S
                warn(
                    LogCode.DISK_UNWRITABLE,
                    "honeyhive: nothing can be written to the spool folder %s. Events are kept in memory and still "
                    "delivered, but would be lost if this process died. Make the folder writable and free disk space, "
                    "or set spool_path / HONEYHIVE_SPOOL_PATH to another one: %s",
                    self._folder,
                    error,
                )
            else:
                recovered(
                    LogCode.DISK_UNWRITABLE,
                    LogCode.DISK_WRITABLE,
                    "honeyhive: the spool folder %s can be written again",
                    self._folder,
                )
                return segment
        segment = Segment(MEMORY, self._durability)
        await segment.create()
        return segment

    def ensure_lease(self) -> bool:
        """Take this process's lease if the folder exists; whether it is held. Creates no folder."""
        try:
            if self._folder.is_dir():
                self._take_lease()
                return True
        except (SpoolError, OSError):
            pass  # the next segment meets the same error and logs it
        return False

    def _take_lease(self) -> None:
        make_private_folder(self._folder)
        own, path = self._held.own, lease_path(self._folder, self._owner)
        if own.lease is None or not path.exists():
            own.lease = Lease.take(path)
        if own.lease is None:
            raise SpoolError(f"{path} is held by another process")

    async def _seal(self, old: Segment, fresh: Optional[Segment]) -> None:
        """Seal `old`, and copy the start records of calls in flight to `fresh`.

        So `old` can be removed while these calls go on, and an adopter finds them in the newest segment.
        """
        try:
            starts = [await old.start_of(seq) for seq in old.open_starts.values()]
            carried = [start for start in starts if start is not None]
            if carried and fresh is not None:
                await fresh.append(carried)
            old.open_starts.clear()
            await old.seal()
        except SpoolError as error:
            warn(
                LogCode.SEAL_FAILED,
                "honeyhive: a spool file could not be sealed; its events are still delivered: %s",
                error,
            )
        if not await self._held.discard_if_done(old) and self._held.may_be_closed(old):
            await old.close()  # so that a backlog of many segments has no connections; delivery opens it again

    async def enforce_limits(self) -> None:
        """Drop the oldest segments, adopted ones included, beyond the limits of disk and memory; never the active one.

        Adoption can exceed a limit as well: the last process may have had a higher one, or several have died.
        """
        on_disk = (self._ceiling.reason, self._ceiling.bytes, False)
        in_memory_only = ("memory", min(limits.MEMORY_BYTES, self._limits.max_bytes), True)
        for reason, limit, in_memory in (on_disk, in_memory_only):
            if self._limits.drops_newest and not in_memory:
                continue
            size = sum(s.size for s in self._held.segments() if (s.path == MEMORY) is in_memory)
            if size <= limit:
                continue
            for _, oldest in self._held.droppable():
                if size <= limit:
                    break
                if (oldest.path == MEMORY) is in_memory:
                    size -= oldest.size
                    await self.drop_for_room(oldest, reason)

    async def drop_for_room(self, segment: Segment, reason: str) -> None:
        """Drop a segment because of a limit of size."""
        self._warn_full(reason, "the oldest events")
        await self._held.drop(segment, reason)

    def _warn_full(self, reason: str, what: str) -> None:
        causes = {
            "capacity": "it holds spool_max_bytes / HONEYHIVE_SPOOL_MAX_BYTES",
            "disk": "its disk has less free space than spool_min_free_bytes / HONEYHIVE_SPOOL_MIN_FREE_BYTES",
            "memory": "it writes no files, and its buffer in memory is full",
        }
        warn(
            LogCode.SPOOL_FULL,
            "honeyhive: the spool %s is full: %s. Until delivery makes room, %s are dropped and counted as "
            '"%s"; `honeyhive-litellm status` shows how many',
            self._folder,
            causes[reason],
            what,
            reason,
            about=reason,
        )

    # ---- handing off to another process

    async def seal_active(self) -> None:
        """Seal the active segment, so that all events so far can be handed off; the next record begins a new one."""
        await self._move_memory_to_disk()
        active = self._held.active
        if active is not None and active.path != MEMORY and active.events:
            await self.seal(active)

    async def seal(self, active: Segment) -> None:
        """Seal the active segment, whose calls in flight go on in a new one; not if that could not be on disk."""
        fresh = await self._new_segment() if active.open_starts else None
        if fresh is not None:
            if fresh.path == MEMORY and active.path != MEMORY:
                await fresh.discard()
                return
            self._held.own.segments.append(fresh)
        self._held.active = fresh
        await self._seal(active, fresh)

    async def _move_memory_to_disk(self) -> None:
        """Write to files what could only be kept in memory, since no other process can deliver that."""
        for segment in [s for s in self._held.own.segments if s.path == MEMORY]:
            active = await self._writable_segment()
            if active.path == MEMORY:
                return
            batch = await segment.next_batch(limits.BATCH_EVENTS, limits.BATCH_BYTES)
            while batch is not None:
                await self.append([Record(EVENT, r.id, r.started_ms, r.session, r.body) for r in batch.rows])
                batch = await segment.next_batch(limits.BATCH_EVENTS, limits.BATCH_BYTES)
            self._held.let_go(segment)  # without an account: its events are counted in their new segment
            await segment.discard()

    async def hand_off(self) -> None:
        """Rename all segments but the active one to those of an owner that does not live, so that others adopt them.

        A crash leaves each under one name or the other, and under either it is adopted.
        """
        for segment in list(self._held.own.segments):
            if segment is not self._held.active and segment.path != MEMORY and not segment.open_starts:
                try:
                    if not segment.sealed:
                        await segment.open()
                        await segment.seal()
                    self._handed_off += 1
                    name = handed_off_owner(self._owner, self._handed_off)
                    await segment.rename(segment_path(self._folder, name, 1))
                except SpoolError as error:
                    warn(
                        LogCode.HAND_OFF_FAILED,
                        "honeyhive: a spool file cannot be handed off now, tried again soon: %s",
                        error,
                    )
                else:
                    self._held.let_go(segment)
                    self._held.unheld.add(name, segment.size)
