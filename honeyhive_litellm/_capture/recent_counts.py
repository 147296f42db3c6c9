"""A bounded memory of recent keys, for what neither an open attempt nor LiteLLM's details of a call can hold."""

from __future__ import annotations

from typing import Callable, Dict, Iterable


class RecentCounts:
    """Counts keys. Remembers the last `limit` distinct keys at least; twice as many and those of `kept` at most.

    Two dictionaries: when the newer one is full it replaces the older one, whose keys are forgotten, except those that
    `kept` then returns. The count of a forgotten key starts again. Not thread-safe: the caller holds a lock.
    """

    def __init__(self, limit: int, kept: Callable[[], Iterable[str]] = tuple) -> None:
        self._limit = limit
        self._kept = kept
        self._newer: Dict[str, int] = {}
        self._older: Dict[str, int] = {}

    def count(self, key: str, above: int = 0) -> int:
        """Count `key` once more. Returns its count, or the number after `above` if that is higher."""
        count = self._newer.get(key) or self._older.get(key, 0)
        count = (count if count > above else above) + 1
        self._newer[key] = count
        if len(self._newer) >= self._limit:
            self._forget_oldest()
        return count

    def _forget_oldest(self) -> None:
        newer = self._newer
        for key in self._kept():
            if key not in newer and key in self._older:
                newer[key] = self._older[key]
        self._older, self._newer = newer, {}
