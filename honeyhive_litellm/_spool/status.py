"""The numbers of a whole folder: of processes that live, of what dead ones left, and of what is gone already.

A segment file that nobody holds is opened and asked; one that a living process holds is known from what that process
published; one that is gone has its account in the ledger. So each event is counted once, and with all processes dead
the numbers are exact. With living ones they are as old as the last publication: a second or so.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional

from honeyhive_litellm._errors import SpoolError
from honeyhive_litellm._stats import Totals

from . import dead_letters
from .lease import Lease, lease_path, owners_in
from .ledger import ALL_GONE, accounts_in
from .process_state import LOST, Published, last_seen, published_by
from .segment import Segment


class Leftover(NamedTuple):
    """What a dead owner left: undelivered events, calls that it died in, when it was last seen (Unix seconds)."""

    owner: str
    segments: int
    pending: int
    interrupted: int
    last_seen: Optional[float]


@dataclass
class FolderStatus:
    """What became of all events that were ever recorded in `folder`.

    `processes` live; `leftovers` wait for somebody to adopt them. `pending` was found in files and in the memory of
    living processes. `untold` are the files of living processes that have not told of them yet, `unreadable` those
    that could not be opened.
    """

    folder: Path
    bytes_on_disk: int = 0
    dead_letters: int = 0
    totals: Totals = field(default_factory=Totals)
    pending: int = 0
    processes: List[Published] = field(default_factory=list)
    leftovers: List[Leftover] = field(default_factory=list)
    untold: List[str] = field(default_factory=list)
    unreadable: Dict[str, str] = field(default_factory=dict)

    @property
    def adds_up(self) -> bool:
        """Whether every event is delivered, pending, dead or dropped."""
        return self.totals.pending == self.pending

    def count(self, totals: Totals, pending: int) -> None:
        self.totals = self.totals.plus(totals)
        self.pending += pending


async def status_of(folder: Path) -> FolderStatus:
    """Ask everything in `folder`. Raises SpoolError if it cannot be read."""
    try:
        owners = owners_in(folder)
        files = set(os.listdir(folder))
        status = FolderStatus(folder, _bytes_in(folder))
    except OSError as error:
        raise SpoolError(f"{folder}: {error}") from error
    status.dead_letters = len(dead_letters.letters(folder))
    for name, totals in accounts_in(folder).items():
        if name == ALL_GONE or name not in files:
            status.count(totals, 0)
    held: List[Path] = []
    told: Dict[str, Totals] = {}
    for owner, paths in sorted(owners.items()):
        lease = _lease_of(folder, owner)
        if lease is not None:
            try:
                await _count_leftovers(status, owner, paths)
            finally:
                lease.release(remove=False)
            continue
        held += paths
        published = published_by(folder, owner)
        if published is not None:
            told.update(published.segments)
            status.processes.append(published)
            status.count(published.unspooled, published.unspooled.pending)
    for path in held:
        if path.name in told:
            status.count(told[path.name], told[path.name].pending)
        elif path.exists():
            status.untold.append(path.name)
    return status


def _lease_of(folder: Path, owner: str) -> Optional[Lease]:
    """The lease of a dead owner; None if it lives, or somebody delivers what it left."""
    try:
        return Lease.take(lease_path(folder, owner))
    except SpoolError:
        return None


async def _count_leftovers(status: FolderStatus, owner: str, paths: List[Path]) -> None:
    seen = last_seen(status.folder, owner, paths)
    pending = interrupted = 0
    for path in paths:
        segment = Segment(path, "process")
        try:
            await segment.open()
        except SpoolError as error:
            if path.exists() and not segment.is_blank():
                status.unreadable[path.name] = str(error)
            continue
        status.count(segment.totals(), segment.pending)
        pending += segment.pending
        interrupted += len(segment.open_starts)
        await segment.close()
    published = published_by(status.folder, owner)
    if published is not None:
        status.count(published.unspooled.giving_up(LOST), 0)
    if paths:
        status.leftovers.append(Leftover(owner, len(paths), pending, interrupted, seen))


def _bytes_in(folder: Path) -> int:
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(root, name)).st_size
            except OSError:
                pass  # removed meanwhile
    return total
