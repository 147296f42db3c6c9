"""Which records of a segment are settled, which are being sent, which are still unsent: pure bookkeeping.

A segment's records are numbered, and their state is kept as ranges of numbers instead of a column of every row: a
batch then costs one small write instead of a hundred. Adjacent settled ranges merge, so the table stays a handful of
rows however long the segment lives.
"""

from __future__ import annotations

from typing import Iterable, List, NamedTuple, Optional, Sequence, Tuple

SENDING = 1
"""Marked before the request is sent: after a crash it is unknown whether the server stored them."""

SETTLED = 2
"""Delivered, moved to the dead letters, dropped, or never an event: nothing is left to do."""


class SeqRange(NamedTuple):
    """Records `lo` to `hi`, both included, of which `events` are events. `at` is the Unix time of the change.

    In a settled range `dead` events went to the dead letters, `damaged` could not be read back, and the others were
    delivered.
    """

    lo: int
    hi: int
    state: int
    events: int
    at: float
    dead: int = 0
    damaged: int = 0

    def merged_with(self, other: SeqRange) -> SeqRange:
        """Combine two adjacent settled ranges into one."""
        return self._replace(
            lo=min(self.lo, other.lo),
            hi=max(self.hi, other.hi),
            events=self.events + other.events,
            dead=self.dead + other.dead,
            damaged=self.damaged + other.damaged,
        )


class Change(NamedTuple):
    """What to write to the table: delete every row that begins in `lo..hi`, then insert `ranges`."""

    lo: int
    hi: int
    ranges: Tuple[SeqRange, ...]


class RangeSet:
    """The ranges of one segment, in order, never overlapping."""

    def __init__(self, ranges: Iterable[SeqRange] = ()) -> None:
        self._ranges: List[SeqRange] = sorted(ranges)

    def mark(self, new: SeqRange) -> Change:
        """Replace the ranges that `new` covers by it. A settled range merges with the settled ones beside it.

        Returns the change to write. Raises ValueError if `new` covers only a part of an existing range.
        """
        before = [r for r in self._ranges if r.hi < new.lo]
        after = [r for r in self._ranges if r.lo > new.hi]
        covered = self._ranges[len(before) : len(self._ranges) - len(after)]
        if any(r.lo < new.lo or r.hi > new.hi for r in covered):
            raise ValueError(f"range {new.lo}..{new.hi} cuts through another")
        if new.state == SETTLED:
            if before and before[-1].state == SETTLED and before[-1].hi == new.lo - 1:
                new = new.merged_with(before.pop())
            if after and after[0].state == SETTLED and after[0].lo == new.hi + 1:
                new = new.merged_with(after.pop(0))
        self._ranges = [*before, new, *after]
        return Change(new.lo, new.hi, (new,))

    def replace(self, whole: Tuple[int, int], parts: Sequence[SeqRange]) -> Change:
        """Replace the range `whole` by `parts`: by its halves, or by nothing, which makes its records unsent again."""
        index = next(i for i, r in enumerate(self._ranges) if (r.lo, r.hi) == whole)
        self._ranges[index : index + 1] = parts
        return Change(whole[0], whole[1], tuple(parts))

    def next_unsent(self, after: int, last: int) -> Optional[Tuple[int, int]]:
        """The first run of numbers above `after`, up to `last`, that no range covers; None if there is none."""
        lo = after + 1
        for covered in self._ranges:
            if covered.hi < lo:
                continue
            if covered.lo > lo:
                return lo, min(covered.lo - 1, last)
            lo = covered.hi + 1
        return (lo, last) if lo <= last else None

    def unsettled(self, last: int) -> List[Tuple[int, int]]:
        """The runs of numbers up to `last` that no settled range covers."""
        runs = []
        lo = 1
        for settled in self.settled():
            if lo < settled.lo:
                runs.append((lo, settled.lo - 1))
            lo = settled.hi + 1
        return [*runs, (lo, last)] if lo <= last else runs

    def numbers(self) -> List[int]:
        """Every number in the ranges, of records and of events."""
        return [value for r in self._ranges for value in (r.lo, r.hi, r.events, r.dead, r.damaged)]

    def sending(self) -> List[SeqRange]:
        """The ranges that are being sent, or were when their sender died."""
        return [r for r in self._ranges if r.state == SENDING]

    def settled(self) -> List[SeqRange]:
        return [r for r in self._ranges if r.state == SETTLED]

    def settled_events(self) -> int:
        return sum(r.events for r in self._ranges if r.state == SETTLED)
