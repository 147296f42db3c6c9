"""Which of two recorders records a call, when `init` replaces one by the other while calls are in flight."""

from __future__ import annotations

import time
from typing import Any, Iterator, Mapping, Optional

from honeyhive_litellm._fork import ForkSafeLock

from .router_request import RouterRequests

GRACE_S = 5.0
"""How long a recorder stays after its tenure when none of its calls is open: one may have begun unseen."""

_lock = ForkSafeLock()
"""Without it a call that begins while `end` runs may be after the end for one recorder and before it for the other."""


class Tenure:
    """The time in which one recorder records the calls that begin.

    A call is recorded to its end by the recorder that recorded its beginning, with its retries and with all attempts of
    a request to a Router. The tenure of a recorder with a predecessor begins when that of the predecessor ends: `end`
    is the one moment, on whatever thread calls begin meanwhile.
    """

    def __init__(self, key: str, router_requests: RouterRequests) -> None:
        """`key` is where the details of a call have this recorder's token."""
        self.key = key
        self._router_requests = router_requests
        self.since_ms = time.time() * 1000
        self.took_over_ms = 0.0
        """When it replaced its predecessor; 0 if it never had one."""
        self.predecessor: Optional[Tenure] = None
        self.successor: Optional[Tenure] = None
        self._until_ms: Optional[float] = None
        self._ended_at = 0.0

    def end(self, successor: Optional[Tenure] = None) -> None:
        """From now on `successor` records the calls that begin; without one, nobody does."""
        with _lock:
            self._ended_at = time.monotonic()
            now_ms = time.time() * 1000
            if successor is not None:
                self.successor = successor
                successor.since_ms = successor.took_over_ms = now_ms
            self._until_ms = now_ms

    def follow(self, predecessor: Tenure) -> None:
        """Begin after `predecessor`, which ended at a shutdown and may have calls in flight."""
        with _lock:
            self.predecessor, predecessor.successor = predecessor, self

    def leave(self) -> None:
        """Its calls have ended. Outcomes of calls that began in its time are the successor's from now on.

        Nobody saw these calls begin, or this recorder would have waited for them. After a shutdown there is a time in
        which nobody records: then they are lost, as those that began meanwhile.
        """
        with _lock:
            if self.successor is not None:
                if self.successor.since_ms == self._until_ms:
                    self.successor.since_ms = self.since_ms
                self.successor.predecessor = self.predecessor
            if self.predecessor is not None:
                self.predecessor.successor = self.successor
            self.predecessor = self.successor = None
            self._until_ms = self.since_ms

    @property
    def has_ended(self) -> bool:
        """Whether this recorder records no call that begins now, because of another one or of a shutdown."""
        return self._until_ms is not None

    @property
    def is_over(self) -> bool:
        """Whether it has ended, long enough ago, and no request to a Router that began before is running."""
        return self.ended_for_s > GRACE_S and not self.has_requests

    @property
    def has_requests(self) -> bool:
        """Whether a request to a Router is running, whose attempts are this recorder's."""
        return self._router_requests.are_running

    @property
    def ended_for_s(self) -> float:
        """How many seconds ago it ended; 0 if it has not."""
        return time.monotonic() - self._ended_at if self.has_ended else 0.0

    def has_begun(self, call_details: Mapping[str, Any]) -> bool:
        """Whether what begins now is part of a call or a Router's request that this recorder has seen begin."""
        return self.key in call_details or self._router_requests.current() is not None

    def may_begin(self, call_details: Mapping[str, Any]) -> bool:
        """Whether this recorder is the one to record a call that begins now."""
        if self._until_ms is not None:
            return self.has_begun(call_details)
        return self.predecessor is None or not self.predecessor.keeps(call_details)

    def may_report(self, call_details: Mapping[str, Any], started_ms: Optional[float]) -> bool:
        """Whether this recorder is the one to record an outcome of a call whose beginning it has not seen.

        The time alone does not say so: a call may start in the time of one recorder, and reach its provider, which is
        the beginning that recorders see, in the time of the next.
        """
        with _lock:
            if not self._has_taken_over or any(other.key in call_details for other in self._others()):
                return False
            if started_ms is None:
                return self._until_ms is None
            return self.since_ms <= started_ms and (self._until_ms is None or started_ms < self._until_ms)

    def had_taken_over_by(self, moment_ms: float) -> bool:
        """Whether no predecessor recorded the calls that began at this moment, which is in the past."""
        return self._has_taken_over and self.took_over_ms <= moment_ms

    @property
    def _has_taken_over(self) -> bool:
        """A successor is among LiteLLM's callbacks before its tenure begins."""
        return self.predecessor is None or self.predecessor.has_ended

    def keeps(self, call_details: Mapping[str, Any]) -> bool:
        """Whether this recorder or one before it records a call that begins now."""
        if self._until_ms is None or self.has_begun(call_details):
            return True
        return self.predecessor is not None and self.predecessor.keeps(call_details)

    def _others(self) -> Iterator[Tenure]:
        """The recorders before this one, then those after it."""
        other = self.predecessor
        while other is not None:
            yield other
            other = other.predecessor
        other = self.successor
        while other is not None:
            yield other
            other = other.successor
