"""The segments that this process holds: its own and those of dead owners it has adopted; and how a segment ends."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Tuple

from honeyhive_litellm._errors import SpoolError, UnknownKeyError
from honeyhive_litellm._log import warn
from honeyhive_litellm._log_codes import LogCode
from honeyhive_litellm._privacy.cipher import Cipher
from honeyhive_litellm._stats import Counters, Totals

from .accounts import Accounts
from .kept_segments import KeptSegments
from .layout import QUARANTINE_NAME
from .lease import Lease
from .record import Record, events_of
from .salvage import salvage
from .segment import Batch, Segment
from .segment_files import MEMORY
from .unheld_files import UnheldFiles


class OwnedSegments:
    """One owner's lease and its segments, oldest first. `is_ready`: delivery may take batches from them."""

    def __init__(self, lease: Optional[Lease] = None, *, is_ready: bool) -> None:
        self.lease = lease
        self.segments: List[Segment] = []
        self.is_ready = is_ready


class HeldSegments:
    """What the appending, adopting and delivering parts of the spool share. Belongs to the spool's loop.

    `active` is the segment that takes new records; `reading` is the one from which a batch is being read.
    """

    def __init__(self, folder: Path, counters: Counters, cipher: Cipher, keep_s: float = 0.0) -> None:
        """`keep_s` is how long a segment is kept after all its events are settled."""
        self.own = OwnedSegments(is_ready=True)
        self.adopted: Dict[str, OwnedSegments] = {}
        self.active: Optional[Segment] = None
        self.reading: Optional[Segment] = None
        self.accounts = Accounts(folder)
        self.unheld = UnheldFiles(folder)
        self.kept = KeptSegments(folder, keep_s)
        self._folder = folder
        self._counters = counters
        self._cipher = cipher
        self._sending: Dict[Segment, int] = {}
        """How many events of a segment are in batches that were taken and not settled yet."""
        self._closing: Dict[Segment, str] = {}
        """Segments given up for this reason; each stays until its account is closed and its last batch settled."""

    def segments(self) -> Iterator[Segment]:
        """Every segment, own ones first, oldest first."""
        for owned in (self.own, *self.adopted.values()):
            yield from owned.segments

    def in_delivery_order(self, *, adopted_first: bool) -> List[Segment]:
        """The segments from which batches may be taken, own and adopted ones each oldest first."""
        adopted = [s for owned in self.adopted.values() if owned.is_ready for s in owned.segments]
        return [*adopted, *self.own.segments] if adopted_first else [*self.own.segments, *adopted]

    def bytes_in_folder(self, *, with_adopted: bool) -> int:
        """The size of the held segments' files and of those that nobody holds, as of the last look.

        `with_adopted` adds those that other processes have adopted.
        """
        return self.bytes_on_disk() + self.unheld.bytes + (self.unheld.adopted_bytes if with_adopted else 0)

    def droppable(self) -> List[Tuple[float, Segment]]:
        """The segments that a limit may drop, own and adopted ones, the oldest first, with the time of that.

        Not the active one, and not those whose adoption goes on.
        """
        recorded_at = {segment: segment.created_at for segment in self.own.segments if segment is not self.active}
        for owned in self.adopted.values():
            if owned.is_ready:
                # They were created when they were opened here, as objects: their events say how old they are.
                recorded_at.update((s, s.oldest_pending_at or s.created_at) for s in owned.segments)
        return sorted(((at, s) for s, at in recorded_at.items() if self.has(s)), key=lambda pair: pair[0])

    def has(self, segment: Segment) -> bool:
        """Whether `segment` is held and is not being given up."""
        return segment not in self._closing and segment in self.segments()

    def bytes_on_disk(self) -> int:
        return sum(segment.size for segment in self.segments() if segment.path != MEMORY)

    def oldest_pending_at(self) -> Optional[float]:
        """The Unix time at which the call of the oldest unsettled event began, as of the last look."""
        times = [s.oldest_pending_at for s in self.segments() if s.oldest_pending_at is not None and s.pending]
        return min(times, default=None)

    def waiting_in(self, segment: Segment) -> int:
        """How many events of `segment` are pending and not in a batch."""
        return segment.pending - self._sending.get(segment, 0)

    def may_be_closed(self, segment: Segment) -> bool:
        """Whether the segment's connection is not needed now, and closing it loses nothing."""
        return segment.path != MEMORY and not self.is_being_sent(segment) and segment is not self.reading

    def totals(self) -> Tuple[Totals, Dict[str, Totals]]:
        """What has become of the events that are in no file, and of those in each segment file."""
        unspooled = self.accounts.unspooled.plus(self._counters.lost())
        files = {}
        for segment in self.segments():
            if segment in self._closing:
                continue
            if isinstance(segment.path, Path):
                files[segment.path.name] = segment.totals()
            else:
                unspooled = unspooled.plus(segment.totals())
        return unspooled, files

    # ---- batches

    def batch_taken(self, batch: Batch) -> None:
        self._sending[batch.segment] = self._sending.get(batch.segment, 0) + batch.events

    def batch_settled(self, batch: Batch) -> None:
        left = self._sending.pop(batch.segment, 0) - batch.events
        if left > 0:
            self._sending[batch.segment] = left

    def is_being_sent(self, segment: Segment) -> bool:
        """Whether a batch of `segment` was taken and is not settled yet."""
        return segment in self._sending

    def is_closing(self, segment: Segment) -> bool:
        """Whether `segment` was given up while batches of it were being sent."""
        return segment in self._closing

    async def correct(self, batch: Batch, dead: int) -> None:
        """Correct the account of a segment that was given up: `batch` was settled after all."""
        segment = batch.segment
        settled = Totals(0, batch.events - dead - batch.damaged, dead, {"damaged": batch.damaged})
        settled = settled.plus(Totals(dropped={self._closing[segment]: -batch.events}))
        if segment not in self._sending and segment not in self.segments():  # else `_close_account` still needs it
            del self._closing[segment]
        await self.accounts.correct(segment, settled)

    # ---- the end of a segment

    async def discard_if_done(self, segment: Segment) -> bool:
        """Remove or keep `segment` if all its events are settled and none of its calls is in flight; whether it was."""
        is_done = segment is not self.active and segment.pending == 0 and not segment.open_starts
        if is_done:
            await self.discard(segment, may_be_kept=True)
            self.release_finished_owners()
        return is_done

    async def drop(self, segment: Segment, reason: str) -> None:
        """Remove `segment` and count its waiting events as dropped. Batches that are being sent may still arrive."""
        if not self.has(segment):
            return  # another limit has just dropped it
        self._counters.drop(reason, self.waiting_in(segment))
        await self.discard(segment, reason)
        self.release_finished_owners()

    async def discard(self, segment: Segment, reason: str = "", *, may_be_kept: bool = False) -> None:
        """Remove `segment`; its account counts events that are still in it as dropped for `reason`."""
        if await self._close_account(segment, reason):
            if not (may_be_kept and await self.kept.has_kept(segment)):
                await segment.discard()
        elif segment not in self.segments():
            await segment.close()  # its file had vanished

    async def _close_account(self, segment: Segment, reason: str) -> bool:
        """Close the segment's account and stop holding it; False if it is not held, or is being given up already."""
        if not self.has(segment):
            return False
        if segment is self.active:
            self.active = None
        self._closing[segment] = reason
        await self.accounts.close(segment, reason)  # it is held meanwhile, so that its owner's lease is
        self.let_go(segment)
        if segment not in self._sending:
            del self._closing[segment]
        return True

    async def quarantine(self, segment: Segment, error: SpoolError, *, is_counted: bool) -> List[Record]:
        """Move a damaged file out of the way; returns the records that could be read, to be appended elsewhere.

        The others are counted as dropped. `is_counted`: the segment's events are among the accepted ones already. If
        they are not, and some are encrypted with a key that is not there, the file is left where it is, and
        UnknownKeyError is raised.
        """
        if not self.has(segment) or not isinstance(segment.path, Path):
            return []  # being removed, which explains the error
        waiting = self.waiting_in(segment)
        await segment.close()
        skip = segment.settled_or_sending()
        saved = await asyncio.get_running_loop().run_in_executor(None, salvage, segment.path, skip, self._cipher)
        if saved.locked and not is_counted:
            text = f"{segment.path} is damaged, and encrypted with a missing key"
            raise UnknownKeyError(text, sorted(saved.missing_keys), saved.locked)
        folder = self._folder / QUARANTINE_NAME
        warn(
            LogCode.FILE_QUARANTINED,
            "honeyhive: a damaged spool file is put aside in %s, its readable events are still delivered: %s",
            folder,
            error,
        )
        rewritten = events_of(saved.records)
        lost = waiting - rewritten if is_counted else saved.lost
        segment.events += lost - waiting
        if not is_counted:
            self._counters.accept(rewritten + lost)
        elif rewritten:
            self._counters.commit(-rewritten)
        records = []
        if await self._close_account(segment, "damaged"):
            self._counters.drop("damaged", lost)
            await segment.move_to(folder)
            records = saved.records
        self.release_finished_owners()
        return records

    def let_go(self, segment: Segment) -> None:
        """Stop holding `segment`, without closing its account."""
        if segment is self.active:
            self.active = None
        for owned in (self.own, *self.adopted.values()):
            if segment in owned.segments:
                owned.segments.remove(segment)

    def release_finished_owners(self) -> None:
        """Release the leases of adopted owners of whose segments none is left."""
        for owner, adopted in list(self.adopted.items()):
            if adopted.is_ready and not adopted.segments and adopted.lease is not None:
                adopted.lease.release(remove=True)
                del self.adopted[owner]

    async def close(self, owner: str) -> None:
        """Close every file and release every lease, that of this process's `owner` included.

        Segments whose events are all settled are removed; the others wait for the next process.
        """
        self.active = None
        for segment, events in self._sending.items():
            if segment not in self.segments():  # dropped by a limit, and its batches did not arrive after all
                self._counters.drop("capacity", events)
        for segment in list(self.segments()):
            if not await self.discard_if_done(segment):
                await segment.close()
        await self.accounts.close_owner(owner, self.totals()[0])
        for owned in (self.own, *self.adopted.values()):
            if owned.lease is not None:
                owned.lease.release(remove=not any(s.path != MEMORY for s in owned.segments))
                owned.lease = None
        self.adopted.clear()
