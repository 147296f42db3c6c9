"""The limits of size and age for the segment files that nobody holds: their owners are adopted, and then dropped from.

So each event is counted as every dropped one is, and no process touches the files of a living one.
"""

from __future__ import annotations

import time

from .adoption import Adoption
from .appender import Appender
from .held_segments import HeldSegments
from .limits import NO_LIMITS, Ceiling, Limits

_ENFORCE_S = 0.1
"""How long one call takes at most: commits wait meanwhile. The next one goes on."""


class FolderLimits:
    """Belongs to the spool's loop. Without `delivers`, `release` gives back what was adopted and not dropped."""

    def __init__(
        self,
        owner: str,
        held: HeldSegments,
        appender: Appender,
        adoption: Adoption,
        *,
        limits: Limits,
        ceiling: Ceiling,
        delivers: bool,
    ) -> None:
        self._owner = owner
        self._held = held
        self._unheld = held.unheld
        self._appender = appender
        self._adoption = adoption
        self._limits = limits
        self._ceiling = ceiling
        self._delivers = delivers
        self._is_age_due = self._is_size_due = False
        """Whether there was a look, and what it found is not dealt with yet."""

    def look(self) -> None:
        """Look at the folder, if that is due."""
        if self._limits is NO_LIMITS:
            return
        if self._unheld.look(self._owner, {*self._held.adopted, *self._adoption.left_alone}):
            self._is_age_due = self._limits.max_age_s > 0
            self._is_size_due = not self._limits.drops_newest

    async def adopt_expired(self) -> None:
        """Adopt what is older than the limit of age, so that it is dropped with the held segments."""
        if not self._is_age_due:
            return
        deadline = time.monotonic() + _ENFORCE_S
        for owner, files in list(self._unheld.by_owner.items()):
            if time.monotonic() > deadline:
                return
            if self._limits.is_over_age(time.time() - files.newest_at):
                await self._adopt(owner)
        self._is_age_due = False

    async def enforce_size(self) -> None:
        """Adopt and drop the oldest files, until the held ones and those that nobody holds are within the limit."""
        if not self._is_size_due:
            return
        if self._held.bytes_on_disk() + self._unheld.bytes > self._ceiling.bytes:
            self._unheld.leave_out_living()
        deadline = time.monotonic() + _ENFORCE_S
        unheld = sorted(((files.oldest_at, owner) for owner, files in self._unheld.by_owner.items()), reverse=True)
        while self._held.bytes_on_disk() + self._unheld.bytes > self._ceiling.bytes:
            if time.monotonic() > deadline:
                return
            held = self._held.droppable()
            if unheld and (not held or unheld[-1][0] <= held[0][0]):
                await self._adopt(unheld.pop()[1])  # and if it can be adopted, it is the oldest of the held ones
            elif held:
                await self._appender.drop_for_room(held[0][1], self._ceiling.reason)
            else:
                break
        self._is_size_due = False

    async def release(self) -> None:
        """Give back what this process adopted to drop from it, if another one has to deliver the rest."""
        if not self._delivers:
            await self._adoption.release()

    async def _adopt(self, owner: str) -> None:
        """Adopt the owner if it is dead. In any case its files do not count as held by nobody any more."""
        self._unheld.remove(owner)
        await self._adoption.adopt_owner(owner)
