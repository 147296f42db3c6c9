"""A bounded memory of what was seen lately, for what no open attempt and no dictionary of LiteLLM's can hold."""

from __future__ import annotations

from typing import Dict, Iterable


class RecentCounts:
    """Counts keys. Remembers the last `limit` distinct keys at least; at most twice as many, and those it has to keep.

    Two dictionaries: when the newer one is full it replaces the older one, whose keys are forgotten. The count of a
    forgotten key starts again. Not thread-safe: the caller holds a lock.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._newer: Dict[str, int] = {}
        self._older: Dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._newer.keys() | self._older.keys())

    def count(self, key: str, above: int = 0) -> int:
        """Count `key` once more. Returns its count, or the number after `above` if that is higher."""
        number = max(self._newer.get(key) or self._older.get(key, 0), above) + 1
        self._newer[key] = number
        return number

    @property
    def is_full(self) -> bool:
        """Whether `forget_oldest` is due."""
        return len(self._newer) >= self._limit

    def forget_oldest(self, keep: Iterable[str] = ()) -> None:
        """Forget the keys that were counted longest ago, except those of `keep`."""
        newer = self._newer
        for key in keep:
            if key not in newer and key in self._older:
                newer[key] = self._older[key]
        self._older, self._newer = newer, {}
