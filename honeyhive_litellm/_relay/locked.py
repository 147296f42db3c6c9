"""Messages that are encrypted with a key that this relay lacks: when each comes again, and how many there are."""

from __future__ import annotations

import time
from typing import Dict, Sequence, Set

FIRST_DELAY_S = 2.0
LONGEST_DELAY_S = 60.0
"""After so long at most a message is here again, so that it is delivered soon after a relay has its key.

Of the 20,000 messages that a consumer hands out, some 330 a second then come for nothing.
"""

_ROUNDS = 3
"""A message counts until it should have come so often: then another relay, which has the key, delivered it."""

_MOST_KEYS = 20
"""So many missing keys are named: whoever may publish can invent the ids of keys."""


class LockedMessages:
    """Counts them by their number in the stream. Without IO."""

    def __init__(self) -> None:
        self._until: Dict[int, float] = {}
        self._key_ids: Set[bytes] = set()

    def add(self, seq: int, deliveries: int) -> float:
        """Note a message, and how often it was delivered; the seconds after which it shall come again."""
        delay_s = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2.0 ** min(deliveries - 1, 10))
        self._until[seq] = time.monotonic() + _ROUNDS * delay_s
        return delay_s

    def is_new_key(self, key_ids: Sequence[bytes]) -> bool:
        """Whether these missing keys are to be named: no message had them before."""
        new = set(key_ids) - self._key_ids
        if not new or len(self._key_ids) >= _MOST_KEYS:
            return False
        self._key_ids |= new
        return True

    def count(self) -> int:
        """How many messages are locked now."""
        now = time.monotonic()
        self._until = {seq: until for seq, until in self._until.items() if until > now}
        return len(self._until)
