"""Which messages may be repeats although the broker says that it delivers them for the first time: decisions only.

The leader of a consumer delivers a message before it has told its followers. If it is killed, or cut off, its successor
does not know what it delivered last, and delivers it again with a count of 1. A relay that has the message already
drops it; another one cannot know. What every relay notices is that its requests for messages are lost.
"""

from __future__ import annotations


class LeaderChanges:
    """Remembers when requests were lost, and picks the messages that may be repeats since."""

    def __init__(self, most: int) -> None:
        """`most` is how many messages are picked after each loss: the first ones are those that were delivered last."""
        self._most = most
        self._left = 0
        self._end = 0

    def note_loss(self) -> None:
        """Requests were lost: the consumer may have another leader."""
        self._left = self._most
        self._end = 0

    def may_be_repeat(self, seq: int, behind: int) -> bool:
        """Whether this message, with so many behind it in the stream, may have been delivered before the loss."""
        if not self._left:
            return False
        if not self._end:
            self._end = seq + behind  # what is published from now on was delivered by nobody
        if seq > self._end:
            return False
        self._left -= 1
        return True
