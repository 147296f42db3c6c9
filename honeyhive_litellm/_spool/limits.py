"""How much the spool may hold, and when a segment is full: decisions, without IO."""

from __future__ import annotations

from typing import NamedTuple, Optional

BATCH_EVENTS = 100
BATCH_BYTES = 4 * 1024 * 1024
"""The size of one batch, and with that of one request. HoneyHive refuses requests of more than 5 MB.

Sources fill batches by it, and the flusher waits for full ones by it: both have to go by the same number.
"""

SEGMENT_BYTES = 32 * 1024 * 1024
"""A segment of this size is sealed; with a small `max_bytes` a smaller one is."""

MEMORY_BYTES = 64 * 1024 * 1024
"""How much is kept in memory while nothing can be written; beyond it the oldest segment is dropped and counted."""

_SEGMENTS_PER_LIMIT = 4
"""A limit is enforced by dropping whole segments; with at least this many, each is a small part of the spool."""

_LEAST_CEILING = 16 * 1024 * 1024


class Limits(NamedTuple):
    """The user's limits: bytes on disk, seconds of age (0: no limit), bytes of the disk that stay free for others.

    With `drops_newest` a full spool refuses new events, else it drops its oldest segment. Only tests set
    `full_segment_bytes`, to have small segments.
    """

    max_bytes: int = 2**30
    max_age_s: float = 0.0
    min_free_bytes: int = 0
    drops_newest: bool = False
    full_segment_bytes: Optional[int] = None

    @property
    def segment_bytes(self) -> int:
        return min(self.full_segment_bytes or SEGMENT_BYTES, self.max_bytes // _SEGMENTS_PER_LIMIT)

    def is_over_age(self, age_s: float) -> bool:
        return 0 < self.max_age_s < age_s

    def rotation_due(self, age_s: float) -> bool:
        """Whether a segment was begun so long ago that a new one is due: events expire with their whole segment."""
        return 0 < self.max_age_s < age_s * _SEGMENTS_PER_LIMIT


NO_LIMITS = Limits(max_bytes=2**63)


class Ceiling:
    """How big the spool may be now: its limit or, while the disk is short of space, its size when that began.

    So a disk that others fill stops the spool from growing, but never empties it.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._bytes_while_short: Optional[int] = None

    def update(self, spool_bytes: int, free_bytes: Optional[int]) -> None:
        """Take note of the spool's size and the disk's free bytes (None: cannot be determined)."""
        if free_bytes is None or free_bytes >= self._limits.min_free_bytes:
            self._bytes_while_short = None
        elif self._bytes_while_short is None:
            self._bytes_while_short = max(spool_bytes, _LEAST_CEILING)

    @property
    def reason(self) -> str:
        """Why events that do not fit are dropped, as `Stats.dropped` names it."""
        return "capacity" if self._bytes_while_short is None else "disk"

    @property
    def bytes(self) -> int:
        most = self._limits.max_bytes
        return most if self._bytes_while_short is None else min(most, self._bytes_while_short)
