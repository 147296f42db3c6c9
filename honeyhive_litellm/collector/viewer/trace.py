"""Events of one trace or session as a tree and as bars on one time axis. Pure."""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Optional, Sequence, Set

from honeyhive_litellm.collector._queries import Row
from honeyhive_litellm.collector._summary import Summary

_DEEPEST_SHOWN = 12
_THINNEST = 0.25
"""The width of a bar in per cent at least, so that a short call is seen."""


class Span(NamedTuple):
    """One event: its place in the tree, and its bar from *left*, *width* wide, in per cent of the axis.

    *overlaps* says that it began before an earlier event of the same parent had ended.
    """

    event: Summary
    depth: int
    children: int
    left: float
    width: float
    overlaps: bool


class Trace(NamedTuple):
    """All spans in the order of the tree, and the axis: from when, and how many milliseconds long."""

    spans: List[Span]
    start_ms: float
    length_ms: float


class Totals(NamedTuple):
    """Sums over events; a chain sums up its attempts and is not counted again."""

    events: int
    failed: int
    prompt_tokens: int
    completion_tokens: int
    cost: float


def totals(events: Sequence[Summary]) -> Totals:
    """The sums of tokens and cost."""
    calls = [event for event in events if event.event_type != "chain"]
    return Totals(
        len(calls),
        sum(event.status != "success" for event in calls),
        sum(event.prompt_tokens or 0 for event in calls),
        sum(event.completion_tokens or 0 for event in calls),
        sum(event.cost or 0.0 for event in calls),
    )


def trace(rows: Sequence[Row]) -> Trace:
    """The tree of *rows*, which are in the order of their start. An unknown parent counts as none."""
    events = [row.summary for row in rows]
    if not events:
        return Trace([], 0.0, 0.0)
    start_ms = min(event.start_ms for event in events)
    length_ms = max(event.start_ms + max(0.0, event.duration_ms or 0.0) for event in events) - start_ms
    ids = {event.event_id for event in events}
    children: Dict[Optional[str], List[Summary]] = {}
    for event in events:
        parent = event.parent_id if event.parent_id in ids and event.parent_id != event.event_id else None
        children.setdefault(parent, []).append(event)
    spans: List[Span] = []
    seen: Set[str] = set()
    for root in [*children.get(None, []), *events]:  # what only a circle of parents reaches is a root as well
        _walk(root, children, seen, spans, start_ms, length_ms or 1.0)
    return Trace(spans, start_ms, length_ms)


def _walk(
    root: Summary,
    children: Dict[Optional[str], List[Summary]],
    seen: Set[str],
    spans: List[Span],
    start_ms: float,
    length_ms: float,
) -> None:
    ahead = [(root, 0, False)]
    while ahead:
        event, depth, overlaps = ahead.pop()
        if event.event_id in seen:
            continue
        seen.add(event.event_id)
        own = children.get(event.event_id, [])
        left = (event.start_ms - start_ms) / length_ms * 100.0
        width = max(_THINNEST, max(0.0, event.duration_ms or 0.0) / length_ms * 100.0)
        left = max(0.0, min(left, 100.0 - _THINNEST))
        spans.append(Span(event, min(depth, _DEEPEST_SHOWN), len(own), left, min(width, 100.0 - left), overlaps))
        latest = float("-inf")
        beside = []
        for child in own:
            beside.append((child, depth + 1, child.start_ms < latest))
            latest = max(latest, child.start_ms + (child.duration_ms or 0.0))
        ahead.extend(reversed(beside))
