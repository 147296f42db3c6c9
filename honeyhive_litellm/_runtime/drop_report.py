"""The event that reports dropped events, so that HoneyHive's users see that some are missing."""

from __future__ import annotations

import time
import uuid
from datetime import datetime, timezone
from typing import Dict, Mapping, Optional

from honeyhive_litellm._config.settings import Settings
from honeyhive_litellm._json import encode
from honeyhive_litellm._spool.record import EVENT, Record
from honeyhive_litellm._stats import Stats

EVENT_NAME = "honeyhive_litellm.dropped"


class DropReport:
    """Compares the numbers with those of the last report. A report that is dropped itself is part of the next one."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._reported: Dict[str, int] = {}
        self._delivered = 0
        self._since_ms: Optional[float] = None

    def due(self, stats: Stats) -> Optional[Record]:
        """A report of what was dropped since the last one, or None. It waits until the server takes events again."""
        dropped = {reason: n - self._reported.get(reason, 0) for reason, n in stats.dropped.items()}
        dropped = {reason: n for reason, n in dropped.items() if n > 0}
        if not dropped:
            self._delivered = stats.delivered
            return None
        now_ms = time.time() * 1000
        if self._since_ms is None:
            self._since_ms = now_ms
        if stats.delivered <= self._delivered or stats.last_error is not None:
            return None
        self._reported = dict(stats.dropped)
        record = _event(self._settings, dropped, self._since_ms, now_ms)
        self._since_ms = None
        return record


def _event(settings: Settings, dropped: Mapping[str, int], start_ms: float, end_ms: float) -> Record:
    id_ = str(uuid.uuid4())
    count = sum(dropped.values())
    duration_ms = round(end_ms - start_ms, 3)
    body: Dict[str, object] = {
        "event_id": id_,
        "event_type": "tool",
        "event_name": EVENT_NAME,
        "source": settings.environment,
        "start_time": start_ms,
        "end_time": end_ms,
        "duration": duration_ms,
        "inputs": {},
        "outputs": {"dropped": dict(dropped)},
        "error": f"{count} events were dropped before they were delivered",
        "metadata": {
            "project": settings.project,
            "status": "failure",
            "success": False,
            "dropped": count,
            "trace_id": id_,
            "timestamp": datetime.fromtimestamp(start_ms / 1000, timezone.utc).isoformat(timespec="milliseconds"),
            "duration_ms": duration_ms,
            "latency_ms": duration_ms,
            "tool_name": EVENT_NAME,
        },
    }
    return Record(EVENT, id_, start_ms, None, encode(body))
