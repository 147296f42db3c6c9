"""How long to wait before the next attempt."""

from __future__ import annotations

import math
import random
from typing import Callable, Optional


class BackOff:
    """Exponential back-off with full jitter.

    Wait *n* is a random share of min(`longest_s`, `first_s` x 2^(n-1)). `draw` returns that share, from 0 to 1.
    """

    def __init__(
        self, first_s: float = 0.5, longest_s: float = 60.0, draw: Callable[[], float] = random.random
    ) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._draw = draw

    def seconds(self, attempt: int, retry_after_s: Optional[float] = None, longest_s: float = math.inf) -> float:
        """The wait after attempt number `attempt` (from 1 on) failed. `longest_s` can only shorten it.

        Never shorter than the server's `retry_after_s`, to which a share of `first_s` is added, so that clients that
        were sent away together do not come back together.
        """
        share = self._draw()
        ceiling_s = min(self._longest_s, longest_s, math.ldexp(self._first_s, min(attempt - 1, 60)))
        wait_s = share * ceiling_s
        if retry_after_s is not None:
            wait_s = max(wait_s, retry_after_s + share * self._first_s)
        return wait_s
