"""The `interrupted` events: what becomes of the calls that were in flight when their process died."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Optional, Sequence

from honeyhive_litellm._errors import SpoolError
from honeyhive_litellm._json import decode, encode
from honeyhive_litellm._log import warn
from honeyhive_litellm._log_codes import LogCode

from .record import EVENT, IN_FLIGHT, Record
from .segment import Segment

STATUS = "interrupted"
ERROR = "Interrupted: the process ended while the call was in flight"


def events_to_come(segments: Sequence[Segment]) -> int:
    """How many events there are in the segments of a dead owner, with those that `report_interrupted` would append."""
    ended = {id_ for segment in segments for id_ in segment.ended}
    started = {id_ for segment in segments for id_ in segment.open_starts}
    return sum(segment.pending for segment in segments) + len(started - ended)


async def report_interrupted(segments: Sequence[Segment], seen: Optional[float]) -> int:
    """Append an event for every call without one, to the newest segment that has its start record, and seal all.

    Returns how many calls have no event because their start record is damaged.

    `segments` are all segments of a dead owner, open, oldest first; `seen` is the Unix time in seconds at which it was
    last known to live. They are sealed so that this happens once: a later adopter could find a start record whose
    event has been delivered and removed.
    """
    ended = {id_ for segment in segments for id_ in segment.ended}
    damaged = 0
    try:
        # Newest first: a process killed while it rotated may have left the same start record in two segments.
        for segment in reversed(segments):
            seqs = [seq for id_, seq in segment.open_starts.items() if id_ not in ended]
            ended.update(segment.open_starts)
            events = [_event_of(await segment.start_of(seq), seen) for seq in seqs]
            readable = [event for event in events if event is not None]
            damaged += len(events) - len(readable)
            if readable:
                await segment.append(readable)
        for segment in segments:
            if not segment.sealed:
                await segment.seal()
            segment.open_starts.clear()
            segment.ended.clear()
    except SpoolError as error:
        warn(
            LogCode.INTERRUPTED_NOT_REPORTED,
            "honeyhive: calls that were in flight when another process died cannot be reported now, the next process "
            "that adopts its spool files will do it: %s",
            error,
        )
    return damaged


def _event_of(start: Optional[Record], seen: Optional[float]) -> Optional[Record]:
    """`interrupted` in a guard of its own: one record that cannot be read must not keep the others back."""
    try:
        return None if start is None else interrupted(start, seen)
    except Exception:
        return None


def interrupted(start: Record, last_seen: Optional[float] = None) -> Record:
    """Make the event of a call from its start record.

    The event ends at `last_seen`, the Unix time in seconds at which its process was last known to live; without it
    end time and duration stay unknown. A start record with an outcome (of a strict call) is the event as it is.
    """
    body = decode(start.body)
    stored = body.get("metadata")
    metadata = stored if isinstance(stored, dict) else {}
    if metadata.get("status") != IN_FLIGHT:
        return start._replace(kind=EVENT)
    body["metadata"] = {**metadata, "status": STATUS, "success": False, "error_class": "Interrupted"}
    if last_seen is not None:
        end_ms = max(last_seen * 1000, start.started_ms)  # the process lived when the call began
        body["end_time"] = end_ms
        duration_ms = body["duration"] = round(end_ms - start.started_ms, 3)
        body["metadata"].update(duration_ms=duration_ms, latency_ms=duration_ms)
        moment = datetime.fromtimestamp(end_ms / 1000, timezone.utc)
        body["metadata"]["last_seen"] = moment.isoformat(timespec="milliseconds")
    body["error"] = ERROR
    return start._replace(kind=EVENT, body=encode(body))
