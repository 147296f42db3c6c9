"""The segment files in a folder that no process appends to or delivers: handed off, or left by dead processes.

In an outage there may be many more of them than this process adopts at a time, so the limits count them as well.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Container, Dict, NamedTuple, Set, Tuple

from .layout import LEASE_SUFFIX, STATE_SUFFIX, are_of_one_project, lease_path, owner_of
from .lease import is_free
from .process_state import read_state

LOOK_EVERY_S = 5.0
"""The shortest time between two looks."""

_SHARE = 0.02
"""The most of the time that is spent on looking: with very many files the looks are rarer."""

_LIVING_S = 15.0
"""Who published its numbers so recently is alive: a process does that every five seconds."""


class OwnerFiles(NamedTuple):
    """The size of one owner's segment files, and when the oldest and the newest of them was written (Unix seconds)."""

    bytes: int
    oldest_at: float
    newest_at: float


class UnheldFiles:
    """What a look at the folder has found. Belongs to the spool's loop.

    `by_owner` are the files that nobody holds, as far as is known without taking the owners' leases, and `bytes` is
    their size. `adopted_bytes` is the size of those that other processes have adopted.
    """

    def __init__(self, folder: Path) -> None:
        self.by_owner: Dict[str, OwnerFiles] = {}
        self.bytes = self.adopted_bytes = 0
        self._folder = folder
        self._next_look = 0.0
        self._with_lease: Set[str] = set()
        """Owners that have a lease file: they may be alive, and not able to publish."""
        self._dead: Set[str] = set()
        """Those whose leases were free."""

    def look(self, own: str, left_out: Container[str]) -> bool:
        """Look at the folder, if that is due; whether it was.

        `own` is this process's owner, whose files are left out like those of `left_out` and of other projects.
        """
        began = time.monotonic()
        if began < self._next_look:
            return False
        try:
            found, living = self._scan()
        except OSError:
            found, living = {}, set()
        adopted = self._adopted_by(living)
        counted = {
            owner: files
            for owner, files in found.items()
            if owner != own and owner not in left_out and owner not in living and are_of_one_project(own, owner)
        }
        self.by_owner = {owner: files for owner, files in counted.items() if owner not in adopted}
        self._dead.intersection_update(found)
        self.bytes = sum(files.bytes for files in self.by_owner.values())
        self.adopted_bytes = sum(files.bytes for owner, files in counted.items() if owner in adopted)
        ended = time.monotonic()
        self._next_look = ended + max(LOOK_EVERY_S, (ended - began) / _SHARE)
        return True

    def leave_out_living(self) -> None:
        """Take the lease of each owner that has one, once, to see whether it lives: then its files do not count."""
        for owner in [name for name in self.by_owner if name in self._with_lease and name not in self._dead]:
            if is_free(lease_path(self._folder, owner)):
                self._dead.add(owner)
            else:
                self.remove(owner)

    def add(self, owner: str, size: int) -> None:
        """Note that a file was just handed off under the name of this owner."""
        self.by_owner[owner] = OwnerFiles(size, time.time(), time.time())
        self.bytes += size

    def remove(self, owner: str) -> None:
        """Note that an owner's files are held now, or that they are not to be counted."""
        files = self.by_owner.pop(owner, None)
        if files is not None:
            self.bytes -= files.bytes

    def _scan(self) -> Tuple[Dict[str, OwnerFiles], Set[str]]:
        found: Dict[str, OwnerFiles] = {}
        living: Set[str] = set()
        now = time.time()
        self._with_lease.clear()
        with os.scandir(self._folder) as entries:
            for entry in entries:
                stem, suffix = os.path.splitext(entry.name)
                owner = owner_of(entry.name)
                if suffix == LEASE_SUFFIX:
                    self._with_lease.add(stem)
                if suffix != STATE_SUFFIX and owner is None:
                    continue
                try:
                    if not entry.is_file(follow_symlinks=False):
                        continue
                    stat = entry.stat(follow_symlinks=False)
                except OSError:
                    continue  # removed meanwhile
                if owner is None:
                    if now - stat.st_mtime < _LIVING_S:
                        living.add(stem)
                    continue
                before = found.get(owner, OwnerFiles(0, stat.st_mtime, stat.st_mtime))
                found[owner] = OwnerFiles(
                    before.bytes + stat.st_size,
                    min(before.oldest_at, stat.st_mtime),
                    max(before.newest_at, stat.st_mtime),
                )
        return found, living

    def _adopted_by(self, living: Set[str]) -> Set[str]:
        """The owners whose segments these living processes hold, as they have published it."""
        adopted: Set[str] = set()
        for process in living:
            state = read_state(self._folder, process)
            if state is not None:
                owners = {owner_of(name) for name in state.segments}
                adopted.update(owner for owner in owners if owner is not None and owner != process)
        return adopted
