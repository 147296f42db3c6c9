"""What delivery needs of a server: the `Sink` protocol, and the `Result` of one request to it.

A new kind of server needs one new file in `sinks` and one line in `sinks/factory.py`. Retry, back-off, circuit breaker,
splitting and dead letters read nothing but `Result`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from typing import List, NamedTuple, Optional, Protocol, Sequence, Tuple

from honeyhive_litellm._spool.record import Row


class Verdict(Enum):
    """What becomes of the events of one request."""

    DELIVERED = "delivered"
    """The server has them."""
    RETRY = "retry"
    """The same request may succeed after a while."""
    PAUSE = "pause"
    """Trouble with key, address or account: keep everything, say what to do, probe slowly."""
    SPLIT = "split"
    """The server refused the request because of one of several events: send its halves."""
    REJECT = "reject"
    """The server refused this single event for good: it becomes a dead letter."""


WAITING = (Verdict.RETRY, Verdict.PAUSE)
"""The verdicts that leave the events where they are, to be sent again."""


@dataclass(frozen=True)
class Result:
    """What came of one request."""

    verdict: Verdict
    """On this request alone; `poison.final_verdict` weighs it against earlier ones."""
    ambiguous: bool = False
    """The server may have stored some or all of the events although it did not say so."""
    may_be_event: bool = False
    """The failure may lie in the events rather than in the server, the network or the key."""
    delivered: Tuple[Row, ...] = ()
    """Events that the server certainly has, although the verdict is another one: that is on the rest."""
    some_failed: bool = False
    """The server says that one event or more failed, perhaps not all, and not which."""
    retry_after_s: Optional[float] = None
    """How long the server asks us to wait."""
    longest_pause_s: float = math.inf
    """The longest back-off that this failure is worth."""
    log_text: str = ""
    """What happened, in a few words for a log. Never text from the server, which may repeat the content of events."""
    status: Optional[int] = None
    """The protocol's number for the answer, kept with a dead letter; None if there was no answer."""
    reason: str = ""
    """The server's words, kept with a dead letter and logged nowhere."""


class LookUp(NamedTuple):
    """Which events the server has and which it does not have.

    Events that were not looked up because of `failure` are in neither list.
    """

    found: List[Row]
    missing: List[Row]
    failure: Optional[Result]


class Sink(Protocol):
    """A server that takes events. Lives on one event loop. No method raises, waits for a retry, or logs a failure."""

    @property
    def name(self) -> str:
        """What log lines call the server: its address, without credentials."""

    @property
    def suspicion(self) -> str:
        """What must be wrong while the verdict is PAUSE, such as "the key is"."""

    @property
    def remedy(self) -> str:
        """What a user can check while the verdict is PAUSE, beginning with a verb."""

    @property
    def can_look_up(self) -> bool:
        """Whether `look_up` can work at all: otherwise ambiguous events are sent again without it."""

    async def prepare(self, rows: Sequence[Row]) -> Optional[Result]:
        """Create on the server what these events refer to. None when done, else the failure.

        Called before the events are marked as on their way, so it must not send the events themselves.
        """

    async def send(self, rows: Sequence[Row], *, may_be_stored: bool = False) -> Result:
        """Send these events in one request. `may_be_stored`: perhaps an earlier attempt has stored them."""

    async def look_up(self, rows: Sequence[Row]) -> LookUp:
        """Find out which of these events the server has."""

    def may_have_stored(self, status: Optional[int]) -> bool:
        """Whether a dead letter that was refused with this `Result.status` may be on the server all the same."""

    async def aclose(self) -> None:
        """Close the connections. Idempotent."""
