"""Which messages may be repeats although the broker says that it delivers them for the first time: decisions only.

A consumer's leader delivers messages before its followers know of it. If it dies or is cut off, the next leader does
not know which messages those were, and delivers them again with a count of 1. A relay that had one of them recognizes
it; another relay cannot. But every relay notices that its requests for messages were lost.
"""

from __future__ import annotations

import time

_CLOCKS_DIFFER_S = 2.0
"""By so much the clocks of broker and relay may differ."""


class LeaderChanges:
    """Remembers when requests were lost, and picks the messages that may be repeats since."""

    def __init__(self, most: int) -> None:
        """`most` is how many messages are picked after each loss: the first ones are those that were delivered last."""
        self._most = most
        self._left = 0
        self._end = 0.0

    def note_loss(self) -> None:
        """Requests were lost: the consumer may have another leader."""
        self._left = self._most
        self._end = time.time() + _CLOCKS_DIFFER_S

    def may_be_repeat(self, published_at: float) -> bool:
        """Whether a message that was published then, in Unix seconds, may have been delivered before the loss."""
        # How many messages were in the stream at that time is not used: a new leader counts too few at first.
        if not self._left or published_at > self._end:
            return False
        self._left -= 1
        return True
