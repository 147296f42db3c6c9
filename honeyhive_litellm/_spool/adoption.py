"""The adopting half of the spool: takes over the segments of owners that died, and delivers them in place."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Dict, Sequence, Set

from honeyhive_litellm._errors import LockedError, NewerFormatError, SpoolError, UnknownKeyError, UnsafeFileError
from honeyhive_litellm._log import warn
from honeyhive_litellm._log_codes import LogCode
from honeyhive_litellm._privacy.cipher import Cipher
from honeyhive_litellm._stats import Counters

from .appender import Appender
from .held_segments import HeldSegments, OwnedSegments
from .interrupted import events_to_come, report_interrupted
from .layout import are_of_one_project, has_handed_off, lease_path, owners_in, project_of
from .lease import Lease, is_free, may_be_about_to_be_taken
from .process_state import last_seen
from .salvage import lost_commits
from .segment import Segment

_LOOK_S = 0.1
"""How long one look takes at most. This process's own events must not wait for thousands of files."""

_FEW_FAILED, _FAILED_S = 64, 60.0
"""With more owners than these that cannot be adopted, each is tried again only after so many seconds."""

MAX_ADOPTED_OWNERS = 4
"""How many dead owners' segments are held at a time: each costs a lease, and its segments' heads in memory."""


class Adoption:
    """Looks for dead owners. Belongs to the spool's loop.

    `scan_complete`: the last look found no dead owner that had to wait for a later one. `other_projects` are those of
    which dead owners' files are in the folder; they are left alone.
    """

    def __init__(
        self,
        folder: Path,
        owner: str,
        held: HeldSegments,
        appender: Appender,
        counters: Counters,
        *,
        durability: str,
        cipher: Cipher,
    ) -> None:
        self.scan_complete = False
        self.other_projects: Set[str] = set()
        self._folder = folder
        self._owner = owner
        self._held = held
        self._appender = appender
        self._counters = counters
        self._durability = durability
        self._cipher = cipher
        self._owners_of_newer_format: Set[str] = set()
        self._locked_owners: Dict[str, UnknownKeyError] = {}
        """Owners whose files are encrypted with a key that is not there."""
        self._last_looked_at = ""
        """The last owner of a look that was not completed."""
        self._failed: Dict[str, float] = {}
        """When the adoption of an owner failed last, on the monotonic clock."""

    async def adopt(self) -> int:
        """Adopt the segments of dead owners, as long as fewer than MAX_ADOPTED_OWNERS are held; returns their events.

        Never raises and never takes what a living owner holds. Files that cannot be read go to the quarantine; those
        whose key is missing stay where they are.
        """
        before = set(self._locked_owners)
        events = await self._look()
        locked = self._counters.locked = sum(error.events for error in self._locked_owners.values())
        if not before.issuperset(self._locked_owners):
            key_ids = {key_id.hex() for error in self._locked_owners.values() for key_id in error.key_ids}
            warn(
                LogCode.FILES_LOCKED,
                "honeyhive: %d events in %s are encrypted with a key that this process does not have (id %s). Nothing "
                "is lost: their files are left alone, and delivered by a process whose spool_key / HONEYHIVE_SPOOL_KEY "
                "has that key as well",
                locked,
                self._folder,
                ", ".join(sorted(key_ids)),
                counts={"events": locked},
            )
        return events

    @property
    def left_alone(self) -> Set[str]:
        """The dead owners whose files this process cannot read, as far as it has tried."""
        return {*self._owners_of_newer_format, *self._locked_owners}

    async def adopt_owner(self, owner: str) -> None:
        """Adopt one owner, if it is dead and its files can be read, however many are adopted."""
        if owner not in self._held.adopted:
            await self._adopt_owner(owner)

    async def release(self) -> None:
        """Give back all that is adopted, for another process to deliver."""
        for owner, adopted in list(self._held.adopted.items()):
            self._count_adopted(owner, -sum(segment.pending for segment in adopted.segments))
            for segment in adopted.segments:
                await segment.close()
            if adopted.lease is not None:
                adopted.lease.release(remove=False)
            del self._held.adopted[owner]

    def _count_adopted(self, owner: str, events: int) -> None:
        """What this process has handed off is among its accepted events already."""
        if not has_handed_off(self._owner, owner):
            self._counters.adopt(events)

    async def _look(self) -> int:
        if len(self._held.adopted) >= MAX_ADOPTED_OWNERS:
            return 0
        try:
            owners = owners_in(self._folder)
        except OSError:
            owners = {}
        self._owners_of_newer_format.intersection_update(owners)
        self._locked_owners = {owner: locked for owner, locked in self._locked_owners.items() if owner in owners}
        self._failed = {owner: at for owner, at in self._failed.items() if owner in owners}
        events = looked_at = 0
        began = time.monotonic()
        for owner in sorted(name for name in owners if name > self._last_looked_at):
            if owner == self._owner or owner in self._held.adopted or owner in self._owners_of_newer_format:
                continue
            if owner in self._locked_owners or self._is_of_other_project(owner, owners[owner]):
                continue
            if len(self._failed) > _FEW_FAILED and began - self._failed.get(owner, -_FAILED_S) < _FAILED_S:
                continue
            if not owners[owner] and may_be_about_to_be_taken(lease_path(self._folder, owner)):
                continue
            is_late = looked_at >= MAX_ADOPTED_OWNERS and time.monotonic() - began > _LOOK_S
            if len(self._held.adopted) >= MAX_ADOPTED_OWNERS or is_late:
                self.scan_complete = False
                return events  # the next look goes on from here
            looked_at += 1
            events += await self._adopt_owner(owner)
            self._last_looked_at = owner
            await asyncio.sleep(0)  # a thousand owners must not hold up this process's own events
        self._last_looked_at = ""
        self.scan_complete = True
        return events

    def _is_of_other_project(self, owner: str, segments: Sequence[Path]) -> bool:
        """Whether the owner's events must not go where this process delivers to. Says so if it has died."""
        if are_of_one_project(self._owner, owner):
            return False
        project = project_of(owner)
        if project not in self.other_projects and segments and is_free(lease_path(self._folder, owner)):
            self.other_projects.add(project)
            warn(
                LogCode.OTHER_PROJECT,
                "honeyhive: %s has events of another project, %s, left by a process that ended. They are kept, and not "
                "delivered by this process. Deliver them by `honeyhive-litellm drain --project PROJECT --spool-path "
                "%s`, with that project's key in HONEYHIVE_API_KEY, and give each project a spool_path of its own",
                self._folder,
                project,
                self._folder,
                about=project,
            )
        return True

    async def _adopt_owner(self, owner: str) -> int:
        try:
            lease = Lease.take(lease_path(self._folder, owner))
            return 0 if lease is None else await self._take_over(owner, lease)
        except LockedError:
            pass  # another program reads one of the files: tried again at the next look
        except UnknownKeyError as error:
            self._locked_owners[owner] = error
        except NewerFormatError as error:
            self._owners_of_newer_format.add(owner)
            warn(
                LogCode.NEWER_FORMAT,
                "honeyhive: a newer version of this package wrote a spool file, which is left alone. Its events are "
                "delivered by a process with that version: %s",
                error,
            )
        except Exception as error:  # whatever is wrong with one owner's files, the others have their turn
            self._failed[owner] = time.monotonic()
            warn(
                LogCode.ADOPTION_FAILED,
                "honeyhive: the spool files of a dead process cannot be adopted now, tried again in a few seconds: %s",
                error,
            )
        return 0

    async def _take_over(self, owner: str, lease: Lease) -> int:
        adopted = self._held.adopted[owner] = OwnedSegments(lease, is_ready=False)
        try:
            return await self._open_all(owner, adopted)
        except BaseException:  # also when cancelled
            for segment in adopted.segments:
                await segment.close()
            lease.release(remove=False)
            del self._held.adopted[owner]
            raise

    async def _open_all(self, owner: str, adopted: OwnedSegments) -> int:
        """Open a dead owner's segments and report the calls that died with it, before delivery may take from them."""
        # Listed again: the owner may have removed files between the scan and its death.
        paths = owners_in(self._folder).get(owner, [])
        seen = last_seen(self._folder, owner, paths)
        for path in paths:
            segment = Segment(path, self._durability, self._cipher)
            adopted.segments.append(segment)
            try:
                await segment.open()
            except (NewerFormatError, LockedError, UnsafeFileError):
                raise
            except SpoolError as error:
                if segment.is_blank():  # its owner died while it created or removed the file
                    await self._held.discard(segment)
                else:
                    records = await self._held.quarantine(segment, error, is_counted=False)
                    if records:
                        await self._appender.append(records)
            else:
                self._count_lost_end(segment)
        missing = {key_id for segment in adopted.segments for key_id in segment.missing_keys}
        if missing:
            events = events_to_come(adopted.segments)
            raise UnknownKeyError(f"the files of {owner} are encrypted", sorted(missing), events)
        damaged = await report_interrupted(adopted.segments, seen)
        if damaged:
            warn(
                LogCode.EVENTS_DAMAGED,
                "honeyhive: %d events in %s are damaged and dropped",
                damaged,
                self._folder,
                counts={"events": damaged},
            )
            self._counters.accept(damaged)
            self._counters.lose("damaged", damaged)
        await self._held.accounts.close_dead_owner(owner)
        events = sum(segment.pending for segment in adopted.segments)
        self._count_adopted(owner, events)
        self._held.unheld.remove(owner)
        for index, segment in enumerate(list(adopted.segments)):
            if not await self._held.discard_if_done(segment) and index:
                await segment.close()  # delivery opens it when its turn comes
        adopted.is_ready = True
        self._held.release_finished_owners()
        return events

    def _count_lost_end(self, segment: Segment) -> None:
        """Count what SQLite ignored of a damaged write-ahead log."""
        lost = lost_commits(Path(f"{segment.path}-wal"), segment.pages)
        if lost:
            warn(
                LogCode.FILE_END_DAMAGED,
                "honeyhive: %s is damaged, %d transactions at its end are lost",
                segment.path,
                lost,
                counts={"transactions": lost},
            )
            self._counters.accept(lost)
            self._counters.lose("damaged", lost)
