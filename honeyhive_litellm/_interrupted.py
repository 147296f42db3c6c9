"""The event of a call that its process took along into death, made from the last record that tells of it."""

from __future__ import annotations

from ._event import decode, encode
from ._record import EVENT, IN_FLIGHT, Record

STATUS = "interrupted"
ERROR = "Interrupted: the process ended while the call was in flight"


def interrupted(start: Record) -> Record:
    """Finish the event of a call whose end nobody saw. Its end time and duration stay unknown.

    A strict call's outcome was seen before the process died: that record is the event as it is.
    """
    body = decode(start.body)
    metadata = body.get("metadata")
    known = metadata if isinstance(metadata, dict) else {}
    if known.get("status") != IN_FLIGHT:
        return start._replace(kind=EVENT)
    body["metadata"] = {**known, "status": STATUS, "success": False, "error_class": "Interrupted"}
    body["error"] = ERROR
    return start._replace(kind=EVENT, body=encode(body))
