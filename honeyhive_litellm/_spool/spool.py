"""The spool: a folder in which each process appends to segments of its own and adopts those of dead processes.

No file ever has two users. An owner (one process, one run) holds a lease and appends to its active segment. A full
segment is sealed and a new one begun; a segment whose events are all settled is removed. The lease of a dead owner can
be taken, and the process that takes it delivers the segments in place. So no process waits for another, damage stays in
one file, and space comes back by `unlink`.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Awaitable, Dict, Iterator, Optional, Sequence, Set, Tuple

from honeyhive_litellm._errors import LockedError, SpoolError, UnsafeFileError
from honeyhive_litellm._log import warn
from honeyhive_litellm._log_codes import LogCode
from honeyhive_litellm._privacy.cipher import NO_CIPHER, Cipher
from honeyhive_litellm._stats import Counters, Totals

from . import dead_letters, limits
from .adoption import Adoption
from .appender import Appender
from .folder_limits import FolderLimits
from .held_segments import HeldSegments
from .layout import new_owner
from .limits import Ceiling, Limits
from .private_files import effective_folder
from .record import Record, events_of
from .segment import Batch, Segment
from .segment_files import MEMORY


class Spool:
    """The durable queue: append records, take batches of events, settle them. Belongs to the runtime's loop.

    It delivers by itself; `Appender` and `Adoption` do the rest, on the segments that all three share.
    """

    name = "the spool"
    dead_letters_command = "honeyhive-litellm dead list"

    def __init__(
        self,
        folder: Path,
        counters: Counters,
        *,
        durability: str,
        limits: Limits,
        cipher: Cipher = NO_CIPHER,
        project: str = "",
        delivers: bool = True,
        keep_s: float = 0.0,
    ) -> None:
        """`folder` is the user's; see `effective_folder`. `project`: see `new_owner`. `keep_s`: see `HeldSegments`.

        Without `delivers` this process only writes and hands off.
        """
        folder = effective_folder(folder)
        self.folder = folder
        self._is_in_memory = folder == Path(MEMORY)
        self.owner = new_owner(project)
        self._counters = counters
        self._cipher = cipher
        self._limits = limits
        self._ceiling = Ceiling(limits)
        self._held = HeldSegments(folder, counters, cipher, keep_s)
        self._appender = Appender(
            folder,
            self.owner,
            self._held,
            counters,
            durability=durability,
            limits=limits,
            ceiling=self._ceiling,
            cipher=cipher,
            delivers=delivers,
        )
        self._adoption = Adoption(
            folder, self.owner, self._held, self._appender, counters, durability=durability, cipher=cipher
        )
        self._folder_limits = FolderLimits(
            self.owner,
            self._held,
            self._appender,
            self._adoption,
            limits=limits,
            ceiling=self._ceiling,
            delivers=delivers,
        )
        self._delivers = delivers
        self._adopted_first = False
        self.free_bytes: Optional[int] = None
        """Free space on the disk, as of the last `maintain`; None if it cannot be determined."""

    def segments(self) -> Iterator[Segment]:
        """Every segment that is held, own ones first, oldest first."""
        return self._held.segments()

    @property
    def pending(self) -> int:
        """Events in the held segments that are not settled."""
        return sum(segment.pending for segment in self.segments())

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits in the held segments: no event, and no call that is in flight."""
        return not any(segment.pending or segment.open_starts for segment in self.segments())

    def totals(self) -> Tuple[Totals, Dict[str, Totals]]:
        """What has become of the events that are in no file, and of those in each held segment file."""
        return self._held.totals()

    def bytes_on_disk(self) -> int:
        """The size of the held segments' files."""
        return self._held.bytes_on_disk()

    def oldest_pending_at(self) -> Optional[float]:
        """The Unix time at which the call of the oldest unsettled event began, as of the last `look_for_oldest`."""
        return self._held.oldest_pending_at()

    async def look_for_oldest(self) -> None:
        """Bring `oldest_pending_at` up to date, for the segments that are open."""
        for segment in list(self.segments()):
            if segment.is_open:
                await segment.look_for_oldest()

    # ---- appending and handing off

    def append_inline(self, records: Sequence[Record]) -> bool:
        """Do what `append` does if nothing has to be awaited for it; otherwise do nothing and return False."""
        return self._appender.append_inline(records)

    async def has_appended(self, records: Sequence[Record]) -> bool:
        """Whether an `append` of these records that was interrupted has committed them all the same."""
        return await self._appender.has_appended(records)

    async def append(self, records: Sequence[Record]) -> None:
        """Commit `records` in order, in one transaction. Never raises: what cannot be kept is counted as dropped."""
        await self._appender.append(records)

    async def seal_active(self) -> None:
        """Seal the active segment, so that `hand_off` includes all events so far."""
        await self._appender.seal_active()

    async def hand_off(self) -> None:
        """Leave all sealed and full segments to other processes, which adopt them as those of a dead owner."""
        await self._appender.hand_off()

    def ensure_lease(self) -> bool:
        """Take this process's lease if the folder exists; whether it is held. Creates no folder."""
        return self._appender.ensure_lease()

    # ---- adopting

    @property
    def scan_complete(self) -> bool:
        """Whether the last `adopt` left no dead owner's segments for later."""
        return self._adoption.scan_complete

    @property
    def other_projects(self) -> Set[str]:
        """The projects of which files of dead processes are in the folder. They are left alone."""
        return self._adoption.other_projects

    async def adopt(self) -> int:
        """Adopt segments of dead owners, a few owners at a time; returns how many events. Never raises."""
        return await self._adoption.adopt()

    # ---- delivering

    async def next_batch(self) -> Optional[Batch]:
        """Mark the next unsent events as being sent and return them, from own and adopted segments in turn."""
        self._adopted_first = not self._adopted_first
        for segment in self._held.in_delivery_order(adopted_first=self._adopted_first):
            if self._held.has(segment) and self._held.waiting_in(segment) > 0:
                batch = await self._batch_of(segment)
                if batch is not None:
                    return batch
        return None

    async def _batch_of(self, segment: Segment) -> Optional[Batch]:
        self._held.reading = segment  # so that `Appender` does not close it meanwhile
        try:
            await segment.open()
            batch = await segment.next_batch(limits.BATCH_EVENTS, limits.BATCH_BYTES)
        except LockedError:
            return None  # another program reads the file: tried again at the next call
        except UnsafeFileError as unsafe:
            warn(LogCode.FILE_UNSAFE, "honeyhive: a spool file is not safe to use and is left alone: %s", unsafe)
            return None
        except (SpoolError, TypeError, ValueError, OverflowError) as raised:  # also values that no version writes
            error = raised if isinstance(raised, SpoolError) else SpoolError(f"{segment.path} is damaged: {raised}")
            records = await self._held.quarantine(segment, error, is_counted=True)
            if records:
                await self.append(records)
            return None
        except BaseException:  # raised on the loop from outside, or a cancellation
            segment.put_back()
            raise
        finally:
            self._held.reading = None
        if batch is None:
            await self._forget_missing(segment)
            return None
        if not self._held.has(segment):
            return None  # it was dropped meanwhile
        self._held.batch_taken(batch)
        if batch.damaged:
            warn(
                LogCode.EVENTS_DAMAGED,
                "honeyhive: %d events in %s are damaged and dropped",
                batch.damaged,
                segment.path,
                counts={"events": batch.damaged},
            )
            self._counters.drop("damaged", batch.damaged)
        return batch

    async def _forget_missing(self, segment: Segment) -> None:
        """Give up events that are counted and not there: damage, which must not keep the segment for ever."""
        if self._held.has(segment) and not self._held.is_being_sent(segment) and segment is not self._held.active:
            missing = segment.forget_missing()
            self._counters.drop("damaged", missing)
            await self._held.discard_if_done(segment)

    async def mark(self, batch: Batch) -> None:
        """Mark `batch` as being sent from now on (for its first attempt `next_batch` has done so)."""
        await self._write_progress(batch.segment, batch.segment.mark(batch))

    async def unmark(self, batch: Batch) -> None:
        """Note that the server certainly did not store `batch`: after a crash it need not be looked up."""
        await self._write_progress(batch.segment, batch.segment.unmark(batch))

    async def split(self, batch: Batch) -> Tuple[Batch, Batch]:
        """Halve a batch of at least two events."""
        halves, change = batch.segment.halves(batch)
        await self._write_progress(batch.segment, batch.segment.write(change))
        return halves

    async def settle(self, batch: Batch, dead: int = 0) -> None:
        """Note that `batch` is done: `dead` of its events are dead letters, the other readable ones are delivered."""
        segment = batch.segment
        self._held.batch_settled(batch)
        if self._held.is_closing(segment):
            await self._held.correct(batch, dead)
            return
        await self._write_progress(segment, segment.settle(batch, dead))
        await self._held.discard_if_done(segment)

    async def _write_progress(self, segment: Segment, writing: Awaitable[None]) -> None:
        try:
            await writing
        except SpoolError as error:
            if self._held.is_closing(segment):
                return  # its file was dropped by a limit
            # In memory the progress holds.
            warn(
                LogCode.PROGRESS_UNWRITABLE,
                "honeyhive: the progress of delivery cannot be written to the spool. Nothing is lost, but if this "
                "process died some events might be sent twice: %s",
                error,
            )

    async def add_dead_letter(self, batch: Batch, status: Optional[int], reason: str) -> bool:
        """Move the events of `batch` to the dead letters; False if they could not be written there.

        A spool in memory has none, and drops them.
        """
        if self._is_in_memory:
            warn(
                LogCode.REFUSED_IN_MEMORY,
                "honeyhive: the spool is in memory and keeps no dead letters: refused events are dropped",
                counts={"events": len(batch.rows)},
            )
            self._counters.drop("refused", len(batch.rows))
            await self.settle(batch, dead=len(batch.rows))
            return True
        try:
            await dead_letters.add(self.folder, batch.rows, status, reason, self._cipher)
        except SpoolError as error:
            warn(
                LogCode.DEAD_LETTERS_UNWRITABLE,
                "honeyhive: dead letters cannot be written. The refused events stay in the spool until they can: %s",
                error,
                counts={"events": len(batch.rows)},
            )
            return False
        self._counters.dead_letter(len(batch.rows))
        await self.settle(batch, dead=len(batch.rows))
        return True

    # ---- maintenance

    async def maintain(self) -> None:
        """Apply the limits of size, free space and age, and look for segment files that were deleted.

        Call it regularly, and not while something is appended.
        """
        self.free_bytes = self._free_bytes()
        self._folder_limits.look()
        self._prune_kept()
        self._ceiling.update(self._held.bytes_in_folder(with_adopted=not self._delivers), self.free_bytes)
        await self._folder_limits.adopt_expired()
        for segment in list(self.segments()):
            if segment.has_vanished():
                await self._rewrite_vanished(segment)
            elif self._held.waiting_in(segment) and self._limits.is_over_age(time.time() - segment.written_at):
                if segment is self._held.active:
                    await self._appender.seal(segment)
                if segment.open_starts:
                    continue  # these calls would be lost with their starts: tried again when the disk takes them
                warn(
                    LogCode.EVENTS_EXPIRED,
                    "honeyhive: events that could not be delivered within spool_max_age / HONEYHIVE_SPOOL_MAX_AGE are "
                    'dropped and counted as "age"',
                    counts={"events": self._held.waiting_in(segment)},
                )
                await self._held.drop(segment, "age")
        await self._folder_limits.enforce_size()
        await self._appender.enforce_limits()
        await self._folder_limits.release()

    def _free_bytes(self) -> Optional[int]:
        try:
            return shutil.disk_usage(self.folder).free
        except OSError:
            return None

    def _prune_kept(self) -> None:
        """Have the kept copies give way, before any undelivered event has to."""
        is_short = self.free_bytes is not None and self.free_bytes < self._limits.min_free_bytes
        used = self._held.bytes_in_folder(with_adopted=True)
        self._held.kept.prune(0 if is_short else self._limits.max_bytes - used)
        if is_short:
            self.free_bytes = self._free_bytes()

    async def _rewrite_vanished(self, segment: Segment) -> None:
        """Append the records of a deleted file to another segment: its connection can still read them."""
        warn(
            LogCode.FILE_DELETED,
            "honeyhive: %s was deleted while this process used it; its undelivered events are written to a new file",
            segment.path,
        )
        waiting = self._held.waiting_in(segment)
        if segment is self._held.active:
            self._held.active = None  # before the first await: nothing more may be appended to it
        try:
            records = await segment.evacuate()
        except SpoolError:
            records = []
        self._held.let_go(segment)
        if not self._held.is_being_sent(segment):
            await segment.close()
        rewritten = events_of(records)
        self._counters.drop("damaged", waiting - rewritten)
        self._counters.commit(-rewritten)
        if records:
            await self.append(records)

    async def close(self) -> None:
        """Close every file. What is delivered in full is removed; the rest waits for the next process.

        The rest of a spool in memory is lost.
        """
        if self._is_in_memory and self.pending:
            lost = self.pending
            warn(
                LogCode.MEMORY_LOST,
                "honeyhive: the process ends, and undelivered events of a spool in memory are lost",
                counts={"events": lost},
            )
            self._counters.drop("memory", lost)
        await self._held.close(self.owner)
