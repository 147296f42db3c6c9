"""The script of a server's misbehaviour: which request goes wrong, how, and how often. Pure: it only
decides.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import List, Mapping, Optional


class Act(enum.Enum):
    """What happens to a request."""

    REPLY = "reply"  # answer with the fault's status, headers and body
    PARTIAL = "partial"  # store a part of the batch and answer 500
    DELAY = "delay"  # wait, then go on as if nothing had been
    HANG = "hang"  # never answer
    DROP = "drop"  # close the connection
    HALF = "half"  # send half of the true reply, then close the connection
    TRICKLE = "trickle"  # send the true reply byte by byte


@dataclass(frozen=True)
class Fault:
    """One line of a script.

    It applies to requests of *method* (None: any) whose path begins with *path* and whose body has more than
    *over_bytes* (None: any), and with *event_id* only to those whose body names that event; for *times*
    requests, or with None until the script is cleared. With
    *after* the request is processed and stored first, without it the server never gets to that.
    """

    act: Act
    times: Optional[int] = None
    method: Optional[str] = None
    path: str = ""
    over_bytes: Optional[int] = None
    event_id: Optional[str] = None
    after: bool = False
    status: int = 503
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    seconds: float = 0.0
    keep: int = 0

    def __post_init__(self) -> None:
        if self.times is not None and self.times < 1:
            raise ValueError("times must be 1 or more, or None for: until cleared")
        if not 200 <= self.status <= 599:
            raise ValueError("status must lie between 200 and 599")
        if self.seconds < 0 or self.keep < 0:
            raise ValueError("seconds and keep cannot be negative")


class _Line:
    __slots__ = ("fault", "left")

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.left = fault.times


class Script:
    """Faults in the order they were added: the oldest one that applies and is not used up is taken.

    Hence `503` twice and then `429` once answers 503, 503, 429 and is done.
    """

    def __init__(self) -> None:
        self._lines: List[_Line] = []

    def __repr__(self) -> str:
        return f"Script({[line.fault.act.value for line in self._lines]})"

    def add(self, fault: Fault) -> None:
        """Append *fault*."""
        self._lines.append(_Line(fault))

    def clear(self) -> None:
        """Forget every fault."""
        self._lines.clear()

    def take(self, method: str, path: str, body: Optional[bytes] = None, size: int = 0) -> Optional[Fault]:
        """Return the fault that befalls this request of *size* bytes, using it up by one, or None.

        Asked twice for each request: without *body* before it is read, where only faults that name no event
        can apply, then with it, where only those that do.
        """
        for line in self._lines:
            if _applies(line.fault, method, path, body, size):
                if line.left is not None:
                    line.left -= 1
                    if not line.left:
                        self._lines.remove(line)
                return line.fault
        return None


def _applies(fault: Fault, method: str, path: str, body: Optional[bytes], size: int) -> bool:
    if fault.method not in (None, method) or not path.startswith(fault.path):
        return False
    if fault.over_bytes is not None and size <= fault.over_bytes:
        return False
    if fault.event_id is None:
        return body is None
    return body is not None and fault.event_id.encode() in body
