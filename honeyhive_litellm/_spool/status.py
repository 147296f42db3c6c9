"""The numbers of a whole folder: of living processes, of what dead ones left, and of removed files.

A segment that no process holds is opened and read. A segment that a living process holds is counted as that process
published it. A removed segment has its account in the ledger. So each event is counted once, and if no process lives
the numbers are exact. Otherwise they are as old as the last publication: about a second.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Set

from honeyhive_litellm._errors import SpoolError
from honeyhive_litellm._privacy.cipher import NO_CIPHER, Cipher
from honeyhive_litellm._stats import Totals

from . import dead_letters
from .interrupted import events_to_come
from .layout import DESTINATIONS_NAME, lease_path, owners_in
from .lease import Lease
from .ledger import MERGED, accounts_in
from .private_files import effective_folder
from .process_state import LOST, ProcessState, last_seen, read_state
from .segment import Segment


class Leftover(NamedTuple):
    """What a dead owner left: undelivered events, calls that were in flight, when it was last seen (Unix seconds)."""

    owner: str
    segments: int
    pending: int
    interrupted: int
    last_seen: Optional[float]


@dataclass
class FolderStatus:
    """What became of all events that were ever recorded in `folder`.

    `processes` are alive; `leftovers` wait to be adopted. `pending` counts the events found in files and those that
    living processes have in memory. `unpublished` are files of living processes that have not published their numbers
    yet, `unreadable` those that could not be opened, with the reason. `oldest_pending_at` is the Unix time at which the
    call of the oldest undelivered event began.

    `locked` are the events of the leftovers that cannot be decrypted, with those that interrupted calls will become,
    which are `locked_calls`. `locked_letters` are such dead letters, and `missing_keys` the ids of the keys of the
    events, in hexadecimal digits.
    """

    folder: Path
    bytes_on_disk: int = 0
    dead_letters: int = 0
    totals: Totals = field(default_factory=Totals)
    pending: int = 0
    locked: int = 0
    locked_calls: int = 0
    locked_letters: int = 0
    missing_keys: Set[str] = field(default_factory=set)
    oldest_pending_at: Optional[float] = None
    processes: List[ProcessState] = field(default_factory=list)
    leftovers: List[Leftover] = field(default_factory=list)
    unpublished: List[str] = field(default_factory=list)
    unreadable: Dict[str, str] = field(default_factory=dict)

    @property
    def adds_up(self) -> bool:
        """Whether every event is delivered, pending, dead or dropped."""
        return self.totals.pending == self.pending

    @property
    def without_deliverer(self) -> int:
        """The events that no living process delivers: of dead processes, and of those that only write."""
        left = sum(leftover.pending + leftover.interrupted for leftover in self.leftovers)
        return left + sum(process.stats.pending for process in self.processes if not process.flushes)

    def count(self, totals: Totals, pending: int) -> None:
        self.totals = self.totals.plus(totals)
        self.pending += pending

    def note_oldest(self, at: Optional[float]) -> None:
        if at is not None and (self.oldest_pending_at is None or at < self.oldest_pending_at):
            self.oldest_pending_at = at

    def oldest_age_s(self, now: float) -> Optional[float]:
        """For how long the oldest undelivered event has waited; None if there is none."""
        return None if self.oldest_pending_at is None else max(0.0, now - self.oldest_pending_at)


async def status_of(folder: Path, cipher: Cipher = NO_CIPHER) -> FolderStatus:
    """Read everything in the spool of `folder`, but no content. Raises SpoolError if that fails.

    What is encrypted with a key that `cipher` does not have counts as locked.
    """
    folder = effective_folder(folder)
    try:
        owners = owners_in(folder)
        files = set(os.listdir(folder))
        status = FolderStatus(folder, _bytes_in(folder))
    except OSError as error:
        raise SpoolError(f"{folder}: {error}") from error
    letters = dead_letters.letters(folder, cipher)
    status.dead_letters = len(letters)
    status.locked_letters = sum(letter.is_locked for letter in letters)
    for name, totals in accounts_in(folder).items():
        if name == MERGED or name not in files:
            status.count(totals, 0)
    held: List[Path] = []
    published: Dict[str, Totals] = {}
    for owner, paths in sorted(owners.items()):
        lease = _lease_of(folder, owner)
        if lease is not None:
            try:
                await _count_leftovers(status, owner, paths, cipher)
            finally:
                lease.release(remove=False)
            continue
        held += paths
        state = read_state(folder, owner)
        if state is not None:
            published.update(state.segments)
            status.processes.append(state)
            status.note_oldest(state.oldest_pending_at)
            status.count(state.unspooled, state.unspooled.pending)
    for path in held:
        if path.name in published:
            status.count(published[path.name], published[path.name].pending)
        elif path.exists():
            status.unpublished.append(path.name)
    return status


def _lease_of(folder: Path, owner: str) -> Optional[Lease]:
    """The lease of a dead owner; None if it lives, or if another process has adopted it."""
    try:
        return Lease.take(lease_path(folder, owner))
    except SpoolError:
        return None


async def _count_leftovers(status: FolderStatus, owner: str, paths: List[Path], cipher: Cipher) -> None:
    seen = last_seen(status.folder, owner, paths)
    pending = interrupted = 0
    segments = []
    for path in paths:
        segment = Segment(path, "process", cipher)
        try:
            await segment.open()
            status.count(segment.totals(), segment.pending)
            status.note_oldest(segment.oldest_pending_at)
            pending += segment.pending
            interrupted += len(segment.open_starts)
            segments.append(segment)
        except SpoolError as error:
            if path.exists() and not segment.is_blank():
                status.unreadable[path.name] = str(error)
        finally:
            await segment.close()  # also if this is cancelled: a connection has a thread
    missing = {key_id.hex() for segment in segments for key_id in segment.missing_keys}
    if missing:
        status.missing_keys |= missing
        locked = events_to_come(segments)  # adoption takes all of an owner's files, or none
        status.locked += locked
        status.locked_calls += locked - sum(segment.pending for segment in segments)
    state = read_state(status.folder, owner)
    if state is not None:
        status.count(state.unspooled.with_pending_dropped(LOST), 0)
    if paths:
        status.leftovers.append(Leftover(owner, len(paths), pending, interrupted, seen))


def _bytes_in(folder: Path) -> int:
    total = 0
    for root, folders, names in os.walk(folder):
        if Path(root) == folder and DESTINATIONS_NAME in folders:
            folders.remove(DESTINATIONS_NAME)  # each is a spool of its own
        for name in names:
            try:
                total += os.stat(os.path.join(root, name)).st_size
            except OSError:
                pass  # removed meanwhile
    return total
