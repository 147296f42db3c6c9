"""A stream that nobody answers for: whether another leader comes soon, and when to ask through another server.

When the node that leads a stream dies, the others elect a new leader 4 to 9 s after its last heartbeat. A leader that
is cut off from the others notices it after 10 to 20 s; until then it takes messages and acknowledges none. These are
constants of the server (`minElectionTimeout`, `maxElectionTimeout`, `lostQuorumInterval`, and `lostQuorumCheck` in its
`raft.go`).
"""

from __future__ import annotations

import time
from typing import Callable, Optional

ELECTION_S = 15.0
"""A stream that has no leader for longer will not have one soon: there is no such stream, or too few nodes."""

FIRST_LEAVE_S = 10.0
LONGEST_STAY_S = 60.0


class Silence:
    """Of one stream, as seen over one connection. `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: Optional[float] = None
        self._leave_at_s = FIRST_LEAVE_S

    @property
    def has_begun(self) -> bool:
        return self._since is not None

    @property
    def lasts_s(self) -> float:
        """0 if there is none."""
        return 0.0 if self._since is None else self._clock() - self._since

    def begin(self, since: float) -> None:
        """Nobody has answered since then, by the clock. Changes nothing if there is a silence already."""
        if self._since is None:
            self._since = since

    def end(self) -> None:
        self._since = None
        self._leave_at_s = FIRST_LEAVE_S

    @property
    def may_be_election(self) -> bool:
        return self.has_begun and self.lasts_s < ELECTION_S

    def leaves_server(self) -> bool:
        """Whether to go to another server now, since this one may be cut off.

        True once after 10 s, once after 20 s, after 40 s, after 80 s, and then every minute: it may also be that there
        is no such stream.
        """
        if self.lasts_s < self._leave_at_s:
            return False
        self._leave_at_s = self.lasts_s + min(self.lasts_s, LONGEST_STAY_S)
        return True
