"""Two texts side by side, line by line, with what differs marked. Pure."""

from __future__ import annotations

from difflib import SequenceMatcher
from typing import List, NamedTuple

_MOST_LINES = 1500
_CONTEXT = 3


class Line(NamedTuple):
    """A line of the comparison: *kind* is same, changed, removed, added or gap (so many equal lines left out)."""

    kind: str
    left: str
    right: str
    skipped: int = 0


def differences(left: str, right: str) -> List[Line]:
    """The lines of both texts, beside each other. Of equal lines only some are kept for orientation."""
    one, other = left.splitlines()[:_MOST_LINES], right.splitlines()[:_MOST_LINES]
    lines: List[Line] = []
    opcodes = SequenceMatcher(None, one, other).get_opcodes()
    for position, (tag, a, b, c, d) in enumerate(opcodes):
        if tag == "equal":
            lines.extend(_equal(one[a:b], position == 0, position == len(opcodes) - 1))
            continue
        kind = {"replace": "changed", "delete": "removed", "insert": "added"}[tag]
        for at in range(max(b - a, d - c)):
            before = one[a + at] if a + at < b else ""
            after = other[c + at] if c + at < d else ""
            is_both = a + at < b and c + at < d
            lines.append(
                Line(kind if is_both or kind != "changed" else ("removed" if a + at < b else "added"), before, after)
            )
    return lines


def _equal(same: List[str], is_first: bool, is_last: bool) -> List[Line]:
    head = 0 if is_first else _CONTEXT
    tail = 0 if is_last else _CONTEXT
    if len(same) <= head + tail + 1:
        return [Line("same", text, text) for text in same]
    skipped = len(same) - head - tail
    shown = [Line("same", text, text) for text in same[:head]]
    shown.append(Line("gap", "", "", skipped))
    return shown + [Line("same", text, text) for text in same[len(same) - tail :]]
