"""What the server refused, since it began: the delivery page shows it. Bounded, and without anybody's content."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import List, NamedTuple, Tuple

_KINDS_KEPT = 200


class Refused(NamedTuple):
    """So many requests to a route that were refused alike, and when last (Unix milliseconds)."""

    method: str
    path: str
    status: int
    reason: str
    requests: int
    last_ms: float


class Refusals:
    """Counts refused requests by route, status and reason; the kinds that were not seen for longest are forgotten."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kinds: OrderedDict[Tuple[str, str, int, str], Tuple[int, float]] = OrderedDict()

    def add(self, method: str, path: str, status: int, reason: str, now_ms: float) -> None:
        """Count one."""
        key = (method[:10], path[:100], status, reason[:200])
        with self._lock:
            requests, _ = self._kinds.pop(key, (0, 0.0))
            self._kinds[key] = (requests + 1, now_ms)
            if len(self._kinds) > _KINDS_KEPT:
                self._kinds.popitem(last=False)

    def newest_first(self) -> List[Refused]:
        """All that are kept."""
        with self._lock:
            return [Refused(*key, *value) for key, value in reversed(self._kinds.items())]
