"""The event of a call that its process took along into death, made from the last record that tells of it."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Optional

from honeyhive_litellm._json import decode, encode

from .record import EVENT, IN_FLIGHT, Record

STATUS = "interrupted"
ERROR = "Interrupted: the process ended while the call was in flight"


def interrupted(start: Record, last_seen: Optional[float] = None) -> Record:
    """Finish the event of a call whose end nobody saw.

    `last_seen` is the Unix time in seconds at which its process was known to live: the event ends then. Without it
    end time and duration stay unknown. A strict call's outcome was seen before the process died: that record is the
    event as it is.
    """
    body = decode(start.body)
    given = body.get("metadata")
    metadata = given if isinstance(given, dict) else {}
    if metadata.get("status") != IN_FLIGHT:
        return start._replace(kind=EVENT)
    body["metadata"] = {**metadata, "status": STATUS, "success": False, "error_class": "Interrupted"}
    if last_seen is not None:
        end_ms = max(last_seen * 1000, start.started_ms)  # the call began, so its process lived then
        body["end_time"] = end_ms
        body["duration"] = body["metadata"]["duration_ms"] = round(end_ms - start.started_ms, 3)
        moment = datetime.fromtimestamp(end_ms / 1000, timezone.utc)
        body["metadata"]["last_seen"] = moment.isoformat(timespec="milliseconds")
    body["error"] = ERROR
    return start._replace(kind=EVENT, body=encode(body))
