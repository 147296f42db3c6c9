"""What is done once, and only once, to the segments of a dead owner."""

from __future__ import annotations

from typing import Optional, Sequence

from honeyhive_litellm._errors import SpoolError
from honeyhive_litellm._log import warn

from .interrupted import interrupted
from .segment import Segment


async def report_interrupted(segments: Sequence[Segment], seen: Optional[float]) -> None:
    """Give every call that its process took along into death its event, in the newest segment with its start.

    `segments` are all of the owner's, oldest first; `seen` is the Unix time in seconds at which the process was known
    to live. Then seal them, so that nobody does it again: the events may be delivered and gone before the start is.
    """
    ended = {id_ for segment in segments for id_ in segment.ended}
    try:
        for segment in reversed(segments):
            # Newest first: its owner may have died after carrying a start along, before sealing where it came from.
            seqs = [seq for id_, seq in segment.open_starts.items() if id_ not in ended]
            ended.update(segment.open_starts)
            starts = [await segment.start_of(seq) for seq in seqs]
            events = [interrupted(start, seen) for start in starts if start is not None]
            if events:
                await segment.append(events)
        for segment in segments:
            if not segment.sealed:
                await segment.seal()
            segment.open_starts.clear()
            segment.ended.clear()
    except SpoolError as error:
        warn("interrupted", "honeyhive: unfinished calls of a dead process stay for the next one: %s", error)
