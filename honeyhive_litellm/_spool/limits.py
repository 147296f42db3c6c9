"""How much the spool may hold, and what has to go when it holds more: decisions, without the disk."""

from __future__ import annotations

from typing import NamedTuple, Optional

from honeyhive_litellm._config.settings import DROP_NEWEST, Settings

SEGMENT_BYTES = 32 * 1024 * 1024
"""A segment this big is sealed, unless the whole spool may be little bigger."""

MEMORY_BYTES = 64 * 1024 * 1024
"""How much is kept in memory while nothing can be written; beyond it the oldest are dropped and counted."""

_PARTS = 4
"""A limit is kept by giving up whole segments: with at least so many of them what goes is a small part."""

_LEAST_CEILING = 16 * 1024 * 1024


class Limits(NamedTuple):
    """The user's limits: bytes on disk, seconds of age (0: any), bytes that stay free for others."""

    max_bytes: int = 2**30
    max_age_s: float = 0.0
    min_free_bytes: int = 0
    drops_newest: bool = False
    full_segment_bytes: Optional[int] = None

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        return cls(
            settings.spool_max_bytes,
            settings.spool_max_age,
            settings.spool_min_free_bytes,
            settings.spool_policy == DROP_NEWEST,
        )

    @property
    def segment_bytes(self) -> int:
        return min(self.full_segment_bytes or SEGMENT_BYTES, self.max_bytes // _PARTS)

    def is_over_age(self, age_s: float) -> bool:
        return 0 < self.max_age_s < age_s

    def is_worn(self, age_s: float) -> bool:
        """Whether a segment was written to for so long that another begins: what is too old goes without the rest."""
        return 0 < self.max_age_s < age_s * _PARTS


class Ceiling:
    """How big the spool may be now: while the disk is short of space, no bigger than when it became so.

    So others' use of the disk keeps the spool from growing, and never empties it.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._while_short: Optional[int] = None

    def look(self, size: int, free_bytes: Optional[int]) -> None:
        """Note how big the spool is and how much of the disk is free, None where nobody knows."""
        if free_bytes is None or free_bytes >= self._limits.min_free_bytes:
            self._while_short = None
        elif self._while_short is None:
            self._while_short = max(size, _LEAST_CEILING)

    @property
    def reason(self) -> str:
        """What events are dropped for that do not fit."""
        return "capacity" if self._while_short is None else "disk"

    @property
    def bytes(self) -> int:
        most = self._limits.max_bytes
        return most if self._while_short is None else min(most, self._while_short)
