"""Which part of a segment is settled, which is on its way, which is still to be read: pure bookkeeping.

A segment's records are numbered; what happened to them is kept as spans of those numbers, not as a column of
every row: a batch costs one small write instead of a hundred. Neighbours in the same settled state melt into
one, so the table stays a handful of rows however long the segment lives.
"""

from __future__ import annotations

from typing import Iterable, List, NamedTuple, Optional, Sequence, Tuple

SENDING = 1
"""Marked before the POST: after a crash the outcome of these is unknown."""

SETTLED = 2
"""Delivered, buried, dropped, or superseded: nothing is left to do."""


class Span(NamedTuple):
    """Records `lo` to `hi`, both included, `events` of them events; `at` is the Unix time in seconds of the change.

    Of a settled span's events `dead` went to the dead letters, `damaged` could not be read back, the others were
    delivered.
    """

    lo: int
    hi: int
    state: int
    events: int
    at: float
    dead: int = 0
    damaged: int = 0

    def melted(self, other: Span) -> Span:
        """A settled span and the one beside it, as one."""
        return self._replace(
            lo=min(self.lo, other.lo),
            hi=max(self.hi, other.hi),
            events=self.events + other.events,
            dead=self.dead + other.dead,
            damaged=self.damaged + other.damaged,
        )


class Change(NamedTuple):
    """What to write: every stored span that begins in `lo..hi` goes, `spans` come in its place."""

    lo: int
    hi: int
    spans: Tuple[Span, ...]


class Spans:
    """The spans of one segment, in order, never overlapping."""

    def __init__(self, spans: Iterable[Span] = ()) -> None:
        self._spans: List[Span] = sorted(spans)

    def mark(self, span: Span) -> Change:
        """Put `span` in the place of what it covers and return what the table needs.

        A settled one melts with the settled ones beside it. Raises ValueError if it cuts through another.
        """
        before = [s for s in self._spans if s.hi < span.lo]
        after = [s for s in self._spans if s.lo > span.hi]
        covered = self._spans[len(before) : len(self._spans) - len(after)]
        if any(s.lo < span.lo or s.hi > span.hi for s in covered):
            raise ValueError(f"span {span.lo}..{span.hi} cuts through another")
        if span.state == SETTLED:
            if before and before[-1].state == SETTLED and before[-1].hi == span.lo - 1:
                span = span.melted(before.pop())
            if after and after[0].state == SETTLED and after[0].lo == span.hi + 1:
                span = span.melted(after.pop(0))
        self._spans = [*before, span, *after]
        return Change(span.lo, span.hi, (span,))

    def replace(self, whole: Tuple[int, int], parts: Sequence[Span]) -> Change:
        """Put `parts` in the place of the span `whole`: its halves, or nothing when it certainly was not stored."""
        index = next(i for i, s in enumerate(self._spans) if (s.lo, s.hi) == whole)
        self._spans[index : index + 1] = parts
        return Change(whole[0], whole[1], tuple(parts))

    def gap(self, after: int, last: int) -> Optional[Tuple[int, int]]:
        """The first stretch of numbers beyond `after`, up to `last`, that no span covers; None if there is none."""
        lo = after + 1
        for span in self._spans:
            if span.hi < lo:
                continue
            if span.lo > lo:
                return lo, min(span.lo - 1, last)
            lo = span.hi + 1
        return (lo, last) if lo <= last else None

    def sending(self) -> List[Span]:
        """What was on its way when its sender died."""
        return [s for s in self._spans if s.state == SENDING]

    def settled(self) -> List[Span]:
        """What needs nothing more."""
        return [s for s in self._spans if s.state == SETTLED]

    def settled_events(self) -> int:
        """How many events are settled."""
        return sum(s.events for s in self._spans if s.state == SETTLED)
