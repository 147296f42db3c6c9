"""Unpacks a batch of events from the single row into which `sql.PACKED_SIZES` and `sql.PACKED_EVENTS` pack it."""

from __future__ import annotations

import zlib
from typing import List, Optional, Sequence, Tuple

from .record import Row


def unpack_sizes(packed: Optional[str]) -> List[Tuple[int, int]]:
    """Number and body size of each event, in order."""
    return [(int(seq), int(size)) for seq, size in _split(packed)]


def unpack_events(packed_heads: Optional[str], joined: bytes) -> Tuple[Row, ...]:
    """The events in order that can be read and match their checksum. `joined` is their content, end to end."""
    heads = _split(packed_heads)
    rows = []
    end = 0
    for seq, id_, started_ms, session, crc, length in heads:
        begin, end = end, end + int(length)
        body = joined[begin:end]
        try:
            if zlib.crc32(body) == int(crc):
                rows.append(Row(int(seq), _text(id_), float(started_ms), _text(session) or None, body))
        except ValueError:
            pass  # a column of another type
    return tuple(rows)


def how_many_fit(sizes: Sequence[Tuple[int, int]], max_bytes: int) -> int:
    """How many events, of these numbers and sizes, make a batch of `max_bytes`; at least one if there is any."""
    total = 0
    for count, (_, size) in enumerate(sizes):
        total += size + 1
        if count and total > max_bytes:
            return count
    return len(sizes)


def _split(packed: Optional[str]) -> List[List[str]]:
    return [head.split(" ") for head in packed.split(",")] if packed else []


def _text(hexadecimal: str) -> str:
    return bytes.fromhex(hexadecimal).decode(errors="replace")
