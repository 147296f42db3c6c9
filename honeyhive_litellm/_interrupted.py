"""The event of a call that its process took along into death, made from the record of its start."""

from __future__ import annotations

from ._event import decode, encode
from ._record import EVENT, Record

STATUS = "interrupted"
ERROR = "Interrupted: the process ended while the call was in flight"


def interrupted(start: Record) -> Record:
    """Finish the event of a call whose end nobody saw. Its end time and duration stay unknown."""
    body = decode(start.body)
    metadata = body.get("metadata")
    body["metadata"] = {
        **(metadata if isinstance(metadata, dict) else {}),
        "status": STATUS,
        "success": False,
        "error_class": "Interrupted",
    }
    body["error"] = ERROR
    return start._replace(kind=EVENT, body=encode(body))
