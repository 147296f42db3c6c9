"""What the delivery page shows of a spool. Whoever starts the server hands in a function that reads it.

The collector knows no spool: it is a program of its own that only shares our errors.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Callable, Dict, List, NamedTuple, Optional


class Owner(NamedTuple):
    """A process with files in the spool. Times are Unix seconds; None is what nothing is known of."""

    name: str
    is_alive: bool
    pid: Optional[int]
    host: Optional[str]
    seen_at: Optional[float]
    pending: int
    in_flight: int
    trouble: Optional[str]


class Letter(NamedTuple):
    """An event that the server refused for good, with the server's words."""

    event_id: str
    refused_at: float
    status: Optional[int]
    reason: str
    bytes: int


@dataclass(frozen=True)
class SpoolView:
    """A spool at one moment; `accepted = delivered + pending + dead + dropped` when it `adds_up`.

    `locked` of the pending events are encrypted with a key that the reader does not have.
    """

    folder: str
    bytes_on_disk: int
    accepted: int
    delivered: int
    pending: int
    dead: int
    adds_up: bool
    dropped: Dict[str, int] = field(default_factory=dict)
    owners: List[Owner] = field(default_factory=list)
    letters: List[Letter] = field(default_factory=list)
    unreadable: Dict[str, str] = field(default_factory=dict)
    locked: int = 0


ReadSpool = Callable[[], SpoolView]
"""Reads the spool, in a thread of its own. Raises HoneyHiveError if it cannot be read."""
